//! Prepared weights: kept in a file that later runs map or load, made anew where it is damaged, made in memory where it cannot be.

mod broken;

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use broken::{Broken, fixture};
use kernels::{Kernels, Matrix, Pool};
use model::{KeepProblem, Loading, Model, ModelError, Preparation, Preparing, Residence};

const SCALES: &str = "model.layers.0.mlp.experts.gate_up_proj_scales";

type Damage = fn(&mut Vec<u8>);

/// Opens a checkpoint, keeping what is prepared in `dir`; with what was told of it.
fn open(checkpoint: &Path, dir: &Path, int8: bool) -> (Result<Model, ModelError>, Vec<String>) {
    open_as(checkpoint, dir, int8, Loading::Never)
}

/// The same, loading or mapping what is kept.
fn open_as(
    checkpoint: &Path,
    dir: &Path,
    int8: bool,
    loading: Loading,
) -> (Result<Model, ModelError>, Vec<String>) {
    let told = RefCell::new(Vec::new());
    let listener = |preparing: &Preparing| {
        told.borrow_mut().push(match preparing {
            Preparing::Made { n_bytes, n_all } if n_bytes == n_all => "made".to_owned(),
            Preparing::Loaded { n_bytes, n_all } if n_bytes == n_all => "loaded".to_owned(),
            Preparing::Made { .. } | Preparing::Loaded { .. } | Preparing::Waiting => return,
            Preparing::NotKept(problem) => problem.to_string(),
            Preparing::NotLoaded(problem) => problem.to_string(),
        });
    };
    let pool = Pool::new(2);
    let preparation = Preparation { pool: &pool, dir: Some(dir), loading, listener: &listener };
    let model = Model::open_with(checkpoint, &preparation)
        .and_then(|model| if int8 { model.with_int8_dense(&preparation) } else { Ok(model) });
    (model, told.into_inner())
}

/// Some rows of every kind of matrix.
fn rows(model: &Model) -> Vec<u32> {
    let (weights, kernels) = (model.weights(), Kernels::detect());
    let mut out = Vec::new();
    let mut add = |w: Matrix<'_>| {
        for row in [0, w.n_out() / 2, w.n_out() - 1] {
            let mut values = vec![0.0; w.n_in()];
            kernels.unpack_rows(&w, row, &mut values);
            out.extend(values.iter().map(|value| value.to_bits()));
        }
    };
    for layer in &weights.layers {
        for expert in 0..model.config().num_local_experts {
            add(weights.expert(&layer.gate_up, expert));
            add(weights.expert(&layer.down, expert));
        }
        for dense in [&layer.q, &layer.k, &layer.v, &layer.o] {
            add(weights.dense(dense));
        }
    }
    add(weights.dense(&weights.head));
    out
}

/// Files of prepared weights in a folder, and whatever else is not a lock.
fn files(dir: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("readable").path());
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension().is_none_or(|ending| ending != "lock")).collect();
    paths.sort();
    paths
}

#[test]
fn a_later_run_maps_what_the_first_one_made() {
    let dir = tempfile::tempdir().expect("a folder");
    let kept = dir.path().join("below");
    let in_memory = Model::open(&fixture("tiny-a")).expect("the fixture opens");
    let pool = Pool::new(1);
    let as_int8 = Model::open(&fixture("tiny-a"))
        .and_then(|model| model.with_int8_dense(&Preparation::in_memory(&pool)))
        .expect("96 inputs");
    for (int8, expected) in [(false, &in_memory), (true, &as_int8)] {
        let (first, told) = open(&fixture("tiny-a"), &kept, int8);
        assert_eq!(told, ["made"], "int8 {int8}");
        let inodes = || files(&kept).iter().map(|path| path.metadata().unwrap().ino()).collect();
        let before: Vec<u64> = inodes();
        let (second, told) = open(&fixture("tiny-a"), &kept, int8);
        assert!(told.is_empty(), "{told:?}");
        assert_eq!(inodes(), before);
        for model in [first, second] {
            let model = model.expect("the fixture opens");
            assert_eq!(rows(&model), rows(expected), "int8 {int8}");
            assert_eq!(model.fingerprint(), expected.fingerprint());
        }
    }
    assert_eq!(files(&kept).len(), 2);
}

#[test]
fn what_is_loaded_is_what_is_mapped() {
    let dir = tempfile::tempdir().expect("a folder");
    let (always, in_large) = (Loading::Always { spare: 0 }, Loading::InLargePages { spare: 0 });
    // A file of less than a large page lies in small ones; whether memory has others is the system's choice.
    let thp = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    let has_large = !thp.is_empty() && !thp.contains("[never]");
    let (told_in_large, in_memory): (&[&str], _) =
        if has_large { (&["loaded"], true) } else { (&[], false) };
    for (loading, told, in_memory) in [
        (always, &["made", "loaded"][..], true),
        (always, &["loaded"], true),
        (in_large, told_in_large, in_memory),
    ] {
        let (loaded, heard) = open_as(&fixture("tiny-a"), dir.path(), false, loading);
        assert_eq!(heard, told);
        let (mapped, heard) = open(&fixture("tiny-a"), dir.path(), false);
        assert!(heard.is_empty(), "{heard:?}");
        let (loaded, mapped) = (loaded.expect("it opens"), mapped.expect("it opens"));
        assert_eq!(rows(&loaded), rows(&mapped));
        assert_eq!(loaded.fingerprint(), mapped.fingerprint());
        let small = Residence::Mapped { large_pages: false };
        assert_eq!(mapped.weights().residence(), small);
        assert_eq!(loaded.weights().residence(), if in_memory { Residence::Memory } else { small });
    }
}

#[test]
fn what_memory_has_no_room_for_stays_mapped() {
    let dir = tempfile::tempdir().expect("a folder");
    let expected = rows(&Model::open(&fixture("tiny-a")).expect("the fixture opens"));
    open(&fixture("tiny-a"), dir.path(), false).0.expect("the fixture opens");
    let loading = Loading::Always { spare: u64::MAX };
    let (model, told) = open_as(&fixture("tiny-a"), dir.path(), false, loading);
    let model = model.expect("the fixture opens");
    assert!(
        told.len() == 1 && told[0].contains("loading weights needs 18446744073.7 GB"),
        "{told:?}"
    );
    assert_eq!(model.weights().residence(), Residence::Mapped { large_pages: false });
    assert_eq!(rows(&model), expected);
}

#[test]
fn what_is_cut_short_while_it_is_loaded_is_made_anew() {
    let dir = tempfile::tempdir().expect("a folder");
    let expected = rows(&Model::open(&fixture("tiny-a")).expect("the fixture opens"));
    open(&fixture("tiny-a"), dir.path(), false).0.expect("the fixture opens");
    let [file] = &files(dir.path())[..] else { panic!("one file") };
    let sound = fs::read(file).expect("readable");
    let n_made = Cell::new(0);
    let listener = |preparing: &Preparing| match preparing {
        Preparing::Loaded { n_bytes: 0, .. } if n_made.get() == 0 => {
            File::options().write(true).open(file).unwrap().set_len(5000).expect("writable");
        }
        Preparing::Made { n_bytes, n_all } if n_bytes == n_all => n_made.set(n_made.get() + 1),
        _ => {}
    };
    let pool = Pool::new(2);
    let loading = Loading::Always { spare: 0 };
    let preparation =
        Preparation { pool: &pool, dir: Some(dir.path()), loading, listener: &listener };
    let model = Model::open_with(&fixture("tiny-a"), &preparation).expect("the fixture opens");
    assert_eq!((rows(&model), n_made.get()), (expected, 1));
    assert_eq!(fs::read(file).expect("readable"), sound);
}

#[test]
fn what_is_damaged_or_of_another_checkpoint_is_made_anew() {
    let dir = tempfile::tempdir().expect("a folder");
    let expected = rows(&Model::open(&fixture("tiny-a")).expect("the fixture opens"));
    open(&fixture("tiny-a"), dir.path(), false).0.expect("the fixture opens");
    let [file] = &files(dir.path())[..] else { panic!("one file") };
    let sound = fs::read(file).expect("readable");
    let damages: [(&str, Damage); 6] = [
        ("empty", Vec::clear),
        ("cut short", |bytes| bytes.truncate(bytes.len() - 1)),
        ("longer", |bytes| bytes.push(0)),
        ("another layout", |bytes| bytes[16] ^= 1),
        ("another source", |bytes| bytes[32] ^= 1),
        ("a lost end", |bytes| bytes.iter_mut().rev().take(100).for_each(|byte| *byte = 0)),
    ];
    for (what, damage) in damages {
        let mut bytes = sound.clone();
        damage(&mut bytes);
        fs::write(file, bytes).expect("writable");
        let (model, told) = open(&fixture("tiny-a"), dir.path(), false);
        assert_eq!(told, ["made"], "{what}");
        assert_eq!(rows(&model.expect("the fixture opens")), expected, "{what}");
        assert_eq!(fs::read(file).expect("readable"), sound, "{what}");
    }
}

#[test]
fn what_is_written_anew_is_prepared_anew() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut copy = Broken::copy_of("tiny-a");
    let (before, _) = open(copy.path(), dir.path(), false);
    copy.poison("model-00000-of-00002.safetensors", SCALES, 0, 1);
    let (after, told) = open(copy.path(), dir.path(), false);
    assert_eq!(told, ["made"]);
    assert_eq!(files(dir.path()).len(), 2, "each has its own");
    let (before, after) = (before.expect("it opens"), after.expect("it opens"));
    assert_ne!(rows(&before), rows(&after));
    assert_ne!(before.fingerprint(), after.fingerprint());
}

#[test]
fn experts_that_are_not_packed_need_no_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let (model, told) = open(&fixture("tiny-plain"), &dir.path().join("below"), false);
    assert!(model.is_ok() && told.is_empty(), "{told:?}");
    assert!(!dir.path().join("below").exists());
}

#[test]
fn a_folder_that_goes_away_meanwhile_costs_nothing_but_the_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let kept = dir.path().join("kept");
    let problems = RefCell::new(Vec::new());
    let listener = |preparing: &Preparing| match preparing {
        Preparing::NotKept(problem) => problems.borrow_mut().push(problem.to_string()),
        _ => drop(fs::remove_dir_all(&kept)),
    };
    let pool = Pool::new(1);
    let preparation =
        Preparation { dir: Some(&kept), listener: &listener, ..Preparation::in_memory(&pool) };
    let model = Model::open_with(&fixture("tiny-a"), &preparation).expect("the fixture opens");
    let expected = Model::open(&fixture("tiny-a")).expect("the fixture opens");
    assert_eq!(rows(&model), rows(&expected));
    assert_eq!(problems.into_inner().len(), 1);
}

#[test]
fn where_nothing_can_be_kept_it_is_made_in_memory() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("file");
    fs::write(&file, "no folder").expect("writable");
    let (model, told) = open(&fixture("tiny-a"), &file.join("below"), false);
    let expected = rows(&Model::open(&fixture("tiny-a")).expect("the fixture opens"));
    assert_eq!(rows(&model.expect("the fixture opens")), expected);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("prepared weights cannot be kept there"), "{told:?}");
    assert_eq!(told[1], "made");
}

#[test]
fn a_disk_without_room_is_told_in_numbers() {
    let problem =
        KeepProblem::NoRoom { path: "DIR/x".into(), n_needed: 13_500_000_000, n_free: 900_000_000 };
    assert_eq!(
        problem.to_string(),
        "DIR/x: prepared weights need 13.5 GB with what should stay free, and 0.9 GB are free"
    );
}

#[test]
fn scales_that_are_no_numbers_leave_nothing_behind() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut copy = Broken::copy_of("tiny-a");
    copy.poison("model-00000-of-00002.safetensors", SCALES, 3, 255);
    let (model, _) = open(copy.path(), dir.path(), false);
    assert!(matches!(model, Err(ModelError::NanScale { position: 3, .. })), "{model:?}");
    assert!(files(dir.path()).is_empty());
}

#[test]
fn many_at_once_make_it_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let n_made = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let (model, told) = open(&fixture("tiny-a"), dir.path(), false);
                model.expect("the fixture opens");
                n_made.fetch_add(told.len(), Ordering::Relaxed);
            });
        }
    });
    assert_eq!(n_made.into_inner(), 1);
}
