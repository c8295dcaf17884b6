//! The rules of the DSA Transparency Database for a statement's fields.
//!
//! From `app/Http/Requests/StatementStoreRequest.php` of the same commit as `words.rs`.

use serde_json::{Map, Value};

use super::words;

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// One of these words.
    One(&'static [&'static str]),
    /// A list of these words.
    Many(&'static [&'static str]),
    /// A text of at most so many characters.
    Text(usize),
    /// A web address of at most 500 characters.
    Url,
    /// A day from this year on, up to 2038-01-01.
    Day(&'static str),
    /// Letters, digits, `-` and `_`, at most 500.
    Id,
}

use Kind::{Day, Id, Many, One, Text, Url};

/// Every field that this program writes, in the order of the form.
pub(super) const FIELDS: &[(&str, Kind)] = &[
    ("decision_visibility", Many(words::VISIBILITIES)),
    ("decision_visibility_other", Text(500)),
    ("decision_monetary", One(words::MONETARIES)),
    ("decision_monetary_other", Text(500)),
    ("decision_provision", One(words::PROVISIONS)),
    ("decision_account", One(words::ACCOUNTS)),
    ("account_type", One(words::ACCOUNT_TYPES)),
    ("category_specification", Many(words::KEYWORDS)),
    ("category_specification_other", Text(500)),
    ("decision_ground", One(words::GROUNDS)),
    ("decision_ground_reference_url", Url),
    ("illegal_content_legal_ground", Text(500)),
    ("illegal_content_explanation", Text(2000)),
    ("incompatible_content_ground", Text(500)),
    ("incompatible_content_explanation", Text(2000)),
    ("incompatible_content_illegal", One(words::YES_NO)),
    ("content_type", Many(words::CONTENT_TYPES)),
    ("content_type_other", Text(500)),
    ("category", One(words::CATEGORIES)),
    ("category_addition", Many(words::CATEGORIES)),
    ("territorial_scope", Many(words::COUNTRIES)),
    ("content_language", One(words::LANGUAGES)),
    ("content_date", Day("2000-01-01")),
    ("application_date", Day("2020-01-01")),
    ("end_date_account_restriction", Day("1970-01-01")),
    ("end_date_monetary_restriction", Day("1970-01-01")),
    ("end_date_service_restriction", Day("1970-01-01")),
    ("end_date_visibility_restriction", Day("1970-01-01")),
    ("decision_facts", Text(5000)),
    ("source_type", One(words::SOURCE_TYPES)),
    ("source_identity", Text(500)),
    ("automated_detection", One(words::YES_NO)),
    ("automated_decision", One(words::AUTOMATED_DECISIONS)),
    ("puid", Id),
];

const REQUIRED: &[&str] = &[
    "decision_ground",
    "content_type",
    "category",
    "content_date",
    "application_date",
    "decision_facts",
    "source_type",
    "automated_detection",
    "automated_decision",
    "puid",
];

/// A field that is needed where another holds a word.
const REQUIRED_IF: &[(&str, &str, &str)] = &[
    ("decision_visibility", "DECISION_VISIBILITY_OTHER", "decision_visibility_other"),
    ("decision_monetary", "DECISION_MONETARY_OTHER", "decision_monetary_other"),
    ("content_type", "CONTENT_TYPE_OTHER", "content_type_other"),
    ("decision_ground", "DECISION_GROUND_ILLEGAL_CONTENT", "illegal_content_legal_ground"),
    ("decision_ground", "DECISION_GROUND_ILLEGAL_CONTENT", "illegal_content_explanation"),
    ("decision_ground", "DECISION_GROUND_INCOMPATIBLE_CONTENT", "incompatible_content_ground"),
    ("decision_ground", "DECISION_GROUND_INCOMPATIBLE_CONTENT", "incompatible_content_explanation"),
];

/// At least one of these restrictions is the decision.
const DECISIONS: &[&str] =
    &["decision_visibility", "decision_monetary", "decision_provision", "decision_account"];

/// The kind of a field; `None` for one that the form does not have.
pub(super) fn kind(field: &str) -> Option<Kind> {
    FIELDS.iter().find(|(name, _)| *name == field).map(|(_, kind)| *kind)
}

/// What is wrong with a statement: `field: why`, each once.
pub(super) fn faults(statement: &Map<String, Value>) -> Vec<String> {
    let is_there = |field: &str| statement.get(field).is_some_and(|value| !is_empty(value));
    let mut faults = Vec::new();
    for field in REQUIRED.iter().filter(|field| !is_there(field)) {
        faults.push(format!("{field}: missing"));
    }
    if !DECISIONS.iter().any(|field| is_there(field)) {
        faults.push(format!("one of {}: missing", DECISIONS.join(", ")));
    }
    for (field, word, needed) in REQUIRED_IF {
        if statement.get(*field).is_some_and(|value| holds(value, word)) && !is_there(needed) {
            faults.push(format!("{needed}: missing, for {field} is {word}"));
        }
    }
    for (field, value) in statement {
        match kind(field) {
            Some(kind) => faults.extend(fault(kind, value).map(|why| format!("{field}: {why}"))),
            None => faults.push(format!("{field}: no field of a statement")),
        }
    }
    faults
}

/// What is wrong with one field's value.
pub(super) fn fault(kind: Kind, value: &Value) -> Option<String> {
    let text = value.as_str();
    match kind {
        One(words) => match text {
            Some(text) if words.contains(&text) => None,
            Some(text) => Some(format!("{text:?} is not one of its words")),
            None => Some("must be one word".to_owned()),
        },
        Many(words) => {
            let Some(list) = value.as_array() else { return Some("must be a list".to_owned()) };
            list.iter().find_map(|value| fault(One(words), value))
        }
        Text(limit) => match text {
            Some(text) => too_long(text, limit),
            None => Some("must be a text".to_owned()),
        },
        Url => match text {
            Some(text) if text.starts_with("https://") || text.starts_with("http://") => {
                too_long(text, 500)
            }
            _ => Some("must be a web address".to_owned()),
        },
        Day(earliest) => match text {
            Some(text) if crate::commands::days::day(text).is_err() => {
                Some("must be a day such as 2026-11-24".to_owned())
            }
            // Days written alike sort as texts.
            Some(text) if (earliest..="2038-01-01").contains(&text) => None,
            _ => Some(format!("must be a day from {earliest} to 2038-01-01")),
        },
        Id => {
            let is_letter = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            match text {
                Some(text) if !text.is_empty() && text.bytes().all(is_letter) => {
                    too_long(text, 500)
                }
                _ => Some("must be letters, digits, - and _".to_owned()),
            }
        }
    }
}

fn too_long(text: &str, limit: usize) -> Option<String> {
    let n_letters = text.chars().count();
    (n_letters > limit).then(|| format!("{n_letters} characters, {limit} are allowed"))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

fn holds(value: &Value, word: &str) -> bool {
    value == word || value.as_array().is_some_and(|list| list.iter().any(|one| one == word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn good() -> Map<String, Value> {
        let statement = json!({
            "decision_visibility": ["DECISION_VISIBILITY_CONTENT_REMOVED"],
            "decision_ground": "DECISION_GROUND_INCOMPATIBLE_CONTENT",
            "incompatible_content_ground": "Terms, 4.2",
            "incompatible_content_explanation": "Spam is not allowed.",
            "content_type": ["CONTENT_TYPE_TEXT"],
            "category": "STATEMENT_CATEGORY_SCAMS_AND_FRAUD",
            "content_date": "2026-11-20",
            "application_date": "2026-11-24",
            "decision_facts": "Found by a model.",
            "source_type": "SOURCE_VOLUNTARY",
            "automated_detection": "Yes",
            "automated_decision": "AUTOMATED_DECISION_FULLY",
            "puid": "dec_01jd9g3vd8k2m4n6p8q0r2s4t6",
        });
        match statement {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }

    #[test]
    fn a_statement_that_fits_has_no_faults() {
        assert_eq!(faults(&good()), Vec::<String>::new());
    }

    /// A field, a value that is wrong there (null: none), and a part of what is said.
    #[test]
    fn every_rule_of_the_form_is_held() {
        let cases = [
            ("category", json!(null), "category: missing"),
            ("category", json!("SPAM"), "not one of its words"),
            ("content_type", json!([]), "content_type: missing"),
            ("content_type", json!("CONTENT_TYPE_TEXT"), "must be a list"),
            ("content_type", json!(["CONTENT_TYPE_OTHER"]), "content_type_other: missing"),
            ("decision_visibility", json!(null), "one of decision_visibility"),
            (
                "decision_visibility",
                json!(["DECISION_VISIBILITY_OTHER"]),
                "visibility_other: missing",
            ),
            ("decision_monetary", json!("DECISION_MONETARY_OTHER"), "monetary_other: missing"),
            ("incompatible_content_ground", json!(null), "incompatible_content_ground: missing"),
            (
                "decision_ground",
                json!("DECISION_GROUND_ILLEGAL_CONTENT"),
                "illegal_content_legal_ground",
            ),
            (
                "incompatible_content_ground",
                json!("é".repeat(501)),
                "501 characters, 500 are allowed",
            ),
            ("incompatible_content_explanation", json!("x".repeat(2001)), "2000 are allowed"),
            ("decision_facts", json!("x".repeat(5001)), "5000 are allowed"),
            ("content_date", json!("1999-12-31"), "from 2000-01-01"),
            ("content_date", json!("2026-02-30"), "must be a day"),
            ("application_date", json!("2038-01-02"), "to 2038-01-01"),
            ("automated_detection", json!("yes"), "not one of its words"),
            ("puid", json!("a b"), "letters, digits"),
            ("puid", json!("x".repeat(501)), "500 are allowed"),
            ("territorial_scope", json!(["US"]), "not one of its words"),
            ("content_language", json!("XX"), "not one of its words"),
            ("decision_ground_reference_url", json!("ftp://x"), "web address"),
            ("surprise", json!("x"), "no field of a statement"),
        ];
        for (field, value, expected) in cases {
            let mut statement = good();
            statement.remove(field);
            if !value.is_null() {
                statement.insert(field.to_owned(), value.clone());
            }
            let found = faults(&statement).join("; ");
            assert!(found.contains(expected), "{field} {value}: {found:?}");
        }
    }

    #[test]
    fn limits_count_characters_and_hold_at_the_edge() {
        let mut statement = good();
        statement.insert("decision_facts".to_owned(), json!("é".repeat(5000)));
        statement.insert("incompatible_content_ground".to_owned(), json!("é".repeat(500)));
        assert_eq!(faults(&statement), Vec::<String>::new());
    }
}
