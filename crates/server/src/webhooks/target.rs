//! Where a webhook is: its URL as it may be, and the client that goes nowhere else.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Url};

use super::address::is_public;
use super::settings::WebhookSettings;
use crate::error::ServerError;
use crate::settings::duration;

/// Most bytes of a URL.
const MAX_URL: usize = 2000;

/// The URL of a webhook, checked as far as it can be without asking for its host's address.
///
/// # Errors
/// What is wrong with it; the URL itself, which may hold a secret, is not repeated.
pub(crate) fn target(text: &str, settings: &WebhookSettings) -> Result<Url, &'static str> {
    if text.len() > MAX_URL {
        return Err("it is longer than 2000 bytes");
    }
    let url = Url::parse(text).map_err(|_| "it is no URL")?;
    match url.scheme() {
        "https" => {}
        "http" if settings.allow_http => {}
        "http" => return Err("it must be https; `webhooks.allow_http` lets http pass"),
        _ => return Err("it must be https"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it must not hold a name or a password");
    }
    let host = url.host_str().ok_or("it has no host")?;
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    if literal.is_ok_and(|address| !settings.allow_private && !is_public(address)) {
        return Err(PRIVATE);
    }
    Ok(url)
}

const PRIVATE: &str = "its address is of this machine or of a private network; `webhooks.allow_private` lets that pass";

/// A client that follows no redirect, asks no proxy, and finds no private address unless it may.
///
/// # Errors
/// [`ServerError::Webhooks`] where TLS cannot be set up.
pub(super) fn client(settings: &WebhookSettings) -> Result<Client, ServerError> {
    // Another part of this program may have chosen the same provider before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .timeout(duration(settings.timeout_s))
        .redirect(reqwest::redirect::Policy::none())
        // A proxy would look addresses up by itself.
        .no_proxy()
        .user_agent(concat!("safeguard/", env!("CARGO_PKG_VERSION")));
    let client =
        if settings.allow_private { client } else { client.dns_resolver(Arc::new(PublicOnly)) };
    client.build().map_err(|_| ServerError::Webhooks { problem: "TLS cannot be set up" })
}

/// Finds public addresses only: what is connected to is what was looked at, however a name changes its mind.
struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|found| is_public(found.ip())).collect();
            if public.is_empty() {
                return Err(PRIVATE.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_lead_inwards_or_tell_secrets_are_refused() {
        let usual = WebhookSettings::default();
        for url in [
            "https://example.org/hook?key=x",
            "https://1.1.1.1:8443/",
            "https://[2606:4700::1111]/",
        ] {
            target(url, &usual).expect(url);
        }
        for (url, word) in [
            ("", "no URL"),
            ("/hook", "no URL"),
            ("http://example.org/", "allow_http"),
            ("ftp://example.org/", "https"),
            ("https://me:pw@example.org/", "password"),
            ("https://127.0.0.1/", "allow_private"),
            ("https://2130706433/", "allow_private"),
            ("https://0x7f.1/", "allow_private"),
            ("https://[::1]/", "allow_private"),
            ("https://[::ffff:10.0.0.1]/", "allow_private"),
            ("https://169.254.169.254/latest/meta-data", "allow_private"),
        ] {
            let problem = target(url, &usual).expect_err(url);
            assert!(problem.contains(word), "{url}: {problem}");
        }
        let lax = WebhookSettings { allow_private: true, allow_http: true, ..usual };
        target("http://127.0.0.1:1/", &lax).unwrap();
    }

    #[tokio::test]
    async fn a_name_of_this_machine_leads_nowhere() {
        let client = client(&WebhookSettings::default()).unwrap();
        let error = client.post("https://localhost:1/").send().await.unwrap_err();
        let mut causes =
            std::iter::successors(Some(&error as &dyn std::error::Error), |it| it.source());
        assert!(causes.any(|cause| cause.to_string().contains("private network")), "{error:?}");
    }
}
