//! `docs/src/guide/webhooks.md`, run as a reader runs it: every file written, every command given, in the page's
//! order. What ends with `&` stays until the test's end.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::clients::python_with;
use crate::page::{self, Step};

#[test]
fn every_command_of_the_page_does_what_the_page_says() {
    let Some(python) = python_with("openai") else { return };
    for program in ["curl", "jq", "openssl"] {
        if Command::new(program).arg("--version").output().is_err() {
            eprintln!("SKIPPED: the page uses {program}, which is not here");
            return;
        }
    }
    let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/guide/webhooks.md");
    let text = std::fs::read_to_string(text).unwrap();
    // The page's ports may be taken, here or by another test.
    let (serves, hears) = (port(), port());
    let text = text
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{serves}"))
        .replace("127.0.0.1:9000", &format!("127.0.0.1:{hears}"))
        .replace("\"127.0.0.1\", 9000", &format!("\"127.0.0.1\", {hears}"));
    let dir = tempfile::tempdir().unwrap();
    let reader =
        Reader { dir: dir.path().to_owned(), python, listen: format!("127.0.0.1:{serves}") };
    let mut running = Vec::new();
    for step in page::steps(&text) {
        match step {
            Step::Write { path, text } => std::fs::write(dir.path().join(path), text).unwrap(),
            Step::Change { path, .. } => panic!("{path} is not to be changed"),
            Step::Run { command, shown, status } => match command.strip_suffix('&') {
                Some(command) => running.push(Running(reader.shell(command).spawn().unwrap())),
                None => reader.run(&command, &shown, status),
            },
        }
    }
    assert_eq!(running.len(), 2);
}

/// A port that nobody has at this moment.
pub(crate) fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

struct Reader {
    dir: PathBuf,
    python: String,
    listen: String,
}

impl Reader {
    /// A shell in the page's folder, in a group of its own, in which `safeguard` and `python3` are the tested ones.
    fn shell(&self, command: &str) -> Command {
        let safeguard = Path::new(env!("CARGO_BIN_EXE_safeguard")).parent().unwrap();
        let python = Path::new(&self.python).parent().unwrap();
        let usual = std::env::var_os("PATH").unwrap_or_default();
        let folders = [safeguard.to_owned(), python.to_owned()].into_iter();
        let path = std::env::join_paths(folders.chain(std::env::split_paths(&usual))).unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(&self.dir).env("PATH", path).stdin(Stdio::null());
        shell.env("SAFEGUARD_LISTEN", &self.listen).env("no_proxy", "127.0.0.1").process_group(0);
        shell
    }

    fn run(&self, command: &str, shown: &[String], status: i32) {
        let output = self.shell(command).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let log = || std::fs::read_to_string(self.dir.join("serve.log")).unwrap_or_default();
        let said = || {
            let wrong = String::from_utf8_lossy(&output.stderr);
            format!("$ {command}\n{printed}{wrong}\n{}", log())
        };
        assert_eq!(output.status.code(), Some(status), "{}", said());
        let printed: Vec<&str> = printed.lines().collect();
        assert!(
            page::is_shown(shown, &printed),
            "the page shows\n{}\nbut\n{}",
            shown.join("\n"),
            said()
        );
    }
}

/// Ended with all that it started.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.0.wait();
    }
}
