//! The budget under load, simulated: `cargo run --release -p cascade --example budget [FOLDER]`.
//!
//! Plays the scenarios of `simulation.rs` in a few seconds, prints a line for each, and writes `budget.csv` (a row
//! for every second) and `budget.svg` into the folder, or the current one. `--seeds N` plays each with N seeds and
//! prints what is worst and what is usual, without files.

mod plot;
mod simulation;

use std::fmt::Write as _;
use std::path::PathBuf;

use simulation::{Run, SHARE, Scenario, play};

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    if let (Some("--seeds"), Some(Ok(n_seeds))) =
        (args.next().as_deref(), args.next().map(|n| n.parse()))
    {
        over_seeds(n_seeds);
        return Ok(());
    }
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".to_owned()));
    let runs: Vec<(Scenario, Run)> =
        Scenario::all().into_iter().map(|scenario| (scenario.clone(), play(&scenario))).collect();
    println!(
        "{:8} {:>7} {:>7} {:>8} {:>6} {:>6}  most spent  when wanted: least  within a point",
        "", "items", "judged", "degraded", "over", "rungs"
    );
    for (scenario, run) in &runs {
        println!("{}", line(scenario, run));
    }
    std::fs::write(folder.join("budget.csv"), csv(&runs))?;
    std::fs::write(folder.join("budget.svg"), plot::draw(&runs))
}

/// Windows above the upper side, and below the lower side where enough was wanted, of all seeds together.
fn over_seeds(n_seeds: u64) {
    println!(
        "{:8} {:>9}  {:>10} {:>13} {:>13} {:>13} {:>8}",
        "", "windows", "most spent", "above a point", "below a point", "worst seed", "least"
    );
    for scenario in Scenario::all() {
        let window_s = scenario.settings.window_ms / 1000;
        let (mut most, mut n_above, mut n_full) = (0.0_f64, 0, 0);
        let (mut n_low, mut n_wanted, mut worst, mut least) = (0, 0, 0.0_f64, f64::INFINITY);
        for seed in 1..=n_seeds {
            let run = play(&Scenario { seed, ..scenario.clone() });
            most = most.max(run.most_spent(window_s));
            let full = || run.seconds.iter().filter(|second| second.at_s >= window_s);
            n_full += full().count();
            n_above += full().filter(|second| second.spent > SHARE + 0.01).count();
            let wanted = run.spent_when_wanted(window_s);
            let low = wanted.iter().filter(|spent| **spent < SHARE - 0.01).count();
            least = wanted.iter().copied().fold(least, f64::min);
            worst = worst.max(low as f64 / wanted.len().max(1) as f64);
            (n_low, n_wanted) = (n_low + low, n_wanted + wanted.len());
        }
        let percent = |n: usize, of: usize| 100.0 * n as f64 / of.max(1) as f64;
        println!(
            "{:8} {n_full:9}  {:9.2}% {:12.2}% {:12.2}% {:12.2}% {:7.2}%",
            scenario.name,
            100.0 * most,
            percent(n_above, n_full),
            percent(n_low, n_wanted),
            100.0 * worst,
            100.0 * least
        );
    }
}

fn line(scenario: &Scenario, run: &Run) -> String {
    let window_s = scenario.settings.window_ms / 1000;
    let wanted = run.spent_when_wanted(window_s);
    let least = wanted.iter().copied().fold(f64::INFINITY, f64::min);
    let n_within = wanted.iter().filter(|spent| (*spent - SHARE).abs() <= 0.01).count();
    let when_wanted = if wanted.is_empty() {
        "never".to_owned()
    } else {
        let share = 100.0 * n_within as f64 / wanted.len() as f64;
        format!("{:5.2}%  {share:5.1}% of {}", 100.0 * least, wanted.len())
    };
    format!(
        "{:8} {:7} {:7} {:8} {:6} {:6}  {:9.2}%  {when_wanted}",
        scenario.name,
        run.n_items,
        run.n_judged,
        run.n_degraded,
        run.n_over_budget,
        run.n_rung_changes(),
        100.0 * run.most_spent(window_s),
    )
}

fn csv(runs: &[(Scenario, Run)]) -> String {
    let mut text =
        "scenario,second,spent,wanted,level,items,degraded,waiting,over_budget\n".to_owned();
    for (scenario, run) in runs {
        for s in &run.seconds {
            let name = scenario.name;
            let (at, spent, wanted, level) = (s.at_s, s.spent, s.wanted, s.level);
            let counts = [s.n_items, s.n_degraded, s.n_waiting, s.n_over_budget];
            let [items, degraded, waiting, over] = counts;
            writeln!(
                text,
                "{name},{at},{spent:.5},{wanted:.5},{level:.3},{items},{degraded},{waiting},{over}"
            )
            .expect("a string takes all");
        }
    }
    text
}
