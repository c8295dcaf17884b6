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
