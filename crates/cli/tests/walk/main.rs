//! `docs/src/guide/walk.md`, run as a reader runs it: every file written, every command given, in the page's order.
//!
//! Lines of a `console` block that start with `$ ` are commands; what follows is what they print, as far as it is
//! shown. `$ echo $?` shows the exit status of the command before; where it is not shown, it is 0. A line that is a
//! path in bold names the file in the next block: the whole file, or a `diff` of what is there.

#![cfg(unix)]

mod page;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use page::{Step, steps};

#[test]
fn every_command_of_the_page_does_what_the_page_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/guide/walk.md");
    let page = fs::read_to_string(page).expect("the page");
    let dir = tempfile::tempdir().expect("a folder");
    let steps = steps(&page);
    assert!(steps.iter().any(|step| matches!(step, Step::Run { status: 1, .. })), "a failing diff");
    for step in steps {
        match step {
            Step::Write { path, text } => fs::write(dir.path().join(path), text).expect("written"),
            Step::Change { path, hunks } => {
                let path = dir.path().join(path);
                let text = fs::read_to_string(&path).expect("the file that is changed");
                fs::write(path, page::changed(&text, &hunks)).expect("written");
            }
            Step::Run { command, shown, status } => run(dir.path(), &command, &shown, status),
        }
    }
}

fn run(dir: &Path, command: &str, shown: &[String], status: i32) {
    let program = Path::new(env!("CARGO_BIN_EXE_safeguard"));
    let before = std::env::var_os("PATH").unwrap_or_default();
    let folders = [program.parent().expect("a folder").to_owned()];
    let paths = std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&before)));
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(dir)
        .env("PATH", paths.expect("folders without separators"))
        .env("SAFEGUARD_CACHE", dir.join("cache"))
        .env_remove("SAFEGUARD_ISA")
        .env_remove("CLICOLOR_FORCE")
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    let printed = String::from_utf8_lossy(&output.stdout);
    let said = format!("$ {command}\n{printed}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{said}");
    let printed: Vec<&str> = printed.lines().collect();
    assert!(page::is_shown(shown, &printed), "the page shows\n{}\nbut\n{said}", shown.join("\n"));
}
