//! Tokens to text as they come: a token may end in the middle of a character.

use super::Tokenizer;

/// Decodes token by token, holding back the bytes of a character that is not complete.
#[derive(Debug)]
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    held: Vec<u8>,
}

impl<'a> TextStream<'a> {
    /// A stream that starts between characters.
    pub fn new(tokenizer: &'a Tokenizer) -> TextStream<'a> {
        TextStream { tokenizer, held: Vec::new() }
    }

    /// The characters that are complete with this token. Control tokens give their names.
    pub fn push(&mut self, token: u32) -> String {
        match self.tokenizer.bytes(token) {
            Some(bytes) => {
                self.held.extend_from_slice(bytes);
                self.take_complete()
            }
            None => {
                let mut text = self.finish();
                match self.tokenizer.control_name(token) {
                    Some(name) => text += name,
                    None => text.push(char::REPLACEMENT_CHARACTER),
                }
                text
            }
        }
    }

    /// What is held back, each broken sequence as U+FFFD.
    pub fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.held)).into_owned()
    }

    fn take_complete(&mut self) -> String {
        let n_open = incomplete_end(&self.held);
        let open = self.held.split_off(self.held.len() - n_open);
        let text = self.finish();
        self.held = open;
        text
    }
}

/// Bytes at the end that could still become a character.
fn incomplete_end(bytes: &[u8]) -> usize {
    for n in 1..=bytes.len().min(3) {
        let byte = bytes[bytes.len() - n];
        let needs = match byte {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            0x80..=0xbf => continue,
            _ => return 0,
        };
        let tail = &bytes[bytes.len() - n..];
        let could_grow = std::str::from_utf8(tail).is_err_and(|error| error.error_len().is_none());
        return if needs > n && could_grow { n } else { 0 };
    }
    0
}
