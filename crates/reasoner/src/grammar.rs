//! What a model may answer under one policy, as a grammar: only this policy's codes, the verdict first, the
//! codes on the verdict's side.

use policy::{Policy, Side};

use crate::schema::{MAX_RULES, RATIONALE_LEN};

/// The grammar of the final channel, in Lark's notation.
pub fn reply_grammar(policy: &Policy) -> String {
    format!(
        concat!(
            "start: violating | safe\n",
            "violating: \"{{\\\"violation\\\":1,\\\"label\\\":\" VIOLATING_LABEL \",\\\"rule_ids\\\":[\" VIOLATING_RULE ",
            "violating_more \"],\" rest\n",
            "safe: \"{{\\\"violation\\\":0,\\\"label\\\":\" SAFE_LABEL \",\\\"rule_ids\\\":[\" SAFE_RULE ",
            "safe_more \"],\" rest\n",
            "violating_more: (\",\" VIOLATING_RULE){{0,{more}}}\n",
            "safe_more: (\",\" SAFE_RULE){{0,{more}}}\n",
            "rest: \"\\\"confidence\\\":\" CONFIDENCE \",\\\"rationale\\\":\" RATIONALE \"}}\"\n",
            "VIOLATING_LABEL: {violating_labels}\n",
            "VIOLATING_RULE: {violating_rules}\n",
            "SAFE_LABEL: {safe_labels}\n",
            "SAFE_RULE: {safe_rules}\n",
            "CONFIDENCE: \"\\\"low\\\"\" | \"\\\"medium\\\"\" | \"\\\"high\\\"\"\n",
            "RATIONALE: /\"([^\"\\\\\\x00-\\x1f\\x7f]|\\\\[\"\\\\\\/bfnrt]){{0,{length}}}\"/\n",
        ),
        more = MAX_RULES - 1,
        violating_labels = choices(policy.labels(), Side::Violating),
        violating_rules = choices(policy.rule_ids(), Side::Violating),
        safe_labels = choices(policy.labels(), Side::Safe),
        safe_rules = choices(policy.rule_ids(), Side::Safe),
        length = RATIONALE_LEN,
    )
}

/// The codes of one side as quoted JSON strings. Codes are letters, digits, hyphens and dots, so they need
/// no escaping.
fn choices<'a>(codes: impl Iterator<Item = (&'a str, Side)>, side: Side) -> String {
    let own =
        codes.filter(|(_, other)| *other == side).map(|(code, _)| format!("\"\\\"{code}\\\"\""));
    own.collect::<Vec<_>>().join(" | ")
}
