//! Pieces come and checks answer in any order: nothing leaves past the bound.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A judge that finds something once it has seen `at` characters.
fn finds(n_chars: usize, at: Option<usize>) -> bool {
    at.is_some_and(|at| n_chars >= at)
}

fn is_done(release: &Release) -> bool {
    release.is_whole_clear && release.held.is_empty()
}

fn text_of(pieces: &[Piece]) -> String {
    let text = |piece: &Piece| match piece {
        Piece::Text { text, .. } => text.clone(),
        Piece::Whole { value, .. } => value.to_string(),
    };
    pieces.iter().map(text).collect()
}

fn piece() -> impl Strategy<Value = Piece> {
    let field = prop::sample::select(vec!["content", "reasoning"]);
    prop_oneof![
        4 => (field, "\\PC{0,9}").prop_map(|(field, text)| Piece::Text { field: field.to_owned(), text }),
        1 => "[a-z<|>]{0,6}".prop_map(|text| Piece::Whole { field: "tool_calls".to_owned(), value: json!([text]) }),
    ]
}

fn mode() -> impl Strategy<Value = OutputMode> {
    prop::sample::select(vec![OutputMode::Hold, OutputMode::Window, OutputMode::Live])
}

proptest! {
    /// Pieces come, checks begin and answer late, in any order: what has left is a prefix within the bound.
    #[test]
    fn nothing_leaves_past_the_bound(
        pieces in prop::collection::vec(piece(), 0..30),
        mode in mode(),
        window in 0_usize..20,
        found_at in prop::option::of(0_usize..120),
        answers in prop::collection::vec(any::<bool>(), 0..80),
    ) {
        let whole = text_of(&pieces);
        let mut release = Release::new(mode, window);
        let mut pieces = pieces.into_iter();
        let mut answers = answers.into_iter();
        let mut check: Option<(usize, bool, bool)> = None;
        let mut sent = String::new();
        let mut n_clear = 0;
        let mut is_whole_clear = false;
        let is_blocked = loop {
            if check.is_none() {
                let saw_end = release.has_ended();
                let due = release.due();
                let found = due.map(|_| finds(release.n_asked(), found_at));
                check = found.map(|found| (release.n_asked(), found, saw_end));
            }
            sent += &text_of(&release.ready());
            let n_sent = sent.chars().count();
            prop_assert!(whole.starts_with(&sent));
            prop_assert_eq!(n_sent, release.n_sent());
            let bound = match mode {
                _ if is_whole_clear => usize::MAX,
                OutputMode::Hold => 0,
                OutputMode::Window => n_clear.max(window) - window,
                OutputMode::Live => n_clear + window,
            };
            prop_assert!(n_sent <= bound, "{n_sent} sent, {bound} allowed");
            if is_done(&release) {
                break false;
            }
            let answers_now = release.has_ended() || answers.next().unwrap_or(true);
            match check {
                Some((n_seen, found, saw_end)) if answers_now => {
                    if found {
                        break true;
                    }
                    n_clear = n_seen;
                    is_whole_clear = saw_end;
                    release.cleared(n_seen, saw_end);
                    check = None;
                }
                _ => match pieces.next() {
                    Some(piece) => release.push(piece),
                    None => release.end(),
                },
            }
        };
        prop_assert_eq!(is_blocked, finds(whole.chars().count(), found_at), "the whole is always judged");
        if !is_blocked {
            prop_assert_eq!(sent, whole);
        } else if let (OutputMode::Window, Some(at)) = (mode, found_at) {
            // A check that saw `at` characters would have found it, so none that was clear did.
            prop_assert!(release.n_sent() + window <= at.max(window));
        }
    }
}

proptest! {
    /// A word that is written with escapes into the arguments of a call, in any fragments: what has left of it
    /// never holds the word.
    #[test]
    fn escapes_in_fragments_hide_nothing(
        before in "[a-z \"é🥊\\\\]{0,30}",
        after in "[a-z ]{0,30}",
        which in prop::collection::vec(any::<bool>(), 3),
        cuts in prop::collection::vec(0_usize..160, 0..12),
        window in 0_usize..40,
        is_hold in any::<bool>(),
    ) {
        let letters = "BAD".chars().zip(&which);
        let word: String = letters.map(|(letter, &escapes)| match escapes {
            true => format!("\\u{:04x}", u32::from(letter)),
            false => letter.to_string(),
        }).collect();
        let written = |text: &str| serde_json::to_string(text).unwrap().trim_matches('"').to_owned();
        let arguments = format!("{{\"q\":\"{}{word}{after}\"}}", written(&format!("{before}.")));
        let mode = if is_hold { OutputMode::Hold } else { OutputMode::Window };
        let mut release = Release::new(mode, window);
        let letters: Vec<char> = arguments.chars().collect();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(letters.len())).collect();
        cuts.extend([0, letters.len()]);
        cuts.sort_unstable();
        let mut sent = Said::default();
        let mut is_found = false;
        for pair in cuts.windows(2) {
            let fragment: String = letters[pair[0]..pair[1]].iter().collect();
            let value = json!([{ "index": 0, "function": { "arguments": fragment } }]);
            release.push(Piece::Whole { field: "tool_calls".to_owned(), value });
            if pair[1] == letters.len() {
                release.end();
            }
            let saw_end = release.has_ended();
            if let Some(text) = release.due() {
                is_found = text.contains("BAD");
                if is_found {
                    break;
                }
                release.cleared(release.n_asked(), saw_end);
            }
            for piece in release.ready() {
                let Piece::Whole { field, value } = piece else { continue };
                sent.push(&field, &value);
            }
        }
        prop_assert!(is_found, "the whole is judged, and holds it: {arguments}");
        prop_assert!(!sent.whole().contains("BAD"), "{}", sent.whole());
    }
}

#[test]
fn characters_are_cut_between_and_never_inside() {
    let mut release = Release::new(OutputMode::Live, 3);
    release.push(Piece::Text { field: "content".to_owned(), text: "aé漢🙂z".to_owned() });
    assert_eq!(text_of(&release.ready()), "aé漢");
    release.cleared(4, false);
    assert_eq!(text_of(&release.ready()), "🙂z");
}

#[test]
fn an_empty_reply_is_judged_too() {
    let mut release = Release::new(OutputMode::Hold, 0);
    release.end();
    assert_eq!(release.due().as_deref(), Some(""));
    release.cleared(0, true);
    assert!(is_done(&release));
}
