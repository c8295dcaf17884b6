//! Sentence embeddings against Hugging Face transformers (`fixtures/embed/make.py`), and directories that are wrong.

use std::fs;
use std::path::{Path, PathBuf};

use cascade::embed::{Cached, EmbedError, SentenceEncoder};
use cascade::{Encoder, Windows};
use serde::Deserialize;
use serde_json::{Value, json};

/// Largest difference of any number of a vector of length 1; `DistilBERT`'s here are some 8 long.
const TOLERANCE: f32 = 1e-4;

#[derive(Deserialize)]
struct Golden {
    text: String,
    windows: Windows,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/embed")
}

fn golden(name: &str) -> Vec<Golden> {
    let text = fs::read_to_string(fixtures().join("golden.json")).expect("a sound fixture");
    let mut all: Value = serde_json::from_str(&text).expect("a sound fixture");
    serde_json::from_value(all[name].take()).expect("a sound fixture")
}

fn check(encoder: &SentenceEncoder, golden: &[Golden]) {
    let texts: Vec<&str> = golden.iter().map(|it| it.text.as_str()).collect();
    let encoded = encoder.encode(&texts).expect("a sound fixture");
    for (found, expected) in encoded.iter().zip(golden) {
        let what = expected.text.chars().take(40).collect::<String>();
        assert_eq!(found.len(), expected.windows.len(), "windows of {what:?}");
        for (found, expected) in found.iter().zip(&expected.windows) {
            assert_eq!(found.len(), expected.len());
            let length = expected.iter().map(|x| x * x).sum::<f32>().sqrt();
            let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
            let largest = differences.fold(0.0, f32::max) / length;
            assert!(largest <= TOLERANCE, "{largest} for {what:?}");
        }
    }
    // The same bits alone as among others.
    for (text, among) in texts.iter().zip(encoded) {
        assert_eq!(encoder.encode(&[text]).expect("a sound fixture"), [among]);
    }
}

#[test]
fn every_family_computes_what_transformers_does() {
    for name in ["bert", "distilbert", "roberta", "xlm-roberta"] {
        let encoder = SentenceEncoder::open(&fixtures().join(name)).expect("a sound fixture");
        assert_eq!(encoder.n_dims(), 32);
        check(&encoder, &golden(name));
    }
}

/// all-MiniLM-L6-v2, for which `.ci/run` sets the variable; the expected vectors are `make.py DIR golden`'s.
#[test]
fn the_real_minilm_computes_what_transformers_does() {
    let Some(directory) = std::env::var_os("SAFEGUARD_TEST_MINILM") else {
        eprintln!("skipped: SAFEGUARD_TEST_MINILM names no directory");
        return;
    };
    let encoder = SentenceEncoder::open(Path::new(&directory)).expect("a sound fixture");
    assert_eq!(encoder.n_dims(), 384);
    let text = fs::read_to_string(fixtures().join("minilm.json")).expect("a sound fixture");
    let golden: Vec<Golden> = serde_json::from_str(&text).expect("a sound fixture");
    check(&encoder, &golden);
    let texts: Vec<&str> = golden.iter().map(|it| it.text.as_str()).collect();
    let encoded = encoder.encode(&texts).expect("a sound fixture");
    let alike = |a: usize, b: usize| -> f32 {
        encoded[a][0].iter().zip(&encoded[b][0]).map(|(x, y)| x * y).sum()
    };
    assert!(alike(0, 1) > alike(0, 2) + 0.2, "what means the same lies closer");
}

/// What is done to a copy of a tiny encoder.
type Change = fn(&Path);

/// A copy of a tiny encoder with something changed.
fn changed(change: impl FnOnce(&Path)) -> Result<SentenceEncoder, EmbedError> {
    let folder = tempfile::tempdir().expect("a sound fixture");
    for file in fs::read_dir(fixtures().join("bert"))
        .expect("a sound fixture")
        .map(|file| file.expect("a sound fixture"))
    {
        if file.file_type().expect("a sound fixture").is_file() {
            fs::copy(file.path(), folder.path().join(file.file_name())).expect("a sound fixture");
        }
    }
    change(folder.path());
    SentenceEncoder::open(folder.path())
}

fn set(folder: &Path, file: &str, field: &str, value: Value) {
    let path = folder.join(file);
    let mut all: Value = serde_json::from_slice(&fs::read(&path).expect("a sound fixture"))
        .expect("a sound fixture");
    all[field] = value;
    fs::write(path, all.to_string()).expect("a sound fixture");
}

#[test]
fn a_vocabulary_without_a_tokenizer_is_enough() {
    let encoder =
        changed(|folder| fs::remove_file(folder.join("tokenizer.json")).expect("a sound fixture"));
    check(&encoder.expect("a sound fixture"), &golden("bert"));
}

#[test]
fn another_weight_or_recipe_is_another_encoder() {
    let identity =
        |change: fn(&Path)| changed(change).expect("a sound fixture").identity().to_owned();
    let same = identity(|_| ());
    assert_eq!(same, identity(|_| ()));
    assert!(same.starts_with("embedding bert "));
    assert_ne!(same, identity(|folder| set(folder, "config.json", "layer_norm_eps", json!(1e-6))));
    assert_ne!(
        same,
        identity(|folder| set(folder, "sentence_bert_config.json", "max_seq_length", json!(16)))
    );
}

#[test]
fn what_is_wrong_with_a_directory_is_named() {
    let cases: [(&str, Change); 13] = [
        ("config.json: cannot be read", |folder| {
            fs::remove_file(folder.join("config.json")).expect("a sound fixture");
        }),
        ("config.json: not as expected: missing field `hidden_size`", |folder| {
            fs::write(folder.join("config.json"), r#"{"model_type":"bert","vocab_size":140}"#)
                .expect("a sound fixture");
        }),
        ("config.json: model_type: \"t5\" is not known", |folder| {
            set(folder, "config.json", "model_type", json!("t5"));
        }),
        ("config.json: hidden_act: \"swish\" is not known", |folder| {
            set(folder, "config.json", "hidden_act", json!("swish"));
        }),
        ("config.json: hidden_size: 5 heads do not divide it", |folder| {
            set(folder, "config.json", "num_attention_heads", json!(5));
        }),
        ("config.json: num_hidden_layers: 0 is not from 1", |folder| {
            set(folder, "config.json", "num_hidden_layers", json!(0));
        }),
        ("model.safetensors: not the weights that config.json describes", |folder| {
            set(folder, "config.json", "intermediate_size", json!(65));
        }),
        ("model.safetensors: not the weights that config.json describes", |folder| {
            set(folder, "config.json", "num_hidden_layers", json!(3));
        }),
        ("model.safetensors: not the weights that config.json describes", |folder| {
            fs::write(folder.join("model.safetensors"), [255; 100]).expect("a sound fixture");
        }),
        ("tokenizer.json: not a tokenizer", |folder| {
            fs::write(folder.join("tokenizer.json"), "{}").expect("a sound fixture");
        }),
        ("tokenizer.json: vocab: ", |folder| {
            set(folder, "config.json", "vocab_size", json!(60));
        }),
        ("post_processor: no window fits into 3 tokens", |folder| {
            set(folder, "sentence_bert_config.json", "max_seq_length", json!(3));
        }),
        ("modules.json: type: \"Dense\" cannot be run", |folder| {
            let module = json!([{"path": "", "type": "sentence_transformers.models.Dense"}]);
            fs::write(folder.join("modules.json"), module.to_string()).expect("a sound fixture");
        }),
    ];
    for (expected, change) in cases {
        let error = changed(change).err().map(chain).unwrap_or_default();
        assert!(error.contains(expected), "expected {expected:?}, found {error:?}");
    }
}

/// An error with its causes, as the command line prints it.
fn chain(error: EmbedError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[test]
fn texts_beyond_all_windows_are_not_read_and_long_words_are() {
    let encoder = SentenceEncoder::open(&fixtures().join("bert")).expect("a sound fixture");
    let long = "fox ".repeat(10_000);
    let huge = "x".repeat(2 << 20);
    let word = "fox".repeat(400);
    let texts = [long.as_str(), &huge, &word, "", "\u{200b}\0\u{1f600}"];
    let encoded = encoder.encode(&texts).expect("a sound fixture");
    let counts: Vec<usize> = encoded.iter().map(Vec::len).collect();
    assert_eq!(counts[..2], [0, 0]);
    // A smiley alone is one unknown token.
    assert_ne!(
        encoded[2],
        encoder.encode(&["\u{1f600}"]).expect("a sound fixture")[0],
        "an overlong word is more"
    );
    assert_eq!(counts[3..], [1, 1]);
}

#[test]
fn a_memory_gives_the_same_vectors_and_stays_small() {
    let encoder = SentenceEncoder::open(&fixtures().join("bert")).expect("a sound fixture");
    let texts: Vec<String> = (0..40).map(|at| format!("fox number {at}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let plain = encoder.encode(&texts).expect("a sound fixture");
    for max_bytes in [0, 1_000, 1 << 20] {
        let cached = Cached::new(
            SentenceEncoder::open(&fixtures().join("bert")).expect("a sound fixture"),
            max_bytes,
        );
        assert_eq!(cached.identity(), encoder.identity());
        for _ in 0..2 {
            assert_eq!(cached.encode(&texts).expect("a sound fixture"), plain);
        }
    }
}
