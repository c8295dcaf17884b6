//! The reply format that the developer message asks for: a JSON schema of this policy's codes.

use policy::Policy;
use serde_json::Value;

/// Most characters of a rationale.
pub const RATIONALE_LEN: usize = 400;
/// Most rules that a reply may cite.
pub(crate) const MAX_RULES: usize = 3;

/// The schema as compact JSON, keys in a fixed order: prompts must be equal to the byte.
pub fn reply_schema(policy: &Policy) -> String {
    let labels = json_list(policy.labels().map(|(label, _)| label));
    let rule_ids = json_list(policy.rule_ids().map(|(code, _)| code));
    format!(
        concat!(
            r#"{{"type":"object","properties":{{"violation":{{"enum":[0,1]}},"label":{{"enum":{}}},"#,
            r#""rule_ids":{{"type":"array","items":{{"enum":{}}},"minItems":1,"maxItems":{}}},"#,
            r#""confidence":{{"enum":["low","medium","high"]}},"rationale":{{"type":"string","maxLength":{}}}}},"#,
            r#""required":["violation","label","rule_ids","confidence","rationale"],"additionalProperties":false}}"#,
        ),
        labels, rule_ids, MAX_RULES, RATIONALE_LEN
    )
}

fn json_list<'a>(words: impl Iterator<Item = &'a str>) -> Value {
    words.collect()
}
