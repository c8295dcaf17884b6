//! Prints of texts, to know again what a filter was trained or proven on without keeping it.

use policy::hex;
use serde::{Deserialize, Serialize};

use crate::error::CascadeError;
use crate::filter::print;

/// Digits of one print.
const DIGITS: usize = 8;

/// Sorted prints; in JSON one string of eight hexadecimal digits for each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prints(Vec<u32>);

impl Prints {
    /// The prints of texts as they came.
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Prints {
        let mut prints: Vec<u32> = texts.into_iter().map(print).collect();
        prints.sort_unstable();
        prints.dedup();
        Prints(prints)
    }

    /// Whether this text, or one with the same normal form, is among them; wrong for one text in some
    /// tens of thousands that is not.
    pub fn contains(&self, raw: &str) -> bool {
        self.0.binary_search(&print(raw)).is_ok()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Prints> for String {
    fn from(prints: Prints) -> String {
        prints.0.iter().map(|print| hex(&print.to_be_bytes())).collect()
    }
}

impl TryFrom<String> for Prints {
    type Error = CascadeError;

    fn try_from(text: String) -> Result<Prints, CascadeError> {
        let wrong = || CascadeError::Damaged { part: "prints" };
        let digits = text.as_bytes().chunks_exact(DIGITS);
        if !digits.remainder().is_empty() {
            return Err(wrong());
        }
        let one = |digits: &[u8]| {
            let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
            u32::from_str_radix(digits, 16).map_err(|_| wrong())
        };
        let prints = digits.map(one).collect::<Result<Vec<_>, _>>()?;
        if prints.is_sorted() { Ok(Prints(prints)) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_come_back_from_json_and_damage_is_refused() {
        let prints = Prints::of(["one text", "another", "One  text"]);
        let json = serde_json::to_string(&prints).unwrap();
        let again: Prints = serde_json::from_str(&json).unwrap();
        assert_eq!(again, prints);
        assert!(again.contains("ANOTHER") && !again.contains("third"));
        for damaged in [r#""0000000""#, r#""zzzzzzzz""#, r#""0000000200000001""#, r#""éééé""#] {
            assert!(serde_json::from_str::<Prints>(damaged).is_err(), "{damaged}");
        }
    }
}
