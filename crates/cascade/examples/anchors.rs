//! How well and how fast filters are trained on folders of labelled sets: the first 70 % of each set's
//! rows train, the rest test. One line a label, tab-separated.
//!
//! `cargo run --release -p cascade --example anchors -- DATA [SET…]`

use std::path::Path;
use std::time::Instant;
use std::{env, fs};

use cascade::{Reading, Row, TrainSettings, passing_for, recall_passing, train};
use policy::eval::{Curve, Scored};
use serde_json::Value;

/// Fewest positives to train on and to test with, as in the published comparison.
const MIN_TRAIN: usize = 20;
const MIN_TEST: usize = 10;

fn main() {
    let mut args = env::args().skip(1);
    let data = args.next().expect("a folder of sets");
    let mut sets: Vec<String> = args.collect();
    if sets.is_empty() {
        let folders = fs::read_dir(&data).expect("a folder").filter_map(Result::ok);
        sets = folders.map(|folder| folder.file_name().to_string_lossy().into_owned()).collect();
        sets.sort();
    }
    println!("set\tlabel\tbase\tpositives\tap\tr10\tr20\tr30\tpass95\tcost\ttrain_s\ttexts_per_s");
    for set in sets {
        one_set(&Path::new(&data).join(&set).join("data.jsonl"), &set);
    }
}

fn one_set(path: &Path, set: &str) {
    let Ok(text) = fs::read_to_string(path) else { return };
    let rows: Vec<Value> =
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let (seen, unseen) = rows.split_at(rows.len() * 7 / 10);
    let mut labels: Vec<String> = rows
        .iter()
        .filter_map(|row| row["labels"].as_object())
        .flat_map(|labels| labels.keys().cloned())
        .collect();
    labels.sort();
    labels.dedup();
    for label in labels {
        let n_positives =
            |rows: &[Value]| rows.iter().filter(|row| row["labels"][&label] == 1).count();
        if n_positives(seen) >= MIN_TRAIN && n_positives(unseen) >= MIN_TEST {
            one_label(set, &label, seen, unseen);
        }
    }
}

fn one_label(set: &str, label: &str, seen: &[Value], unseen: &[Value]) {
    let row = |row: &Value| Row {
        text: row["text"].as_str().unwrap_or_default().to_owned(),
        truths: vec![row["labels"][label].as_i64().map(|value| value == 1)],
        weight: 1.0,
    };
    let rows: Vec<Row> = seen.iter().map(row).collect();
    let start = Instant::now();
    let (reading, settings) = (Reading::default(), TrainSettings::default());
    let Ok(filter) = train(&rows, &[label.to_owned()], None, &reading, &settings, |_, _, _| ())
    else {
        return;
    };
    let train_s = start.elapsed().as_secs_f64();
    let test: Vec<Row> = unseen.iter().map(row).filter(|row| row.truths[0].is_some()).collect();
    let texts: Vec<&str> = test.iter().map(|row| row.text.as_str()).collect();
    let start = Instant::now();
    let scores = filter.scorer(None).and_then(|mut scorer| scorer.score_all(&texts));
    let scores = scores.expect("n-grams need no encoder").into_iter().map(|found| found.score);
    let per_s = test.len() as f64 / start.elapsed().as_secs_f64();
    let scored: Vec<Scored> = test
        .iter()
        .zip(scores)
        .filter_map(|(row, score)| Scored::new(row.truths[0]?, score))
        .collect();
    let n_positives = scored.iter().filter(|one| one.truth()).count();
    let share = |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{share:.3}"));
    println!(
        "{set}\t{label}\t{:.3}\t{n_positives}\t{}\t{}\t{}\t{}\t{}\t{}\t{train_s:.1}\t{per_s:.0}",
        n_positives as f64 / scored.len() as f64,
        share(Curve::new(&scored).average_precision()),
        share(recall_passing(&scored, 0.1)),
        share(recall_passing(&scored, 0.2)),
        share(recall_passing(&scored, 0.3)),
        share(passing_for(&scored, 0.95)),
        filter.about.training.labels[0].cost,
    );
}
