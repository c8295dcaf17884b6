//! `safeguard audit replay`: whether the same question gets the same answer.

use anyhow::{Context, Result, anyhow, ensure};
use policy::{Judge, Policy, Silent, Stage, Verdict};
use serde_json::{Value, json};
use store::{Decision, DecisionId, Kept};

use crate::commands::judging::{Lifetime, ModelArgs};
use crate::commands::storing::StoreArgs;
use crate::exit::Exit;
use crate::output::{Format, hinted, print_result, report_note};

/// Judge again what was decided, with the stored policy, content and settings, and compare
///
/// Outcome and label are always compared. With the same judge and a recorded seed, marker, score and tokens
/// must be the same too, bit for bit.
///
/// Exit status: 0 the same, 1 different, 2 could not be done.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The decision
    id: DecisionId,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    model: ModelArgs,
    /// How to write the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let open = args.store.open()?;
    let store = &open.store;
    let decision = open.wait(store.decision(None, &args.id))?.decision;
    let kept = open.wait(store.kept(&args.id))?;
    let content = kept.content.clone().ok_or_else(|| {
        let error = anyhow!("{}: its content is not kept, so it cannot be judged again", args.id);
        hinted(error, "`--keep-content` keeps it, until it is erased")
    })?;
    let bytes = open.wait(store.policy_bytes(&decision.policy.id))?;
    let policy = Policy::parse(&decision.policy.name, &bytes).context("the stored policy")?;
    // What the hash of the store's bytes proves, the decision must have named.
    ensure!(
        policy.id == decision.policy.id,
        "the stored policy {} is not {}, which the decision rests on",
        policy.id,
        decision.policy.id,
    );
    let judge = args.model.open(Lifetime::Run)?.judge;
    let is_exact = is_exact(&decision, judge.as_ref());
    let settings = decision.sampling.settings();
    let verdict = judge.judge(&policy, &content, &settings, &mut Silent);
    let rows = compared(&decision, &kept, &verdict, is_exact);
    let is_same = rows.iter().all(|row| row.before == row.now);
    match args.format {
        Format::Text => print_result(&text(&rows, is_same))?,
        Format::Json => print_result(&format!("{}\n", object(&args.id, &rows, is_same, is_exact)))?,
    }
    Ok(if is_same { Exit::Clear } else { Exit::Found })
}

/// Whether the answers must agree to the bit.
fn is_exact(decision: &Decision, judge: &dyn Judge) -> bool {
    if decision.stage != Stage::Reasoner {
        report_note("a filter decided, and the model judges now: outcome and label are compared");
        return false;
    }
    if decision.origin.judge != judge.identity() {
        report_note("another judge than the one that decided: outcome and label are compared");
        return false;
    }
    if decision.sampling.seed.is_none() {
        report_note(
            "no seed was recorded, so the marker is drawn anew: outcome and label are compared",
        );
        return false;
    }
    true
}

struct Row {
    field: &'static str,
    before: Value,
    now: Value,
}

fn compared(decision: &Decision, kept: &Kept, verdict: &Verdict, is_exact: bool) -> Vec<Row> {
    let row = |field, before, now| Row { field, before, now };
    let mut rows = vec![
        row("outcome", json!(decision.outcome), json!(verdict.outcome)),
        row("label", json!(decision.label), json!(verdict.label)),
    ];
    if is_exact {
        let tokens = (decision.usage.generated_tokens, verdict.usage.generated_tokens);
        rows.extend([
            row("rules", json!(decision.rule_ids), json!(verdict.rule_ids)),
            row("marker", json!(decision.marker), json!(verdict.marker)),
            row("score", json!(decision.score), json!(verdict.score)),
            row("tokens", json!(tokens.0), json!(tokens.1)),
        ]);
        if let Some(words) = &kept.words {
            let is_same =
                words.reasoning == verdict.reasoning && words.rationale == verdict.rationale;
            rows.push(row(
                "words",
                json!("as kept"),
                json!(if is_same { "as kept" } else { "other" }),
            ));
        }
    }
    rows
}

fn text(rows: &[Row], is_same: bool) -> String {
    let mut text = String::new();
    for Row { field, before, now } in rows {
        let line = if before == now {
            format!("  {field:<8} {}\n", plain(before))
        } else {
            format!("! {field:<8} {} before, {} now\n", plain(before), plain(now))
        };
        text.push_str(&line);
    }
    text.push_str(if is_same { "the same\n" } else { "different\n" });
    text
}

/// A value as people read it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_owned(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(" "),
        Value::Object(fields) => fields.values().map(plain).collect::<Vec<_>>().join(": "),
        other => other.to_string(),
    }
}

fn object(id: &DecisionId, rows: &[Row], is_same: bool, is_exact: bool) -> Value {
    let fields: serde_json::Map<_, _> = rows
        .iter()
        .map(|Row { field, before, now }| {
            ((*field).to_owned(), json!({"before": before, "now": now, "same": before == now}))
        })
        .collect();
    json!({"id": id, "same": is_same, "exact": is_exact, "fields": fields})
}
