//! `safeguard model pull`: weights from the hub into the cache that transformers and vLLM use too.

use anyhow::Result;
use indicatif::DecimalBytes;
use serde_json::json;

use crate::exit::Exit;
use crate::hub::{self, Access, Cache, HubError, ModelName, Progress, Pulled};
use crate::output::Format;

const ENVIRONMENT: &str = "\
Environment:
  HF_HOME, HF_HUB_CACHE  where the cache is (else ~/.cache/huggingface/hub)
  HF_TOKEN               access token (else the file `token` in HF_HOME)
  HF_ENDPOINT            a mirror in place of https://huggingface.co
  HF_HUB_OFFLINE=1       no network: only what the cache has
  HTTPS_PROXY, NO_PROXY  a proxy";

/// Download a model, or bring it up to date
///
/// Goes on where an earlier pull stopped, and checks every file against the hub's checksum. Prints
/// the model's folder.
///
/// Exit status: 0 all of it is there, 2 it is not.
#[derive(Debug, clap::Args)]
#[command(after_long_help = ENVIRONMENT)]
pub(crate) struct Args {
    /// 20b, 120b or ORG/NAME; a branch, tag or commit after @
    #[arg(value_name = "NAME[@REV]")]
    name: String,
    /// How to write the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let pulled = pull(&args.name).map_err(HubError::into_report)?;
    match args.format {
        Format::Text => anstream::println!("{}", pulled.path.display()),
        Format::Json => anstream::println!("{}", to_json(&args.name, &pulled)),
    }
    Ok(Exit::Clear)
}

fn pull(name: &str) -> Result<Pulled, HubError> {
    let name: ModelName = name.parse()?;
    let progress = Progress::new();
    let pulled = hub::pull(&Access::from_env()?, &Cache::from_env()?, &name, &progress)?;
    let Pulled { n_files, n_bytes, n_fetched, .. } = pulled;
    progress.note(&match n_fetched {
        0 => format!("{} is up to date: {n_files} files, {}", name.repo, DecimalBytes(n_bytes)),
        _ => format!(
            "{}: {n_files} files, {}, of which {} came now",
            name.repo,
            DecimalBytes(n_bytes),
            DecimalBytes(n_fetched)
        ),
    });
    Ok(pulled)
}

fn to_json(name: &str, pulled: &Pulled) -> serde_json::Value {
    json!({
        "name": name,
        "commit": pulled.commit.as_ref().map(ToString::to_string),
        "path": pulled.path,
        "n_files": pulled.n_files,
        "n_bytes": pulled.n_bytes,
        "n_fetched_bytes": pulled.n_fetched,
    })
}
