//! The Dockerfile, as far as it can be checked where no image can be built.

use std::collections::BTreeSet;
use std::path::Path;

use super::{read, repository};

/// The instructions, with lines that go on put together.
fn instructions() -> Vec<(String, String)> {
    let text = read("Dockerfile").replace("\\\n", " ");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let split = |line: &str| {
        let (name, rest) = line.split_once(' ').unwrap();
        (name.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    lines.map(split).collect()
}

/// The last one of a name.
fn last(name: &str) -> String {
    let found = instructions().into_iter().rev().find(|it| it.0 == name);
    found.unwrap_or_else(|| panic!("no {name}")).1
}

/// What the image runs where nothing else is said, behind its entry point.
pub(super) fn command() -> Vec<String> {
    serde_json::from_str(&last("CMD")).unwrap()
}

/// Paths that come from the repository.
fn sources() -> BTreeSet<String> {
    let mut sources = BTreeSet::new();
    for (_, words) in instructions().iter().filter(|it| it.0 == "COPY") {
        let words: Vec<&str> = words.split(' ').collect();
        if !words[0].starts_with("--from") {
            sources.extend(words[..words.len() - 1].iter().map(|&word| word.to_owned()));
        }
    }
    sources
}

#[test]
fn what_it_copies_is_there_and_not_ignored() {
    let ignored = read("Dockerfile.dockerignore");
    let (first, rest) = ignored.trim_end().split_once('\n').unwrap();
    assert_eq!(first, "*", "everything but");
    let let_in: BTreeSet<String> =
        rest.lines().map(|line| line.strip_prefix('!').unwrap().to_owned()).collect();
    assert_eq!(let_in, sources());
    for source in sources() {
        assert!(repository().join(&source).exists(), "{source}");
    }
}

#[test]
fn it_copies_whatever_the_sources_read_when_they_are_built() {
    let sources = sources();
    let manifest: toml::Table =
        std::fs::read_to_string(repository().join("Cargo.toml")).unwrap().parse().unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap().iter();
    let members = members.map(|it| it.as_str().unwrap().trim_end_matches("/*").to_owned());
    for needed in members.chain(["Cargo.lock".to_owned()]) {
        assert!(sources.contains(&needed), "{needed}");
    }
    // Paths out of a crate: `include_str!` and its like.
    let mut n_found = 0;
    for file in rust_files(&repository().join("crates")) {
        let text = std::fs::read_to_string(&file).unwrap();
        let is_test = file.components().any(|it| it.as_os_str() == "tests");
        let is_reading = text.contains("include_str!") || text.contains("include_bytes!");
        for (at, _) in text.match_indices("../../").filter(|_| is_reading && !is_test) {
            let path = text[at..].split('"').next().unwrap().trim_start_matches("../");
            let is_copied = sources.iter().any(|it| path.starts_with(it.as_str()));
            let is_inside = path.starts_with("assets/");
            assert!(is_copied || is_inside, "{}: {path}", file.display());
            n_found += 1;
        }
    }
    assert!(n_found > 5, "the built-in model and the policies");
}

fn rust_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn it_builds_as_the_page_does_and_runs_as_nobody_in_particular() {
    let page = repository().join("docs/src/guide/production.md");
    let page = std::fs::read_to_string(page).unwrap();
    let all = instructions();
    let build = all.iter().find(|it| it.0 == "RUN" && it.1.starts_with("cargo")).unwrap();
    assert!(page.contains(&build.1), "{}", build.1);
    let manifest: toml::Table = std::fs::read_to_string(repository().join("crates/cli/Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let (_, features) = build.1.split_once("--features ").unwrap();
    assert!(
        features.split(',').all(|it| manifest["features"].as_table().unwrap().contains_key(it))
    );
    let built = format!("--from=build {}/target/release/safeguard ", {
        &all.iter().find(|it| it.0 == "WORKDIR").unwrap().1
    });
    let program = all.iter().find_map(|it| it.1.strip_prefix(&built)).unwrap();
    assert_eq!(last("ENTRYPOINT"), format!("[\"{program}\"]"));
    let user = last("USER");
    let uid = user.split(':').next().unwrap();
    assert!(uid.parse::<u32>().unwrap() > 0);
    assert!(all.iter().any(|it| it.1.contains(&format!("useradd --system --uid {uid} "))));
    // The compiler is as new as the workspace wants it.
    let workspace = std::fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    let workspace: toml::Table = workspace.parse().unwrap();
    let needed = workspace["workspace"]["package"]["rust-version"].as_str().unwrap();
    assert!(all[0].1.starts_with(&format!("rust:{needed}-")), "{}", all[0].1);
}
