//! Keeps the house in shape: floors, `unsafe`, file sizes, lints in one place.
//!
//! Each rule returns what it found as lines `path: what is wrong`; `run` fails when any rule
//! found something. The rules run as a test too, so that `cargo test` alone notices.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The floors, lowest first. A crate uses lower floors only.
const FLOORS: &[(&str, u8)] = &[
    ("kernels", 1),
    ("policy", 1),
    ("model", 2),
    ("engine", 3),
    ("store", 3),
    ("reasoner", 4),
    ("cascade", 4),
    ("server", 5),
    ("cli", 6),
];

/// Where `unsafe` may stand: the kernels, and the checkpoint's memory map.
const UNSAFE_HOMES: &[&str] = &["crates/kernels/", "crates/model/src/checkpoint/map.rs"];

/// Crates that lower floors must not compile, with the lowest floor that may.
const HEAVY: &[(&str, u8)] = &[("tokio", 3), ("sqlx", 3), ("rustls", 4), ("reqwest", 4)];

/// A file is one idea: more lines than this hold two.
const MAX_LINES: usize = 800;

pub(crate) fn run(root: &Path) -> Result<()> {
    let found = check(root)?;
    if found.is_empty() {
        return Ok(());
    }
    for line in &found {
        eprintln!("{line}");
    }
    bail!("tidy found {} thing(s) out of place", found.len())
}

fn check(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for folder in crates(root)? {
        floors(root, &folder, &mut found)?;
    }
    for file in sources(root)? {
        let text = fs::read_to_string(&file)?;
        let name = relative(root, &file);
        shape(&name, &text, &mut found);
        unsafe_at_home(&name, &text, &mut found);
    }
    architecture(root, &mut found)?;
    Ok(found)
}

/// Imports go downwards only, and heavy dependencies stay upstairs.
fn floors(root: &Path, folder: &Path, found: &mut Vec<String>) -> Result<()> {
    let manifest = folder.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).with_context(|| manifest.display().to_string())?;
    let table: toml::Table = text.parse().with_context(|| manifest.display().to_string())?;
    let name = file_name(folder);
    let at = relative(root, &manifest);
    let Some(floor) = floor(&name) else {
        found.push(format!("{at}: crate `{name}` has no floor; give it one in xtask/src/tidy.rs"));
        return Ok(());
    };
    if table.get("lints").and_then(|l| l.get("workspace")).is_none() {
        found.push(format!("{at}: lints live in the workspace; write `[lints] workspace = true`"));
    }
    let dependencies = table.get("dependencies").and_then(toml::Value::as_table);
    for used in dependencies.into_iter().flat_map(toml::Table::keys) {
        if let Some(below) = self::floor(used)
            && below >= floor
        {
            found.push(format!("{at}: `{name}` (floor {floor}) uses `{used}` (floor {below})"));
        }
        if let Some((_, lowest)) = HEAVY.iter().find(|(heavy, _)| heavy == used)
            && floor < *lowest
        {
            found.push(format!("{at}: `{used}` may be compiled from floor {lowest} upwards only"));
        }
    }
    Ok(())
}

fn floor(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(known, _)| *known == name).map(|(_, floor)| *floor)
}

/// Every file opens with what it is for, and holds one idea.
fn shape(name: &str, text: &str, found: &mut Vec<String>) {
    let opens = text.lines().find(|line| !line.is_empty() && !line.starts_with("#!["));
    if !name.contains("/tests/") && !opens.is_some_and(|line| line.starts_with("//!")) {
        found.push(format!("{name}:1: does not open with `//!`, what the file is for"));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        found.push(format!("{name}: {lines} lines; a file is one idea (at most {MAX_LINES})"));
    }
}

fn unsafe_at_home(name: &str, text: &str, found: &mut Vec<String>) {
    if UNSAFE_HOMES.iter().any(|home| name.starts_with(home)) || name.starts_with("xtask/") {
        return;
    }
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        if code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe") {
            let at = number + 1;
            found.push(format!("{name}:{at}: `unsafe` outside the kernels and the checkpoint map"));
        }
    }
}

/// The map names every crate.
fn architecture(root: &Path, found: &mut Vec<String>) -> Result<()> {
    let map = fs::read_to_string(root.join("ARCHITECTURE.md")).context("ARCHITECTURE.md")?;
    for folder in crates(root)? {
        let name = file_name(&folder);
        if !map.contains(&format!("`{name}`")) {
            found.push(format!("ARCHITECTURE.md: does not name the crate `{name}`"));
        }
    }
    Ok(())
}

fn crates(root: &Path) -> Result<Vec<PathBuf>> {
    let mut folders: Vec<PathBuf> = fs::read_dir(root.join("crates"))?
        .map(|entry| entry.map(|e| e.path()))
        .collect::<std::io::Result<_>>()?;
    folders.retain(|folder| folder.join("Cargo.toml").exists());
    folders.sort();
    Ok(folders)
}

fn sources(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![root.join("crates"), root.join("xtask")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        assert_eq!(check(&crate::root()).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn unsafe_is_noticed_and_talk_of_it_is_not() {
        let mut found = Vec::new();
        unsafe_at_home("crates/engine/src/a.rs", "// unsafe\nlet x = unsafe_code;\n", &mut found);
        assert_eq!(found, Vec::<String>::new());
        unsafe_at_home("crates/engine/src/a.rs", "let x = unsafe { y };\n", &mut found);
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn upward_imports_are_noticed() {
        let root = std::env::temp_dir().join(format!("xtask-tidy-{}", std::process::id()));
        let folder = root.join("crates/model");
        fs::create_dir_all(&folder).unwrap();
        let manifest = "[lints]\nworkspace = true\n[dependencies]\nengine.workspace = true\n";
        fs::write(folder.join("Cargo.toml"), format!("{manifest}reqwest.workspace = true\n"))
            .unwrap();
        let mut found = Vec::new();
        floors(&root, &folder, &mut found).unwrap();
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
