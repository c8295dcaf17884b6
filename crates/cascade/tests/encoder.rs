//! Filters that read vectors: with their own encoder, with another, and with one that breaks its promise.

use cascade::{CascadeError, Encoder, Filter, Reading, Row, Scorer, TrainSettings, Windows, train};

/// How often each letter comes, in windows of 20 characters that overlap by half.
struct Letters {
    identity: &'static str,
    broken: bool,
}

const LETTERS: Letters = Letters { identity: "letters 1", broken: false };
const WINDOW: usize = 20;

impl Encoder for Letters {
    fn identity(&self) -> &str {
        self.identity
    }

    fn n_dims(&self) -> usize {
        26
    }

    fn encode(&self, texts: &[&str]) -> Result<Vec<Windows>, CascadeError> {
        Ok(texts.iter().map(|text| windows(text, self.broken)).collect())
    }
}

fn windows(text: &str, broken: bool) -> Windows {
    let bytes = text.as_bytes();
    if bytes.len() > WINDOW / 2 * cascade::MAX_WINDOWS {
        return Vec::new();
    }
    let starts = (0..bytes.len().max(1)).step_by(WINDOW / 2);
    let counts = starts.map(|start| {
        let mut counts = vec![if broken { f32::NAN } else { 0.0 }; 26];
        let letters = bytes[start..].iter().take(WINDOW).filter(|byte| byte.is_ascii_lowercase());
        letters.for_each(|byte| counts[usize::from(byte - b'a')] += 1.0);
        counts
    });
    counts.collect()
}

/// Positives are rich in z, each in words of its own, so that n-grams of words say little.
fn rows() -> Vec<Row> {
    let row = |at: usize| {
        let is_positive = at.is_multiple_of(2);
        let filler = char::from(b'a' + (at * 7 % 20) as u8);
        let ending = if is_positive { "zz" } else { "" };
        let text = format!("{filler}{filler}{ending} {filler}x{at} {ending}");
        Row { text, truths: vec![Some(is_positive)], weight: 1.0 }
    };
    (0..80).map(row).collect()
}

fn trained(ngrams: bool) -> Filter {
    let reading = Reading { ngrams, encoder: Some(&LETTERS), place: Some("here".to_owned()) };
    let settings = TrainSettings::default();
    train(&rows(), &["z".to_owned()], None, &reading, &settings, |_, _, _| ())
        .expect("a sound filter")
}

fn score(scorer: &mut Scorer<'_>, text: &str) -> f64 {
    scorer.score(text).expect("a sound filter").score
}

#[test]
fn vectors_alone_or_joined_are_learned_kept_and_read() {
    for ngrams in [false, true] {
        let filter = Filter::from_bytes(&trained(ngrams).to_bytes()).expect("a sound filter");
        assert_eq!(filter.about.reads.ngrams.is_some(), ngrams);
        let source = filter.about.reads.dense.clone().expect("a sound filter");
        assert_eq!((source.identity.as_str(), source.n_dims), ("letters 1", 26));
        assert_eq!(source.place.as_deref(), Some("here"));
        let mut scorer = filter.scorer(Some(&LETTERS)).expect("a sound filter");
        let (high, low) = (score(&mut scorer, "bbzz bx3 zz"), score(&mut scorer, "bb bx3 "));
        assert!(high > 0.6 && low < 0.4, "ngrams {ngrams}: {high} {low}");
        let reasons = scorer.explain("bbzz bx3 zz").expect("a sound filter");
        assert!(reasons.iter().any(|it| it.feature == "(vector)" && it.log_odds > 0.0));
        let sum: f64 = reasons.iter().map(|it| it.log_odds).sum();
        assert!(
            (1.0 / (1.0 + (-sum).exp()) - high).abs() < 1e-9,
            "the reasons add up to the score"
        );
    }
}

#[test]
fn one_window_is_enough() {
    let filter = trained(false);
    let mut scorer = filter.scorer(Some(&LETTERS)).expect("a sound filter");
    let plain = "bb bx7 cc cx14 dd ".repeat(20);
    let hidden = format!("{plain}bbzz bx3 zz {plain}");
    let (high, low) = (score(&mut scorer, &hidden), score(&mut scorer, &plain));
    assert!(high > 0.5 && low < 0.4, "{high} {low}");
}

#[test]
fn what_cannot_be_read_is_passed_on() {
    let filter = trained(true);
    let mut scorer = filter.scorer(Some(&LETTERS)).expect("a sound filter");
    assert_eq!(score(&mut scorer, &"a ".repeat(10_000)), 1.0);
    assert_eq!(score(&mut scorer, ""), 1.0);
    assert!(scorer.explain(&"a ".repeat(10_000)).expect("a sound filter").is_empty());
    let texts = ["kk", "", "kz zz"];
    let all = scorer.score_all(&texts).expect("a sound filter");
    for (text, one) in texts.iter().zip(all) {
        assert_eq!(one, scorer.score(text).expect("a sound filter"), "neighbours change nothing");
    }
}

#[test]
fn only_the_encoder_of_the_training_will_do() {
    let filter = trained(false);
    let error = filter.scorer(None).err().expect("a sound filter");
    assert!(matches!(error, CascadeError::EncoderMissing { identity } if identity == "letters 1"));
    let other = Letters { identity: "letters 2", broken: false };
    let error = filter.scorer(Some(&other)).err().expect("a sound filter");
    assert!(matches!(error, CascadeError::EncoderForeign { found, .. } if found == "letters 2"));
    let broken = Letters { identity: "letters 1", broken: true };
    let error = filter.scorer(Some(&broken)).expect("a sound filter").score("text").unwrap_err();
    assert!(matches!(error, CascadeError::Vectors { .. }));
}

#[test]
fn a_filter_must_read_something() {
    let reading = Reading { ngrams: false, ..Reading::default() };
    let settings = TrainSettings::default();
    let filter = train(&rows(), &["z".to_owned()], None, &reading, &settings, |_, _, _| ());
    assert!(matches!(filter, Err(CascadeError::ReadsNothing)));
}
