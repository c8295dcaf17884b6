//! The runs as one SVG: what was wanted and spent against the share, and under it the place on the ladder.

use std::fmt::Write as _;

use crate::simulation::{Run, SHARE, Scenario, Second};

/// A panel's inner size and the space around it, in SVG units.
const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 120.0;
const LADDER: f64 = 34.0;
const LEFT: f64 = 44.0;
const TOP: f64 = 34.0;
const GAP: f64 = 40.0;
const LEGEND: f64 = 30.0;
/// The top of the upper axis: what is wanted beyond it is cut off.
const MOST: f64 = 0.4;
/// The rungs of the ladder below `full`.
const N_STEPS: f64 = 4.0;

const STYLE: &str = "<style>
:root{--back:#ffffff;--ink:#24292f;--dim:#57606a;--line:#d8dee4;--spent:#0a5fd1;--band:#0a5fd1;--step:#9a6700;--over:#cf222e}
@media (prefers-color-scheme:dark){:root{--back:#15171a;--ink:#e6e6e3;--dim:#9aa1aa;--line:#343a41;--spent:#7fb0ff;--band:#7fb0ff;--step:#d9a441;--over:#ff8a80}}
.back{fill:var(--back)} text{font:11px system-ui,sans-serif;fill:var(--dim)} .title{font-weight:600;font-size:12px;fill:var(--ink)}
.grid{stroke:var(--line);stroke-width:1} .band{fill:var(--band);opacity:.18} .spent{fill:none;stroke:var(--spent);stroke-width:1.8}
.wanted{fill:none;stroke:var(--dim);stroke-width:1.2;stroke-dasharray:3 2} .step{fill:var(--step);opacity:.65} .over{fill:var(--over)}
</style>
";

/// Two panels a row.
pub(crate) fn draw(runs: &[(Scenario, Run)]) -> String {
    let (cell_w, cell_h) = (LEFT + WIDTH + 16.0, TOP + HEIGHT + LADDER + GAP);
    let (w, h) = (2.0 * cell_w, runs.len().div_ceil(2) as f64 * cell_h + LEGEND);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" role=\"img\" \
         aria-label=\"Safety compute under load: wanted, spent, and what was given up\">\n{STYLE}\
         <rect class=\"back\" width=\"{w}\" height=\"{h}\" rx=\"6\"/>\n"
    );
    for (place, (scenario, run)) in runs.iter().enumerate() {
        let (x, y) = ((place % 2) as f64 * cell_w + LEFT, (place / 2) as f64 * cell_h + TOP);
        svg += &format!("<g transform=\"translate({x} {y})\">\n{}</g>\n", panel(scenario, run));
    }
    svg + &legend(h) + "</svg>\n"
}

fn panel(scenario: &Scenario, run: &Run) -> String {
    let end_s = (scenario.minutes * 60) as f64;
    let x = |at_s: u64| at_s as f64 / end_s * WIDTH;
    let mut out = format!("<text class=\"title\" y=\"-10\">{}</text>\n", scenario.title);
    for tick in [0.0, 0.1, 0.2, 0.3, 0.4] {
        out += &rule(y(tick));
        out += &text(-6.0, y(tick) + 4.0, "end", &format!("{:.0}%", 100.0 * tick));
    }
    let (top, low) = (y(SHARE + 0.01), y(SHARE - 0.01));
    let band = low - top;
    out +=
        &format!("<rect class=\"band\" y=\"{top:.1}\" width=\"{WIDTH}\" height=\"{band:.1}\"/>\n");
    let seconds = thin(&run.seconds);
    out += &curve("wanted", seconds.iter().map(|s| (x(s.at_s), y(s.wanted))));
    let window_s = scenario.settings.window_ms / 1000;
    let full = seconds.iter().filter(|s| s.at_s >= window_s);
    out += &curve("spent", full.map(|s| (x(s.at_s), y(s.spent))));
    out += &ladder(&seconds, x);
    for minute in (0..=scenario.minutes).step_by(scenario.minutes as usize / 5) {
        let at = x(minute * 60);
        out += &text(at, HEIGHT + LADDER + 20.0, "middle", &format!("{minute} min"));
    }
    out
}

/// The level as an area that hangs down, and marks where items were over budget.
fn ladder(seconds: &[Second], x: impl Fn(u64) -> f64) -> String {
    let top = HEIGHT + 6.0;
    let depth = |level: f64| top + level / N_STEPS * LADDER;
    let mut path = format!("M0 {top}");
    let mut marks = String::new();
    for s in seconds {
        let at = x(s.at_s);
        write!(path, "L{at:.1} {:.1}", depth(s.level)).expect("a string takes all");
        if s.n_over_budget > 0 {
            let y = top + LADDER - 3.0;
            marks += &format!(
                "<rect class=\"over\" x=\"{at:.1}\" y=\"{y}\" width=\"1.5\" height=\"6\"/>\n"
            );
        }
    }
    let given_up = text(-6.0, top + LADDER / 2.0 + 4.0, "end", "ladder");
    format!("{}<path class=\"step\" d=\"{path}L{WIDTH} {top}Z\"/>\n{marks}{given_up}", rule(top))
}

/// One second in three; in between, items over budget are added up.
fn thin(seconds: &[Second]) -> Vec<Second> {
    let last = |part: &[Second]| {
        let n_over_budget = part.iter().map(|second| second.n_over_budget).sum();
        Second { n_over_budget, ..part[part.len() - 1] }
    };
    seconds.chunks(3).map(last).collect()
}

fn y(share: f64) -> f64 {
    HEIGHT * (1.0 - share.min(MOST) / MOST)
}

fn curve(class: &str, points: impl Iterator<Item = (f64, f64)>) -> String {
    let points: Vec<String> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    format!("<polyline class=\"{class}\" points=\"{}\"/>\n", points.join(" "))
}

fn rule(y: f64) -> String {
    format!("<path class=\"grid\" d=\"M0 {y:.1}H{WIDTH}\"/>\n")
}

fn text(x: f64, y: f64, anchor: &str, words: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>\n")
}

fn legend(height: f64) -> String {
    let y = height - 12.0;
    let line =
        |class: &str, x: f64| format!("<path class=\"{class}\" d=\"M{x} {:.1}h22\"/>\n", y - 4.0);
    let block = |class: &str, x: f64| {
        format!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{:.1}\" width=\"14\" height=\"10\"/>\n",
            y - 9.0
        )
    };
    [
        line("wanted", 44.0) + &text(72.0, y, "start", "wanted over the last window"),
        line("spent", 236.0) + &text(264.0, y, "start", "spent"),
        block("band", 316.0) + &text(336.0, y, "start", "the share, 16%, ± 1 point"),
        block("step", 490.0)
            + &text(510.0, y, "start", "place on the ladder: effort, defer, votes"),
        block("over", 746.0) + &text(766.0, y, "start", "over budget"),
    ]
    .concat()
}
