//! Whatever layers slide and however far they see: the same bits with all memory and with next to none, computed, from
//! the cache and from disk.

mod tiny;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine::{Engine, EngineSettings, Finish, PrefixCache, Request, Warn};
use model::Model;
use model::kv::KvShape;
use serde_json::{Value, json};
use tiny::{bits, greedy, run_together, sampled, settings, tokens};

/// The tiny model, told another window and which of its four layers slide.
fn model(window: usize, slides: [bool; 4]) -> Arc<Model> {
    let folder = tempfile::tempdir().expect("a folder");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/tiny-a");
    for entry in fs::read_dir(&fixture).expect("the fixture is there") {
        let path = entry.expect("readable").path();
        if path.is_file() {
            let name = path.file_name().expect("a file has a name");
            fs::copy(&path, folder.path().join(name)).expect("copied");
        }
    }
    let path = folder.path().join("config.json");
    let text = fs::read(&path).expect("the configuration is there");
    let mut config: Value = serde_json::from_slice(&text).expect("JSON");
    config["sliding_window"] = json!(window);
    config["layer_types"] =
        slides.map(|slides| if slides { "sliding_attention" } else { "full_attention" }).into();
    fs::write(&path, config.to_string()).expect("written");
    Arc::new(Model::open(folder.path()).expect("still a checkpoint"))
}

/// Behind two policies, with replies that repeat themselves and others.
fn requests() -> Vec<Request> {
    let behind = |policy: u64, n_own: usize, item: u64| {
        [tokens(policy, 70), tokens(100 + item, n_own)].concat()
    };
    let mut requests = vec![
        sampled(behind(1, 9, 1), 60, 1),
        greedy(behind(2, 40, 2), 50),
        greedy(behind(1, 100, 3), 20),
        greedy([tokens(5, 40), tokens(5, 40)].concat(), 80),
        sampled(behind(2, 3, 4), 70, 4),
        greedy(behind(1, 26, 5), 33),
    ];
    requests.iter_mut().for_each(|request| request.n_prefix = 70);
    requests
}

fn replies(model: &Arc<Model>, settings: EngineSettings) -> Vec<Vec<(u32, u32, bool)>> {
    let engine = Engine::start(Arc::clone(model), settings).expect("the settings hold");
    // The second round finds what the first left.
    let found = [(); 2].map(|()| run_together(&engine, requests()));
    let [first, second] = found.map(|replies| replies.iter().map(bits).collect::<Vec<_>>());
    assert!(first == second);
    first
}

static N_WARNINGS: AtomicUsize = AtomicUsize::new(0);

#[test]
fn windows_and_kinds_of_layers_change_nothing_but_memory() {
    let dir = tempfile::tempdir().expect("a folder");
    // A panic would end the thread that writes and not the test.
    let warn = Warn(|_| {
        N_WARNINGS.fetch_add(1, Ordering::SeqCst);
    });
    let prefix_cache = Some(PrefixCache { dir: dir.path().to_owned(), max_bytes: 1 << 30, warn });
    let cases = [
        (1, [true, false, true, false]),
        (33, [true, false, true, false]),
        (70, [false, true, true, true]),
        (40, [false, false, true, false]),
        (8, [false; 4]),
        (50, [true; 4]),
        (4000, [true, false, true, false]),
    ];
    for (case_idx, (window, slides)) in cases.into_iter().enumerate() {
        let model = model(window, slides);
        let plenty = EngineSettings { guess_batch_tokens: 0, ..settings() };
        let alone: Vec<_> = requests()
            .into_iter()
            .map(|request| {
                let engine = Engine::start(Arc::clone(&model), plenty.clone()).expect("sound");
                bits(&run_together(&engine, vec![request])[0])
            })
            .collect();
        // The longest is of six blocks.
        let kv_bytes = 7 * KvShape::of(model.config()).block_bytes();
        let little = EngineSettings { kv_bytes, max_batch_tokens: 50, ..settings() };
        let on_disk = EngineSettings { prefix_cache: prefix_cache.clone(), ..little.clone() };
        for settings in [settings(), little, on_disk.clone(), on_disk.clone()] {
            assert!(alone == replies(&model, settings), "{window}, {slides:?}");
        }
        // Three prefixes, of two whole blocks each; no case takes the files of another.
        let n_files = fs::read_dir(dir.path()).expect("the folder is there").count();
        assert_eq!(n_files, 3 * (case_idx + 1), "{window}, {slides:?}");
        let engine = Engine::start(model, on_disk).expect("the settings hold");
        let first = run_together(&engine, vec![requests().remove(0)]).remove(0);
        assert!(alone[0] == bits(&first), "{window}, {slides:?}");
        assert_eq!(first.usage.cached_tokens, 64, "{window}, {slides:?}");
    }
    assert_eq!(N_WARNINGS.load(Ordering::SeqCst), 0, "a prefix could not be written");
}

#[test]
fn layers_that_all_slide_need_memory_for_their_window_alone() {
    let model = model(50, [true; 4]);
    let n_seen = KvShape::of(model.config()).most_seen();
    let kv_bytes = n_seen * KvShape::of(model.config()).block_bytes();
    let settings = EngineSettings { kv_bytes, ..settings() };
    let engine = Engine::start(model, settings).expect("the settings hold");
    let reply = run_together(&engine, vec![greedy(tokens(1, 600), 400)]).remove(0);
    assert!(matches!(reply.finish, Finish::MaxTokens), "{:?}", reply.finish);
    assert_eq!(n_seen, 3);
}
