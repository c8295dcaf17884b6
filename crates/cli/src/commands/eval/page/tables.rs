//! The tables of the page.

use policy::eval::{Estimate, GroupMetrics, Interval};

use super::super::calibrate::Calibrated;
use super::super::compare::Comparison;
use super::super::evaluation::{Report, Run};
use super::super::groups::{Grouping, RuleGap};
use super::super::matrix::Matrix;
use super::super::measures::Measure;
use super::super::want::Wanted;
use super::html::Html;

/// Every measure of every policy, a column a policy.
pub(super) fn measures(run: &Run) -> Html {
    let mut rows = vec![header("", run.policies.iter().map(|report| report.name.as_str()))];
    let named: Vec<_> = run.policies.iter().map(|report| report.measures.named()).collect();
    for at in 0..named.first().map_or(0, |measures| measures.len()) {
        let cells = named.iter().map(|measures| measure(measures[at].1, 3));
        rows.push(row(named[0][at].0, cells));
    }
    let costs = [
        (
            "prompt tokens a verdict",
            (|report| report.cost.prompt_tokens) as fn(&Report) -> Measure,
            0,
        ),
        ("generated tokens a verdict", |report| report.cost.generated_tokens, 0),
        ("seconds a verdict", |report| report.cost.seconds, 2),
    ];
    for (name, of, digits) in costs {
        rows.push(row(name, run.policies.iter().map(|report| measure(of(report), digits))));
    }
    table(rows)
}

/// Expected rule against given label; the darker, the more of the row.
pub(super) fn matrix(matrix: &Matrix) -> Html {
    let mut rows = vec![header("expected, given", matrix.given.iter().map(String::as_str))];
    for (expected, counts) in matrix.expected.iter().zip(&matrix.counts) {
        let sum = counts.iter().sum::<u64>().max(1);
        rows.push(row(
            expected,
            counts.iter().map(|&count| {
                let heat = 0.5 * count as f64 / sum as f64;
                let style = format!("background: rgb(var(--heat) / {heat:.2})");
                Html::leaf("td", &[("style", &style)], &count.to_string())
            }),
        ));
    }
    titled("Expected rule and given label", rows)
}

/// Each violating rule against all else.
pub(super) fn per_rule(report: &Report) -> Html {
    let names = report.per_rule.iter().map(|(name, metrics)| (name.as_str(), metrics));
    titled("By rule, against all else", group_rows("rule", names))
}

/// Groups, their gaps, and for languages the gaps within each rule.
pub(super) fn grouping(grouping: &Grouping) -> Html {
    let names = grouping.groups.iter().map(|(name, metrics)| (name.as_str(), metrics));
    let groups =
        titled(&format!("By {}", grouping.by.word()), group_rows(grouping.by.word(), names));
    let gaps = grouping.gaps.iter().map(|it| {
        let gap = format!(
            "{:.3} ({:.3} to {:.3})",
            it.gap.difference, it.gap.interval.low, it.gap.interval.high
        );
        Html::leaf(
            "p",
            &[],
            &format!("Gap in {}: {gap}, {} over {}", it.rate, it.gap.best, it.gap.worst),
        )
    });
    std::iter::once(groups).chain(gaps).chain(rule_gaps(&grouping.rules)).collect()
}

/// The calibration error before and after.
pub(super) fn calibration(calibrated: &Calibrated) -> Html {
    let cells = [calibrated.ece_before, calibrated.ece_after].map(|ece| measure(ece, 3));
    let rows = vec![header("", ["before", "after"].into_iter()), row("calibration error", cells)];
    let title = format!(
        "Calibration by {}, cross-fitted over {} folds",
        calibrated.method_word(),
        calibrated.folds
    );
    titled(&title, rows)
}

/// The threshold for what was wanted.
pub(super) fn wanted(wanted: &Wanted) -> Html {
    Html::leaf("p", &[], &wanted.to_string())
}

/// What changed since an earlier run.
pub(super) fn comparison(comparison: &Comparison) -> Html {
    let heads = ["in both", "fixed", "broken", "wrong otherwise", "McNemar p"];
    let mut rows = vec![header("policy", heads.into_iter())];
    for it in &comparison.policies {
        let counts = [it.common, it.fixed.len(), it.broken.len(), it.other.len()];
        let cells = counts.map(|count| Html::leaf("td", &[], &count.to_string()));
        let p = Html::leaf("td", &[], &format!("{:.3}", it.p_value));
        rows.push(row(&it.title(), cells.into_iter().chain([p])));
    }
    let how = if comparison.direct { ", without reasoning" } else { "" };
    let title = format!("Against the run of {} with {}{how}", comparison.made, comparison.model);
    let lists = comparison.policies.iter().flat_map(|it| {
        [("fixed", &it.fixed), ("broken", &it.broken), ("wrong otherwise", &it.other)]
            .into_iter()
            .filter(|(_, ids)| !ids.is_empty())
            .map(|(name, ids)| {
                Html::leaf("p", &[], &format!("{}, {name}: {}", it.title(), ids.join(", ")))
            })
    });
    std::iter::once(titled(&title, rows)).chain(lists).collect()
}

fn group_rows<'a>(
    kind: &'a str,
    groups: impl Iterator<Item = (&'a str, &'a GroupMetrics)>,
) -> Vec<Html> {
    let heads = ["cases", "precision", "recall", "specificity", "accuracy", "determined", "F1"];
    let mut rows = vec![header(kind, heads.into_iter())];
    for (name, it) in groups {
        let n_cases = it.confusion.determined() + it.confusion.undetermined();
        let shares = [it.precision, it.recall, it.specificity, it.accuracy, it.determined];
        let first = std::iter::once(Html::leaf("td", &[], &n_cases.to_string()));
        let f1 = it.f1.map_or_else(|| "—".to_owned(), |f1| format!("{f1:.3}"));
        rows.push(row(name, first.chain(shares.map(estimate)).chain([Html::leaf("td", &[], &f1)])));
    }
    rows
}

fn rule_gaps(rules: &[RuleGap]) -> Option<Html> {
    let mut groups: Vec<&str> =
        rules.iter().flat_map(|rule| rule.groups.keys().map(String::as_str)).collect();
    groups.sort_unstable();
    groups.dedup();
    let mut rows = vec![header("rule", groups.iter().copied().chain(["gap"]))];
    for rule in rules {
        let cells = groups.iter().map(|group| match rule.groups.get(*group) {
            Some(share) => estimate(*share),
            None => Html::leaf("td", &[], "—"),
        });
        let gap = rule.gap.as_ref().map_or_else(
            || Html::leaf("td", &[], "—"),
            |gap| cell(gap.difference, gap.interval, 3),
        );
        rows.push(row(&rule.rule, cells.chain([gap])));
    }
    (!rules.is_empty()).then(|| titled("Right verdicts by rule and language", rows))
}

fn titled(title: &str, rows: Vec<Html>) -> Html {
    [Html::leaf("h3", &[], title), table(rows)].into_iter().collect()
}

fn table(rows: Vec<Html>) -> Html {
    Html::element("div", &[("class", "scroll")], [Html::element("table", &[], rows)])
}

fn header<'a>(first: &'a str, names: impl Iterator<Item = &'a str>) -> Html {
    let names = std::iter::once(first).chain(names).map(|name| Html::leaf("th", &[], name));
    Html::element("tr", &[], names.collect::<Vec<_>>())
}

fn row(name: &str, cells: impl IntoIterator<Item = Html>) -> Html {
    let cells = std::iter::once(Html::leaf("td", &[], name)).chain(cells);
    Html::element("tr", &[], cells)
}

fn measure(measure: Measure, digits: usize) -> Html {
    match (measure.value, measure.low, measure.high) {
        (Some(value), Some(low), Some(high)) => cell(value, Interval { low, high }, digits),
        (Some(value), ..) => Html::leaf("td", &[], &format!("{value:.digits$}")),
        _ => Html::leaf("td", &[], "—"),
    }
}

fn estimate(estimate: Estimate) -> Html {
    match estimate.value {
        Some(value) => cell(value, estimate.interval, 3),
        None => Html::leaf("td", &[], "—"),
    }
}

fn cell(value: f64, interval: Interval, digits: usize) -> Html {
    let between = if interval.low < 0.0 { " to " } else { "–" };
    let ends = format!("{:.digits$}{between}{:.digits$}", interval.low, interval.high);
    let parts = [Html::text(&format!("{value:.digits$}")), Html::leaf("small", &[], &ends)];
    Html::element("td", &[], parts)
}
