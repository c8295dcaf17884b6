//! `safeguard audit verify`: whether every record is as it was written.

use anyhow::{Result, bail};
use serde_json::json;
use store::{ChainHead, Verification};

use crate::commands::storing::StoreArgs;
use crate::exit::Exit;
use crate::output::{Format, print_result, report_hint};

/// Check that no record of the chain was altered, moved, put in or taken out
///
/// Decisions, reviews, erasures and changes of policies are records of one chain: each holds the hash of the
/// one before. Content may be erased; the chain stays whole. Note the head that is printed somewhere else
/// and give it with --head next time: then a chain that was cut or written anew is found too. The texts of
/// policies are held against the hashes by which decisions name them.
///
/// Exit status: 0 whole, 1 broken (the first bad record or policy is named), 2 could not be done.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// A head noted earlier, which must still be in the chain
    #[arg(long, value_name = "N:HASH", value_parser = head)]
    head: Option<ChainHead>,
    /// How to write the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let open = args.store.open()?;
    let found = open.wait(open.store.verify(args.head.clone()))?;
    let (text, value, exit) = match &found {
        Verification::Whole(head) => (
            format!("whole: {} records, head {head}\n", head.n_records),
            json!({"whole": true, "records": head.n_records, "head": head.to_string()}),
            Exit::Clear,
        ),
        Verification::Policy(broken) => {
            let (id, fault) = (&broken.id.0, broken.fault);
            (
                format!("broken at policy {id}: {fault}\n"),
                json!({"whole": false, "policy": id, "fault": fault.to_string()}),
                Exit::Found,
            )
        }
        Verification::Broken(broken) => {
            let id = broken.id.as_deref().unwrap_or("none");
            (
                format!("broken at record {} ({id}): {}\n", broken.seq, broken.fault),
                json!({"whole": false, "record": broken.seq, "id": broken.id, "fault": broken.fault.to_string()}),
                Exit::Found,
            )
        }
    };
    match args.format {
        Format::Text => print_result(&text)?,
        Format::Json => print_result(&format!("{value}\n"))?,
    }
    match found {
        Verification::Whole(_) => {}
        Verification::Broken(_) => report_hint(
            "records before this one are as they were written; later ones prove nothing",
        ),
        Verification::Policy(_) => report_hint(
            "all records are as they were written; what was decided under this policy cannot be judged again",
        ),
    }
    Ok(exit)
}

fn head(text: &str) -> Result<ChainHead> {
    match text.split_once(':') {
        Some((n, hash)) if hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Ok(ChainHead { n_records: n.parse()?, hash: hash.to_owned() })
        }
        _ => bail!("a head is what `safeguard audit verify` prints: 42:9f86d0…"),
    }
}
