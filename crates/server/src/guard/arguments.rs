//! The arguments of a call as whoever is called will read them: JSON's escapes stand for characters, and a judge
//! must see the characters.

/// The text with the escapes in JSON's strings taken apart. It may end anywhere; an escape that is cut off stays as
/// it is until the rest comes, and text that is no JSON stays as it is.
pub(super) fn decoded(text: &str) -> String {
    if !text.trim_start().starts_with(['{', '[', '"']) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut is_in_string = false;
    while let Some(at) = rest.find(['"', '\\']) {
        out += &rest[..at];
        rest = &rest[at..];
        let escape = (is_in_string && rest.starts_with('\\')).then(|| escaped(rest)).flatten();
        let (character, len) = escape.unwrap_or_else(|| (first(rest), 1));
        is_in_string ^= rest.starts_with('"');
        out.push(character);
        rest = &rest[len..];
    }
    out + rest
}

fn first(text: &str) -> char {
    text.chars().next().unwrap_or_default()
}

/// The character that an escape at the start of a text stands for, and the escape's length; `None` for what is no
/// escape, or not a whole one yet.
fn escaped(text: &str) -> Option<(char, usize)> {
    let character = match text.as_bytes().get(1)? {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(text),
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        _ => return None,
    };
    Some((character, 2))
}

/// `\u0041`, or two of them that make one character.
fn unicode(text: &str) -> Option<(char, usize)> {
    let high = unit(text)?;
    if !(0xd800..0xdc00).contains(&high) {
        return Some((char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 6));
    }
    let rest = &text[6..];
    match unit(rest) {
        Some(low @ 0xdc00..0xe000) => {
            let character = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            Some((char::from_u32(character)?, 12))
        }
        None if may_become_unit(rest) => None,
        _ => Some((char::REPLACEMENT_CHARACTER, 6)),
    }
}

/// The number of a `\uXXXX` at the start of a text.
fn unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

/// Whether a text is the beginning of a `\uXXXX`.
fn may_become_unit(text: &str) -> bool {
    let digits = text.get(2..).unwrap_or_default();
    ("\\u".starts_with(text) || text.starts_with("\\u"))
        && digits.len() < 4
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A text with any of its characters written as an escape.
    fn escape(text: &str, which: &[bool]) -> String {
        let mut which = which.iter().copied().chain(std::iter::repeat(false));
        let mut out = String::new();
        for character in text.chars() {
            let must = matches!(character, '"' | '\\') || character.is_control();
            if which.next().unwrap_or(false) || must {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    out += &format!("\\u{unit:04x}");
                }
            } else {
                out.push(character);
            }
        }
        out
    }

    proptest! {
        #[test]
        fn escapes_are_read_as_their_reader_will(
            text in any::<String>(),
            which in prop::collection::vec(any::<bool>(), 0..40),
        ) {
            let written = format!("{{\"q\": \"{}\"}}", escape(&text, &which));
            let read: serde_json::Value = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(read["q"].as_str(), Some(&*text));
            prop_assert_eq!(decoded(&written), format!("{{\"q\": \"{text}\"}}"));
            let written = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(decoded(&written), format!("\"{text}\""));
        }

        /// What was seen of a beginning is seen of all that it becomes.
        #[test]
        fn a_beginning_stays_a_beginning(
            text in "[{\"\\\\a-cdu0-9nD8]{0,40}",
            n_chars in 0_usize..40,
        ) {
            let text = format!("{{\"{text}");
            let beginning: String = text.chars().take(n_chars).collect();
            let seen = decoded(&beginning);
            let whole = decoded(&text);
            // At most an escape that is cut off is read anew.
            let n_sure = seen.chars().count().saturating_sub(11);
            let sure: String = seen.chars().take(n_sure).collect();
            prop_assert!(whole.starts_with(&sure), "{:?} is no beginning of {:?}", sure, whole);
        }

        #[test]
        fn nothing_panics(text in any::<String>()) {
            decoded(&text);
            decoded(&format!("\"{text}"));
        }
    }

    #[test]
    fn what_is_no_json_stays_as_it_is() {
        for text in
            ["", "C:\\new\\u0041", "{C:\\new}", "[\"\\x\"]", "{\"a\":\"\\", "{\"a\":\"\\ud83e"]
        {
            assert_eq!(decoded(text), text);
        }
        assert_eq!(decoded("{\"a\":\"\\ud83e\\u0041\"}"), "{\"a\":\"\u{fffd}A\"}");
        assert_eq!(decoded("{\"a\":\"\\ud83e\\udd4a\\/\\\"\"}"), "{\"a\":\"🥊/\"\"}");
    }
}
