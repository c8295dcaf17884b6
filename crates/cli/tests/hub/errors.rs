//! What people are told when a model cannot be pulled: an error, a hint, exit status 2.

use serde_json::json;

use crate::server::{Hub, Reply, Trouble};
use crate::{REPO, SHARD_1, SHARD_2, TOKEN, World, repository};

const LIST: &str = "/revision/main";

/// The hub answers `times` times with a status and its code.
fn reply(path: &'static str, times: usize, status: u16, code: &str) -> Trouble {
    let mut headers = vec![("x-error-message", "said by the hub".to_owned())];
    if !code.is_empty() {
        headers.push(("x-error-code", code.to_owned()));
    }
    Trouble {
        replies: vec![Reply { path, skips: 0, times, status, headers }],
        ..Trouble::default()
    }
}

fn check(trouble: Trouble, vars: &[(&str, &str)], error: &str, hint: &str) {
    check_world(&World::new(trouble), vars, error, hint);
}

fn check_world(world: &World, vars: &[(&str, &str)], error: &str, hint: &str) {
    let run = world.run_with(vars, &["pull", "20b"]);
    let told = &run.err;
    assert_eq!((run.code, run.out.as_str()), (2, ""), "{told}");
    let (before, after) = told.split_once("hint:").expect("a hint");
    assert!(before.contains("error:") && before.contains(error), "{error:?} is not in\n{told}");
    assert!(after.contains(hint), "{hint:?} is not in\n{told}");
}

#[test]
fn refusals_say_what_to_do() {
    let token = [("HF_TOKEN", TOKEN)];
    let file = SHARD_1;
    for (path, status, code, vars, error, hint) in [
        (LIST, 401, "RepoNotFound", &[][..], "does not know who asks", "is the name right?"),
        (LIST, 401, "", &token, "said by the hub", "wrong or has expired"),
        (file, 401, "GatedRepo", &[], "is gated", "accept the terms at http://"),
        (file, 403, "GatedRepo", &token, "is gated", "with the token's account"),
        (file, 403, "", &token, "refuses access", "permission to read"),
        (LIST, 404, "RepoNotFound", &[], "no repository openai/", "is the name right?"),
        (LIST, 404, "RevisionNotFound", &[], "no revision \"main\"", "a branch, a tag"),
        (file, 404, "EntryNotFound", &[], "lists model-0", "try again"),
        (LIST, 418, "", &[], "answers 418: said by the hub", "later"),
    ] {
        check(reply(path, 1, status, code), vars, error, hint);
    }
}

#[test]
fn a_busy_hub_is_asked_again() {
    let later = vec![("retry-after", "0".to_owned())];
    for (path, status) in [(LIST, 429), (SHARD_1, 503), ("config.json", 500)] {
        let replies = vec![Reply { path, skips: 0, times: 2, status, headers: later.clone() }];
        let world = World::new(Trouble { replies, ..Trouble::default() });
        let run = world.run(&["pull", "20b"]);
        assert_eq!(run.code, 0, "{}", run.err);
        assert!(run.err.contains("trying again in 0.0 s"), "{}", run.err);
        world.assert_whole();
    }
}

#[test]
fn a_hub_that_stays_busy_is_left_alone() {
    let replies = |status| {
        let headers = vec![("retry-after", "0".to_owned())];
        vec![Reply { path: LIST, skips: 0, times: 99, status, headers }]
    };
    let trouble = |status| Trouble { replies: replies(status), ..Trouble::default() };
    check(trouble(429), &[], "fewer requests", "HF_TOKEN");
    check(trouble(502), &[], "answers 502", "later");
}

#[test]
fn no_network_is_told_at_once() {
    let world = World::new(Trouble::default());
    // Port 9 discards; nobody listens there.
    let vars = [("HF_ENDPOINT", "http://127.0.0.1:9")];
    check_world(&world, &vars, "127.0.0.1:9 cannot be reached", "HF_ENDPOINT a mirror");
    check_world(&world, &[("HF_ENDPOINT", "hub")], "no http or https address", "https://");
}

#[test]
fn a_silent_hub_counts_as_broken() {
    let thinks = std::time::Duration::from_secs(3);
    let world = World::new(Trouble { thinks, ..Trouble::default() });
    let run = world.command(&["pull", "20b"]).env("HF_HUB_DOWNLOAD_TIMEOUT", "1").spawn().unwrap();
    let mut run = run;
    // Five attempts with growing pauses would take too long here: the second is enough to see.
    while world.hub.fetches(SHARD_1).len() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    world.hub.set_trouble(Trouble::default());
    assert_eq!(world.run(&["pull", "20b"]).code, 0);
    world.assert_whole();
}

#[test]
fn offline_only_the_cache_is_asked() {
    let world = World::new(Trouble::default());
    let vars = [("HF_HUB_OFFLINE", "1")];
    check_world(&world, &vars, "HF_HUB_OFFLINE", "HF_HUB_OFFLINE=0 safeguard model pull 20b");
    assert!(world.hub.seen().is_empty());
    assert_eq!(world.run(&["pull", "20b"]).code, 0);
    world.hub.forget();
    let run = world.run_with(&vars, &["pull", "20b"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(run.out.trim(), world.snapshot().display().to_string());
    assert!(world.hub.seen().is_empty());
}

#[test]
fn what_cannot_fit_is_not_begun() {
    let claims = Some((SHARD_1.to_owned(), 1 << 60));
    let world = World::new(Trouble { claims, ..Trouble::default() });
    check_world(&world, &[], "not enough room", "HF_HOME to a folder on a larger disk");
    assert!(world.hub.fetches(SHARD_1).is_empty() && world.hub.fetches(SHARD_2).is_empty());
}

#[test]
fn sizes_must_agree() {
    let claims = Some((SHARD_1.to_owned(), 1000));
    check(Trouble { claims, ..Trouble::default() }, &[], "300000 bytes, 1000 expected", "again");
}

#[test]
fn names_that_leave_the_folder_are_refused() {
    let lists_also = vec!["../../../.bashrc".to_owned()];
    let world = World::new(Trouble { lists_also, ..Trouble::default() });
    check_world(&world, &[], "../../../.bashrc", "do not use");
    assert!(!world.dir().exists());
}

#[test]
fn a_repository_must_hold_a_whole_model() {
    let world_without = |file: &str| {
        let files: Vec<_> = repository().into_iter().filter(|(name, _)| *name != file).collect();
        World { hub: Hub::start(&files, Trouble::default()), home: tempfile::tempdir().unwrap() }
    };
    check_world(&world_without("config.json"), &[], "no config.json", "gpt-oss models");
    let world = world_without(SHARD_2);
    check_world(&world, &[], &format!("{SHARD_2} missing"), "owner");
    assert_eq!(world.list()[0]["revisions"], json!([]));
}

#[test]
fn a_name_must_be_one() {
    let world = World::new(Trouble::default());
    for name in ["20c", "../x", "a/b/c", "a/b@"] {
        let run = world.run(&["pull", name]);
        assert_eq!(run.code, 2);
        assert!(run.err.contains("hint: write 20b, 120b or ORG/NAME"), "{}", run.err);
    }
    let run = world.run(&["info", REPO]);
    assert!(run.err.contains("hint: safeguard model pull 20b"), "{}", run.err);
}
