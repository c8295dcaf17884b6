//! `safeguard serve` as people run it: the program, real clients, its log.

#![expect(clippy::unwrap_used, reason = "what a test's own client does must work")]

#[path = "../walk/page.rs"]
mod page;
#[path = "../../../store/tests/suite/place.rs"]
#[expect(dead_code, reason = "the store's own tests do more with it")]
mod place;
#[path = "../program/mod.rs"]
mod program;
#[path = "../../../server/tests/http/receiver.rs"]
mod receiver;
#[path = "../../../store/tests/suite/server.rs"]
mod server;

mod clients;
mod deploy;
mod filter;
mod keys;
mod kill;
mod later;
mod log;
mod pages;
mod schemathesis;
mod share;
mod soak;
mod speed;
mod start;
#[cfg(feature = "otel")]
mod traces;
mod upstream;
mod webhooks;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

pub(crate) const POLICY: &str =
    "# Advertising\n\n## VIOLATES\n- AD1 advertising\n\n## SAFE\n- AD0.a anything else\n";

/// The program, serving on a port of its own.
pub(crate) struct Service {
    pub(crate) url: String,
    child: Child,
    /// Reads the log all the time, for the program must never wait for a reader.
    log: Option<JoinHandle<String>>,
}

impl Service {
    /// Starts it in a folder whose `policies/` has one policy.
    pub(crate) fn start(folder: &Path, args: &[&str]) -> Service {
        Service::start_to(folder, args, Stdio::piped())
    }

    /// The same with its log elsewhere: a pipe that nobody empties holds up who writes much.
    pub(crate) fn start_to(folder: &Path, args: &[&str], log: Stdio) -> Service {
        let policies = folder.join("policies");
        std::fs::create_dir_all(&policies).unwrap();
        std::fs::write(policies.join("ads.md"), POLICY).unwrap();
        let usual = ["serve", "--listen", "127.0.0.1:0", "--max-analysis-tokens", "24"];
        let mut command = program::command(folder, &[&usual[..], args].concat());
        // No level of anybody's log shows what ours does not.
        command.env("RUST_LOG", "trace");
        Service::spawn(command, log)
    }

    /// A program that serves, once it has said where.
    pub(crate) fn spawn(mut command: Command, log: Stdio) -> Service {
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let log = child.stderr.take().map(|mut stderr| {
            std::thread::spawn(move || {
                let mut log = String::new();
                stderr.read_to_string(&mut log).unwrap();
                log
            })
        });
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("safeguard serves on ");
        let Some(url) = url.map(str::to_owned) else {
            panic!("{line:?}: {:?}", log.map(|log| log.join().unwrap()));
        };
        Service { url, child, log }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops it as a service manager does; whether it ended well, and its log, if that came here.
    pub(crate) fn stop(mut self) -> (bool, String) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let log = self.log.take().map_or_else(String::new, |log| log.join().unwrap());
        (self.child.wait().unwrap().success(), log)
    }
}

/// A client that goes straight to this machine.
pub(crate) fn client() -> reqwest::blocking::Client {
    // Another test may have chosen the same provider before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::blocking::Client::builder().no_proxy().build().unwrap()
}

impl Service {
    /// Ends it as the system does when there is no more memory: now, whatever it is doing.
    pub(crate) fn kill(self) {
        drop(self);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It has ended already where the test stopped it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
