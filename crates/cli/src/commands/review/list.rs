//! `safeguard review list`: decisions that wait for a person.

use anyhow::Result;
use comfy_table::{Table, presets};
use serde_json::{Value, json};
use store::{Waiting, Why};

use crate::commands::storing::{StoreArgs, TENANT};
use crate::exit::Exit;
use crate::output::{Format, print_result, report_note, shown};

/// List the decisions that wait for a person
///
/// First what was appealed since anybody looked, then what nobody has looked at: the undetermined, then those of
/// low confidence or with doubts; each oldest first.
///
/// Exit status: 0 nothing waits, 1 something does, 2 could not be done.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// Of this tenant
    #[arg(long, value_name = "NAME", default_value = TENANT)]
    tenant: String,
    /// Only under the policy of this name
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// Most decisions to list
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// How to write the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let open = args.store.open()?;
    let waiting = open.store.waiting(&args.tenant, args.policy.as_deref(), args.limit);
    let (n_waiting, waiting) = open.wait(waiting)?;
    match args.format {
        Format::Json => {
            let listed: Value = waiting.iter().map(object).collect();
            print_result(&format!("{}\n", json!({"n_waiting": n_waiting, "waiting": listed})))?;
        }
        Format::Text if waiting.is_empty() => report_note("nothing waits"),
        Format::Text => print_result(&table(&waiting))?,
    }
    if n_waiting > waiting.len() as i64 {
        report_note(&format!("{} of {n_waiting} are listed", waiting.len()));
    }
    Ok(if n_waiting == 0 { Exit::Clear } else { Exit::Found })
}

fn table(waiting: &[Waiting]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["decision", "why", "policy", "outcome", "label", "when"]);
    table.add_rows(waiting.iter().map(|Waiting { why, decision, .. }| {
        let (outcome, cause) = decision.outcome.names();
        [
            decision.id.to_string(),
            word(*why).to_owned(),
            shown(&decision.policy.name),
            cause.map_or_else(|| outcome.to_owned(), |cause| format!("{outcome}: {cause}")),
            decision.label.clone().unwrap_or_else(|| "-".to_owned()),
            decision.at.rfc3339(),
        ]
    }));
    format!("{}\n", table.trim_fmt())
}

fn word(why: Why) -> &'static str {
    match why {
        Why::Appealed => "appealed",
        Why::Undetermined => "undetermined",
        Why::Doubtful => "doubtful",
    }
}

fn object(waiting: &Waiting) -> Value {
    json!({"why": waiting.why, "seq": waiting.seq, "decision": waiting.decision})
}
