//! `safeguard key list`: which keys there are, and what they have used today.

use anyhow::Result;
use comfy_table::{Table, presets};
use serde_json::{Value, json};
use store::{ApiKey, KeyUsage, Millis};

use crate::commands::storing::StoreArgs;
use crate::exit::Exit;
use crate::output::{Format, print_result, report_hint, report_note, shown};

/// List the keys of a store, revoked and ended ones too
///
/// No secret is shown: the store has none.
///
/// Exit status: 0 done, 2 could not be done.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// Only of this tenant
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// How to write the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let open = args.store.open()?;
    let now = Millis::now();
    let mut keys = Vec::new();
    for key in open.wait(open.store.keys(args.tenant.as_deref()))? {
        let usage = open.wait(open.store.key_usage(&key.id, now))?;
        keys.push((key, usage));
    }
    match args.format {
        Format::Json => {
            let body: Value = keys.iter().map(|(key, usage)| object(key, *usage, now)).collect();
            print_result(&format!("{body}\n"))?;
        }
        Format::Text if keys.is_empty() => {
            report_note("there are no keys: a service over this store asks for none");
            report_hint("`safeguard key create NAME` makes one");
        }
        Format::Text => print_result(&table(&keys, now))?,
    }
    Ok(Exit::Clear)
}

fn table(keys: &[(ApiKey, KeyUsage)], now: Millis) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["id", "tenant", "name", "scopes", "policies", "today", "state"]);
    table.add_rows(keys.iter().map(|(key, usage)| {
        let policies = key.grants.policies.as_ref();
        [
            key.id.to_string(),
            shown(&key.tenant),
            shown(&key.name),
            key.grants.scopes.join(" "),
            policies.map_or_else(|| "all".to_owned(), |names| shown(&names.join(" "))),
            today(key, *usage),
            state(key, now),
        ]
    }));
    format!("{}\n", table.trim_fmt())
}

/// Decisions of today, of how many.
fn today(key: &ApiKey, usage: KeyUsage) -> String {
    match key.grants.items_per_day {
        Some(limit) => format!("{} of {limit}", usage.n_items),
        None => usage.n_items.to_string(),
    }
}

fn state(key: &ApiKey, now: Millis) -> String {
    match (key.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked {}", at.day()),
        (None, Some(end)) if end <= now => format!("ended {}", end.day()),
        (None, Some(end)) => format!("until {}", end.day()),
        (None, None) => "valid".to_owned(),
    }
}

fn object(key: &ApiKey, usage: KeyUsage, now: Millis) -> Value {
    json!({
        "id": key.id,
        "tenant": key.tenant,
        "name": key.name,
        "grants": key.grants,
        "created_at": key.created_at.rfc3339(),
        "expires_at": key.expires_at.map(Millis::rfc3339),
        "revoked_at": key.revoked_at.map(Millis::rfc3339),
        "is_valid": key.is_valid(now),
        "today": { "items": usage.n_items, "tokens": usage.n_tokens },
    })
}
