//! `safeguard model list`: which models are in the cache, and whether all of each is there.

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use indicatif::DecimalBytes;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::hub::{self, Cache, CachedModel, HubError, State};
use crate::output::{Format, report_hint, report_note};

/// List the models in the cache
///
/// Shows gpt-oss models only, complete ones and those whose download has begun.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How to write the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let cache = Cache::from_env().map_err(HubError::into_report)?;
    let (models, n_others) = hub::scan(&cache).map_err(HubError::into_report)?;
    match args.format {
        Format::Text => print_text(&cache, &models, n_others),
        Format::Json => {
            anstream::println!("{}", models.iter().map(to_json).collect::<Value>());
        }
    }
    Ok(Exit::Clear)
}

fn print_text(cache: &Cache, models: &[CachedModel], n_others: usize) {
    if models.is_empty() {
        report_note(&format!("no gpt-oss model in {}", cache.root().display()));
        report_hint("safeguard model pull 20b");
    } else {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(["model", "revision", "size", "state"]);
        for column in table.column_iter_mut().skip(2).take(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table.add_rows(models.iter().map(row));
        anstream::println!("{}", table.trim_fmt());
    }
    if n_others > 0 {
        report_note(&format!(
            "{n_others} other model(s) in this cache are not of this architecture"
        ));
    }
}

fn row(model: &CachedModel) -> [String; 4] {
    const SHOWN_DIGITS: usize = 8;
    let commit = model.commit.as_ref().map_or("-", |commit| &commit.as_str()[..SHOWN_DIGITS]);
    let revision = match model.revisions.as_slice() {
        [] => commit.to_owned(),
        names => format!("{} ({commit})", names.join(", ")),
    };
    let state = match &model.state {
        State::Complete => "complete".to_owned(),
        State::Partial { missing } => format!("partial: {} file(s) missing", missing.len()),
    };
    let size = DecimalBytes(model.n_bytes).to_string();
    [model.repo.to_string(), revision, size, state]
}

fn to_json(model: &CachedModel) -> Value {
    let (state, missing): (_, &[String]) = match &model.state {
        State::Complete => ("complete", &[]),
        State::Partial { missing } => ("partial", missing),
    };
    json!({
        "name": model.repo.to_string(),
        "commit": model.commit.as_ref().map(ToString::to_string),
        "revisions": model.revisions,
        "path": model.path,
        "n_files": model.n_files,
        "n_bytes": model.n_bytes,
        "state": state,
        "missing": missing,
    })
}
