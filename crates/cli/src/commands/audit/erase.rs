//! `safeguard audit erase`: content goes, the chain stays.

use anyhow::Result;
use store::{DecisionId, LogState, Millis};

use crate::commands::days::day;
use crate::commands::storing::StoreArgs;
use crate::exit::Exit;
use crate::output::{print_result, report_note};

/// Erase stored content, rationale and reasoning, of one decision or of all before a day
///
/// The decision itself stays, and the chain stays whole: it holds only salted digests, which say nothing once
/// the salt is erased. The erasure is recorded.
///
/// Exit status: 0 done, 2 could not be done.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    what: What,
    /// Only of this tenant
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Who erases, for the record
    #[arg(long, value_name = "NAME", default_value = "command line")]
    actor: String,
}

/// What is erased.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct What {
    /// The decision
    id: Option<DecisionId>,
    /// All that was decided before this day, in UTC
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    before: Option<Millis>,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let open = args.store.open()?;
    let (store, tenant) = (&open.store, args.tenant.as_deref());
    let done = match (&args.what.id, args.what.before) {
        (Some(id), _) => open.wait(store.erase(tenant, id, &args.actor))?,
        (None, Some(before)) => open.wait(store.erase_before(tenant, before, &args.actor))?,
        (None, None) => return Ok(Exit::Clear),
    };
    print_result(&format!("erased what {} records had kept\n", done.n_records))?;
    if done.log == LogState::Held {
        report_note(
            "another program reads the store, so its write-ahead log still holds what was erased, \
             until the next erasure or until all programs have closed the store",
        );
    }
    Ok(Exit::Clear)
}
