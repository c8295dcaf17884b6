//! A file of requests, read. What is wrong with its form fails the file; what is wrong with one request is that
//! line's, unless there is too much of it.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;
use store::MAX_ITEMS;

use super::line::{self, By};
use crate::api::MAX_FAULTS;
use crate::jobs::{AskedItem, BatchError, Fault};
use crate::selector::is_name;

/// Most lines, as OpenAI's batches have them.
const MAX_LINES: usize = 50_000;
/// Most things told of a file that cannot be taken.
const MAX_ERRORS: usize = 100;

/// What a file holds.
#[derive(Default)]
pub(crate) struct Parsed {
    pub(crate) n_lines: usize,
    pub(crate) items: Vec<AskedItem>,
    pub(crate) faults: Vec<Fault>,
    /// Why it cannot be taken.
    pub(crate) errors: Vec<BatchError>,
}

/// One line.
#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    custom_id: Option<String>,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    body: Value,
}

/// Reads a file of requests to one route.
pub(crate) fn parse(by: &By, endpoint: &str, bytes: &[u8]) -> Parsed {
    let mut parsed = Parsed::default();
    let mut seen = HashSet::new();
    for (at, text) in bytes.split(|&byte| byte == b'\n').enumerate() {
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        parsed.n_lines += 1;
        if parsed.n_lines > MAX_LINES {
            let message = format!("a batch has at most {MAX_LINES} lines");
            parsed.wrong(at, "too_many_lines", message, None);
            break;
        }
        match Request::read(text, endpoint, &seen) {
            Ok((custom_id, body)) => {
                parsed.take(by, endpoint, custom_id.clone(), body);
                seen.insert(custom_id);
            }
            Err(Wrong { code, message, param }) => parsed.wrong(at, code, message, param),
        }
        if parsed.is_hopeless(at) {
            break;
        }
    }
    if parsed.n_lines == 0 {
        parsed.errors.push(error("empty_file", None, "the file has no requests".to_owned(), None));
    }
    if !parsed.errors.is_empty() {
        parsed.items.clear();
        parsed.faults.clear();
    }
    parsed
}

impl Parsed {
    fn take(&mut self, by: &By, endpoint: &str, custom_id: String, body: Value) {
        match line::pairs(by, endpoint, &custom_id, body) {
            Ok(items) => self.items.extend(items),
            Err(error) => {
                let status = error.status().as_u16();
                let body = serde_json::to_value(error.openai()).unwrap_or_default();
                self.faults.push(Fault { custom_id, status, body });
            }
        }
    }

    /// Whether reading on would tell nothing more.
    fn is_hopeless(&mut self, at: usize) -> bool {
        if self.faults.len() > MAX_FAULTS {
            let first = self.faults[0].body["error"]["message"].as_str().unwrap_or_default();
            let message = format!(
                "more than {MAX_FAULTS} requests cannot be taken; the first, {}: {first}",
                self.faults[0].custom_id
            );
            self.wrong(at, "too_many_faults", message, None);
            return true;
        }
        if self.items.len() > MAX_ITEMS {
            let message = format!("its requests ask for more than {MAX_ITEMS} verdicts");
            self.wrong(at, "too_many_items", message, None);
            return true;
        }
        self.errors.len() >= MAX_ERRORS
    }

    fn wrong(&mut self, at: usize, code: &str, message: String, param: Option<&str>) {
        self.errors.push(error(code, Some(at + 1), message, param));
    }
}

fn error(code: &str, line: Option<usize>, message: String, param: Option<&str>) -> BatchError {
    BatchError { code: code.to_owned(), line, message, param: param.map(str::to_owned) }
}

/// What is wrong with a line.
struct Wrong {
    code: &'static str,
    message: String,
    param: Option<&'static str>,
}

impl Request {
    /// The name and the body of a line of the right form.
    fn read(text: &[u8], endpoint: &str, seen: &HashSet<String>) -> Result<(String, Value), Wrong> {
        let wrong = |code, message: &str, param| Wrong { code, message: message.to_owned(), param };
        let request: Request = serde_json::from_slice(text).map_err(|error| {
            // serde's own words may quote the line.
            let message = format!(
                "no JSON of a request: {:?} at column {}",
                error.classify(),
                error.column()
            );
            Wrong { code: "invalid_json_line", message, param: None }
        })?;
        let name = request.custom_id.filter(|name| !name.is_empty() && is_name(name));
        let Some(custom_id) = name else {
            let message =
                "each request needs a custom_id of 1 to 200 bytes without control characters";
            return Err(wrong("invalid_custom_id", message, Some("custom_id")));
        };
        if seen.contains(&custom_id) {
            let message = "an earlier request has the same custom_id";
            return Err(wrong("duplicate_custom_id", message, Some("custom_id")));
        }
        if request.method.as_deref() != Some("POST") {
            return Err(wrong("invalid_method", "the method must be POST", Some("method")));
        }
        if request.url.as_deref() != Some(endpoint) {
            let message = "the url must be the batch's endpoint";
            return Err(wrong("mismatched_url", message, Some("url")));
        }
        Ok((custom_id, request.body))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str =
        r#"{"custom_id":"a","method":"POST","url":"/v1/moderations","body":{"input":"cinnabar"}}"#;

    fn read(text: &[u8]) -> Result<(String, Value), Wrong> {
        Request::read(text, "/v1/moderations", &HashSet::new())
    }

    proptest! {
        #[test]
        fn any_line_is_a_request_or_refused_without_being_quoted(
            at in 0..GOOD.len(), byte: u8, tail in proptest::collection::vec(any::<u8>(), 0..64)
        ) {
            let mut line = GOOD.as_bytes().to_vec();
            line[at] = byte;
            for text in [&line[..], &[&line[..at], &tail[..]].concat(), &tail] {
                if let Err(wrong) = read(text) {
                    prop_assert!(!wrong.message.contains("cinnabar"), "{}", wrong.message);
                }
            }
        }
    }

    #[test]
    fn a_good_line_is_its_name_and_its_body() {
        let Ok((name, body)) = read(GOOD.as_bytes()) else { panic!("it is good") };
        assert_eq!((name.as_str(), &body["input"]), ("a", &"cinnabar".into()));
    }
}
