//! An evaluation as one file for a browser: no scripts, nothing from the network, light and dark.
//!
//! Contents are hostile. `html.rs` escapes everything that is not a constant of this program, and the page's own
//! security policy forbids scripts and requests besides.

mod html;
mod items;
mod plot;
mod tables;

use policy::eval::Level;

use super::evaluation::{Curves, Evaluation, Judged, Report, Run};
use super::item::effort_word;
use html::Html;
use plot::Plot;

const HEAD: &str =
    concat!(include_str!("page/head.html"), "<style>", include_str!("page/style.css"), "</style>",);
const THEMES: &str = concat!(
    "<fieldset>theme",
    "<label><input type=\"radio\" name=\"theme\" id=\"auto\" checked> auto</label>",
    "<label><input type=\"radio\" name=\"theme\" id=\"light\"> light</label>",
    "<label><input type=\"radio\" name=\"theme\" id=\"dark\"> dark</label>",
    "</fieldset>",
);

/// The page; `judged` has the contents of each of the evaluation's runs.
pub(super) fn page(evaluation: &Evaluation, judged: &[&[Judged<'_>]]) -> String {
    let title = Html::leaf("h1", &[], "Evaluation");
    let header = Html::element("header", &[], [title, Html::constant(THEMES)]);
    let runs = evaluation.runs.iter().zip(judged).map(|(run, judged)| section(run, judged));
    let comparison = evaluation.comparison.iter().map(tables::comparison);
    let body: Html =
        [header, facts(evaluation)].into_iter().chain(comparison).chain(runs).collect();
    let head = Html::element("head", &[], [Html::constant(HEAD)]);
    let root = Html::element("html", &[("lang", "en")], [head, Html::element("body", &[], [body])]);
    format!("<!doctype html>\n{}\n", root.into_string())
}

fn facts(evaluation: &Evaluation) -> Html {
    let seeds = match (evaluation.seed, evaluation.votes) {
        (None, 1) => "none".to_owned(),
        (seed, 1) => seed.unwrap_or_default().to_string(),
        (seed, n) => {
            let first = seed.unwrap_or_default();
            format!("{first} to {}", first.wrapping_add(u64::from(n) - 1))
        }
    };
    let votes = match evaluation.votes {
        1 => "one verdict an item".to_owned(),
        n => format!("the majority of {n} verdicts an item; scores are means"),
    };
    list(&[
        ("made", evaluation.made.clone()),
        ("model", evaluation.model.clone()),
        ("safeguard", evaluation.version.clone()),
        ("votes", votes),
        ("seeds", seeds),
        ("temperature", evaluation.temperature.to_string()),
        ("reasoning", if evaluation.direct { "none: direct scores" } else { "yes" }.to_owned()),
        (
            "intervals",
            format!(
                "{:.0} %: Wilson for shares, the bootstrap over {} sets for the rest",
                evaluation.level * 100.0,
                evaluation.resamples
            ),
        ),
    ])
}

fn list(pairs: &[(&str, String)]) -> Html {
    let rows = pairs
        .iter()
        .flat_map(|(name, value)| [Html::leaf("dt", &[], name), Html::leaf("dd", &[], value)]);
    Html::element("dl", &[], rows)
}

fn section(run: &Run, judged: &[Judged<'_>]) -> Html {
    let heading = format!("Effort: {}", effort_word(run.effort));
    let exact = run.exact_match.map(|exact| {
        let text = format!(
            "Every policy right: {} of {} items, {:.2} ({:.2}–{:.2})",
            exact.hits,
            exact.of,
            exact.value.unwrap_or_default(),
            exact.interval.low,
            exact.interval.high
        );
        Html::leaf("p", &[], &text)
    });
    let reports = run.policies.iter().zip(judged).map(|(report, judged)| one(report, judged));
    [Html::leaf("h2", &[], &heading), tables::measures(run)]
        .into_iter()
        .chain(exact)
        .chain(reports)
        .collect()
}

fn one(report: &Report, judged: &Judged<'_>) -> Html {
    let facts = list(&[
        ("policy", report.policy.id.to_string()),
        ("file", report.file.display().to_string()),
        ("cases", format!("{} from {}", report.cases, report.golden.display())),
        ("undetermined", undetermined(report)),
        ("not known", report.unknown.to_string()),
    ]);
    let warning =
        |text: &String| Html::leaf("p", &[("class", "warning")], &format!("Too small: {text}"));
    let mut parts = vec![Html::leaf("h2", &[], &report.name), facts];
    parts.extend(report.too_small.iter().map(warning));
    parts.push(Html::element("div", &[("class", "plots")], plots(report)));
    parts.push(tables::matrix(&report.matrix));
    if !report.per_rule.is_empty() {
        parts.push(tables::per_rule(report));
    }
    parts.extend(report.groups.iter().map(tables::grouping));
    parts.extend(report.calibration.iter().map(tables::calibration));
    parts.extend(report.wanted.iter().map(tables::wanted));
    parts.push(items::wrong(judged));
    parts.push(items::unstable(judged, &report.unstable));
    parts.into_iter().collect()
}

fn undetermined(report: &Report) -> String {
    let causes: Vec<String> = report
        .undetermined
        .iter()
        .map(|(cause, count)| format!("{} {count}", cause.replace('_', " ")))
        .collect();
    if causes.is_empty() { "none".to_owned() } else { causes.join(", ") }
}

fn plots(report: &Report) -> [Html; 3] {
    let Curves { precision_recall, roc, reliability } = &report.curves;
    let share = report.confusion.positives() as f64 / report.confusion.determined().max(1) as f64;
    let points: Vec<_> =
        precision_recall.iter().flatten().map(|it| (it.recall, it.precision)).collect();
    let precision_recall = Plot::new("recall", "precision")
        .level(share)
        .curve("main", &points)
        .figure("Precision over recall; dashed: the share of violations");
    let points: Vec<_> =
        roc.iter().flatten().map(|it| (it.false_positive_rate, it.true_positive_rate)).collect();
    let roc = Plot::new("false positive rate", "true positive rate")
        .diagonal()
        .curve("main", &points)
        .figure("ROC; dashed: chance");
    let mut plot =
        bins(Plot::new("mean score", "share of violations").diagonal(), "main", reliability);
    let mut caption =
        "Reliability with 95 % intervals; dashed: scores that keep their word".to_owned();
    if let Some(calibration) = &report.calibration {
        plot = bins(plot, "after", &calibration.reliability);
        caption.push_str("; orange: after calibration");
    }
    [precision_recall, roc, plot.figure(&caption)]
}

/// The bins that are not empty.
fn bins(mut plot: Plot, class: &str, bins: &[policy::eval::Bin]) -> Plot {
    let mut points = Vec::new();
    for bin in bins {
        let (Some(score), Some(share)) = (bin.mean_score, bin.violations.value()) else { continue };
        let interval = bin.violations.wilson(Level::P95);
        plot = plot.point(class, (score, share), interval.low, interval.high);
        points.push((score, share));
    }
    plot.curve(class, &points)
}

#[cfg(test)]
mod tests {
    use policy::eval::Bootstrap;

    use super::super::evaluation::Method;
    use super::super::fixture;
    use super::super::groups::By;
    use super::*;

    fn example() -> String {
        let source = fixture::source();
        let judged = [Judged { items: fixture::items(&source), source: &source }];
        let method = Method {
            bootstrap: Bootstrap { n_resamples: 50, ..Bootstrap::default() },
            by: &[By::Lang, By::Rule],
            calibrate: policy::eval::CalibrationMethod::Temperature,
            wants: &["recall=0.9".parse().expect("a wish")],
            direct: false,
        };
        let run = Run::new(None, &judged, &method);
        let settings = policy::JudgeSettings::default();
        let evaluation =
            Evaluation::new(vec![run], "<model>".to_owned(), 1, &settings, &method.bootstrap);
        page(&evaluation, &[&judged])
    }

    /// Tags close in the order in which they opened.
    fn check_nesting(html: &str) {
        const VOID: [&str; 2] = ["meta", "input"];
        let mut open: Vec<&str> = Vec::new();
        for tag in html.split('<').skip(1).filter(|tag| !tag.starts_with('!')) {
            let name = tag.split([' ', '>']).next().expect("a split has a part");
            match name.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name), "{tag}"),
                None if VOID.contains(&name) => {}
                None => open.push(name),
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn the_page_is_well_formed_and_needs_nothing_else() {
        let html = example();
        check_nesting(&html);
        for outside in ["http:", "https:", "//", "src=", "href=", "url(", "@import", "<script"] {
            assert!(!html.contains(outside), "{outside}");
        }
        assert!(!html.contains("NaN") && !html.contains("inf"));
    }

    #[test]
    fn hostile_content_is_shown_and_does_nothing() {
        let html = example();
        assert!(html.contains("&lt;script&gt;alert(0)&lt;/script&gt; &amp; &quot;fruit&quot;"));
        assert!(html.contains("a &lt;/td&gt; in &lt;b&gt;bold&lt;/b&gt;"));
        assert!(html.contains("<mark>FV1 Apples: mentions &lt;apples&gt; &amp; more.</mark>"));
        assert!(html.contains("&lt;model&gt;") && !html.contains("<model>"));
    }
}
