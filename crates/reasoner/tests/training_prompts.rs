//! Training and inference see the same prompts: what the recipe rendered, the reasoner renders, token for token.

use std::fs;
use std::path::Path;

use model::Model;
use policy::{Content, Effort, Policy, Turn};
use reasoner::Prompt;
use serde::Deserialize;

/// Written by `python -m recipe golden`.
const ROWS: &str = include_str!("fixtures/prompt_golden.jsonl");

#[derive(Deserialize)]
struct Row {
    policy: String,
    effort: Effort,
    kind: String,
    turns: Vec<(String, String)>,
    metadata: Vec<(String, String)>,
    marker: String,
    developer: String,
    user: String,
    tokens: Vec<u32>,
}

impl Row {
    fn content(&self) -> Content {
        let metadata = self.metadata.clone();
        match (self.kind.as_str(), self.turns.as_slice()) {
            ("text", [(_, text)]) => Content::Text { text: text.clone(), metadata },
            ("exchange", [(_, prompt), (_, reply)]) => {
                Content::Exchange { prompt: prompt.clone(), reply: reply.clone(), metadata }
            }
            (_, turns) => {
                let messages = turns.iter().map(|(speaker, text)| turn(speaker, text)).collect();
                Content::Conversation { messages, metadata }
            }
        }
    }
}

/// The recipe names a tool in the speaker.
fn turn(speaker: &str, text: &str) -> Turn {
    let (role, tool) = match (speaker.strip_prefix("tool "), speaker.split_once(" calls ")) {
        (Some(tool), _) => ("tool", Some(tool)),
        (None, Some((role, tool))) => (role, Some(tool)),
        (None, None) => (speaker, None),
    };
    Turn { role: role.to_owned(), text: text.to_owned(), tool: tool.map(str::to_owned) }
}

#[test]
fn the_recipe_and_the_reasoner_render_alike() {
    let model = Model::builtin().expect("the built-in model opens");
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let rows: Vec<Row> =
        ROWS.lines().map(|line| serde_json::from_str(line).expect("a row")).collect();
    assert_eq!(rows.len(), 10, "one for each shipped policy");
    for row in rows {
        let bytes =
            fs::read(policies.join(&row.policy).join("policy.md")).expect("a shipped policy");
        let policy = Policy::parse(&row.policy, &bytes).expect("a policy");
        let prompt = Prompt::new(&policy, &row.content(), row.effort, &row.marker);
        assert_eq!(
            format!("# Instructions\n\n{}", prompt.developer),
            row.developer,
            "{}",
            row.policy
        );
        assert_eq!(prompt.user, row.user, "{}", row.policy);
        assert_eq!(prompt.tokens(model.tokenizer()), row.tokens, "{}", row.policy);
    }
}
