//! What changed within a text, word by word.

use similar::{ChangeTag, TextDiff};

/// A stretch of two versions of a text.
#[derive(Debug, PartialEq)]
pub(super) enum Stretch {
    /// In both.
    Same(String),
    /// One of the two is empty where words were only added or only removed.
    Changed { old: String, new: String },
}

/// The stretches, in order; white space between two changes belongs to them.
pub(super) fn stretches(old: &str, new: &str) -> Vec<Stretch> {
    let mut found = Vec::new();
    for change in TextDiff::from_unicode_words(old, new).iter_all_changes() {
        let word = change.value();
        match change.tag() {
            ChangeTag::Equal => add_same(&mut found, word),
            ChangeTag::Delete => changed(&mut found).0.push_str(word),
            ChangeTag::Insert => changed(&mut found).1.push_str(word),
        }
    }
    found
}

fn add_same(found: &mut Vec<Stretch>, word: &str) {
    match found.last_mut() {
        Some(Stretch::Same(text)) => text.push_str(word),
        _ => found.push(Stretch::Same(word.to_owned())),
    }
}

/// The change that goes on here, both its sides.
fn changed(found: &mut Vec<Stretch>) -> (&mut String, &mut String) {
    if let [.., Stretch::Changed { old, new }, Stretch::Same(gap)] = found.as_mut_slice()
        && gap.trim().is_empty()
    {
        old.push_str(gap);
        new.push_str(gap);
        found.pop();
    } else if !matches!(found.last(), Some(Stretch::Changed { .. })) {
        found.push(Stretch::Changed { old: String::new(), new: String::new() });
    }
    match found.last_mut() {
        Some(Stretch::Changed { old, new }) => (old, new),
        _ => unreachable!("the last stretch was made a change above"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(old: &str, new: &str) -> String {
        let show = |stretch: Stretch| match stretch {
            Stretch::Same(text) => text,
            Stretch::Changed { old, new } => format!("[{old}|{new}]"),
        };
        stretches(old, new).into_iter().map(show).collect()
    }

    #[test]
    fn words_are_marked_and_punctuation_stays() {
        let marked_rule = marked("mentions beer, wine or whisky.", "mentions beer, gin or whisky.");
        assert_eq!(marked_rule, "mentions beer, [wine|gin] or whisky.");
        assert_eq!(marked("sells beer.", "sells or lends beer."), "sells [|or lends ]beer.");
        assert_eq!(marked("sells or lends beer.", "sells beer."), "sells [or lends |]beer.");
        assert_eq!(marked("one two three", "four five three"), "[one two|four five] three");
        assert_eq!(marked("same", "same"), "same");
        assert_eq!((marked("", ""), marked("", "new")), (String::new(), "[|new]".to_owned()));
    }
}
