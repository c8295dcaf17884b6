//! The unit of systemd: its own checks, and its command line as systemd would start it.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{read, shutdown_s};
use crate::Service;

/// How exposed systemd may find it, of 100.
const MOST_EXPOSED: &str = "20";

/// What a unit says under `[Service]`, in order.
struct Unit(Vec<(String, String)>);

impl Unit {
    /// With `%S` and `%C` as on a machine whose root is this folder.
    fn parse(text: &str, root: &Path) -> Unit {
        let (_, service) = text.split_once("[Service]\n").unwrap();
        let (service, _) = service.split_once("\n[").unwrap();
        let lines = service.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let expand = |value: &str| {
            let of = |folder: &str| root.join(folder).display().to_string();
            value.replace("%S", &of("var/lib")).replace("%C", &of("var/cache"))
        };
        let entry = |line: &str| {
            let (key, value) = line.split_once('=').unwrap();
            assert!(!expand(value).contains('%'), "an unknown specifier: {line}");
            (key.to_owned(), expand(value))
        };
        Unit(lines.map(entry).collect())
    }

    fn all<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |it| it.0 == key).map(|it| &*it.1)
    }

    fn one(&self, key: &str) -> &str {
        self.all(key).last().unwrap_or_else(|| panic!("no {key}="))
    }
}

/// Starts a unit's command line with the environment that systemd would give it, which is next to none.
pub(super) fn start(unit: &Path, root: &Path, log: Stdio) -> Service {
    let unit = Unit::parse(&std::fs::read_to_string(unit).unwrap(), root);
    for (key, folder) in [("StateDirectory", "var/lib"), ("CacheDirectory", "var/cache")] {
        std::fs::create_dir_all(root.join(folder).join(unit.one(key))).unwrap();
    }
    let words: Vec<&str> = unit.one("ExecStart").split(' ').collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(unit.one("WorkingDirectory")).stdin(Stdio::null());
    command.env_clear().env("PATH", "/usr/bin:/bin");
    let mut set = |line: &str| {
        let (name, value) = line.split_once('=').unwrap();
        command.env(name, value);
    };
    unit.all("Environment").for_each(&mut set);
    for file in unit.all("EnvironmentFile") {
        // After `-`, a file that may be missing.
        let text = std::fs::read_to_string(file.strip_prefix('-').unwrap_or(file));
        text.unwrap_or_default().lines().for_each(&mut set);
    }
    Service::spawn(command, log)
}

#[test]
fn it_waits_longer_than_the_service_takes_to_stop() {
    let unit = Unit::parse(&read("safeguard.service"), Path::new("/"));
    let patience: f64 = unit.one("TimeoutStopSec").parse().unwrap();
    assert!(patience > shutdown_s());
}

#[test]
fn systemd_finds_it_hardly_exposed() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("safeguard.service");
    std::fs::write(&unit, read("safeguard.service")).unwrap();
    let mut analyze = Command::new("systemd-analyze");
    analyze.args(["security", "--offline=yes", "--threshold", MOST_EXPOSED]).arg(&unit);
    let Ok(output) = analyze.output() else {
        eprintln!("SKIPPED: no systemd-analyze here");
        return;
    };
    let told = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{wrong}");
}
