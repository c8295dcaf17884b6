//! The reply format that the developer message asks for: a JSON schema of this policy's codes.

use policy::{Policy, Side};
use serde_json::Value;

/// Most characters of a rationale.
pub const RATIONALE_LEN: usize = 400;
/// Most rules that a reply may cite.
pub(crate) const MAX_RULES: usize = 3;

/// The schema as compact JSON, keys in a fixed order: prompts must be equal to the byte.
pub fn reply_schema(policy: &Policy) -> String {
    object("[0,1]", policy.labels(), policy.rule_ids())
}

/// The same for servers that bind the reply by it: as the grammar does, it has only codes of the verdict's
/// side. Not for the prompt, and not for OpenAI's own models, which want one object at the top.
pub fn bound_schema(policy: &Policy) -> String {
    let one = |violation, side| {
        let of_side = move |(_, other): &(&str, Side)| *other == side;
        object(violation, policy.labels().filter(of_side), policy.rule_ids().filter(of_side))
    };
    format!(r#"{{"anyOf":[{},{}]}}"#, one("[1]", Side::Violating), one("[0]", Side::Safe))
}

fn object<'a>(
    violation: &str,
    labels: impl Iterator<Item = (&'a str, Side)>,
    rule_ids: impl Iterator<Item = (&'a str, Side)>,
) -> String {
    format!(
        concat!(
            r#"{{"type":"object","properties":{{"violation":{{"enum":{}}},"label":{{"enum":{}}},"#,
            r#""rule_ids":{{"type":"array","items":{{"enum":{}}},"minItems":1,"maxItems":{}}},"#,
            r#""confidence":{{"enum":["low","medium","high"]}},"rationale":{{"type":"string","maxLength":{}}}}},"#,
            r#""required":["violation","label","rule_ids","confidence","rationale"],"additionalProperties":false}}"#,
        ),
        violation,
        json_list(labels),
        json_list(rule_ids),
        MAX_RULES,
        RATIONALE_LEN
    )
}

fn json_list<'a>(codes: impl Iterator<Item = (&'a str, Side)>) -> Value {
    codes.map(|(code, _)| code).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_reply_has_codes_of_its_side() {
        let text = "## VIOLATES\n- A1 a\n- A2.b b\n## SAFE\n- A0.a c\n";
        let policy = Policy::parse("p", text.as_bytes()).unwrap();
        let schema: Value = serde_json::from_str(&bound_schema(&policy)).unwrap();
        let codes = |at: usize| {
            let properties = &schema["anyOf"][at]["properties"];
            [&properties["violation"], &properties["label"], &properties["rule_ids"]["items"]]
                .map(|property| property["enum"].to_string())
        };
        assert_eq!(codes(0), ["[1]", r#"["A1","A2"]"#, r#"["A1","A2.b","A2"]"#]);
        assert_eq!(codes(1), ["[0]", r#"["A0"]"#, r#"["A0.a","A0"]"#]);
    }
}
