//! Panels of lines over two axes with units, as one SVG that reads in light and in dark.

use std::fmt::Write as _;

/// A panel's inner size and the space around it, in SVG units.
const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 52.0;
/// Under the axis: its numbers, its name, and then the legend.
const AXIS: f64 = 46.0;
const ROW: f64 = 16.0;
const HEAD: f64 = 28.0;
/// Steps of an axis at least; twice as many and a half at most.
const N_TICKS: f64 = 4.0;
/// Colours in the style.
const N_COLOURS: usize = 5;

const STYLE: &str = "<style>
:root{--back:#ffffff;--ink:#24292f;--dim:#57606a;--line:#d8dee4;--c0:#0a5fd1;--c1:#9a6700;--c2:#1a7f37;--c3:#8250df;--c4:#cf222e}
@media (prefers-color-scheme:dark){:root{--back:#15171a;--ink:#e6e6e3;--dim:#9aa1aa;--line:#343a41;--c0:#7fb0ff;--c1:#d9a441;--c2:#6fd08c;--c3:#c297ff;--c4:#ff8a80}}
.back{fill:var(--back)} text{font:11px system-ui,sans-serif;fill:var(--dim)} .title{font-weight:600;font-size:12px;fill:var(--ink)}
.head{font-weight:600;font-size:14px;fill:var(--ink)} .grid{stroke:var(--line);stroke-width:1}
.c0{color:var(--c0)} .c1{color:var(--c1)} .c2{color:var(--c2)} .c3{color:var(--c3)} .c4{color:var(--c4)} .none{color:var(--dim)}
.measured,.limit,.known{fill:none;stroke:currentColor} .measured{stroke-width:1.8} .dot{fill:currentColor}
.limit{stroke-width:1.2;stroke-dasharray:5 3} .known{stroke-width:1.8;stroke-dasharray:1 3;stroke-linecap:round}
</style>
";

/// Lines over one pair of axes; y begins at 0.
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) x: Scale,
    pub(super) x_name: &'static str,
    pub(super) y_name: &'static str,
    pub(super) lines: Vec<Line>,
}

/// How x is laid out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// From 0, in equal steps.
    Linear,
    /// By ratio, with a number under every point.
    Log,
}

/// One line; lines of one label have one colour.
pub(super) struct Line {
    pub(super) label: String,
    pub(super) stroke: Stroke,
    /// From left to right.
    pub(super) points: Vec<(f64, f64)>,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stroke {
    Measured,
    Limit,
    Known,
}

/// Two panels a row.
pub(super) fn draw(title: &str, panels: &[Panel]) -> String {
    let n_columns = panels.len().min(2);
    let n_rows = panels.len().div_ceil(2);
    let n_entries = panels.iter().map(|panel| panel.legend().len()).max().unwrap_or(0);
    let (cell_w, cell_h) = (LEFT + WIDTH + RIGHT, TOP + HEIGHT + AXIS + n_entries as f64 * ROW);
    let (w, h) = (n_columns as f64 * cell_w, HEAD + n_rows as f64 * cell_h);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" viewBox=\"0 0 {w} {h}\" role=\"img\" \
         aria-label=\"{label}\">\n{STYLE}<rect class=\"back\" width=\"{w}\" height=\"{h}\" rx=\"6\"/>\n\
         <text class=\"head\" x=\"16\" y=\"26\">{label}</text>\n",
        label = escaped(title)
    );
    for (place, panel) in panels.iter().enumerate() {
        let x = (place % 2) as f64 * cell_w + LEFT;
        let y = HEAD + (place / 2) as f64 * cell_h + TOP;
        write!(svg, "<g transform=\"translate({x} {y})\">\n{}</g>\n", panel.draw())
            .expect("a string takes all");
    }
    svg + "</svg>\n"
}

impl Panel {
    fn draw(&self) -> String {
        let x = self.x_axis();
        let most = self.points().map(|(_, y)| y).fold(0.0, f64::max);
        let step = step(most);
        let n_steps = (most / step).ceil().max(1.0);
        let y = |value: f64| HEIGHT * (1.0 - value / (step * n_steps));
        let mut out = format!("<text class=\"title\" y=\"-26\">{}</text>\n", escaped(&self.title));
        out += &text(-LEFT + 8.0, -8.0, "start", self.y_name);
        for tick in 0..=n_steps as usize {
            let value = tick as f64 * step;
            out += &format!("<path class=\"grid\" d=\"M0 {:.1}H{WIDTH}\"/>\n", y(value));
            out += &text(-6.0, y(value) + 4.0, "end", &number(value));
        }
        for tick in &x.ticks {
            out += &text(x.place(*tick), HEIGHT + 16.0, "middle", &number(*tick));
        }
        out += &text(WIDTH / 2.0, HEIGHT + 32.0, "middle", self.x_name);
        for line in &self.lines {
            let points = line.points.iter().map(|point| (x.place(point.0), y(point.1)));
            out += &curve(self.colour(&line.label), line.stroke, &points.collect::<Vec<_>>());
        }
        out + &self.legend().concat()
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.lines.iter().flat_map(|line| line.points.iter().copied())
    }

    fn x_axis(&self) -> Axis {
        let mut places: Vec<f64> = self.points().map(|(x, _)| x).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        let (first, last) = (places[0], places[places.len() - 1]);
        match self.x {
            Scale::Log => Axis { scale: self.x, first, last, ticks: places },
            Scale::Linear => {
                let step = step(last);
                let ticks = (0..=(last / step) as usize).map(|n| n as f64 * step).collect();
                Axis { scale: self.x, first: 0.0, last, ticks }
            }
        }
    }

    /// The labels that were measured, in order.
    fn labels(&self) -> Vec<&str> {
        let measured = self.lines.iter().filter(|line| line.stroke == Stroke::Measured);
        measured.map(|line| line.label.as_str()).collect()
    }

    fn colour(&self, label: &str) -> String {
        let at = self.labels().iter().position(|known| *known == label).unwrap_or(0);
        format!("c{}", at % N_COLOURS)
    }

    /// A row for every label, and one for every other kind of line.
    fn legend(&self) -> Vec<String> {
        let labels = self.labels().into_iter();
        let mut entries: Vec<(String, Stroke, String)> =
            labels.map(|label| (self.colour(label), Stroke::Measured, label.to_owned())).collect();
        for (stroke, words) in [
            (Stroke::Limit, "limit: reading or multiplying, whichever takes longer"),
            (Stroke::Known, "known before: read from disk"),
        ] {
            if self.lines.iter().any(|line| line.stroke == stroke) {
                entries.push(("none".to_owned(), stroke, words.to_owned()));
            }
        }
        let row = |(place, (colour, stroke, words)): (usize, (String, Stroke, String))| {
            let y = HEIGHT + AXIS + 4.0 + place as f64 * ROW;
            let line = format!(
                "<path class=\"{colour} {}\" d=\"M0 {:.1}h26\"/>\n",
                stroke.class(),
                y - 4.0
            );
            line + &text(34.0, y, "start", &words)
        };
        entries.into_iter().enumerate().map(row).collect()
    }
}

/// Where x lies, and where it is marked.
struct Axis {
    scale: Scale,
    first: f64,
    last: f64,
    ticks: Vec<f64>,
}

impl Axis {
    fn place(&self, x: f64) -> f64 {
        let along = |x: f64| match self.scale {
            Scale::Linear => x,
            Scale::Log => x.ln(),
        };
        let whole = along(self.last) - along(self.first);
        if whole > 0.0 { (along(x) - along(self.first)) / whole * WIDTH } else { WIDTH / 2.0 }
    }
}

impl Stroke {
    fn class(self) -> &'static str {
        match self {
            Stroke::Measured => "measured",
            Stroke::Limit => "limit",
            Stroke::Known => "known",
        }
    }
}

/// The step of an axis up to `most`: 1, 2 or 5 times a power of ten.
fn step(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf((most / N_TICKS).log10().floor());
    let fits = |factor: &f64| factor * power * N_TICKS <= most;
    [5.0, 2.0, 1.0].into_iter().find(fits).unwrap_or(1.0) * power
}

fn curve(colour: String, stroke: Stroke, points: &[(f64, f64)]) -> String {
    let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let class = stroke.class();
    let mut out = format!("<polyline class=\"{colour} {class}\" points=\"{}\"/>\n", path.join(" "));
    if stroke == Stroke::Measured {
        for (x, y) in points {
            writeln!(out, "<circle class=\"{colour} dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\"/>")
                .expect("a string takes all");
        }
    }
    out
}

fn text(x: f64, y: f64, anchor: &str, words: &str) -> String {
    let words = escaped(words);
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>\n")
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// With commas between thousands, and no more digits than it needs.
fn number(value: f64) -> String {
    let text = format!("{:.2}", value);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    let (whole, rest) = text.split_once('.').map_or((text, None), |(a, b)| (a, Some(b)));
    let digits: Vec<char> = whole.chars().collect();
    let groups: Vec<String> = digits.rchunks(3).rev().map(|group| group.iter().collect()).collect();
    let whole = groups.join(",");
    rest.map_or(whole.clone(), |rest| format!("{whole}.{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_steps() {
        let steps: Vec<f64> = [0.0, 0.4, 3.9, 4.0, 25.0, 128.0, 8192.0].map(step).to_vec();
        assert_eq!(steps, [1.0, 0.1, 0.5, 1.0, 5.0, 20.0, 2000.0]);
    }

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 0.5, 12.0, 1_024.0, 1_234_567.25].map(number);
        assert_eq!(numbers, ["0", "0.5", "12", "1,024", "1,234,567.25"]);
    }

    #[test]
    fn a_doubling_takes_the_same_way_everywhere_on_a_log_axis() {
        let points = [1.0, 2.0, 64.0, 128.0].map(|x| (x, x)).to_vec();
        let line = Line { label: "a".to_owned(), stroke: Stroke::Measured, points };
        let panel = Panel {
            title: "a < b".to_owned(),
            x: Scale::Log,
            x_name: "streams",
            y_name: "tok/s",
            lines: vec![line],
        };
        let axis = panel.x_axis();
        let [a, b, c, d] = [1.0, 2.0, 64.0, 128.0].map(|x| axis.place(x));
        assert!((b - a - (d - c)).abs() < 1e-9, "{a} {b} {c} {d}");
        assert_eq!((a, d), (0.0, WIDTH));
        let svg = draw("t", &[panel]);
        for part in ["a &lt; b", "tok/s", "streams", ">128<", "class=\"c0 measured\""] {
            assert!(svg.contains(part), "{part} in {svg}");
        }
    }
}
