//! `safeguard key revoke`: a key opens nothing any more.

use anyhow::Result;
use store::KeyId;

use crate::commands::storing::StoreArgs;
use crate::exit::Exit;
use crate::output::print_result;

/// Revoke a key
///
/// Services over this store refuse it from their next request on. A service whose last key was revoked lets
/// nobody in.
///
/// Exit status: 0 done, 2 could not be done.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The key's id, as `safeguard key list` shows it
    id: KeyId,
    #[command(flatten)]
    store: StoreArgs,
    /// Only if it is of this tenant
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let open = args.store.open()?;
    open.wait(open.store.revoke_key(args.tenant.as_deref(), &args.id))?;
    print_result(&format!("revoked {}\n", args.id))?;
    Ok(Exit::Clear)
}
