//! Connections that break, processes that end too early, and bytes that are not what they should be.

use std::fs;

use serde_json::json;

use crate::server::{Reply, Trouble};
use crate::{SHARD_1, SHARD_2, World, bytes_of};

fn cut(file: &str, after: &[usize]) -> Trouble {
    let cuts = [(file.to_owned(), after.iter().copied().collect())].into();
    Trouble { cuts, ..Trouble::default() }
}

fn ranges(world: &World, file: &str) -> Vec<Option<String>> {
    world.hub.fetches(file).into_iter().map(|seen| seen.range).collect()
}

#[test]
fn a_cut_download_goes_on_where_it_broke() {
    let world = World::new(cut(SHARD_1, &[100_000, 50_000]));
    let run = world.run(&["pull", "20b"]);
    assert_eq!(run.code, 0, "{}", run.err);
    world.assert_whole();
    let expected = [None, Some("bytes=100000-".to_owned()), Some("bytes=150000-".to_owned())];
    assert_eq!(ranges(&world, SHARD_1), expected);
    // The storage is asked to go on only with the very bytes that it began with.
    let tags: Vec<_> = world.hub.fetches(SHARD_1).into_iter().map(|seen| seen.if_range).collect();
    let tag = Some("\"tag-of-the-storage\"".to_owned());
    assert_eq!(tags, [None, tag.clone(), tag]);
}

#[test]
fn the_next_process_goes_on_too() {
    // Measured, fetched from the hub and from its storage, cut; when it goes on, the file is gone.
    let gone = Reply { path: SHARD_1, skips: 3, times: 1, status: 404, ..Reply::default() };
    let world = World::new(Trouble { replies: vec![gone], ..cut(SHARD_1, &[100_000]) });
    let run = world.run(&["pull", "20b"]);
    assert_eq!(run.code, 2, "{}", run.err);
    let model = &world.list()[0];
    assert_eq!((&model["state"], &model["revisions"]), (&json!("partial"), &json!([])));
    assert_eq!(model["missing"][0], json!(SHARD_1));
    let run = world.run(&["info", "20b"]);
    assert!(run.err.contains("partly") && run.err.contains("model pull 20b"), "{}", run.err);

    world.hub.set_trouble(Trouble::default());
    world.hub.forget();
    let run = world.run(&["pull", "20b"]);
    assert_eq!(run.code, 0, "{}", run.err);
    world.assert_whole();
    assert_eq!(ranges(&world, SHARD_1), [Some("bytes=100000-".to_owned())]);
}

#[test]
fn a_server_without_ranges_sends_all_of_it_again() {
    let trouble = Trouble { ignores_ranges: true, ..cut(SHARD_1, &[100_000]) };
    let world = World::new(trouble);
    let run = world.run(&["pull", "20b"]);
    assert_eq!(run.code, 0, "{}", run.err);
    world.assert_whole();
}

#[test]
fn altered_bytes_never_become_a_file() {
    let world = World::new(Trouble { alters: Some(SHARD_2.to_owned()), ..Trouble::default() });
    let run = world.run(&["pull", "20b"]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains(&format!("{SHARD_2} is damaged")), "{}", run.err);
    assert!(run.err.contains("hint:"), "{}", run.err);
    assert!(!world.snapshot().join(SHARD_2).exists());
    assert!(!world.incomplete(SHARD_2).exists());
    assert_eq!(world.list()[0]["state"], json!("partial"));
}

#[test]
fn foreign_bytes_in_an_unfinished_file_are_thrown_away() {
    for junk in [vec![0; 1000], vec![0; bytes_of(SHARD_1).len()], vec![0; 1_000_000]] {
        let world = World::new(Trouble::default());
        let path = world.incomplete(SHARD_1);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &junk).unwrap();
        let run = world.run(&["pull", "20b"]);
        assert_eq!(run.code, 0, "{}", run.err);
        world.assert_whole();
    }
}
