//! The environment variables that `huggingface_hub` reads, with its meanings and defaults.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::hub::cache::Cache;
use crate::hub::error::HubError;

const ENDPOINT: &str = "https://huggingface.co";
/// Longest silence of the server. `huggingface_hub` waits 10 s, which slow mirrors exceed.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How to reach the hub.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// `HF_ENDPOINT`, without a slash at the end.
    pub(crate) endpoint: String,
    /// `HF_TOKEN`, or the first line of the token file.
    pub(crate) token: Option<Token>,
    /// `HF_HUB_OFFLINE`
    pub(crate) offline: bool,
    /// `HF_HUB_DOWNLOAD_TIMEOUT`: longest silence before a connection counts as lost.
    pub(crate) timeout: Duration,
}

/// A secret that no message shows.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// The secret itself, for the request's header only.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Access {
    /// Reads the environment and the token file.
    ///
    /// # Errors
    /// [`HubError::Home`], or [`HubError::Io`] for a token file that cannot be read.
    pub(crate) fn from_env() -> Result<Access, HubError> {
        Vars(&|name| std::env::var_os(name)).access()
    }
}

impl Cache {
    /// The cache that the environment names.
    ///
    /// # Errors
    /// [`HubError::Home`] when it names none and there is no home folder.
    pub(crate) fn from_env() -> Result<Cache, HubError> {
        Vars(&|name| std::env::var_os(name)).cache()
    }
}

/// Environment variables; empty ones count as absent.
struct Vars<'a>(&'a dyn Fn(&str) -> Option<OsString>);

impl Vars<'_> {
    fn access(&self) -> Result<Access, HubError> {
        let endpoint = self.text("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
        let seconds = self.text("HF_HUB_DOWNLOAD_TIMEOUT").and_then(|text| text.parse().ok());
        Ok(Access {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: self.token()?,
            offline: self.flag("HF_HUB_OFFLINE") || self.flag("TRANSFORMERS_OFFLINE"),
            timeout: seconds.filter(|s| *s > 0).map_or(TIMEOUT, Duration::from_secs),
        })
    }

    fn cache(&self) -> Result<Cache, HubError> {
        let named = self.path("HF_HUB_CACHE").or_else(|| self.path("HUGGINGFACE_HUB_CACHE"));
        let root = match named {
            Some(root) => root,
            None => self.hf_home()?.join("hub"),
        };
        Ok(Cache::new(root, !self.flag("HF_HUB_DISABLE_SYMLINKS")))
    }

    fn token(&self) -> Result<Option<Token>, HubError> {
        if self.flag("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            return Ok(None);
        }
        let named = self.text("HF_TOKEN").or_else(|| self.text("HUGGING_FACE_HUB_TOKEN"));
        let text = match named {
            Some(token) => token,
            None => match self.token_file()? {
                Some(token) => token,
                None => return Ok(None),
            },
        };
        let token: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        let token = token.trim();
        Ok((!token.is_empty()).then(|| Token(token.to_owned())))
    }

    fn token_file(&self) -> Result<Option<String>, HubError> {
        let path = match self.path("HF_TOKEN_PATH") {
            Some(path) => path,
            None => self.hf_home()?.join("token"),
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(HubError::Io { path, source }),
        }
    }

    fn hf_home(&self) -> Result<PathBuf, HubError> {
        if let Some(home) = self.path("HF_HOME") {
            return Ok(home);
        }
        let cache = self.path("XDG_CACHE_HOME").or_else(|| Some(self.home()?.join(".cache")));
        cache.map(|cache| cache.join("huggingface")).ok_or(HubError::Home)
    }

    fn home(&self) -> Option<PathBuf> {
        self.get("HOME").map(PathBuf::from)
    }

    /// A path; `~` at its start is the home folder.
    fn path(&self, name: &str) -> Option<PathBuf> {
        let path = PathBuf::from(self.get(name)?);
        match (path.strip_prefix("~"), self.home()) {
            (Ok(below), Some(home)) => Some(home.join(below)),
            _ => Some(path),
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        let text = self.get(name)?.into_string().ok()?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn flag(&self, name: &str) -> bool {
        let text = self.text(name).unwrap_or_default().to_ascii_uppercase();
        matches!(text.as_str(), "1" | "ON" | "YES" | "TRUE")
    }

    fn get(&self, name: &str) -> Option<OsString> {
        (self.0)(name).filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache_of(vars: &[(&str, &str)]) -> String {
        let get = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into());
        Vars(&get).cache().unwrap().root().display().to_string()
    }

    #[test]
    fn the_cache_is_where_huggingface_hub_looks() {
        let home = ("HOME", "/h");
        assert_eq!(cache_of(&[home]), "/h/.cache/huggingface/hub");
        assert_eq!(cache_of(&[home, ("XDG_CACHE_HOME", "/x")]), "/x/huggingface/hub");
        assert_eq!(cache_of(&[home, ("HF_HOME", "~/y")]), "/h/y/hub");
        assert_eq!(cache_of(&[home, ("HF_HOME", "/y"), ("HF_HUB_CACHE", "/z")]), "/z");
        assert_eq!(cache_of(&[home, ("HF_HUB_CACHE", "")]), "/h/.cache/huggingface/hub");
    }

    #[test]
    fn the_token_is_trimmed_and_never_shown() {
        let vars = [("HOME", "/nowhere"), ("HF_TOKEN", " hf_secret\n"), ("HF_HUB_OFFLINE", "yes")];
        let get = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into());
        let access = Vars(&get).access().unwrap();
        assert_eq!(access.token.as_ref().unwrap().reveal(), "hf_secret");
        assert!(access.offline);
        assert!(!format!("{access:?}").contains("secret"));
    }
}
