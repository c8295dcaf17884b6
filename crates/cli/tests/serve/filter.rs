//! A filter that is trained and proven on rows with telling words.

use std::path::Path;

use serde_json::json;

use crate::program::{command, stderr};

/// Rows with numbers, every third of them an advertisement.
fn rows(numbers: std::ops::Range<usize>) -> String {
    let row = |n: usize| {
        let is_ad = n.is_multiple_of(3);
        let text = if is_ad { format!("number {n}: buy now, a cheap offer") } else { quiet(n) };
        format!(
            "{}\n",
            json!({ "id": format!("row-{n}"), "text": text, "labels": { "ad": usize::from(is_ad) } })
        )
    };
    numbers.map(row).collect()
}

/// A text that such a filter stops.
pub(crate) fn quiet(number: usize) -> String {
    let told = ["my garden", "dinner with friends"][number / 3 % 2];
    format!("number {number} is {told} {}", number % 7)
}

/// Writes a filter for a policy into a folder.
pub(crate) fn prove(folder: &Path, policy: &str, filter: &str) {
    std::fs::write(folder.join("train.jsonl"), rows(0..300)).unwrap();
    std::fs::write(folder.join("prove.jsonl"), rows(300..600)).unwrap();
    for args in [
        format!("filter train --data train.jsonl --label ad --out {filter}"),
        format!("filter calibrate {filter} --data prove.jsonl --recall 0.9 --policy {policy}"),
    ] {
        let args: Vec<&str> = args.split(' ').collect();
        let output = command(folder, &args).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
    }
}
