//! An evaluation in a terminal: a table a run, and what belongs to it in lines below.

mod groups;

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use comfy_table::{Table, presets};

use super::compare::Comparison;
use super::evaluation::{Evaluation, Report, Run};
use super::item::effort_word;
use super::measures::Measure;
use crate::output::{align_numbers, shortened};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const WARNING: Style = AnsiColor::Yellow.on_default();
/// Most characters of a name from a file.
const NAME: usize = 40;

pub(super) fn show(evaluation: &Evaluation) {
    let [model, votes] = [shortened(&evaluation.model, NAME), votes(evaluation.votes)];
    let direct = direct(evaluation.direct);
    anstream::println!("{BOLD}{model}{BOLD:#}  {DIM}{votes}{direct}{DIM:#}");
    for run in &evaluation.runs {
        anstream::print!("\n{}", written(run));
    }
    if let Some(comparison) = &evaluation.comparison {
        compared(comparison);
    }
    if let Some(routes) = &evaluation.routes {
        anstream::print!("\n{}", super::routes::report(routes));
    }
}

fn compared(comparison: &Comparison) {
    let [made, model] = [&comparison.made, &comparison.model].map(|text| shortened(text, NAME));
    let direct = direct(comparison.direct);
    anstream::println!("\n{BOLD}against the run of {made}{BOLD:#} with {model}{direct}");
    for it in &comparison.policies {
        anstream::println!(
            "  {}: {} items in both, {} fixed, {} broken, {} wrong otherwise; McNemar p {:.3}",
            shortened(&it.title(), NAME),
            it.common,
            it.fixed.len(),
            it.broken.len(),
            it.other.len(),
            it.p_value
        );
    }
}

fn votes(n_votes: u16) -> String {
    match n_votes {
        1 => "one verdict an item".to_owned(),
        n => format!("the majority of {n} verdicts an item, each with its seed; scores are means"),
    }
}

fn direct(is_direct: bool) -> &'static str {
    if is_direct { ", without reasoning" } else { "" }
}

fn written(run: &Run) -> String {
    let mut out = format!("effort {}\n{}\n", effort_word(run.effort), table(run));
    for report in &run.policies {
        // A string takes everything.
        let _ = below(&mut out, report);
    }
    if let Some(exact) = run.exact_match {
        let _ = writeln!(
            out,
            "every policy right: {} of {} items, {:.2} ({:.2}–{:.2})",
            exact.hits,
            exact.of,
            exact.value.unwrap_or_default(),
            exact.interval.low,
            exact.interval.high
        );
    }
    out
}

fn table(run: &Run) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "policy",
        "cases",
        "precision",
        "recall",
        "F1",
        "bal. acc.",
        "κ",
        "AUPRC",
        "AUROC",
    ]);
    align_numbers(&mut table, 1);
    for report in &run.policies {
        let it = &report.measures;
        let measures =
            [it.precision, it.recall, it.f1, it.balanced_accuracy, it.kappa, it.auprc, it.auroc];
        let words = [shortened(&report.name, NAME), report.cases.to_string()];
        table.add_row(words.into_iter().chain(measures.into_iter().map(cell)));
    }
    table.trim_fmt()
}

/// The value, and its interval below it.
fn cell(measure: Measure) -> String {
    match (measure.value, measure.low, measure.high) {
        (Some(value), Some(low), Some(high)) => format!("{value:.2}\n{low:.2}–{high:.2}"),
        (Some(value), ..) => format!("{value:.2}"),
        _ => "—".to_owned(),
    }
}

/// The value with its interval, in one line.
fn inline(measure: Measure, digits: usize) -> String {
    match (measure.value, measure.low, measure.high) {
        (Some(value), Some(low), Some(high)) => {
            format!("{value:.digits$} ({low:.digits$}–{high:.digits$})")
        }
        (Some(value), ..) => format!("{value:.digits$}"),
        _ => "—".to_owned(),
    }
}

fn below(out: &mut String, report: &Report) -> std::fmt::Result {
    writeln!(out, "{BOLD}{}{BOLD:#}", shortened(&report.name, NAME))?;
    let causes: Vec<String> = report
        .undetermined
        .iter()
        .map(|(cause, count)| format!("{} {count}", cause.replace('_', " ")))
        .collect();
    let undetermined = match causes.as_slice() {
        [] => "none".to_owned(),
        causes => format!("{}: {}", report.confusion.undetermined(), causes.join(", ")),
    };
    writeln!(
        out,
        "  undetermined       {undetermined}; got a verdict {}",
        inline(report.measures.determined, 2)
    )?;
    let calibrated = match report.measures.probability_ece {
        Measure { value: None, .. } => String::new(),
        ece => format!("; by calibration.json {}", inline(ece, 3)),
    };
    writeln!(out, "  calibration error  {}{calibrated}", inline(report.measures.ece, 3))?;
    writeln!(
        out,
        "  a verdict takes    {} tokens generated, {} s",
        inline(report.cost.generated_tokens, 0),
        inline(report.cost.seconds, 2)
    )?;
    if report.unknown > 0 {
        writeln!(out, "  not known          {} items without this label", report.unknown)?;
    }
    if let Some(it) = &report.calibration {
        let (before, after) = (inline(it.ece_before, 3), inline(it.ece_after, 3));
        writeln!(out, "  by {:<15} {before} before, {after} after", it.method_word())?;
    }
    for wanted in &report.wanted {
        writeln!(out, "  {wanted}")?;
    }
    for grouping in &report.groups {
        groups::write(out, grouping)?;
    }
    for warning in &report.too_small {
        writeln!(out, "  {WARNING}too small{WARNING:#}          {warning}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use policy::eval::Bootstrap;

    use super::super::evaluation::{Judged, Method, Run};
    use super::super::fixture;
    use super::super::groups::By;

    #[test]
    fn the_table_shows_every_measure_with_its_interval() {
        let source = fixture::source();
        let judged = Judged { items: fixture::items(&source), source: &source };
        let method = Method {
            bootstrap: Bootstrap::default(),
            by: &[By::Lang],
            calibrate: policy::eval::CalibrationMethod::Temperature,
            wants: &[
                "precision=0.9".parse().expect("a wish"),
                "recall=0.95".parse().expect("a wish"),
            ],
            direct: false,
        };
        let run = Run::new(None, &[judged], &method);
        let shown = super::written(&run);
        insta::assert_snapshot!(anstream::adapter::strip_str(&shown).to_string());
    }
}
