//! Curves over the unit square as SVG.

use super::html::Html;

/// Side of the square, and the space for numbers and words around it, in SVG units.
const SIDE: f64 = 220.0;
const LEFT: f64 = 40.0;
const TOP: f64 = 10.0;
const WIDTH: f64 = LEFT + SIDE + 14.0;
const HEIGHT: f64 = TOP + SIDE + 40.0;
/// Most points drawn: more cannot be told apart.
const MAX_POINTS: usize = 400;

/// A square with both axes from 0 to 1.
pub(super) struct Plot {
    parts: Vec<Html>,
}

impl Plot {
    pub(super) fn new(x_name: &str, y_name: &str) -> Plot {
        let mut parts = Vec::new();
        for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
            parts.push(line("grid", (tick, 0.0), (tick, 1.0)));
            parts.push(line("grid", (0.0, tick), (1.0, tick)));
        }
        for tick in [0.0, 0.5, 1.0] {
            let number = format!("{tick:.1}");
            parts.push(words("middle", (x(tick), y(0.0) + 15.0), &number));
            parts.push(words("end", (x(0.0) - 6.0, y(tick) + 4.0), &number));
        }
        parts.push(words("middle", (x(0.5), HEIGHT - 8.0), x_name));
        let turned = format!("translate(12 {:.1}) rotate(-90)", y(0.5));
        parts.push(Html::leaf(
            "text",
            &[("text-anchor", "middle"), ("transform", &turned)],
            y_name,
        ));
        Plot { parts }
    }

    /// What a coin, or a perfectly honest score, would draw.
    pub(super) fn diagonal(mut self) -> Plot {
        self.parts.push(line("diagonal", (0.0, 0.0), (1.0, 1.0)));
        self
    }

    /// A level line.
    pub(super) fn level(mut self, at: f64) -> Plot {
        self.parts.push(line("diagonal", (0.0, at), (1.0, at)));
        self
    }

    /// A curve through points, thinned where there are more than can be seen.
    pub(super) fn curve(mut self, class: &str, points: &[(f64, f64)]) -> Plot {
        let step = points.len().div_ceil(MAX_POINTS).max(1);
        let last = points.len().saturating_sub(1);
        let kept = points.iter().enumerate().filter(|(at, _)| at % step == 0 || *at == last);
        let path: Vec<String> =
            kept.map(|(_, point)| format!("{:.1},{:.1}", x(point.0), y(point.1))).collect();
        self.parts.push(Html::element(
            "polyline",
            &[("class", class), ("points", &path.join(" "))],
            [],
        ));
        self
    }

    /// A point with its interval.
    pub(super) fn point(mut self, class: &str, at: (f64, f64), low: f64, high: f64) -> Plot {
        self.parts.push(line(class, (at.0, low), (at.0, high)));
        let (centre_x, centre_y) = (format!("{:.1}", x(at.0)), format!("{:.1}", y(at.1)));
        let attributes = [("class", class), ("cx", &centre_x), ("cy", &centre_y), ("r", "3.5")];
        self.parts.push(Html::element("circle", &attributes, []));
        self
    }

    /// The drawing, with its name for those who cannot see it.
    pub(super) fn figure(self, caption: &str) -> Html {
        let view = format!("0 0 {WIDTH} {HEIGHT}");
        let attributes = [("viewBox", view.as_str()), ("role", "img"), ("aria-label", caption)];
        let svg = Html::element("svg", &attributes, self.parts);
        Html::element("figure", &[], [svg, Html::leaf("figcaption", &[], caption)])
    }
}

fn x(share: f64) -> f64 {
    LEFT + SIDE * share.clamp(0.0, 1.0)
}

fn y(share: f64) -> f64 {
    TOP + SIDE * (1.0 - share.clamp(0.0, 1.0))
}

fn line(class: &str, from: (f64, f64), to: (f64, f64)) -> Html {
    let [x1, y1, x2, y2] =
        [x(from.0), y(from.1), x(to.0), y(to.1)].map(|number| format!("{number:.1}"));
    let ends = [("class", class), ("x1", &x1), ("y1", &y1), ("x2", &x2), ("y2", &y2)];
    Html::element("line", &ends, [])
}

fn words(anchor: &str, at: (f64, f64), text: &str) -> Html {
    let (x, y) = (format!("{:.1}", at.0), format!("{:.1}", at.1));
    Html::leaf("text", &[("text-anchor", anchor), ("x", &x), ("y", &y)], text)
}
