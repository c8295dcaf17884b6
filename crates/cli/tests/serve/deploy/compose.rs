//! The Compose file: what its service `safeguard` runs, in which environment, with which files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{image, read_yaml, shutdown_s};
use crate::Service;
use crate::place::Place;

/// The service as Compose would run it.
pub(super) struct Compose {
    /// Where what its file mounts lies, as in the container.
    root: PathBuf,
    command: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    port: u16,
}

impl Compose {
    /// Reads the file with the variables of `.env` in `deploy`, a copy of the folder. The database is `place`, and the
    /// published port is `port`. `None` where no YAML can be read.
    pub(super) fn read(deploy: &Path, root: &Path, place: &Place, port: u16) -> Option<Compose> {
        let file = read_yaml("compose.yaml")?;
        let (service, database) = (&file["services"]["safeguard"], &file["services"]["postgres"]);
        let dot_env = std::fs::read_to_string(deploy.join(".env")).unwrap_or_default();
        let words = |value: &Value| -> Vec<String> {
            value.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect()
        };
        let pairs = |value: &Value| -> BTreeMap<String, String> {
            let pairs = value.as_object().unwrap().iter();
            pairs.map(|(k, v)| (k.clone(), filled(v.as_str().unwrap(), &dot_env))).collect()
        };
        let mut environment = pairs(&service["environment"]);
        let made = pairs(&database["environment"]);
        let (user, name) = (&made["POSTGRES_USER"], &made["POSTGRES_DB"]);
        assert_eq!(environment["SAFEGUARD_STORE"], format!("postgres://{user}@postgres/{name}"));
        assert_eq!(environment["PGPASSWORD"], made["POSTGRES_PASSWORD"]);
        environment.insert("SAFEGUARD_STORE".to_owned(), place.url.clone());
        for volume in words(&service["volumes"]) {
            let [from, to, "ro"] = volume.split(':').collect::<Vec<_>>()[..] else {
                panic!("{volume} can be written");
            };
            let mounted = root.join(to.trim_start_matches('/'));
            if !mounted.exists() {
                copy(&deploy.join(from), &mounted);
            }
        }
        let patience = service["stop_grace_period"].as_str().unwrap();
        assert!(patience.trim_end_matches('s').parse::<f64>().unwrap() > shutdown_s());
        assert_eq!(words(&service["ports"]), ["127.0.0.1:8080:8080"]);
        let command = words(&service["command"]);
        assert_eq!(command, image::command(), "as without Compose");
        Some(Compose { root: root.to_owned(), command, environment, port })
    }

    pub(super) fn start(&self, program: &Path, log: Stdio) -> Service {
        let mut command = Command::new(program);
        let etc = self.root.join("etc").display().to_string();
        let own =
            |word: &String| word.replace("/etc", &etc).replace(":8080", &format!(":{}", self.port));
        command.args(self.command.iter().map(own)).current_dir(&self.root).stdin(Stdio::null());
        command.env_clear().env("PATH", "/usr/bin:/bin").envs(&self.environment);
        Service::spawn(command, log)
    }
}

/// `${NAME:-default}` and `${NAME:?message}` with what `.env` says.
fn filled(value: &str, dot_env: &str) -> String {
    let Some(inner) = value.strip_prefix("${").and_then(|it| it.strip_suffix('}')) else {
        assert!(!value.contains('$'), "{value}");
        return value.to_owned();
    };
    let (name, rest) = inner.split_at(inner.find(':').unwrap());
    let said = dot_env.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    match (said, rest.strip_prefix(":-")) {
        (Some(said), _) => said.to_owned(),
        (None, Some(default)) => default.to_owned(),
        (None, None) => panic!("{name} is not set: {rest}"),
    }
}

/// A file or a folder with all in it.
pub(super) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    let status = Command::new("cp").arg("-r").args([from, to]).status().unwrap();
    assert!(status.success(), "{}", from.display());
}
