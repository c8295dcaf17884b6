//! How well filters do that read n-grams, sentence embeddings, or both, on the same few rows: the first 70 % of each
//! set train, at most 900 of them, the rest tests, at most 700. One line a label, tab-separated.
//!
//! `cargo run --release -p cascade --example embed_anchors -- ENCODER DATA OUT [SET…]`
//!
//! Every set's vectors go to `OUT/SET.jsonl`, for `embed_anchors_sklearn.py`. `RAYON_NUM_THREADS=1` for one core.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;
use std::{env, fs};

use cascade::embed::{Cached, SentenceEncoder};
use cascade::{Encoder, Promise, Reading, Row, TrainSettings, passing_for, train};
use policy::eval::{Curve, Level, Scored};
use serde_json::{Value, json};

/// Fewest positives to train on and to test with, and most rows, as in the comparison with scikit-learn.
const MIN_TRAIN: usize = 20;
const MIN_TEST: usize = 10;
const MAX_TRAIN: usize = 900;
const MAX_TEST: usize = 700;
/// Sets in English, all-MiniLM-L6-v2's language.
const ENGLISH: &str = "ailuminate_hazards civil_toxic_spans clickbait convabuse davidson_hate_offensive diasafety \
    edos_sexism ethos gptfuzz_responses harmful_prompts hatecheck jailbreak_injection openai_moderation_2022 paradetox \
    pii_synth sms_spam stormfront_hate surge_toxicity teen_safety_policies wiki_talk_toxicity xstest";

type Vectors = Cached<SentenceEncoder>;

fn main() {
    let mut args = env::args().skip(1);
    let encoder = args.next().expect("an encoder's directory");
    let encoder = SentenceEncoder::open(Path::new(&encoder)).expect("an encoder");
    let encoder = Cached::new(encoder, 1 << 30);
    let data = args.next().expect("a folder of sets");
    let out = args.next().expect("a folder for vectors");
    let mut sets: Vec<String> = args.collect();
    if sets.is_empty() {
        sets = ENGLISH.split_whitespace().map(str::to_owned).collect();
    }
    println!(
        "set\tlabel\ttrain\ttest\tbase\tpositives\tap_ngrams\tap_embedding\tap_joined\tpass95_ngrams\t\
         pass95_embedding\tpass95_joined\tproven_ngrams\tproven_embedding\tproven_joined"
    );
    for set in sets {
        let rows = rows(&Path::new(&data).join(&set).join("data.jsonl"));
        let (seen, unseen) = rows.split_at(rows.len() * 7 / 10);
        let (seen, unseen) =
            (&seen[..seen.len().min(MAX_TRAIN)], &unseen[..unseen.len().min(MAX_TEST)]);
        keep_vectors(&Path::new(&out).join(format!("{set}.jsonl")), &encoder, seen, unseen);
        for label in labels(&rows) {
            one_label(&set, &label, &encoder, seen, unseen);
        }
    }
}

fn rows(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn labels(rows: &[Value]) -> Vec<String> {
    let labels = rows.iter().filter_map(|row| row["labels"].as_object());
    let mut labels: Vec<String> = labels.flat_map(|labels| labels.keys().cloned()).collect();
    labels.sort();
    labels.dedup();
    labels
}

/// The first window of each text, with what scikit-learn needs.
fn keep_vectors(path: &Path, encoder: &Vectors, seen: &[Value], unseen: &[Value]) {
    let mut file = BufWriter::new(fs::File::create(path).expect("a file"));
    let all: Vec<&Value> = seen.iter().chain(unseen).collect();
    let texts: Vec<&str> = all.iter().map(|row| row["text"].as_str().unwrap_or("")).collect();
    let start = Instant::now();
    let encoded = encoder.encode(&texts).expect("vectors");
    let per_s = texts.len() as f64 / start.elapsed().as_secs_f64();
    let n_windows: usize = encoded.iter().map(Vec::len).sum();
    eprintln!("{}: {} texts, {n_windows} windows, {per_s:.0} texts/s", path.display(), texts.len());
    for (at, (row, windows)) in all.iter().zip(&encoded).enumerate() {
        let line =
            json!({"labels": row["labels"], "test": at >= seen.len(), "vector": windows.first()});
        writeln!(file, "{line}").expect("a line");
    }
}

fn one_label(set: &str, label: &str, encoder: &Vectors, seen: &[Value], unseen: &[Value]) {
    let row = |row: &Value| Row {
        text: row["text"].as_str().unwrap_or_default().to_owned(),
        truths: vec![row["labels"][label].as_i64().map(|value| value == 1)],
        weight: 1.0,
    };
    let known = |rows: &[Value]| -> Vec<Row> {
        rows.iter().map(row).filter(|row| row.truths[0].is_some()).collect()
    };
    let (train_rows, test) = (known(seen), known(unseen));
    let n_positives = |rows: &[Row]| rows.iter().filter(|row| row.truths[0] == Some(true)).count();
    if n_positives(&train_rows) < MIN_TRAIN || n_positives(&test) < MIN_TEST {
        return;
    }
    let texts: Vec<&str> = test.iter().map(|row| row.text.as_str()).collect();
    let mut columns = [Vec::new(), Vec::new(), Vec::new()];
    for (ngrams, dense) in [(true, false), (false, true), (true, true)] {
        let encoder: Option<&dyn Encoder> = if dense { Some(encoder) } else { None };
        let reading = Reading { ngrams, encoder, place: None };
        let settings = TrainSettings::default();
        let filter =
            train(&train_rows, &[label.to_owned()], None, &reading, &settings, |_, _, _| ());
        let Ok(filter) = filter else { return };
        let scores = filter.scorer(encoder).and_then(|mut scorer| scorer.score_all(&texts));
        let scores = scores.expect("the same encoder").into_iter().map(|found| found.score);
        let scored: Vec<Scored> = test
            .iter()
            .zip(scores)
            .filter_map(|(row, score)| Scored::new(row.truths[0]?, score))
            .collect();
        columns[0].push(shown(Curve::new(&scored).average_precision()));
        columns[1].push(shown(passing_for(&scored, 0.95)));
        columns[2].push(shown(passed_if_proven(&scored)));
    }
    println!(
        "{set}\t{label}\t{}\t{}\t{:.3}\t{}\t{}",
        train_rows.len(),
        test.len(),
        n_positives(&test) as f64 / test.len() as f64,
        n_positives(&test),
        columns.concat().join("\t")
    );
}

/// The share passed on where a recall of 0.95 is proven on these rows; `None` where they cannot prove it.
fn passed_if_proven(scored: &[Scored]) -> Option<f64> {
    let promise = Promise::new(0.95, Level::P95).ok()?;
    let evidence = cascade::calibrate(scored, promise, None).ok()?;
    evidence.passed_on(&evidence.chosen, Level::P95).value
}

fn shown(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.3}"))
}
