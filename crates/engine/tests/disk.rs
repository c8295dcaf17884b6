//! Prefixes survive the process: the same bits from disk, from memory and computed; files nobody can trust are ignored.

mod tiny;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use engine::{Engine, EngineSettings, PrefixCache, Request, Warn};
use kernels::{Arithmetic, Pool};
use model::Preparation;
use tiny::{bits, blocks, engine, run_together, settings, tokens};

const N_PREFIX: usize = 100;
/// Whole blocks of it.
const N_KEPT: usize = 96;

fn cached_in(dir: &Path, max_bytes: u64, warn: Warn) -> Engine {
    let prefix_cache = Some(PrefixCache { dir: dir.to_owned(), max_bytes, warn });
    engine(EngineSettings { prefix_cache, ..settings() })
}

static N_UNEXPECTED: AtomicUsize = AtomicUsize::new(0);

/// Nothing is wrong with the folder. A panic would end the thread that writes and no test, so it counts.
fn quiet() -> Warn {
    Warn(|_| {
        N_UNEXPECTED.fetch_add(1, Ordering::SeqCst);
    })
}

/// Ends an engine, and with it the writing of what it began.
fn end(engine: Engine) {
    drop(engine);
    assert_eq!(N_UNEXPECTED.load(Ordering::SeqCst), 0, "a prefix could not be written");
}

/// An item behind a policy.
fn request(policy: u64, item: u64) -> Request {
    let mut prompt = tokens(policy, N_PREFIX);
    prompt.extend(tokens(1000 + item, 9));
    Request { n_prefix: N_PREFIX, ..Request::new(prompt, 12) }
}

/// The reply's bits and how many of its prompt's tokens were there; the engine ends before this does.
fn judge(engine: Engine, request: Request) -> (Vec<(u32, u32, bool)>, usize) {
    let reply = run_together(&engine, vec![request]).remove(0);
    end(engine);
    (bits(&reply), reply.usage.cached_tokens)
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .expect("the folder is there")
        .map(|e| e.expect("readable").path())
        .collect();
    files.sort();
    files
}

/// Each arithmetic, and each form of the dense matrices, has its own numbers.
#[test]
fn a_prefix_is_of_one_arithmetic_and_one_form_of_the_weights() {
    let dir = tempfile::tempdir().expect("a folder");
    let n_cached = |arithmetic, model: std::sync::Arc<model::Model>| {
        let prefix_cache =
            Some(PrefixCache { dir: dir.path().to_owned(), max_bytes: 1 << 30, warn: quiet() });
        let settings = EngineSettings { prefix_cache, arithmetic, ..settings() };
        judge(Engine::start(model, settings).expect("the settings hold"), request(1, 1)).1
    };
    let int8_dense = || {
        let model = std::sync::Arc::into_inner(tiny::model()).expect("nobody else has it");
        std::sync::Arc::new(
            model.with_int8_dense(&Preparation::in_memory(&Pool::new(1))).expect("96 inputs"),
        )
    };
    for round in [0, N_KEPT] {
        for arithmetic in Arithmetic::ALL {
            assert_eq!(n_cached(arithmetic, tiny::model()), round, "{arithmetic}");
            assert_eq!(n_cached(arithmetic, int8_dense()), round, "{arithmetic}, int8");
        }
    }
}

#[test]
fn a_new_engine_finds_the_prefix_with_the_same_bits() {
    let dir = tempfile::tempdir().expect("a folder");
    let (plain, none) = judge(engine(settings()), request(1, 1));
    let first = judge(cached_in(dir.path(), 1 << 30, quiet()), request(1, 1));
    assert_eq!(first, (plain.clone(), 0));
    assert_eq!(files(dir.path()).len(), 1);
    assert_eq!(judge(cached_in(dir.path(), 1 << 30, quiet()), request(1, 1)), (plain, N_KEPT));
    assert_eq!(none, 0);
    // Another item under the same policy, and another policy.
    let other = judge(engine(settings()), request(1, 2)).0;
    assert_eq!(judge(cached_in(dir.path(), 1 << 30, quiet()), request(1, 2)), (other, N_KEPT));
    assert_eq!(judge(cached_in(dir.path(), 1 << 30, quiet()), request(2, 1)).1, 0);
    assert_eq!(files(dir.path()).len(), 2);
}

#[test]
fn what_is_damaged_is_computed_and_written_anew() {
    let dir = tempfile::tempdir().expect("a folder");
    let (plain, _) = judge(cached_in(dir.path(), 1 << 30, quiet()), request(1, 1));
    let path = files(dir.path()).remove(0);
    let good = fs::read(&path).expect("the file is there");
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let mut longer = good.clone();
    longer.push(0);
    // The form of before had the same length here and there.
    let mut older = good.clone();
    older[..16].copy_from_slice(b"safeguard prefix");
    for bad in
        [flipped, longer, older, good[..good.len() - 1].to_vec(), good[..20].to_vec(), Vec::new()]
    {
        fs::write(&path, &bad).expect("writable");
        let found = judge(cached_in(dir.path(), 1 << 30, quiet()), request(1, 1));
        assert_eq!(found, (plain.clone(), 0), "{} bytes", bad.len());
        assert_eq!(fs::read(&path).expect("the file is there"), good, "{} bytes", bad.len());
    }
}

#[test]
fn another_arithmetic_does_not_take_the_file() {
    let dir = tempfile::tempdir().expect("a folder");
    judge(cached_in(dir.path(), 1 << 30, quiet()), request(1, 1));
    let prefix_cache =
        Some(PrefixCache { dir: dir.path().to_owned(), max_bytes: 1 << 30, warn: quiet() });
    let scalar = EngineSettings { isa: Some(kernels::Isa::Scalar), prefix_cache, ..settings() };
    if kernels::Isa::best() != kernels::Isa::Scalar {
        assert_eq!(judge(engine(scalar), request(1, 1)).1, 0);
    }
}

#[test]
fn the_files_stay_within_bounds_and_strangers_stay() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("notes.txt"), "mine").expect("writable");
    judge(cached_in(dir.path(), 1 << 30, quiet()), request(1, 1));
    let one = fs::metadata(&files(dir.path())[0]).map(|about| about.len()).expect("there");
    let room_for_two = one * 2 + one / 2;
    for policy in 2..6 {
        judge(cached_in(dir.path(), room_for_two, quiet()), request(policy, 1));
        assert!(files(dir.path()).len() <= 3);
    }
    assert!(dir.path().join("notes.txt").exists());
    assert_eq!(judge(cached_in(dir.path(), room_for_two, quiet()), request(5, 1)).1, N_KEPT);
    assert_eq!(judge(cached_in(dir.path(), room_for_two, quiet()), request(1, 1)).1, 0);
    // A prefix larger than all room is not begun.
    let narrow = tempfile::tempdir().expect("a folder");
    judge(cached_in(narrow.path(), one - 1, quiet()), request(1, 1));
    assert_eq!(files(narrow.path()).len(), 0);
}

/// Sliding layers see eight positions back, so of three blocks they need one.
#[test]
fn a_file_holds_what_is_seen_from_its_end() {
    let dir = tempfile::tempdir().expect("a folder");
    judge(cached_in(dir.path(), 1 << 30, quiet()), request(1, 1));
    let file = fs::metadata(&files(dir.path())[0]).map(|about| about.len()).expect("there");
    let half_a_block = blocks(&tiny::model(), 1) as u64 / 2;
    assert_eq!(file, 16 + 32 + 8 + 4 * N_KEPT as u64 + (3 + 1) * half_a_block + 32);
}

/// What is on its way to disk holds memory for a while; a sequence that has no other waits for it.
#[test]
fn writing_a_prefix_fails_nobody() {
    let kv_bytes = blocks(&tiny::model(), 16);
    let long = || Request { n_prefix: 896, ..Request::new(tokens(1, 930), 31) };
    let expected = bits(&run_together(&engine(settings()), vec![long()])[0]);
    for _ in 0..5 {
        let dir = tempfile::tempdir().expect("a folder");
        let prefix_cache =
            Some(PrefixCache { dir: dir.path().to_owned(), max_bytes: 1 << 30, warn: quiet() });
        let engine = engine(EngineSettings { prefix_cache, kv_bytes, ..settings() });
        let reply = run_together(&engine, vec![long()]).remove(0);
        assert_eq!(bits(&reply), expected);
        end(engine);
        assert_eq!(files(dir.path()).len(), 1);
    }
}

static N_WARNINGS: AtomicUsize = AtomicUsize::new(0);

#[test]
fn a_folder_that_cannot_be_written_costs_one_warning_and_no_reply() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("file");
    fs::write(&file, "no folder").expect("writable");
    let warn = Warn(|_| {
        N_WARNINGS.fetch_add(1, Ordering::SeqCst);
    });
    let engine = cached_in(&file.join("below"), 1 << 30, warn);
    let replies = run_together(&engine, vec![request(1, 1), request(2, 1), request(3, 1)]);
    for reply in &replies {
        bits(reply);
    }
    drop(engine);
    assert_eq!(N_WARNINGS.load(Ordering::SeqCst), 1);
}
