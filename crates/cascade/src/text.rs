//! The text as a filter reads it: one spelling for what looks the same to a person.
//!
//! Only features are made from it; what is judged, stored and shown stays the raw text. Every step is a
//! pass over the characters, so the work is linear in the length whatever the text is.

use unicode_normalization::UnicodeNormalization;

/// Begins the words that no text contains: it is left out of every text.
const MARK: char = '\u{2317}';

/// What a web address becomes.
pub const URL: &str = "\u{2317}url";

/// The normalised text, and what had to be undone to get it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Normalised {
    /// Lower case, compatibility forms folded (NFKC), lookalikes as the letters that they imitate, no
    /// invisible characters, no letter more than twice in a row, addresses as [`URL`], single spaces.
    pub text: String,
    /// Invisible characters were left out.
    pub had_invisible: bool,
    /// Letters of another script stood in for Latin ones.
    pub had_lookalikes: bool,
    /// Digits or signs stood in for letters.
    pub had_leet: bool,
}

/// Normalises `raw`; see [`Normalised`].
pub fn normalise(raw: &str) -> Normalised {
    let mut done = Normalised::default();
    let mut text = String::with_capacity(raw.len());
    let is_latin = raw.is_ascii() || mostly_latin(raw);
    let mut folded = String::new();
    for word in raw.split_whitespace() {
        folded.clear();
        fold(word, is_latin, &mut folded, &mut done);
        // Some compatibility forms fold to a space and a mark.
        for word in folded.split_whitespace() {
            if !text.is_empty() {
                text.push(' ');
            }
            push_word(word, &mut text, &mut done);
        }
    }
    done.text = text;
    done
}

/// A text as it is compared with others that were judged: NFKC, lower case, single spaces. Nothing that could
/// change a verdict is left out, so addresses and invisible characters stay.
pub fn compared(raw: &str) -> String {
    let folded: String = raw.nfkc().flat_map(char::to_lowercase).collect();
    folded.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// NFKC, lower case, without invisible characters; lookalikes replaced where the text is Latin, or the
/// word in part.
fn fold(word: &str, is_latin: bool, folded: &mut String, done: &mut Normalised) {
    if word.is_ascii() {
        folded.push_str(word);
        return folded.make_ascii_lowercase();
    }
    let is_latin = is_latin || word.chars().any(is_latin_letter);
    for c in word.chars().filter(|&c| !is_combining_overlay(c) && c != MARK).nfkc() {
        if let Some(hidden) = spelled_in_tags(c) {
            done.had_invisible = true;
            folded.push(hidden);
            continue;
        }
        if is_invisible(c) {
            done.had_invisible = true;
            continue;
        }
        for c in c.to_lowercase() {
            match lookalike(c).filter(|_| is_latin) {
                Some(latin) => {
                    done.had_lookalikes = true;
                    folded.push(latin);
                }
                None => folded.push(c),
            }
        }
    }
}

fn mostly_latin(text: &str) -> bool {
    let n_latin = text.chars().filter(|&c| is_latin_letter(c)).count();
    let n_alike = text.chars().filter(|&c| lookalike_script(c) && c.is_alphabetic()).count();
    n_latin >= n_alike
}

fn is_latin_letter(c: char) -> bool {
    c.is_ascii_alphabetic() || ('\u{c0}'..='\u{24f}').contains(&c)
}

/// Greek and Cyrillic: the scripts that share shapes with Latin.
fn lookalike_script(c: char) -> bool {
    ('\u{370}'..='\u{52f}').contains(&c)
}

/// Formatting characters that show nothing: zero-width ones, directions, joiners, tags, soft hyphens.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// The letter that a tag character stands for: tags show nothing, but a model may read them.
fn spelled_in_tags(c: char) -> Option<char> {
    let ascii = u32::from(c).checked_sub(0xe_0000).filter(|code| (0x21..=0x7e).contains(code))?;
    char::from_u32(ascii).map(|c| c.to_ascii_lowercase())
}

/// Strokes and piles of marks that are put over letters to hide them.
fn is_combining_overlay(c: char) -> bool {
    matches!(c, '\u{334}'..='\u{338}' | '\u{20d0}'..='\u{20ff}' | '\u{488}' | '\u{489}')
}

/// The Latin letter that a lower-case Greek or Cyrillic one (or a Latin variant) looks like; from the
/// confusables of Unicode Technical Standard 39, those that readers do take for the letter.
fn lookalike(c: char) -> Option<char> {
    Some(match c {
        'а' | 'α' | 'ɑ' => 'a',
        'в' | 'ь' | 'β' => 'b',
        'с' | 'ϲ' => 'c',
        'ԁ' | 'ɗ' => 'd',
        'е' | 'ё' | 'ҽ' | 'ε' => 'e',
        'ɡ' | 'ԍ' => 'g',
        'һ' | 'ʜ' | 'н' => 'h',
        'і' | 'ї' | 'ι' | 'ı' | 'ɩ' => 'i',
        'ј' | 'ϳ' => 'j',
        'к' | 'κ' => 'k',
        'ӏ' | 'ǀ' => 'l',
        'м' => 'm',
        'п' | 'η' => 'n',
        'о' | 'ο' | 'σ' | 'ө' => 'o',
        'р' | 'ρ' => 'p',
        'ԛ' => 'q',
        'г' | 'ᴦ' => 'r',
        'ѕ' | 'ꜱ' => 's',
        'т' | 'τ' => 't',
        'υ' | 'ս' => 'u',
        'ѵ' | 'ν' => 'v',
        'ԝ' | 'ω' | 'ѡ' => 'w',
        'х' | 'χ' => 'x',
        'у' | 'ү' | 'γ' => 'y',
        'ᴢ' => 'z',
        _ => return None,
    })
}

/// One word: an address as [`URL`], leet read as letters, letters at most twice in a row.
fn push_word(word: &str, text: &mut String, done: &mut Normalised) {
    if is_address(word) {
        text.push_str(URL);
        return;
    }
    let has_leet = word.bytes().any(|byte| leet(byte as char).is_some());
    if !has_leet {
        return push_shortened(word.chars(), text);
    }
    let letters: Vec<char> = word.chars().collect();
    let read = read_leet(&letters);
    done.had_leet |= read != letters;
    push_shortened(read.into_iter(), text);
}

fn is_address(word: &str) -> bool {
    word.contains("://") || word.trim_start_matches(['(', '<', '[', '"', '\'']).starts_with("www.")
}

/// Stand-ins in a row that are still read as letters.
const MAX_LEET: usize = 3;

/// The word's digits and signs that stand between letters, read as the letters they stand for.
fn read_leet(word: &[char]) -> Vec<char> {
    let mut read = word.to_vec();
    let n_letters = word.iter().filter(|c| c.is_alphabetic()).count();
    let n_leet = word.iter().filter(|&&c| leet(c).is_some()).count();
    let mut at = 0;
    while at < word.len() {
        let n_run = word[at..].iter().take_while(|&&c| leet(c).is_some()).count();
        let is_letter = |c: Option<&char>| c.is_some_and(|c| c.is_alphabetic());
        let is_inside = at > 0 && is_letter(word.get(at - 1)) && is_letter(word.get(at + n_run));
        if is_inside && n_run <= MAX_LEET && n_letters > n_leet {
            read[at..at + n_run].iter_mut().for_each(|c| *c = leet(*c).unwrap_or(*c));
        }
        at += n_run.max(1);
    }
    read
}

fn leet(c: char) -> Option<char> {
    Some(match c {
        '0' => 'o',
        '1' | '!' | '|' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        _ => return None,
    })
}

/// Keeps two of the same character in a row.
fn push_shortened(word: impl Iterator<Item = char>, text: &mut String) {
    let (mut last, mut n_same) = ('\0', 0);
    for c in word {
        n_same = if c == last { n_same + 1 } else { 1 };
        last = c;
        if n_same <= 2 || c.is_ascii_digit() {
            text.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(raw: &str, expected: &str) {
        assert_eq!(normalise(raw).text, expected, "{raw:?}");
    }

    #[test]
    fn one_spelling_for_what_looks_the_same() {
        check("Hello   World\n\tagain", "hello world again");
        check("ＦＵＬＬ width ﬁne", "full width fine");
        check("fr\u{200b}ee mo\u{ad}ney", "free money");
        check("сhеар рillѕ", "cheap pills");
        check("fr3e m0ney v1agra", "free money viagra");
        check("soooooo goooood!!!!!", "soo good!!");
        check("see https://example.org/x?y=1 now", "see \u{2317}url now");
        check("a\u{336}b\u{336}c", "abc");
        check("hi \u{e0042}\u{e0079}\u{e0065}", "hi bye");
        check("\u{2317}leet", "leet");
    }

    #[test]
    fn what_is_meant_stays() {
        check("call 07700 900123 at 10:30", "call 07700 900123 at 10:30");
        check("room 101, 4th floor, 1000000", "room 101, 4th floor, 1000000");
        check("привет, как дела", "привет, как дела");
        check("win $500", "win $500");
        check("你好 世界", "你好 世界");
    }

    #[test]
    fn it_says_what_it_undid() {
        assert!(normalise("fr\u{200b}ee").had_invisible);
        assert!(normalise("сheap pills").had_lookalikes);
        assert!(normalise("m0ney").had_leet);
        let plain = normalise("nothing hidden here");
        assert!(!plain.had_invisible && !plain.had_lookalikes && !plain.had_leet);
    }

    proptest! {
        #[test]
        fn any_text_is_normalised(raw in "\\PC*") {
            let once = normalise(&raw);
            prop_assert!(!once.text.contains("  "));
            prop_assert!(once.text.len() <= 18 * raw.len() + 8);
        }
    }
}
