//! Groups in a terminal: each with its measures, the gaps between them, and for languages the gap within each rule.

use std::fmt::{Result, Write as _};

use policy::eval::{Estimate, Gap, GroupMetrics};

use super::super::groups::{Grouping, RuleGap};
use super::NAME;
use crate::output::shortened;

pub(super) fn write(out: &mut String, grouping: &Grouping) -> Result {
    for (name, metrics) in &grouping.groups {
        group(out, name, metrics)?;
    }
    for it in &grouping.gaps {
        writeln!(out, "  gap in {:<11} {}", it.rate.to_string(), between(&it.gap))?;
    }
    for rule in &grouping.rules {
        within(out, rule, grouping.by.word())?;
    }
    Ok(())
}

fn group(out: &mut String, name: &str, metrics: &GroupMetrics) -> Result {
    writeln!(
        out,
        "  {:<18} right {}, recall {}, specificity {}",
        shortened(name, NAME),
        share(metrics.accuracy),
        share(metrics.recall),
        share(metrics.specificity)
    )
}

/// One rule: the gap, then the share of right verdicts in each group.
fn within(out: &mut String, rule: &RuleGap, kind: &str) -> Result {
    let title = format!("{} by {kind}", shortened(&rule.rule, NAME));
    let gap = rule.gap.as_ref().map_or_else(|| "—".to_owned(), between);
    writeln!(out, "  {title:<18} gap {gap}")?;
    for (name, right) in &rule.groups {
        let name = shortened(name, NAME);
        writeln!(out, "    {name:<16} right {} of {}", share(*right), right.of)?;
    }
    Ok(())
}

fn share(it: Estimate) -> String {
    let (low, high) = (it.interval.low, it.interval.high);
    it.value.map_or_else(|| "—".to_owned(), |value| format!("{value:.2} ({low:.2}–{high:.2})"))
}

fn between(gap: &Gap) -> String {
    let [best, worst] = [&gap.best, &gap.worst].map(|name| shortened(name, NAME));
    let (low, high) = (gap.interval.low, gap.interval.high);
    format!("{:.2} ({low:.2} to {high:.2}): {best} over {worst}", gap.difference)
}
