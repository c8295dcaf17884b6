//! How speed grows, drawn from runs of `safeguard bench --json`.
//!
//! A folder of runs has up to three folders, as `benches/growth.sh` leaves them: in `streams/` lie runs that differ in
//! how many streams decode, in `prefix/` those that differ in the prefix, in `items/` those that differ in the workload.
//! Each becomes one picture, with panels for every model and a line for every arithmetic.

mod chart;
mod runs;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use chart::{Line, Panel, Scale, Stroke};
use runs::{Measure, Run, What};

/// Draws the runs of one model.
type Draw = fn(&[&Run]) -> Vec<Panel>;

/// Folders of runs, the titles of their pictures, and how they are drawn.
const PICTURES: [(&str, &str, Draw); 3] = [
    ("streams", "Decoding with more streams at once", streams),
    ("prefix", "A longer prefix: computing it, and decoding behind it", prefix),
    ("items", "More items at once", items),
];

/// Writes a picture for each of the folders that are there.
pub(crate) fn run(root: &Path, folder: &Path) -> Result<()> {
    let pictures = pictures(folder)?;
    if pictures.is_empty() {
        bail!(
            "{}: no runs in streams/, prefix/ or items/; benches/growth.sh makes them",
            folder.display()
        );
    }
    for (name, svg) in pictures {
        let file = root.join("docs/src/images").join(format!("{name}.svg"));
        fs::write(&file, svg)?;
        println!("{}", file.display());
    }
    Ok(())
}

/// Names and drawings.
fn pictures(folder: &Path) -> Result<Vec<(&'static str, String)>> {
    let mut pictures = Vec::new();
    for (name, title, panels) in PICTURES {
        let runs = runs::read(&folder.join(name))?;
        let models = by_model(&runs).into_values();
        let mut panels: Vec<Panel> = models.flat_map(|runs| panels(&runs)).collect();
        panels.retain(|panel| !panel.lines.is_empty());
        if !panels.is_empty() {
            pictures.push((name, chart::draw(title, &panels)));
        }
    }
    Ok(pictures)
}

fn by_model(runs: &[Run]) -> BTreeMap<&str, Vec<&Run>> {
    let mut models = BTreeMap::<&str, Vec<&Run>>::new();
    for run in runs {
        models.entry(&run.model.name).or_default().push(run);
    }
    models
}

fn streams(runs: &[&Run]) -> Vec<Panel> {
    vec![Panel {
        title: format!("{}: tokens a second, all streams together", runs[0].model.name),
        x: Scale::Log,
        x_name: "streams",
        y_name: "tok/s",
        lines: by_count(runs, What::Decode),
    }]
}

/// Figures of a kind over the number that they are of.
fn by_count(runs: &[&Run], what: What) -> Vec<Line> {
    let points = |_: &Run, measure: &Measure| {
        (measure.what == what).then_some((String::new(), f64::from(measure.count?)))
    };
    lines(runs, points, |_, value| value)
}

fn prefix(runs: &[&Run]) -> Vec<Panel> {
    let n_prefix = |run: &Run| f64::from(run.sizes.prefix_tokens);
    let by_prefix = |what| {
        move |run: &Run, measure: &Measure| {
            (measure.what == what).then(|| (String::new(), n_prefix(run)))
        }
    };
    let decoded = |run: &Run, measure: &Measure| match (measure.what, measure.count?) {
        (What::Decode, 1) => Some(("1 stream".to_owned(), n_prefix(run))),
        (What::Decode, n) => Some((format!("{n} streams"), n_prefix(run))),
        _ => None,
    };
    let mut seconds = lines(runs, by_prefix(What::Prefill), |n_tokens, rate| n_tokens / rate);
    let known = lines(runs, by_prefix(What::Load), |_, seconds| seconds).into_iter();
    seconds.extend(
        known
            .filter(|line| line.stroke == Stroke::Measured)
            .map(|line| Line { stroke: Stroke::Known, ..line }),
    );
    let name = &runs[0].model.name;
    let panel = |title, y_name, lines| Panel {
        title,
        x: Scale::Linear,
        x_name: "tokens of the prefix",
        y_name,
        lines,
    };
    vec![
        panel(format!("{name}: seconds to have the prefix"), "s", seconds),
        panel(
            format!("{name}: decoding behind it, in all"),
            "tok/s",
            lines(runs, decoded, |_, value| value),
        ),
    ]
}

fn items(runs: &[&Run]) -> Vec<Panel> {
    vec![Panel {
        title: format!("{}: items a minute", runs[0].model.name),
        x: Scale::Log,
        x_name: "items known in advance",
        y_name: "items/min",
        lines: by_count(runs, What::Workload),
    }]
}

/// Two lines for every arithmetic and every name that `points` gives: what was measured, and its limit. `y` makes a
/// height of a place and a figure.
fn lines(
    runs: &[&Run],
    points: impl Fn(&Run, &Measure) -> Option<(String, f64)>,
    y: impl Fn(f64, f64) -> f64,
) -> Vec<Line> {
    let mut lines = BTreeMap::<(String, Stroke), Vec<(f64, f64)>>::new();
    for run in runs {
        for measure in &run.measures {
            let Some((name, x)) = points(run, measure) else { continue };
            let label = [run.arithmetic(), name];
            let label = label.iter().filter(|word| !word.is_empty()).cloned().collect::<Vec<_>>();
            let mut add = |stroke, figure| {
                lines.entry((label.join(", "), stroke)).or_default().push((x, y(x, figure)));
            };
            add(Stroke::Measured, measure.value);
            add(Stroke::Limit, measure.limit);
        }
    }
    let line = |((label, stroke), mut points): (_, Vec<(f64, f64)>)| {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Line { label, stroke, points }
    };
    lines.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEASURED: &str = r#"{"model":{"name":"a model"},"arithmetic":"int8","dense":"DENSE",
        "sizes":{"prefix_tokens":1024},"measures":[
        {"what":"prefill","count":1024,"value":50.0,"limit":100.0},
        {"what":"start","count":null,"value":5.0,"limit":0.2},
        {"what":"decode","count":1,"value":3.0,"limit":10.0},
        {"what":"decode","count":2,"value":5.0,"limit":15.0}]}"#;

    #[test]
    fn runs_become_a_picture_and_what_is_no_run_is_named() {
        let folder = std::env::temp_dir().join(format!("xtask-plots-{}", std::process::id()));
        fs::create_dir_all(folder.join("streams")).unwrap();
        for dense in ["stored", "int8"] {
            let file = folder.join("streams").join(format!("{dense}.json"));
            fs::write(file, MEASURED.replace("DENSE", dense)).unwrap();
        }
        let pictures = pictures(&folder).unwrap();
        fs::create_dir_all(folder.join("items")).unwrap();
        fs::write(folder.join("items/broken.json"), "{}").unwrap();
        let refused = super::pictures(&folder).unwrap_err().to_string();
        fs::remove_dir_all(&folder).unwrap();

        let [("streams", svg)] = pictures.as_slice() else { panic!("{pictures:?}") };
        for part in [">int8<", ">int8, dense int8<", "c0 limit", "c1 limit", "a model: tokens"] {
            assert!(svg.contains(part), "{part} in {svg}");
        }
        assert_eq!(svg.matches("<circle").count(), 4, "two points of each run");
        assert!(refused.contains("items/broken.json: not a run"), "{refused}");
    }
}
