//! `safeguard serve` as people run it: the program, real clients, its log.

#![expect(clippy::unwrap_used, reason = "what a test's own client does must work")]

#[path = "../program/mod.rs"]
mod program;

mod clients;
mod log;
mod schemathesis;
mod start;
#[cfg(feature = "otel")]
mod traces;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Stdio};
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
        let policies = folder.join("policies");
        std::fs::create_dir_all(&policies).unwrap();
        std::fs::write(policies.join("ads.md"), POLICY).unwrap();
        let usual = ["serve", "--listen", "127.0.0.1:0", "--max-analysis-tokens", "24"];
        let mut command = program::command(folder, &[&usual[..], args].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).unwrap();
            log
        });
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("safeguard serves on ");
        let Some(url) = url.map(str::to_owned) else {
            panic!("{line:?}: {}", log.join().unwrap());
        };
        Service { url, child, log: Some(log) }
    }

    /// Stops it as a service manager does; whether it ended well, and its log.
    pub(crate) fn stop(mut self) -> (bool, String) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let log = self.log.take().unwrap().join().unwrap();
        (self.child.wait().unwrap().success(), log)
    }
}

/// A client that goes straight to this machine.
pub(crate) fn client() -> reqwest::blocking::Client {
    // Another test may have chosen the same provider before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::blocking::Client::builder().no_proxy().build().unwrap()
}

impl Drop for Service {
    fn drop(&mut self) {
        // It has ended already where the test stopped it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
