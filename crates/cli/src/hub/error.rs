//! Everything that can go wrong between a model's name and its files, each with advice.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::DecimalBytes;

use crate::hub::checksum::Checksum;
use crate::hub::name::{ModelName, Repo};
use crate::output::hinted;

/// Why a model could not be pulled or found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum HubError {
    #[error("{name:?} is no model's name")]
    Name { name: String },
    #[error("there is no folder for the cache: neither HF_HOME nor HOME is set")]
    Home,
    #[error("HF_ENDPOINT is {endpoint:?}, which is no http or https address")]
    Endpoint { endpoint: String },
    #[error("the token holds characters that no token has")]
    Token,
    #[error("cannot set up TLS")]
    Tls { source: reqwest::Error },
    #[error("{} is not in the cache, and HF_HUB_OFFLINE forbids the network", name.repo)]
    Offline { name: ModelName },
    #[error("{} is not in the cache ({})", name.repo, cache.display())]
    NotCached { name: ModelName, cache: PathBuf },
    #[error("{} is only partly in the cache: {} missing", name.repo, some_of(missing))]
    Partial { name: ModelName, missing: Vec<String> },
    #[error("the hub at {host} cannot be reached")]
    Unreachable { host: String, source: reqwest::Error },
    #[error("the connection to {host} broke")]
    Broken { host: String, source: io::Error },
    #[error("{host} ended {file} after {received} of {expected} bytes")]
    Cut { host: String, file: String, received: u64, expected: u64 },
    #[error("{host} does not know who asks for {repo}{}", said(message))]
    Unauthorized { host: String, repo: Repo, has_token: bool, message: String },
    #[error("{repo} is gated: {host} gives it only to accounts that accepted its terms")]
    Gated { host: String, repo: Repo, has_token: bool, page: String },
    #[error("{host} refuses access to {repo}{}", said(message))]
    Forbidden { host: String, repo: Repo, message: String },
    #[error("{host} has no repository {repo}")]
    NoRepo { host: String, repo: Repo, has_token: bool },
    #[error("{repo} has no revision {revision:?}")]
    NoRevision { repo: Repo, revision: String },
    #[error("{host} lists {file} in {repo} but does not have it")]
    NoFile { host: String, repo: Repo, file: String },
    #[error("{host} asks for fewer requests (429)")]
    TooMany { host: String, retry_after: Option<Duration> },
    #[error("{host} answers {status}{}", said(message))]
    Server { host: String, status: u16, retry_after: Option<Duration>, message: String },
    #[error("{host} sends what the hub does not: {problem}")]
    Reply { host: String, problem: String },
    #[error("{repo} names a file {file:?}, which could lie outside its folder")]
    UnsafeFile { repo: Repo, file: String },
    #[error("{repo} is no model that can run here: it has no {missing}")]
    NotAModel { repo: Repo, missing: &'static str },
    #[error("{repo} is not whole on the hub: {} missing", some_of(missing))]
    NotWhole { repo: Repo, missing: Vec<String> },
    #[error("{host} gives no checksum for {file} (ETag {etag:?})")]
    NoChecksum { host: String, file: String, etag: String },
    #[error("{file} has {found} bytes, {expected} expected")]
    Size { file: String, expected: u64, found: u64 },
    #[error("{file} is damaged: its checksum is {found}, expected {expected}")]
    Damaged { file: String, expected: Checksum, found: String },
    #[error(
        "not enough room in {}: {} needed, {} free",
        path.display(), DecimalBytes(*needed), DecimalBytes(*free)
    )]
    NoRoom { path: PathBuf, needed: u64, free: u64 },
    #[error("the disk is full at {}", path.display())]
    DiskFull { path: PathBuf, source: io::Error },
    #[error("cannot read or write {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// Another file's download failed; that failure is what people are told.
    #[error("stopped")]
    Stopped,
}

impl HubError {
    /// An error of the file system, as `map_err` wants it.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> HubError {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                HubError::DiskFull { path, source }
            }
            _ => HubError::Io { path, source },
        }
    }

    /// Whether the same request may succeed a little later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            HubError::Unreachable { .. }
            | HubError::Broken { .. }
            | HubError::Cut { .. }
            | HubError::TooMany { .. } => true,
            HubError::Server { status, .. } => matches!(status, 408 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// How long the server asks to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            HubError::TooMany { retry_after, .. } | HubError::Server { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }

    /// The error with its hint, for the terminal.
    pub(crate) fn into_report(self) -> anyhow::Error {
        match self.hint() {
            Some(hint) => hinted(self, hint),
            None => self.into(),
        }
    }

    fn hint(&self) -> Option<String> {
        const TOKEN: &str =
            "put an access token into HF_TOKEN (https://huggingface.co/settings/tokens)";
        const AGAIN: &str = "run the same command again: it goes on where it stopped";
        let hint = match self {
            HubError::Name { .. } => "write 20b, 120b or ORG/NAME, if need be with @REVISION",
            HubError::Home => "set HF_HOME to a folder with room for the weights",
            HubError::Endpoint { .. } => "write it like https://huggingface.co",
            HubError::Token => "look at HF_TOKEN and at the file `token` in HF_HOME",
            HubError::Tls { .. } => "are the system's certificates (ca-certificates) installed?",
            HubError::Offline { name } => {
                return Some(format!(
                    "run `HF_HUB_OFFLINE=0 safeguard model pull {}` where there is a network",
                    name.short()
                ));
            }
            HubError::NotCached { name, .. } | HubError::Partial { name, .. } => {
                return Some(format!("safeguard model pull {}", name.short()));
            }
            HubError::Unreachable { .. } => {
                "is there a network? HTTPS_PROXY names a proxy, HF_ENDPOINT a mirror, SSL_CERT_FILE \
                 certificates to trust"
            }
            HubError::Broken { .. } | HubError::Cut { .. } => AGAIN,
            HubError::Unauthorized { has_token: true, .. } => {
                "the access token is wrong or has expired; make another at \
                 https://huggingface.co/settings/tokens"
            }
            HubError::Unauthorized { .. } => {
                return Some(format!("is the name right? If the repository is private, {TOKEN}"));
            }
            HubError::Gated { page, has_token: true, .. } => {
                return Some(format!("accept the terms at {page} with the token's account"));
            }
            HubError::Gated { page, .. } => {
                return Some(format!("accept the terms at {page}, then {TOKEN}"));
            }
            HubError::Forbidden { .. } => {
                "the access token needs the permission to read this repository"
            }
            HubError::NoRepo { has_token: true, .. } => {
                "is the name right? A private repository must be open to the token's account"
            }
            HubError::NoRepo { .. } => "is the name right? A private repository needs HF_TOKEN",
            HubError::NoRevision { .. } => "write a branch, a tag or a whole commit after the @",
            HubError::NoFile { .. } => "the repository may be changing just now; try again",
            HubError::TooMany { .. } => {
                "wait some minutes and run it again; with HF_TOKEN set the hub allows more"
            }
            HubError::Server { .. } => "the hub has trouble; run the same command again later",
            HubError::Reply { .. } | HubError::NoChecksum { .. } => {
                "is HF_ENDPOINT the hub, or a mirror that passes its headers on?"
            }
            HubError::UnsafeFile { .. } => "do not use this repository",
            HubError::NotAModel { .. } => {
                "safeguard runs gpt-oss models in the layout of openai/gpt-oss-safeguard-20b"
            }
            HubError::NotWhole { .. } => "tell the repository's owner, or name another revision",
            HubError::Size { .. } | HubError::Damaged { .. } => {
                "run the same command again; if it stays so, HF_ENDPOINT or a proxy alters files"
            }
            HubError::NoRoom { .. } | HubError::DiskFull { .. } => {
                "make room, or set HF_HOME to a folder on a larger disk; what is there stays"
            }
            HubError::Io { .. } | HubError::Stopped => return None,
        };
        Some(hint.to_owned())
    }
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

/// The first of many names.
fn some_of(names: &[String]) -> String {
    const MAX_NAMES: usize = 3;
    match names.len().checked_sub(MAX_NAMES) {
        None | Some(0) => names.join(", "),
        Some(n_more) => format!("{} and {n_more} more", names[..MAX_NAMES].join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_apart_from_other_trouble_with_files() {
        let path = Path::new("blobs/x.incomplete");
        for (kind, is_full) in [
            (io::ErrorKind::StorageFull, true),
            (io::ErrorKind::QuotaExceeded, true),
            (io::ErrorKind::PermissionDenied, false),
        ] {
            let error = HubError::io(path)(kind.into());
            assert_eq!(matches!(error, HubError::DiskFull { .. }), is_full, "{kind}");
            assert_eq!(error.hint().is_some(), is_full, "{kind}");
        }
    }

    #[test]
    fn of_many_names_the_first_are_shown() {
        let names: Vec<String> = (1..=5).map(|n| n.to_string()).collect();
        assert_eq!(some_of(&names), "1, 2, 3 and 2 more");
        assert_eq!(some_of(&names[..3]), "1, 2, 3");
        assert_eq!(some_of(&names[..1]), "1");
    }
}
