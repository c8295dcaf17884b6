//! `docs/src/guide/production.md`, followed as a reader follows it, on a machine that is a folder. Where the page
//! says `systemctl` or `docker compose`, the command lines of the unit and of the Compose file are run.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tokio::runtime::Runtime;

use super::compose::{Compose, copy};
use super::{read_yaml, repository, unit};
use crate::Service;
use crate::page::{self, Step};
use crate::place::Place;
use crate::program;
use crate::webhooks::port;

const COMPOSE: &str = "docker compose -f deploy/compose.yaml ";

#[test]
fn every_command_of_the_page_does_what_the_page_says() {
    for program in ["curl", "jq", "openssl", "sqlite3", "pg_dump", "systemd-analyze"] {
        if Command::new(program).arg("--version").output().is_err() {
            eprintln!("SKIPPED: the page uses {program}, which is not here");
            return;
        }
    }
    let runtime = Runtime::new().unwrap();
    let Some(place) = runtime.block_on(Place::postgres()) else { return };
    if read_yaml("compose.yaml").is_none() {
        return;
    }
    let text = std::fs::read_to_string(repository().join("docs/src/guide/production.md")).unwrap();
    let mut machine = Machine::new(&place);
    let mut n_run = 0;
    for step in page::steps(&text) {
        let Step::Run { command, shown, status } = step else { panic!("the page writes no file") };
        machine.follow(&command, &shown, status);
        n_run += 1;
    }
    assert!(n_run > 20);
    machine.end();
    runtime.block_on(place.remove());
}

/// A folder with what the page counts on: `repository` is where its reader is.
struct Machine<'a> {
    folder: tempfile::TempDir,
    place: &'a Place,
    /// Ports of the unit's service and of Compose's.
    ports: [u16; 2],
    /// The one that was started last.
    port: u16,
    unit: Option<Service>,
    compose: Option<Service>,
}

impl Machine<'_> {
    fn new(place: &Place) -> Machine<'_> {
        let folder = tempfile::tempdir().unwrap();
        let ports = [port(), port()];
        let machine = Machine { folder, place, ports, port: ports[0], unit: None, compose: None };
        let here = machine.path("repository");
        copy(&repository().join("policies"), &here.join("policies"));
        std::fs::create_dir_all(machine.path("var/backups")).unwrap();
        std::fs::create_dir_all(here.join("target/release")).unwrap();
        std::fs::copy(program::program(), here.join("target/release/safeguard")).unwrap();
        std::fs::create_dir(here.join("deploy")).unwrap();
        for name in ["safeguard.toml", "safeguard.service"] {
            let text = machine.own(&super::read(name));
            std::fs::write(here.join("deploy").join(name), text).unwrap();
        }
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// A text with this machine's paths and port in the place of those that every machine has.
    fn own(&self, text: &str) -> String {
        let root = self.folder.path().display();
        let text = text.replace("127.0.0.1:8080", &format!("127.0.0.1:{}", self.port));
        ["/usr/local/bin/", "/etc/", "/var/"]
            .iter()
            .fold(text, |text, path| text.replace(path, &format!("{root}{path}")))
    }

    fn follow(&mut self, command: &str, shown: &[String], status: i32) {
        let command = command.strip_prefix("sudo ").unwrap_or(command).replace("| sudo ", "| ");
        if let Some(rest) = command.strip_prefix("systemctl ") {
            self.manage(rest);
        } else if let Some(rest) = command.strip_prefix(COMPOSE) {
            self.compose(rest, shown);
        } else {
            self.run(self.shell(&self.own(&command)), &command, shown, status);
        }
    }

    fn manage(&mut self, command: &str) {
        let starts = match command {
            "enable --now safeguard" | "start safeguard" | "restart safeguard" => true,
            "stop safeguard" => false,
            _ => panic!("systemctl {command}"),
        };
        stop(self.unit.take());
        if starts {
            let unit = self.path("etc/systemd/system/safeguard.service");
            self.unit = Some(unit::start(&unit, self.folder.path(), self.log()));
            self.port = self.ports[0];
        }
    }

    fn compose(&mut self, command: &str, shown: &[String]) {
        let (root, deploy) = (self.path("container"), self.path("repository/deploy"));
        let file = Compose::read(&deploy, &root, self.place, self.ports[1]).unwrap();
        if command == "up -d" {
            // The key that was made is why it may listen to others.
            self.compose = Some(file.start(&self.path("usr/local/bin/safeguard"), self.log()));
            self.port = self.ports[1];
        } else if command == "stop safeguard" {
            stop(self.compose.take());
        } else if let Some(args) = command.strip_prefix("run --rm -T ") {
            let mut shell = self.shell(args);
            shell.envs(&file.environment);
            self.run(shell, command, shown, 0);
        } else if let Some(program) = command.strip_prefix("exec -T postgres ") {
            let named = |program: String, flag: &str| {
                program
                    .replace(&format!("{flag} safeguard"), &format!("{flag} '{}'", self.place.url))
            };
            let program = ["-Fc", "-d"].into_iter().fold(program.to_owned(), named);
            self.run(self.shell(&program), command, shown, 0);
        } else {
            panic!("docker compose {command}");
        }
    }

    /// A shell in which `safeguard` is what was installed.
    fn shell(&self, command: &str) -> Command {
        let usual = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{usual}", self.path("usr/local/bin").display());
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(self.path("repository")).stdin(Stdio::null());
        shell.env("PATH", path).env("no_proxy", "127.0.0.1").env_remove("SAFEGUARD_STORE");
        shell
    }

    fn run(&self, mut shell: Command, command: &str, shown: &[String], status: i32) {
        let output = shell.output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let wrong = String::from_utf8_lossy(&output.stderr);
        let log = || std::fs::read_to_string(self.path("serve.log")).unwrap_or_default();
        let said = || format!("$ {command}\n{printed}{wrong}\n{}", log());
        assert_eq!(output.status.code(), Some(status), "{}", said());
        let printed: Vec<&str> = printed.lines().collect();
        assert!(page::is_shown(shown, &printed), "the page shows {shown:?}, but\n{}", said());
    }

    fn log(&self) -> Stdio {
        let log = File::options().append(true).create(true).open(self.path("serve.log"));
        Stdio::from(log.unwrap())
    }

    /// Both run, as the page leaves them, with the secret that it made and without any in the log.
    fn end(mut self) {
        stop(Some(self.unit.take().expect("the unit runs")));
        stop(Some(self.compose.take().expect("Compose's service runs")));
        let secrets = std::fs::read_to_string(self.path("etc/safeguard/secrets.env")).unwrap();
        let (_, secret) = secrets.trim().split_once("whsec_").unwrap();
        assert_eq!(secret.len(), 44);
        let log = std::fs::read_to_string(self.path("serve.log")).unwrap();
        assert!(log.contains("\"request\"") && !log.contains(secret) && !log.contains("sg_"));
        assert!(is_private(&self.path("etc/safeguard/secrets.env")));
    }
}

fn is_private(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).unwrap().permissions().mode() & 0o077 == 0
}

fn stop(service: Option<Service>) {
    if let Some(service) = service {
        let (ended_well, _) = service.stop();
        assert!(ended_well);
    }
}
