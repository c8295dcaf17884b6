//! What a run came to, for people: a table on stderr.

use std::collections::BTreeMap;
use std::time::Instant;

use comfy_table::{Table, presets};
use policy::{Outcome, Policy, Verdict};

use super::input::Errors;
use crate::commands::classify::exit_of;
use crate::exit::Exit;
use crate::output::{align_numbers, report_hint, report_note};

/// Counts by policy.
pub(super) struct Summary {
    rows: Vec<Row>,
    started: Instant,
    exit: Exit,
}

struct Row {
    policy: String,
    n_violations: usize,
    n_clear: usize,
    undetermined: BTreeMap<String, usize>,
}

impl Summary {
    pub(super) fn new(policies: &[Policy]) -> Summary {
        let row = |policy: &Policy| Row {
            policy: policy.name.clone(),
            n_violations: 0,
            n_clear: 0,
            undetermined: BTreeMap::new(),
        };
        Summary {
            rows: policies.iter().map(row).collect(),
            started: Instant::now(),
            exit: Exit::Clear,
        }
    }

    pub(super) fn add(&mut self, policy_idx: usize, verdict: &Verdict) {
        let row = &mut self.rows[policy_idx];
        match verdict.outcome {
            Outcome::Violation => row.n_violations += 1,
            Outcome::Clear => row.n_clear += 1,
            Outcome::Undetermined(cause) => {
                *row.undetermined.entry(cause.to_string()).or_default() += 1
            }
        }
        self.exit = self.exit.max(exit_of(verdict));
    }

    pub(super) fn exit(&self) -> Exit {
        self.exit
    }

    /// Writes the table, the rate, and where the errors are.
    pub(super) fn show(&self, errors: &Errors) {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header([
            "policy",
            "violation",
            "clear",
            "undetermined",
        ]);
        for row in &self.rows {
            let causes: Vec<String> =
                row.undetermined.iter().map(|(cause, n)| format!("{n} {cause}")).collect();
            let causes = if causes.is_empty() { "0".to_owned() } else { causes.join(", ") };
            table.add_row([
                row.policy.clone(),
                row.n_violations.to_string(),
                row.n_clear.to_string(),
                causes,
            ]);
        }
        align_numbers(&mut table, 1);
        anstream::eprintln!("{table}");
        let n_verdicts: usize = self
            .rows
            .iter()
            .map(|row| row.n_violations + row.n_clear + row.undetermined.values().sum::<usize>())
            .sum();
        let seconds = self.started.elapsed().as_secs_f64();
        anstream::eprintln!(
            "{n_verdicts} verdicts in {seconds:.1} s, {:.1} a second",
            n_verdicts as f64 / seconds
        );
        if errors.n > 0 {
            report_note(&format!("{} lines could not be judged", errors.n));
            report_hint(&format!("{} says why, line by line", errors.path().display()));
        }
    }
}
