//! `safeguard review show`: a decision with what is kept of it and what was said of it.

use anyhow::Result;
use policy::Content;
use serde_json::{Value, json};
use store::{Decision, DecisionId, Finding, Kept, StoredReview};

use crate::commands::storing::StoreArgs;
use crate::exit::Exit;
use crate::output::{Format, print_result, shown};

/// Show a decision, its content and reasoning as far as they are kept, and its reviews
///
/// Exit status: 0 done, 2 could not be done.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The decision
    id: DecisionId,
    #[command(flatten)]
    store: StoreArgs,
    /// Only if it is of this tenant
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// How to write the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let open = args.store.open()?;
    let store = &open.store;
    let decision = open.wait(store.decision(args.tenant.as_deref(), &args.id))?.decision;
    let kept = open.wait(store.kept(&args.id))?;
    let reviews = open.wait(store.reviews(&args.id))?;
    match args.format {
        Format::Text => print_result(&text(&decision, &kept, &reviews))?,
        Format::Json => print_result(&format!("{}\n", object(&decision, &kept, &reviews)))?,
    }
    Ok(Exit::Clear)
}

fn text(decision: &Decision, kept: &Kept, reviews: &[StoredReview]) -> String {
    let mut lines = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            lines += &format!("{name:<10} {}\n", shown(value));
        }
    };
    let (outcome, cause) = decision.outcome.names();
    line("decision", decision.id.as_str());
    line("when", &decision.at.rfc3339());
    line("policy", &format!("{} @ {}", decision.policy.name, decision.policy.id));
    line("outcome", &[Some(outcome.to_owned()), cause].map(Option::unwrap_or_default).join(" "));
    line("rules", &decision.rule_ids.join(" "));
    line("score", &decision.score.map(|score| format!("{score:.3}")).unwrap_or_default());
    line("confidence", decision.confidence.map_or("", policy::Confidence::name));
    decision.doubts.iter().for_each(|doubt| line("doubt", doubt));
    match &kept.content {
        Some(content) => said(content).iter().for_each(|(who, text)| line(who, text)),
        None => line("content", "not kept"),
    }
    if let Some(words) = &kept.words {
        line("rationale", words.rationale.as_deref().unwrap_or_default());
        line("reasoning", &words.reasoning);
        line("detail", words.detail.as_deref().unwrap_or_default());
    }
    for StoredReview { review, reason } in reviews {
        let reason = reason.as_deref().unwrap_or("its reason was erased");
        let found = format!("{}: {} ({reason})", review.reviewer, found(&review.finding));
        line("review", &found);
    }
    lines
}

fn said(content: &Content) -> Vec<(String, String)> {
    match content {
        Content::Text { text, .. } => vec![("text".to_owned(), text.clone())],
        Content::Exchange { prompt, reply, .. } => {
            vec![("prompt".to_owned(), prompt.clone()), ("reply".to_owned(), reply.clone())]
        }
        Content::Conversation { messages, .. } => {
            messages.iter().map(|turn| (shown(&turn.role), turn.text.clone())).collect()
        }
    }
}

fn found(finding: &Finding) -> String {
    match finding {
        Finding::Confirm => "right".to_owned(),
        Finding::Appeal => "appealed".to_owned(),
        Finding::Overturn { outcome, rule } => {
            let outcome = if outcome.is_violation() { "violation" } else { "clear" };
            let rule = rule.as_ref().map(|rule| format!(", {rule}")).unwrap_or_default();
            format!("wrong, it is {outcome}{rule}")
        }
    }
}

fn object(decision: &Decision, kept: &Kept, reviews: &[StoredReview]) -> Value {
    let review = |it: &StoredReview| {
        let mut body = json!(it.review);
        body["reason"] = json!(it.reason);
        body
    };
    let reviews: Value = reviews.iter().map(review).collect();
    json!({"decision": decision, "content": kept.content, "words": kept.words, "reviews": reviews})
}
