//! Where a store is: `sqlite:FILE` or `postgres://…`.

use std::fmt;
use std::path::PathBuf;

use crate::error::{Result, StoreError};

/// A store's place.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Place {
    pub(crate) fn parse(url: &str) -> Result<Place> {
        if let Some(file) = url.strip_prefix("sqlite:") {
            let file = file.strip_prefix("//").unwrap_or(file);
            if !file.is_empty() && !file.starts_with(':') {
                return Ok(Place::Sqlite(PathBuf::from(file)));
            }
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Place::Postgres(url.to_owned()));
        }
        Err(StoreError::Url { url: without_password(url) })
    }
}

/// Shows no password.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Sqlite(file) => write!(f, "sqlite:{}", file.display()),
            Place::Postgres(url) => f.write_str(&without_password(url)),
        }
    }
}

/// The URL without what stands between `:` and the last `@` of its authority, and without its query.
fn without_password(url: &str) -> String {
    let url = url.split_once('?').map_or(url, |(before, _)| before);
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let Some((user, host)) = rest.rsplit_once('@') else { return url.to_owned() };
    let user = user.split_once(':').map_or(user, |(name, _)| name);
    format!("{scheme}://{user}@{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_passwords_never_shown() {
        let shown = |url: &str| match Place::parse(url) {
            Ok(place) => place.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(shown("sqlite:a/b.db"), "sqlite:a/b.db");
        assert_eq!(shown("sqlite:///a/b.db"), "sqlite:/a/b.db");
        assert_eq!(shown("postgres://u:p@h:5/d?password=p"), "postgres://u@h:5/d");
        assert_eq!(shown("postgresql:///d?host=/run"), "postgresql:///d");
        for url in ["", "sqlite:", "sqlite::memory:", "mysql://u:sesame@h/d", "a.db"] {
            assert!(shown(url).contains("names no store"), "{url}");
            assert!(!shown(url).contains("sesame"));
        }
    }
}
