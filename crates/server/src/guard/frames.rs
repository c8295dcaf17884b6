//! Server-sent events out of bytes that were cut anywhere: inside a character, a line, a line's end.

/// Most bytes of one event: no piece of a reply is near it.
const MAX_EVENT: usize = 1 << 20;

/// What came and is no whole event yet.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    line: Vec<u8>,
    event: String,
    /// The last byte ended a line by `\r`; a `\n` now belongs to it.
    after_return: bool,
}

/// An event longer than any should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the reply is longer than {MAX_EVENT} bytes")]
pub(crate) struct TooLong;

impl Frames {
    /// The data of all events that these bytes complete.
    ///
    /// # Errors
    /// [`TooLong`]; nothing can follow.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut events = Vec::new();
        for &byte in bytes {
            let is_second = std::mem::take(&mut self.after_return) && byte == b'\n';
            if is_second {
                continue;
            }
            if byte == b'\n' || byte == b'\r' {
                self.after_return = byte == b'\r';
                self.end_line(&mut events);
            } else {
                self.line.push(byte);
            }
            if self.line.len() + self.event.len() > MAX_EVENT {
                return Err(TooLong);
            }
        }
        Ok(events)
    }

    fn end_line(&mut self, events: &mut Vec<String>) {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if !event.is_empty() {
                events.push(event);
            }
        } else if let Some(data) = line.strip_prefix(b"data:") {
            let data = data.strip_prefix(b" ").unwrap_or(data);
            if !self.event.is_empty() {
                self.event.push('\n');
            }
            self.event += &String::from_utf8_lossy(data);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn however_bytes_are_cut_the_events_are_the_same(
            texts in prop::collection::vec("[^\r\n]{1,12}", 0..6),
            end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
            cuts in prop::collection::vec(0_usize..400, 0..40),
        ) {
            let mut bytes = Vec::new();
            for text in &texts {
                bytes.extend(format!(": note{end}event: x{end}data: {text}{end}{end}").bytes());
            }
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut frames = Frames::default();
            let mut found = Vec::new();
            for pair in cuts.windows(2) {
                found.extend(frames.push(&bytes[pair[0]..pair[1]]).unwrap());
            }
            prop_assert_eq!(found, texts);
        }
    }

    #[test]
    fn an_endless_event_ends() {
        let mut frames = Frames::default();
        assert_eq!(frames.push(&vec![b'x'; MAX_EVENT + 1]), Err(TooLong));
        assert_eq!(Frames::default().push(b"data: a\ndata: b\n\n").unwrap(), ["a\nb"]);
    }
}
