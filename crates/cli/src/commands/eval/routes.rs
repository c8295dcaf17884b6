//! `--routes-out`: which items low effort may decide, learned from a run at every effort.

use std::path::Path;

use anyhow::{Result, anyhow, bail};
use cascade::{Answer, EFFORTS, Learned, RouteRow, learn_routes};
use comfy_table::{Table, presets};
use policy::eval::Interval;

use super::EffortJudged;
use super::input::Source;
use crate::commands::files::write;
use crate::commands::judging::RoutesFile;
use crate::output::{align_numbers, hinted, report_hint, report_note};

/// Fewest cases: half of them choose, half confirm.
const MIN_CASES: usize = 100;

/// Whether there is enough to learn from, said before anything is judged.
pub(super) fn check(sources: &[Source]) -> Result<()> {
    let n_cases: usize = sources.iter().map(|source| source.suite.cases.len()).sum();
    if n_cases < MIN_CASES {
        return Err(hinted(
            anyhow!("{n_cases} cases are too few to learn routes from; it takes {MIN_CASES}"),
            "give more golden cases, or several policies: routes are learned on all of them together",
        ));
    }
    Ok(())
}

/// Learns from what was judged at low, medium and high effort.
pub(super) fn learn(judged: &[EffortJudged<'_>], seed: u64) -> Result<Learned> {
    let Some((_, first)) = judged.first().filter(|_| judged.len() == EFFORTS.len()) else {
        bail!("routes are learned from a run at every effort");
    };
    let mut rows = Vec::new();
    for (source_idx, source) in first.iter().enumerate() {
        for (item_idx, item) in source.items.iter().enumerate() {
            let answer = |(_, all): &EffortJudged<'_>| {
                Answer::of(&all[source_idx].items[item_idx].verdicts)
                    .expect("an item has at least one verdict")
            };
            rows.push(RouteRow { truth: item.truth(), tiers: judged.iter().map(answer).collect() });
        }
    }
    Ok(learn_routes(&rows, seed)?)
}

/// Writes the routes for `routes = "…"` of a cascade's file.
pub(super) fn save(
    path: &Path,
    learned: &Learned,
    sources: &[Source],
    model: &str,
    made: &str,
) -> Result<()> {
    let file = RoutesFile {
        model: model.to_owned(),
        policies: sources.iter().map(|source| source.suite.policy.id.0.clone()).collect(),
        made: made.to_owned(),
        cases: learned.n_rows.0 + learned.n_rows.1,
        routes: learned.routes.clone(),
    };
    write(path, toml::to_string(&file)?.as_bytes())?;
    report_note(&format!("routes written to {}", path.display()));
    report_hint(&format!("`routes = \"{}\"` in a file for --cascade uses them", path.display()));
    Ok(())
}

/// What the routes save and lose, for people.
pub(super) fn report(learned: &Learned) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "",
        "F1",
        "95 % interval",
        "tokens saved",
        "95 % interval",
    ]);
    table.add_row([
        "always high".to_owned(),
        number(learned.last_f1),
        range(learned.last_f1_interval),
        String::new(),
        String::new(),
    ]);
    table.add_row([
        "by routes".to_owned(),
        number(learned.f1),
        learned.difference.map_or_else(
            || "—".to_owned(),
            |it| format!("{:+.3} to {:+.3} beside it", it.low, it.high),
        ),
        format!("{:.1} %", 100.0 * learned.saved),
        learned.saved_interval.map_or_else(
            || "—".to_owned(),
            |it| format!("{:.1}–{:.1} %", 100.0 * it.low, 100.0 * it.high),
        ),
    ]);
    align_numbers(&mut table, 1);
    let start = EFFORTS[learned.routes.start.min(EFFORTS.len() - 1)];
    let confirmed = if learned.is_confirmed {
        format!(
            "start at {start} effort; {:.0} % of the cases went on to a dearer one",
            100.0 * learned.moved_on
        )
    } else {
        "nothing cheaper was confirmed on the second half, so the routes go straight to high effort"
            .to_owned()
    };
    format!(
        "routes, on the {} cases that confirmed them ({} chose)\n{}\n{confirmed}\n",
        learned.n_rows.1,
        learned.n_rows.0,
        table.trim_fmt()
    )
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "—".to_owned(), |value| format!("{value:.3}"))
}

fn range(interval: Option<Interval>) -> String {
    interval.map_or_else(|| "—".to_owned(), |it| format!("{:.3}–{:.3}", it.low, it.high))
}
