//! `safeguard model check`: is this program's arithmetic the reference's, on this checkpoint?

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use comfy_table::{Table, presets};
use kernels::{Isa, Kernels};
use model::Model;
use model::golden::{Agreement, Golden, PromptReport, Report, TOLERANCE};
use serde_json::json;

use crate::commands::judging::{Exactness, Lifetime, Purpose, WeightsArgs};
use crate::exit::Exit;
use crate::output::{Format, align_numbers, hinted};

/// Compare a checkpoint's outputs with recorded ones of a reference implementation
///
/// With --arithmetic or --dense it tells what their rounding does to logits and tokens.
///
/// Exit status: 0 the same model (relative error at most 1e-4, the same experts, the same greedy
/// continuation), 1 another one, 2 could not be compared.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The checkpoint's folder, in the Hugging Face layout
    dir: PathBuf,
    /// The folder with golden.json and golden.safetensors
    #[arg(long, value_name = "DIR")]
    golden: PathBuf,
    /// Threads to compute with
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    #[command(flatten)]
    exactness: Exactness,
    #[command(flatten)]
    weights: WeightsArgs,
    /// How to write the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let n_threads = usize::from(args.threads);
    let (lifetime, exactness) = (Lifetime::Run, args.exactness);
    let purpose = Purpose { lifetime, exactness, n_threads, kv_bytes: 0 };
    let model = Arc::new(args.weights.open(&args.dir, purpose)?);
    let golden = Golden::open(&args.golden).map_err(|error| {
        hinted(error, "crates/model/tests/fixtures/make_checkpoint.py writes such folders")
    })?;
    let kernels = Kernels::detect();
    let report =
        golden.compare(&model, kernels, n_threads, args.exactness.arithmetic(), &mut |_| {})?;
    match args.format {
        Format::Text => print_text(&model, kernels.isa(), args.exactness, &report),
        Format::Json => print_json(&model, kernels.isa(), args.exactness, &report)?,
    }
    Ok(if report.passes() { Exit::Clear } else { Exit::Found })
}

fn print_text(model: &Model, isa: Isa, exactness: Exactness, report: &Report) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "prompt",
        "tokens",
        "max abs error",
        "max rel error",
        "same top token",
        "same greedy tokens",
    ]);
    align_numbers(&mut table, 1);
    for prompt in &report.prompts {
        let greedy = (prompt.name == report.greedy_prompt).then(|| of(report.greedy));
        table.add_row(row(prompt, greedy));
    }
    anstream::println!("{table}\n");
    if let Some(inner) = &report.inner {
        anstream::println!(
            "inside {}: {} places, the worst {} with relative error {:.1e}; choices of experts: {} the same",
            inner.prompt,
            inner.n_places,
            inner.worst_place,
            inner.max_relative,
            of(inner.experts)
        );
    }
    let verdict = match (report.passes(), exactness.is_given()) {
        (true, _) => "the same model",
        (false, false) => "NOT the same model",
        (false, true) => "not the same numbers, as expected of rounding",
    };
    let error = report.max_relative();
    anstream::println!(
        "{}: {verdict} (relative error {error:.1e}, {TOLERANCE:.0e} allowed; {isa}, arithmetic {}, dense matrices {})",
        model.name(),
        exactness.arithmetic(),
        exactness.dense()
    );
}

fn row(prompt: &PromptReport, greedy: Option<String>) -> [String; 6] {
    [
        prompt.name.clone(),
        prompt.n_tokens.to_string(),
        format!("{:.1e}", prompt.max_absolute),
        format!("{:.1e}", prompt.max_relative),
        of(prompt.argmax),
        greedy.unwrap_or_default(),
    ]
}

fn of(agreement: Agreement) -> String {
    format!("{} of {}", agreement.n_equal, agreement.n_all)
}

fn print_json(model: &Model, isa: Isa, exactness: Exactness, report: &Report) -> Result<()> {
    let mut whole = serde_json::to_value(report)?;
    whole["model"] = json!(model.name());
    whole["isa"] = json!(isa.to_string());
    whole["arithmetic"] = json!(exactness.arithmetic().to_string());
    whole["dense"] = json!(exactness.dense());
    whole["tolerance"] = json!(TOLERANCE);
    whole["max_relative"] = json!(report.max_relative());
    whole["passes"] = json!(report.passes());
    anstream::println!("{whole}");
    Ok(())
}
