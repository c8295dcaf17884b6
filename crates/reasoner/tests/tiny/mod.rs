//! The judge of these tests: the real one, over a tiny random model.

use std::path::Path;
use std::sync::Arc;

use engine::{Engine, EngineSettings};
use model::Model;
use policy::{JudgeSettings, Policy};
use reasoner::LocalJudge;

const POLICY: &str = "## VIOLATES\n- A1 one\n- A2 two\n\n## SAFE\n- A0.a none\n";

pub(crate) fn policy() -> Policy {
    Policy::parse("p", POLICY.as_bytes()).expect("a policy")
}

pub(crate) fn judge_with(settings: EngineSettings) -> LocalJudge {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/tiny-a");
    let model = Arc::new(Model::open(&dir).expect("the fixture is a checkpoint"));
    LocalJudge::new(Engine::start(model, settings).expect("the settings hold"))
}

pub(crate) fn engine_settings() -> EngineSettings {
    EngineSettings { n_threads: 1, kv_bytes: 64 << 20, ..EngineSettings::default() }
}

/// A random model does not stop by itself, so its thought is cut short.
pub(crate) fn short() -> JudgeSettings {
    JudgeSettings { max_analysis_tokens: Some(20), seed: Some(1), ..JudgeSettings::default() }
}
