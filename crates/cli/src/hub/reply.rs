//! What a reply's status and headers mean.

use std::time::Duration;

use reqwest::Url;
use reqwest::blocking::Response;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::hub::error::HubError;
use crate::hub::name::ModelName;

/// Longest wait that a server may ask for before the command gives up instead.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
/// Longest piece of a server's own words that is shown.
const MAX_MESSAGE: usize = 200;

/// What was asked for, to name it in errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) name: &'a ModelName,
    /// `None` for the list of files.
    pub(crate) file: Option<&'a str>,
    pub(crate) has_token: bool,
    /// The repository's page, where terms are accepted.
    pub(crate) page: &'a str,
}

/// The reply if its status is a success, else the error that status and headers tell.
pub(crate) fn check(response: Response, asked: Asked<'_>) -> Result<Response, HubError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let headers = response.headers();
    let host = host(response.url());
    let repo = asked.name.repo.clone();
    let code = text(headers, "x-error-code").unwrap_or_default();
    let message = message(headers);
    let Asked { has_token, .. } = asked;
    Err(match (status.as_u16(), code) {
        (401 | 403, "GatedRepo") => {
            HubError::Gated { host, repo, has_token, page: asked.page.to_owned() }
        }
        (401, _) => HubError::Unauthorized { host, repo, has_token, message },
        (403, _) => HubError::Forbidden { host, repo, message },
        (404, "RevisionNotFound") => {
            HubError::NoRevision { repo, revision: asked.name.revision.as_str().to_owned() }
        }
        (404, code) => match asked.file {
            Some(file) if code != "RepoNotFound" => {
                HubError::NoFile { host, repo, file: file.to_owned() }
            }
            _ => HubError::NoRepo { host, repo, has_token },
        },
        (429, _) => HubError::TooMany { host, retry_after: retry_after(headers) },
        (status, _) => {
            HubError::Server { host, status, retry_after: retry_after(headers), message }
        }
    })
}

/// A header's text, if it is text.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim).filter(|text| !text.is_empty())
}

/// A header's number.
pub(crate) fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name)?.parse().ok()
}

/// Host and port, for messages: paths and queries of redirects hold signatures.
pub(crate) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    number(headers, RETRY_AFTER.as_str()).map(Duration::from_secs).map(|d| d.min(MAX_RETRY_AFTER))
}

/// The server's own words, without what could move a terminal's cursor.
fn message(headers: &HeaderMap) -> String {
    let message = text(headers, "x-error-message").unwrap_or_default();
    message.chars().filter(|c| !c.is_control()).take(MAX_MESSAGE).collect()
}
