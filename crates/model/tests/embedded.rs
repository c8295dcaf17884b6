//! A checkpoint that is part of the program is the same model as its folder.

mod broken;

use std::sync::Arc;

use broken::fixture;
use kernels::{Arithmetic, Kernels};
use model::golden::Golden;
use model::{EmbeddedFiles, FileProblem, Model, ModelError};

const FILES: EmbeddedFiles = EmbeddedFiles {
    config: include_bytes!("fixtures/tiny-plain/config.json"),
    tokenizer: include_bytes!("fixtures/tiny-plain/tokenizer.json"),
    generation: include_bytes!("fixtures/tiny-plain/generation_config.json"),
    weights: include_bytes!("fixtures/tiny-plain/model.safetensors"),
};

#[test]
fn embedded_and_opened_are_the_same_model() {
    let embedded = Arc::new(Model::from_embedded("builtin", FILES).expect("the files are sound"));
    let opened = Model::open(&fixture("tiny-plain")).expect("the fixture is a checkpoint");
    assert_eq!(embedded.name(), "builtin");
    assert_eq!(embedded.config(), opened.config());
    assert_eq!(embedded.fingerprint(), opened.fingerprint());
    assert_eq!(embedded.stop_tokens(), opened.stop_tokens());
    let golden = Golden::open(&fixture("tiny-plain/golden")).expect("it has golden numbers");
    let report = golden
        .compare(&embedded, Kernels::detect(), 1, Arithmetic::Exact, &mut |_| {})
        .expect("it runs");
    assert!(report.passes(), "{report:?}");
}

#[test]
fn embedded_files_are_checked_as_well() {
    let cut = EmbeddedFiles { weights: &FILES.weights[..1000], ..FILES };
    let error = Model::from_embedded("builtin", cut).expect_err("cut off");
    assert!(
        matches!(&error, ModelError::Safetensors { path, problem: FileProblem::Header { .. } }
            if path.starts_with("builtin")),
        "{error:?}"
    );
}
