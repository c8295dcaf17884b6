//! `safeguard key create`: a key, shown once.

use anyhow::{Result, bail};
use serde_json::json;
use server::Scope;
use store::{Grants, Millis, NewKey};

use crate::commands::days::day;
use crate::commands::storing::{StoreArgs, TENANT};
use crate::exit::Exit;
use crate::output::{Format, print_result, report_note};

/// Make a key for callers of `safeguard serve`
///
/// The key is printed once; the store keeps its hash. From the first key on, every request to a service over this
/// store needs one, as `authorization: Bearer KEY`. A key belongs to a tenant and reaches that tenant's policies,
/// decisions, jobs and reviews only.
///
/// Exit status: 0 made, 2 could not be done.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What it is for, for people
    #[arg(value_parser = name)]
    name: String,
    #[command(flatten)]
    store: StoreArgs,
    /// Whose it is
    #[arg(long, value_name = "NAME", default_value = TENANT, value_parser = name)]
    tenant: String,
    #[arg(
        long = "scope",
        value_name = "SCOPE",
        default_values = ["judge", "read"],
        help = "What it may do, more than once: judge, read, review, policies, admin (all of these), metrics"
    )]
    scopes: Vec<Scope>,
    /// Judge by this policy of the tenant only, and by none that a request brings; more than once
    #[arg(long = "policy", value_name = "NAME", value_parser = name)]
    policies: Vec<String>,
    /// Most requests a minute, in each server
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    requests_per_minute: Option<u32>,
    /// Most decisions a day, in UTC: one for every pair of item and policy
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    items_per_day: Option<u64>,
    /// Most generated tokens a day, in UTC; the request that passes it is the last
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    tokens_per_day: Option<u64>,
    /// The first day on which it opens nothing any more, in UTC
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    expires: Option<Millis>,
    /// How to write the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    if args.expires.is_some_and(|end| end <= Millis::now()) {
        bail!("--expires: that day has begun already");
    }
    let open = args.store.make()?;
    let policies = (!args.policies.is_empty()).then(|| args.policies.clone());
    let new = NewKey {
        tenant: args.tenant.clone(),
        name: args.name.clone(),
        grants: Grants {
            scopes: args.scopes.iter().map(ToString::to_string).collect(),
            policies,
            requests_per_minute: args.requests_per_minute,
            items_per_day: args.items_per_day,
            tokens_per_day: args.tokens_per_day,
        },
        expires_at: args.expires,
    };
    let (key, secret) = open.wait(open.store.create_key(&new))?;
    match args.format {
        Format::Text => print_result(&format!("{}\n", secret.reveal()))?,
        Format::Json => {
            let body = json!({ "id": key.id, "tenant": key.tenant, "key": secret.reveal() });
            print_result(&format!("{body}\n"))?;
        }
    }
    report_note(&format!("this is the only time that the key is shown; its id is {}", key.id));
    Ok(Exit::Clear)
}

/// A name that people can read and every store can hold.
fn name(text: &str) -> Result<String> {
    if text.trim().is_empty() || text.len() > 200 || text.contains(char::is_control) {
        bail!("1 to 200 bytes without control characters");
    }
    Ok(text.to_owned())
}
