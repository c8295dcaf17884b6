//! A text as a sparse vector: hashed word and character n-grams, nothing learned, nothing stored.
//!
//! Two blocks, each of length 1 where it has anything: words with pairs of neighbours, and runs of two to
//! five characters inside words, edges marked. Counts enter as `1 + ln(count)`, with a sign from the hash
//! so that collisions cancel on average (Weinberger et al. 2009, "Feature Hashing for Large Scale
//! Multitask Learning").

use serde::{Deserialize, Serialize};

use crate::text::{Normalised, normalise};

/// The most normalised bytes in one window; a longer text is read in windows that overlap by half.
pub const WINDOW_BYTES: usize = 8192;
/// Longest run of characters that is a feature.
const MAX_RUN: usize = 5;
/// Shortest one.
const MIN_RUN: usize = 2;
/// Half of the golden ratio's digits, as in Fibonacci hashing (Knuth, volume 3, 6.4).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// How many slots each block hashes into: `2^bits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureShape {
    /// Of the block of words, 8 to 22.
    pub word_bits: u8,
    /// Of the block of characters, 8 to 22.
    pub char_bits: u8,
}

impl FeatureShape {
    /// Few collisions for sets of ten thousand short texts.
    pub const FULL: FeatureShape = FeatureShape { word_bits: 18, char_bits: 19 };

    /// The largest shape whose `n_labels` heads of one byte a slot fit into `max_bytes`.
    pub fn fitting(n_labels: usize, max_bytes: usize) -> Option<FeatureShape> {
        (8..=18_u8)
            .rev()
            .map(|bits| FeatureShape { word_bits: bits, char_bits: bits + 1 })
            .find(|shape| shape.n_slots().saturating_mul(n_labels) <= max_bytes)
    }

    /// Whether the bits are such that an index fits.
    pub fn is_sound(self) -> bool {
        (8..=22).contains(&self.word_bits) && (8..=22).contains(&self.char_bits)
    }

    /// Slots of both blocks together.
    pub fn n_slots(self) -> usize {
        (1 << self.word_bits) + (1 << self.char_bits)
    }
}

/// One slot of a vector and what stands in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Feature {
    /// From 0 to `n_slots - 1`.
    pub slot: u32,
    /// Not 0; the squares of a block sum to 1.
    pub value: f32,
}

/// Turns texts into vectors; keeps its buffers from one text to the next.
#[derive(Clone, Debug)]
pub struct Featuriser {
    shape: FeatureShape,
    hashes: Vec<u64>,
    features: Vec<Feature>,
}

impl Featuriser {
    /// For vectors of `shape`.
    pub fn new(shape: FeatureShape) -> Featuriser {
        Featuriser { shape, hashes: Vec::new(), features: Vec::new() }
    }

    /// The vector of one window of normalised text, valid until the next call.
    pub fn window(&mut self, window: &str, marks: &[&'static str]) -> &[Feature] {
        self.features.clear();
        self.hashes.clear();
        each_word(window, marks, |hash, _| self.hashes.push(hash));
        self.block(0, self.shape.word_bits);
        self.hashes.clear();
        each_run(window, |hash, _| self.hashes.push(hash));
        self.block(1 << self.shape.word_bits, self.shape.char_bits);
        &self.features
    }

    /// Counts equal hashes and adds them as a block of length 1.
    fn block(&mut self, offset: u32, bits: u8) {
        let first = self.features.len();
        self.hashes.sort_unstable();
        let mut squares = 0.0_f32;
        for same in self.hashes.chunk_by(|a, b| a == b) {
            let tf = if same.len() == 1 { 1.0 } else { 1.0 + (same.len() as f32).ln() };
            squares += tf * tf;
            let (slot, sign) = slot(same[0], bits);
            self.features.push(Feature { slot: offset + slot, value: sign * tf });
        }
        let scale = 1.0 / squares.sqrt().max(f32::MIN_POSITIVE);
        self.features[first..].iter_mut().for_each(|feature| feature.value *= scale);
    }
}

/// A feature as a person reads it, with where it goes; for explaining a score.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// The words or characters.
    pub name: String,
    /// The slot and what stands in it.
    pub feature: Feature,
}

/// The features of a window with their names, each once.
pub fn named(shape: FeatureShape, window: &str, marks: &[&'static str]) -> Vec<Named> {
    let mut names = std::collections::HashMap::new();
    each_word(window, marks, |hash, name| {
        names.entry((slot(hash, shape.word_bits).0, 0)).or_insert_with(|| name.to_string());
    });
    each_run(window, |hash, run| {
        names.entry((slot(hash, shape.char_bits).0, 1)).or_insert_with(|| run.iter().collect());
    });
    let n_words = 1 << shape.word_bits;
    let mut featuriser = Featuriser::new(shape);
    let features = featuriser.window(window, marks).to_vec();
    let name = |feature: Feature| {
        let key =
            if feature.slot < n_words { (feature.slot, 0) } else { (feature.slot - n_words, 1) };
        Some(Named { name: names.get(&key)?.clone(), feature })
    };
    features.into_iter().filter_map(name).collect()
}

/// The windows of a text, and the marks that all of them bear.
pub fn windows(raw: &str) -> (Normalised, Vec<std::ops::Range<usize>>) {
    let normalised = normalise(raw);
    let text = normalised.text.as_str();
    let mut windows = Vec::new();
    let mut start = 0;
    loop {
        let end = boundary(text, start + WINDOW_BYTES);
        windows.push(start..end);
        if end == text.len() {
            return (normalised, windows);
        }
        start = boundary(text, start + WINDOW_BYTES / 2);
    }
}

/// What a filter should know about the whole text, as words that no text contains.
pub fn marks(normalised: &Normalised) -> Vec<&'static str> {
    let all = [
        (normalised.had_invisible, "\u{2317}invisible"),
        (normalised.had_lookalikes, "\u{2317}lookalikes"),
        (normalised.had_leet, "\u{2317}leet"),
    ];
    all.into_iter().filter_map(|(had, mark)| had.then_some(mark)).collect()
}

/// The first place at or after `at` where a character begins.
fn boundary(text: &str, at: usize) -> usize {
    (at..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len())
}

/// A word or a pair of neighbours.
enum Words<'a> {
    One(&'a str),
    Two(&'a str, &'a str),
}

impl std::fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Words::One(word) => f.write_str(word),
            Words::Two(first, second) => write!(f, "{first} {second}"),
        }
    }
}

fn each_word(window: &str, marks: &[&'static str], mut found: impl FnMut(u64, Words<'_>)) {
    let mut before: Option<(u64, &str)> = None;
    for word in words(window) {
        let hash = word.bytes().fold(GOLDEN, |hash, byte| step(hash, byte.into()));
        found(finish(hash), Words::One(word));
        if let Some((earlier, first)) = before {
            found(finish(step(earlier.rotate_left(17), hash)), Words::Two(first, word));
        }
        before = Some((hash, word));
    }
    for mark in marks {
        let hash = mark.bytes().fold(GOLDEN, |hash, byte| step(hash, byte.into()));
        found(finish(hash), Words::One(mark));
    }
}

/// Runs of letters and digits; characters of scripts without spaces, emoji and signs one by one.
fn words(window: &str) -> impl Iterator<Item = &str> {
    let mut rest = window;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| c == ' ' || is_quiet(c));
        let first = rest.chars().next()?;
        let len = if is_joined(first) {
            rest.find(|c: char| !is_joined(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (word, after) = rest.split_at(len);
        rest = after;
        Some(word)
    })
}

/// Part of a word of several characters.
fn is_joined(c: char) -> bool {
    (c.is_alphanumeric() && !is_spaceless(c)) || matches!(c, '_' | '\'' | '\u{2019}' | '\u{2317}')
}

/// Punctuation that says nothing by itself.
fn is_quiet(c: char) -> bool {
    matches!(c, '.' | ',' | ';' | ':' | '"' | '(' | ')' | '-' | '/' | '\u{201c}' | '\u{201d}')
}

/// Scripts written without spaces: kana, Han, Thai and their neighbours.
fn is_spaceless(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}')
}

/// Every run of characters inside a word between spaces, the word's edges standing as spaces.
fn each_run(window: &str, mut found: impl FnMut(u64, &[char])) {
    let mut padded = Vec::new();
    for word in window.split(' ').filter(|word| !word.is_empty()) {
        padded.clear();
        padded.push(' ');
        padded.extend(word.chars());
        padded.push(' ');
        for start in 0..padded.len() - 1 {
            let mut hash = GOLDEN;
            for (at, &c) in padded[start..].iter().take(MAX_RUN).enumerate() {
                hash = step(hash, c.into());
                if at + 1 >= MIN_RUN {
                    found(finish(hash), &padded[start..=start + at]);
                }
            }
        }
    }
}

fn step(hash: u64, next: u64) -> u64 {
    (hash ^ next).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29)
}

/// The finaliser of `MurmurHash3` (Appleby), so that all bits depend on all characters.
fn finish(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// Where a hash goes, and with which sign.
fn slot(hash: u64, bits: u8) -> (u32, f32) {
    let sign = if hash >> 63 == 1 { -1.0 } else { 1.0 };
    ((hash & ((1 << bits) - 1)) as u32, sign)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vector(text: &str) -> Vec<Feature> {
        Featuriser::new(FeatureShape::FULL).window(text, &[]).to_vec()
    }

    #[test]
    fn words_and_pairs_are_found_in_order() {
        let mut found = Vec::new();
        each_word("it's a win, call 0800!", &["\u{2317}leet"], |_, words| {
            found.push(words.to_string())
        });
        let expected = [
            "it's",
            "a",
            "it's a",
            "win",
            "a win",
            "call",
            "win call",
            "0800",
            "call 0800",
            "!",
            "0800 !",
            "\u{2317}leet",
        ];
        assert_eq!(found, expected);
        let mut found = Vec::new();
        each_word("你好", &[], |_, words| found.push(words.to_string()));
        assert_eq!(found, ["你", "好", "你 好"]);
    }

    #[test]
    fn both_blocks_have_length_one() {
        let features = vector("free money free money now");
        let n_words = 1 << FeatureShape::FULL.word_bits;
        for of_words in [true, false] {
            let block = features.iter().filter(|feature| (feature.slot < n_words) == of_words);
            let squares: f32 = block.map(|feature| feature.value * feature.value).sum();
            assert!((squares - 1.0).abs() < 1e-5, "{squares}");
        }
        assert_eq!(vector("").len(), 0);
    }

    #[test]
    fn long_texts_are_read_to_the_end_in_windows() {
        let text = "word ".repeat(10_000);
        let (normalised, windows) = windows(&text);
        assert_eq!(windows.first().map(|window| window.start), Some(0));
        assert_eq!(windows.last().map(|window| window.end), Some(normalised.text.len()));
        assert!(windows.windows(2).all(|pair| pair[1].start < pair[0].end));
        assert_eq!(super::windows("").1.len(), 1);
    }

    proptest! {
        #[test]
        fn any_text_has_a_vector(text in "\\PC{0,200}", word_bits in 8_u8..20, char_bits in 8_u8..20) {
            let shape = FeatureShape { word_bits, char_bits };
            let (normalised, windows) = windows(&text);
            for window in windows {
                let window = &normalised.text[window];
                for feature in Featuriser::new(shape).window(window, &marks(&normalised)) {
                    prop_assert!((feature.slot as usize) < shape.n_slots());
                    prop_assert!(feature.value.is_finite() && feature.value != 0.0);
                }
                named(shape, window, &[]);
            }
        }
    }
}
