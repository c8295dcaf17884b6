//! The budget under load, simulated: `cargo run --release -p cascade --example budget [FOLDER]`.
//!
//! Plays the scenarios of `simulation.rs` in a few seconds, prints a line for each, and writes `budget.csv` (a row
//! for every second) and `budget.svg` into the folder, or the current one.

mod plot;
mod simulation;

use std::fmt::Write as _;
use std::path::PathBuf;

use simulation::{Run, SHARE, Scenario, play};

fn main() -> std::io::Result<()> {
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
