//! The address of a server: where its routes are, and its name in messages.

use std::net::IpAddr;

use reqwest::Url;

use super::error::RemoteError;

/// The root of a server's routes, ending in `/v1/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address(Url);

impl Address {
    /// Reads an address with or without `/v1`; that of the chat route itself is understood too.
    ///
    /// # Errors
    /// [`RemoteError::Url`] for anything else, and for addresses that hold a password or a query: those
    /// end up in process lists and logs. The text itself is never repeated for the same reason.
    pub(super) fn parse(text: &str) -> Result<Address, RemoteError> {
        let mut url = Url::parse(text.trim())
            .map_err(|_| RemoteError::Url { problem: "it cannot be read" })?;
        let problem = if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            Some("it is no http or https address")
        } else if !url.username().is_empty() || url.password().is_some() {
            Some("it holds a name or a password")
        } else if url.query().is_some() || url.fragment().is_some() {
            Some("it holds a query")
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(RemoteError::Url { problem });
        }
        let path = url.path().trim_end_matches('/');
        let path = path.strip_suffix("/chat/completions").unwrap_or(path);
        let root = path.strip_suffix("/v1").unwrap_or(path).trim_end_matches('/');
        url.set_path(&format!("{root}/v1/"));
        Ok(Address(url))
    }

    /// The root itself; it holds no secrets.
    pub(super) fn root(&self) -> &str {
        self.0.as_str()
    }

    /// The address of a route below the root.
    pub(super) fn route(&self, route: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{route}", self.0.path()));
        url
    }

    /// Host and port, for messages.
    pub(super) fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Whether the server is on this machine, where no proxy has a place between.
    pub(super) fn is_local(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Whether the host is this domain or below it.
    pub(super) fn is_below(&self, domain: &str) -> bool {
        let host = self.0.host_str().unwrap_or_default();
        host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, chat, host) in [
            ("http://h:8000", "http://h:8000/v1/chat/completions", "h:8000"),
            ("http://h:8000/", "http://h:8000/v1/chat/completions", "h:8000"),
            (" http://h:8000/v1 ", "http://h:8000/v1/chat/completions", "h:8000"),
            ("https://h/v1//", "https://h/v1/chat/completions", "h"),
            ("https://h/v1/chat/completions", "https://h/v1/chat/completions", "h"),
            ("https://h/api", "https://h/api/v1/chat/completions", "h"),
            ("https://h/api/v1/", "https://h/api/v1/chat/completions", "h"),
            ("https://h/myv1", "https://h/myv1/v1/chat/completions", "h"),
            ("http://[::1]:80/a%20b", "http://[::1]/a%20b/v1/chat/completions", "[::1]"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.route("chat/completions").as_str(), chat, "{text}");
            assert_eq!(address.host(), host, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_and_never_repeated() {
        for text in [
            "",
            "h:8000",
            "ftp://h",
            "http://",
            "file:///v1",
            "http://me:secret@h",
            "http://secret@h",
            "http://h/v1?key=secret",
            "http://h/v1#secret",
            "http://secret h",
        ] {
            let error = Address::parse(text).expect_err(text);
            assert!(matches!(error, RemoteError::Url { .. }), "{text}: {error:?}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{text}");
        }
    }

    #[test]
    fn this_machine_is_known() {
        let is_local = |text| Address::parse(text).unwrap().is_local();
        assert!(
            is_local("http://localhost:1")
                && is_local("http://127.0.0.9")
                && is_local("http://[::1]")
        );
        assert!(!is_local("http://10.0.0.1") && !is_local("http://localhost.example"));
    }

    #[test]
    fn a_domain_is_not_the_end_of_another() {
        let is_router = |text| Address::parse(text).unwrap().is_below("openrouter.ai");
        assert!(
            is_router("https://openrouter.ai/api") && is_router("https://eu.openrouter.ai/api")
        );
        assert!(
            !is_router("https://not-openrouter.ai") && !is_router("https://openrouter.ai.evil")
        );
    }
}
