//! What a message says, for a judge to read: text that comes in fragments is put together by the field it
//! belongs to, as its reader will.

use std::collections::HashMap;

use serde_json::Value;

use super::arguments::decoded;

/// The field of a call whose text is JSON for whoever is called.
const ARGUMENTS: &str = "arguments";

/// The texts of a message, one a field, in the order in which the fields first came.
#[derive(Debug, Default)]
pub(crate) struct Said {
    texts: Vec<Text>,
    places: HashMap<String, usize>,
}

/// The text of one field.
#[derive(Debug)]
struct Text {
    head: String,
    text: String,
    is_json: bool,
}

impl Said {
    /// More of a field.
    pub(crate) fn push(&mut self, field: &str, value: &Value) {
        match value {
            Value::Null => {}
            Value::String(text) => self.text(field, "", text),
            value => self.value(field, field, value),
        }
    }

    /// More of a field's text; where the field is new it begins with `head`.
    pub(crate) fn text(&mut self, path: &str, head: &str, text: &str) {
        if let Some(&place) = self.places.get(path) {
            self.texts[place].text += text;
        } else if !text.is_empty() {
            self.places.insert(path.to_owned(), self.texts.len());
            let is_json = path.rsplit('/').next() == Some(ARGUMENTS);
            let (head, text) = (head.to_owned(), text.to_owned());
            self.texts.push(Text { head, text, is_json });
        }
    }

    /// All leaves, each under its path; elements that have an `index` are told apart by it.
    fn value(&mut self, path: &str, name: &str, value: &Value) {
        match value {
            Value::Null => {}
            Value::Object(fields) => {
                for (name, value) in fields.iter().filter(|(name, _)| *name != "index") {
                    self.value(&format!("{path}/{name}"), name, value);
                }
            }
            Value::Array(elements) => {
                for (at, element) in elements.iter().enumerate() {
                    let index = element.get("index").and_then(Value::as_u64);
                    let at = index.unwrap_or(at as u64);
                    self.value(&format!("{path}/{at}"), name, element);
                }
            }
            Value::String(text) => self.text(path, &format!("{name}: "), text),
            leaf => self.text(path, &format!("{name}: "), &leaf.to_string()),
        }
    }

    /// All of it, a line's end between fields; the arguments of calls as whoever is called will read them.
    pub(crate) fn whole(&self) -> String {
        let said = |Text { head, text, is_json }: &Text| match is_json {
            true => format!("{head}{}", decoded(text)),
            false => format!("{head}{text}"),
        };
        self.texts.iter().map(said).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fragments_are_put_together_by_their_field() {
        let mut said = Said::default();
        said.push("content", &json!("B"));
        said.push("reasoning", &json!("why"));
        said.push("content", &json!("AD"));
        let call = |index: u64, function: Value| json!([{ "index": index, "function": function }]);
        said.push("tool_calls", &call(0, json!({ "name": "look", "arguments": "" })));
        said.push("tool_calls", &call(1, json!({ "name": "ask" })));
        said.push("tool_calls", &call(0, json!({ "arguments": "{\"q\":\"B" })));
        said.push("tool_calls", &call(1, json!({ "arguments": "7" })));
        said.push("tool_calls", &call(0, json!({ "arguments": "AD\\" })));
        said.push("tool_calls", &call(0, json!({ "arguments": "u0021\"}" })));
        said.push("other", &json!({ "is": { "BAD": 1 } }));
        let expected =
            "BAD\nwhy\nname: look\nname: ask\narguments: {\"q\":\"BAD!\"}\narguments: 7\nBAD: 1";
        assert_eq!(said.whole(), expected);
    }
}
