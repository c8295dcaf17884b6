//! Webhooks: outcomes told to those who asked for them, at least once, signed.
//!
//! The store writes what is to be told with the outcome itself. `deliver.rs` leases that and sends it until it
//! is heard or dead, `message.rs` is what is sent, `sign.rs` proves who sent it, `target.rs` and `address.rs`
//! keep it from going where it must not.

mod address;
mod deliver;
mod message;
mod settings;
mod sign;
mod target;

use reqwest::Client;
use serde::Deserialize;
use store::Notify;
use utoipa::ToSchema;

pub use settings::WebhookSettings;

pub(crate) use deliver::deliver_all;
pub(crate) use message::Message;
pub(crate) use sign::Secret;

use crate::error::{ApiError, ServerError};

/// Where a job's outcomes are to be told.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookRequest {
    /// An https URL.
    #[schema(example = "https://example.org/hooks/safeguard")]
    url: String,
    /// `whsec_` and 24 to 64 bytes in base64: what messages are signed with. By default the service's own.
    #[serde(default)]
    secret: Option<String>,
    /// `items`: every outcome and the end of the job; `end`: the end only.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    events: Notify,
}

/// A webhook that was checked.
pub(crate) struct Chosen {
    pub(crate) url: String,
    /// Unset: the service's own.
    pub(crate) secret: Option<Secret>,
    pub(crate) notify: Notify,
}

/// What all webhooks share.
pub(crate) struct Webhooks {
    settings: WebhookSettings,
    client: Client,
    secret: Option<Secret>,
}

impl Webhooks {
    /// `secret` is the service's own.
    ///
    /// # Errors
    /// [`ServerError::Webhooks`] for a secret or a URL that cannot be used.
    pub(crate) fn new(
        settings: WebhookSettings,
        secret: Option<String>,
    ) -> Result<Webhooks, ServerError> {
        let secret = secret.map(Secret::try_from).transpose();
        let secret = secret.map_err(|_| ServerError::Webhooks {
            problem: "SAFEGUARD_WEBHOOK_SECRET is to be whsec_ and 24 to 64 bytes in base64",
        })?;
        if let Some(url) = &settings.url {
            target::target(url, &settings).map_err(|problem| ServerError::Webhooks { problem })?;
            if secret.is_none() {
                let problem = "the url needs a secret, in SAFEGUARD_WEBHOOK_SECRET";
                return Err(ServerError::Webhooks { problem });
            }
        }
        let client = target::client(&settings)?;
        Ok(Webhooks { settings, client, secret })
    }

    /// The webhook of a request, or else the service's own; `None` where there is neither.
    ///
    /// # Errors
    /// [`ApiError::Field`] for one that cannot be told anything.
    pub(crate) fn choose(&self, asked: Option<WebhookRequest>) -> Result<Option<Chosen>, ApiError> {
        let Some(WebhookRequest { url, secret, events }) = asked else {
            let own =
                |url: &String| Chosen { url: url.clone(), secret: None, notify: Notify::Items };
            return Ok(self.settings.url.as_ref().map(own));
        };
        let url = target::target(&url, &self.settings)
            .map_err(|problem| ApiError::field("webhook.url", problem))?;
        let secret = secret.map(Secret::try_from).transpose();
        let secret =
            secret.map_err(|error| ApiError::field("webhook.secret", error.to_string()))?;
        if secret.is_none() && self.secret.is_none() {
            let problem =
                "there is none, and the service has none of its own: every message is signed";
            return Err(ApiError::field("webhook.secret", problem));
        }
        Ok(Some(Chosen { url: url.into(), secret, notify: events }))
    }
}
