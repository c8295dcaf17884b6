//! Whole models against numbers made by transformers in float32.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kernels::{Arithmetic, Isa, Kernels};
use model::Model;
use model::golden::Golden;

fn fixtures() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let entries = std::fs::read_dir(dir).expect("the fixtures are there");
    entries
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.join("golden").is_dir())
        .collect()
}

#[test]
fn every_fixture_passes_on_every_instruction_set_and_thread_count() {
    assert!(!fixtures().is_empty());
    for dir in fixtures() {
        let model = Arc::new(Model::open(&dir).expect("the fixture is a checkpoint"));
        let golden = Golden::open(&dir.join("golden")).expect("the fixture has golden numbers");
        for kernels in Isa::ALL.into_iter().filter_map(Kernels::with_isa) {
            for n_threads in [1, 2] {
                let report = golden
                    .compare(&model, kernels, n_threads, Arithmetic::Exact, &mut |_| {})
                    .expect("it runs");
                assert!(
                    report.passes(),
                    "{}, {kernels:?}, {n_threads} threads: {report:?}",
                    dir.display()
                );
                assert!(
                    report.max_relative() < 2e-5,
                    "{}: {}",
                    dir.display(),
                    report.max_relative()
                );
            }
        }
    }
}

/// What rounding may cost, where no choice of experts can flip: no more in bfloat16 than in transformers' own run in
/// bfloat16, and three times that in 8-bit integers, which have a bit less.
#[test]
fn rounded_arithmetic_is_as_near_as_the_reference_in_bfloat16() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny-d");
    let text = std::fs::read(dir.join("golden/golden.json")).expect("the file is there");
    let file: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let of_reference = file["bf16_run"]["max_abs"].as_f64().expect("a number") as f32;
    let model = Arc::new(Model::open(&dir).expect("the fixture is a checkpoint"));
    let golden = Golden::open(&dir.join("golden")).expect("the fixture has golden numbers");
    for kernels in Isa::ALL.into_iter().filter_map(Kernels::with_isa) {
        for (arithmetic, factor) in [(Arithmetic::Bf16, 1.0), (Arithmetic::Int8, 3.0)] {
            let report = golden.compare(&model, kernels, 2, arithmetic, &mut |_| {});
            let prompts = report.expect("it runs").prompts;
            let worst = prompts.iter().map(|prompt| prompt.max_absolute).fold(0.0, f32::max);
            assert!(worst <= factor * of_reference, "{kernels:?} {arithmetic}: {worst}");
            assert!(worst > 1e-3, "{kernels:?} {arithmetic}: nothing was rounded");
        }
    }
}
