//! What can be set: the `[serve]` table of `safeguard.toml`, with defaults that need nothing.

mod error;
mod limits;
mod moderations;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

pub use error::SettingsError;
pub use limits::Limits;
pub use moderations::{Moderations, OnUndetermined, StockUndetermined};

use crate::callers::{Litellm, Perspective, Predict};
use crate::guard::GuardSettings;
use crate::jobs::JobSettings;
use crate::shadow::ShadowSettings;
use crate::traces::TraceSettings;
use crate::webhooks::WebhookSettings;

/// How the service runs.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The folder of policies; relative to the settings' file.
    pub policies: Option<PathBuf>,
    /// Filters before the judge; relative to the settings' file.
    pub cascade: Option<PathBuf>,
    /// Where decisions are recorded: `sqlite:FILE` or `postgres://…`; without it, nowhere.
    pub store: Option<String>,
    /// Whether it may be reached from elsewhere without keys.
    pub open: bool,
    /// Whether the folder's policies are those of all tenants, not only of the tenant `default`.
    pub share_policies: bool,
    /// What candidate versions of policies may take.
    pub shadow: ShadowSettings,
    /// Whether the store keeps items, rationale and reasoning too.
    pub keep_content: bool,
    /// What no request may exceed.
    pub limits: Limits,
    /// What `/v1/moderations` answers.
    pub moderations: Moderations,
    /// What LiteLLM's guardrail asks.
    pub litellm: Litellm,
    /// What `/predict` answers.
    pub predict: Predict,
    /// What Perspective's attributes mean.
    pub perspective: Perspective,
    /// How jobs are worked off.
    pub jobs: JobSettings,
    /// Whom webhooks may tell.
    pub webhooks: WebhookSettings,
    /// With it, other chat models are guarded.
    pub guard: Option<GuardSettings>,
    /// With it, traces are sent.
    pub traces: Option<TraceSettings>,
    /// With it, https.
    pub tls: Option<Tls>,
    /// Which web pages may call.
    pub cors: Cors,
}

impl Default for ServerSettings {
    fn default() -> ServerSettings {
        ServerSettings {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            policies: None,
            cascade: None,
            store: None,
            open: false,
            share_policies: false,
            shadow: ShadowSettings::default(),
            keep_content: false,
            limits: Limits::default(),
            moderations: Moderations::default(),
            litellm: Litellm::default(),
            predict: Predict::default(),
            perspective: Perspective::default(),
            jobs: JobSettings::default(),
            webhooks: WebhookSettings::default(),
            guard: None,
            traces: None,
            tls: None,
            cors: Cors::default(),
        }
    }
}

impl fmt::Debug for ServerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ServerSettings {
            listen,
            policies,
            cascade,
            store,
            open,
            share_policies,
            shadow,
            keep_content,
            limits,
            moderations,
            litellm,
            predict,
            perspective,
            jobs,
            webhooks,
            guard,
            traces,
            tls,
            cors,
        } = self;
        f.debug_struct("ServerSettings")
            .field("listen", listen)
            .field("policies", policies)
            .field("cascade", cascade)
            .field("store", &store.as_deref().map(kind))
            .field("open", open)
            .field("share_policies", share_policies)
            .field("shadow", shadow)
            .field("keep_content", keep_content)
            .field("limits", limits)
            .field("moderations", moderations)
            .field("litellm", litellm)
            .field("predict", predict)
            .field("perspective", perspective)
            .field("jobs", jobs)
            .field("webhooks.url", &webhooks.url.is_some())
            .field("guard", guard)
            .field("traces", traces)
            .field("tls", tls)
            .field("cors", cors)
            .finish()
    }
}

/// What comes before the colon of a store's URL; passwords are behind it.
fn kind(url: &str) -> &str {
    url.split_once(':').map_or("", |(kind, _)| kind)
}

/// The service's certificate.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file of the certificate and what is between it and its root.
    pub cert: PathBuf,
    /// PEM file of its key.
    pub key: PathBuf,
}

/// Which web pages may call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cors {
    /// Origins such as `https://example.org`; none by default.
    pub origins: Vec<String>,
}

/// The whole file; other tables are for other commands.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    serve: ServerSettings,
}

impl ServerSettings {
    /// Reads the text of `safeguard.toml`; paths in it are relative to the file.
    ///
    /// # Errors
    /// [`SettingsError::Toml`], and as [`ServerSettings::check`].
    pub fn parse(file: &Path, text: &str) -> Result<ServerSettings, SettingsError> {
        let File { serve: mut settings } =
            toml::from_str(text).map_err(|error| SettingsError::unreadable(file, text, &error))?;
        let folder = file.parent().unwrap_or(Path::new(""));
        for path in [&mut settings.policies, &mut settings.cascade].into_iter().flatten() {
            *path = folder.join(&path);
        }
        if let Some(tls) = &mut settings.tls {
            tls.cert = folder.join(&tls.cert);
            tls.key = folder.join(&tls.key);
        }
        settings.check()?;
        Ok(settings)
    }

    /// Whether the values can hold.
    ///
    /// # Errors
    /// [`SettingsError::Value`] or [`SettingsError::Category`] for the first that cannot.
    pub fn check(&self) -> Result<(), SettingsError> {
        self.limits.check()?;
        self.shadow.check()?;
        self.guard.as_ref().map_or(Ok(()), GuardSettings::check)?;
        self.traces.as_ref().map_or(Ok(()), TraceSettings::check)?;
        self.jobs.check()?;
        self.webhooks.check()?;
        self.moderations.check()
    }
}

/// A day: no verdict takes longer.
pub(crate) const MAX_SECONDS: f64 = 86_400.0;

/// Seconds that were checked, as a duration.
pub(crate) fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.min(MAX_SECONDS)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ServerSettings, String> {
        ServerSettings::parse(Path::new("conf/safeguard.toml"), text).map_err(|it| it.to_string())
    }

    #[test]
    fn an_empty_file_is_the_defaults_and_paths_are_relative_to_it() {
        assert_eq!(parse("").unwrap(), ServerSettings::default());
        let settings =
            parse("[serve]\npolicies = \"p\"\ntls = { cert = \"c\", key = \"/k\" }").unwrap();
        assert_eq!(settings.policies, Some("conf/p".into()));
        assert_eq!(settings.tls, Some(Tls { cert: "conf/c".into(), key: "/k".into() }));
    }

    #[test]
    fn what_cannot_hold_is_refused_with_its_name() {
        for (text, word) in [
            ("[serve]\nlistn = \"x\"", "listn"),
            ("[serve.limits]\nqueue = 0", "limits.queue"),
            ("[serve.limits]\nqueue = 10", "limits.pairs"),
            ("[serve.limits]\ndeadline_s = -1.0", "limits.deadline_s"),
            ("[serve.limits]\nread_s = nan", "limits.read_s"),
            ("[serve.traces]\nendpoint = \"http://x\"\nshare = 2.0", "traces.share"),
            ("[serve.jobs]\npairs = 100001", "jobs.pairs"),
            ("[serve.jobs]\nlease_s = 0.0", "jobs.lease_s"),
            ("[serve.webhooks]\ntries = 0", "webhooks.tries"),
            ("[serve.webhooks]\ntimeout_s = inf", "webhooks.timeout_s"),
            ("[serve.moderations.map]\na = [\"hat\"]", "hat"),
            ("[serve.moderations]\non_undetermined = \"allow\"", "allow"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_is_never_repeated() {
        let url = "store = \"postgres://me:sesame@host/db\"";
        for fault in ["", "listn = 1", "keep_content = 7"] {
            let settings =
                ServerSettings::parse(Path::new("f"), &format!("[serve]\n{url}\n{fault}"));
            assert_eq!(settings.is_ok(), fault.is_empty());
            let said = settings.map_or_else(|it| format!("{it} {it:?}"), |it| format!("{it:?}"));
            assert!(!said.contains("sesame"), "{said}");
        }
        for text in [
            format!("[serve]\n{url} x"),
            format!("[serve]\n{url}, listn = 1"),
            "[serve]\nstore = sesame".into(),
            format!("[serve]\nkeep_content{}", &url[5..]),
        ] {
            let error = ServerSettings::parse(Path::new("f"), &text).expect_err(&text);
            let said = format!("{error} {error:?}");
            assert!(!said.contains("sesame") && said.starts_with("f:2:"), "{said}");
        }
    }
}
