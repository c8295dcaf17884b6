//! What a server says when it refuses a request. Its words are looked at and never shown: they may repeat
//! what somebody wrote.

use serde_json::Value;

/// Longest of the server's own words that is shown, such as `context_length_exceeded`.
const MAX_CODE: usize = 64;

/// A refusal's own words.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Complaint {
    /// In lower case.
    words: String,
    /// The server's name for the error, if it is a plain word.
    code: Option<String>,
}

impl Complaint {
    /// Reads the body of an answer with an error status.
    pub(super) fn read(body: &[u8]) -> Complaint {
        let text = String::from_utf8_lossy(body);
        let Ok(json) = serde_json::from_str::<Value>(&text) else {
            return Complaint { words: text.to_lowercase(), code: None };
        };
        let error = json.get("error").unwrap_or(&json);
        let mut words = String::new();
        for place in ["", "/message", "/code", "/type", "/param", "/metadata/raw"] {
            add(&mut words, error.pointer(place));
        }
        add(&mut words, json.get("message"));
        // FastAPI: a text, or a list that repeats the request beside `loc` and `msg`.
        let detail = json.get("detail");
        add(&mut words, detail);
        for entry in detail.and_then(Value::as_array).into_iter().flatten() {
            add(&mut words, entry.get("msg"));
            for place in entry.get("loc").and_then(Value::as_array).into_iter().flatten() {
                add(&mut words, Some(place));
            }
        }
        let code = ["code", "type"].iter().find_map(|key| plain_word(error.get(key)?));
        Complaint { words: words.to_lowercase(), code }
    }

    /// The words, in lower case.
    pub(super) fn words(&self) -> &str {
        &self.words
    }

    /// The server's name for the error.
    pub(super) fn code(&self) -> Option<String> {
        self.code.clone()
    }

    /// Whether the prompt, or prompt and reply together, are too long. Servers word it in their own way.
    pub(super) fn is_about_length(&self) -> bool {
        self.has_any(&[
            "context length",
            "context size",
            "context window",
            "context_length",
            "context_size",
            "max_model_len",
            "maximum model length",
            "too many tokens",
            "prompt is too long",
            "input is too long",
        ])
    }

    /// Whether a filter before the model stopped the request: Azure and `OpenRouter` have one.
    pub(super) fn is_about_content(&self) -> bool {
        self.has_any(&["content_filter", "content management policy", "flagged", "moderation"])
    }

    /// Whether the model wrote what its server cannot take apart: llama-server and vLLM fail with 500 then.
    pub(super) fn is_about_reply(&self) -> bool {
        self.has_any(&[
            "model produced output that does not match",
            "failed to parse input at pos",
            "while expecting start token",
            "unexpected tokens remaining in message header",
            "harmonyerror",
        ])
    }

    fn has_any(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| self.words.contains(phrase))
    }
}

impl std::fmt::Debug for Complaint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Complaint").field("code", &self.code).finish_non_exhaustive()
    }
}

fn add(words: &mut String, value: Option<&Value>) {
    if let Some(text) = value.and_then(Value::as_str) {
        *words += text;
        words.push('\n');
    }
}

/// A name such as `invalid_request_error`; anything longer or richer may be somebody's words.
fn plain_word(value: &Value) -> Option<String> {
    let word = value.as_str()?;
    let is_plain = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    (is_plain && (1..=MAX_CODE).contains(&word.len())).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Complaint {
        Complaint::read(body.as_bytes())
    }

    #[test]
    fn servers_complain_in_their_own_ways() {
        for (body, words, code) in [
            (
                r#"{"error":{"message":"No Logprobs","code":"unsupported_parameter"}}"#,
                "no logprobs",
                Some("unsupported_parameter"),
            ),
            (
                r#"{"error":{"code":400,"message":"x","type":"invalid_request_error"}}"#,
                "x",
                Some("invalid_request_error"),
            ),
            (
                r#"{"object":"error","message":"seed","type":"BadRequestError","code":400}"#,
                "seed",
                None,
            ),
            (r#"{"error":"Unexpected role 'developer'"}"#, "developer", None),
            (
                r#"{"detail":[{"loc":["body","seed"],"msg":"Extra inputs are not permitted","input":7}]}"#,
                "seed",
                None,
            ),
            (r#"{"detail":"top_p?"}"#, "top_p", None),
            (
                r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"no logprobs"}}}"#,
                "no logprobs",
                None,
            ),
            ("unknown field `seed`", "seed", None),
            ("\u{1b}[", "\u{1b}", None),
            ("", "", None),
            ("[]", "", None),
        ] {
            let complaint = read(body);
            assert!(complaint.words().contains(words), "{body}: {:?}", complaint.words());
            assert_eq!(complaint.code().as_deref(), code, "{body}");
        }
    }

    #[test]
    fn what_was_sent_is_neither_searched_nor_shown() {
        let echo = read(
            r#"{"detail":[{"loc":["body"],"msg":"bad","input":{"logprobs":true,"messages":"secret"}}]}"#,
        );
        assert!(!echo.words().contains("logprobs") && !format!("{echo:?}").contains("secret"));
        assert_eq!(read(r#"{"error":{"code":"My secret"}}"#).code(), None);
    }

    #[test]
    fn too_long_is_told_apart() {
        for text in [
            "This model's maximum context length is 2048 tokens. However, you requested 9000 tokens",
            "request (9000 tokens) exceeds the available context size (4096 tokens), try increasing it",
            "context_length_exceeded",
        ] {
            assert!(read(text).is_about_length(), "{text}");
        }
        assert!(!read("logprobs are not supported").is_about_length());
    }
}
