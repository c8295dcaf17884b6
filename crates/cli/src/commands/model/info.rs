//! `safeguard model info`: what a model is, read from its files without running it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use comfy_table::{Table, presets};
use indicatif::{DecimalBytes, HumanCount};
use model::Config;
use model::checkpoint::{Checkpoint, Tensor};
use model::tokenizer::Tokenizer;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::hub;
use crate::output::{Format, hinted};

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";

/// Describe a model: shape, tensors, number formats, size, tokenizer
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// 20b, 120b or ORG/NAME, @REV if wanted, in the cache; or a folder
    #[arg(value_name = "NAME|DIR")]
    name: String,
    /// How to write the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let info = Info::read(&folder(&args.name)?)?;
    match args.format {
        Format::Text => print_text(&info),
        Format::Json => anstream::println!("{}", to_json(&info)),
    }
    Ok(Exit::Clear)
}

/// A folder if there is one of that name, else a model in the cache.
fn folder(name: &str) -> Result<PathBuf> {
    let dir = Path::new(name);
    if dir.join(CONFIG).is_file() {
        return Ok(dir.to_owned());
    }
    if dir.is_dir() {
        let error = anyhow::anyhow!("{} holds no {CONFIG}", dir.display());
        return Err(hinted(error, "name a folder in the Hugging Face layout"));
    }
    hub::resolve(name)
}

/// What a model's files say.
struct Info {
    dir: PathBuf,
    config: Config,
    n_tensors: usize,
    n_parameters: u64,
    /// By number format: tensors and bytes.
    formats: BTreeMap<String, (usize, u64)>,
    /// Bytes of all weights' files.
    n_bytes: u64,
    n_tokens: usize,
}

impl Info {
    fn read(dir: &Path) -> Result<Info> {
        let path = dir.join(CONFIG);
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let config = Config::from_json(&text, &path)?;
        let checkpoint = Checkpoint::open(dir)?;
        let mut formats: BTreeMap<String, (usize, u64)> = BTreeMap::new();
        let mut n_parameters = 0;
        for (name, tensor) in checkpoint.tensors() {
            let format = formats.entry(format_of(name, tensor)).or_default();
            format.0 += 1;
            format.1 += checkpoint.bytes(tensor).len() as u64;
            n_parameters += parameters(name, tensor);
        }
        Ok(Info {
            dir: dir.to_owned(),
            config,
            n_tensors: checkpoint.n_tensors(),
            n_parameters,
            formats,
            n_bytes: checkpoint.n_bytes() as u64,
            n_tokens: Tokenizer::from_file(&dir.join(TOKENIZER))?.vocab_size(),
        })
    }

    fn n_sliding(&self) -> usize {
        self.config.is_sliding.iter().filter(|sliding| **sliding).count()
    }
}

/// The published layout keeps an MXFP4 matrix as two tensors of bytes.
fn format_of(name: &str, tensor: &Tensor) -> String {
    if is_blocks(name) || is_scales(name) { "MXFP4".to_owned() } else { tensor.dtype.to_string() }
}

/// Weights in a tensor: a byte of blocks holds two, scales belong to the blocks.
fn parameters(name: &str, tensor: &Tensor) -> u64 {
    let n_cells: u64 = tensor.shape.iter().map(|&size| size as u64).product();
    match name {
        _ if is_scales(name) => 0,
        _ if is_blocks(name) => 2 * n_cells,
        _ => n_cells,
    }
}

fn is_blocks(name: &str) -> bool {
    name.ends_with("_blocks")
}

fn is_scales(name: &str) -> bool {
    name.ends_with("_scales")
}

fn print_text(info: &Info) {
    let Info { config, n_tokens, n_tensors, .. } = info;
    let count = |n: usize| HumanCount(n as u64).to_string();
    let n_full = config.num_hidden_layers - info.n_sliding();
    let formats = info.formats.iter().map(|(format, (n_tensors, n_bytes))| {
        format!("{format}: {n_tensors} tensors, {}", DecimalBytes(*n_bytes))
    });
    let rows = [
        ("folder", info.dir.display().to_string()),
        (
            "layers",
            format!(
                "{} ({} sliding over {} positions, {n_full} full)",
                config.num_hidden_layers,
                info.n_sliding(),
                config.sliding_window
            ),
        ),
        ("width", count(config.hidden_size)),
        (
            "heads",
            format!(
                "{} of {}, sharing {} for keys and values",
                config.num_attention_heads, config.head_dim, config.num_key_value_heads
            ),
        ),
        (
            "experts",
            format!(
                "{} a layer, {} for a token, width {}",
                config.num_local_experts,
                config.num_experts_per_tok,
                count(config.intermediate_size)
            ),
        ),
        ("context", format!("{} positions", count(config.max_position_embeddings))),
        ("vocabulary", format!("{} tokens, {} rows", count(*n_tokens), count(config.vocab_size))),
        ("parameters", HumanCount(info.n_parameters).to_string()),
        ("tensors", count(*n_tensors)),
        ("formats", formats.collect::<Vec<_>>().join("\n")),
        ("on disk", DecimalBytes(info.n_bytes).to_string()),
    ];
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.add_rows(rows.map(|(name, value)| [name.to_owned(), value]));
    anstream::println!("{}", table.trim_fmt());
}

fn to_json(info: &Info) -> Value {
    let config = &info.config;
    let format = |(name, (n_tensors, n_bytes)): (&String, &(usize, u64))| {
        (name.clone(), json!({ "n_tensors": n_tensors, "n_bytes": n_bytes }))
    };
    json!({
        "path": info.dir,
        "n_layers": config.num_hidden_layers,
        "n_sliding_layers": info.n_sliding(),
        "sliding_window": config.sliding_window,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "n_heads": config.num_attention_heads,
        "n_kv_heads": config.num_key_value_heads,
        "head_dim": config.head_dim,
        "n_experts": config.num_local_experts,
        "n_experts_per_token": config.num_experts_per_tok,
        "context_len": config.max_position_embeddings,
        "vocab_size": config.vocab_size,
        "n_tokens": info.n_tokens,
        "n_parameters": info.n_parameters,
        "n_tensors": info.n_tensors,
        "formats": info.formats.iter().map(format).collect::<serde_json::Map<_, _>>(),
        "n_bytes": info.n_bytes,
    })
}
