//! What can be set: the `[serve]` table of `safeguard.toml`, with defaults that need nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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

/// What no request may exceed.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Most bytes of a request's body.
    pub body_bytes: usize,
    /// Most pairs of item and policy in one request.
    pub pairs: usize,
    /// Most pairs that wait for a judge, over all requests; what the guard asks waits beside them, as many again.
    pub queue: usize,
    /// Most pairs judged at once.
    pub in_flight: usize,
    /// Seconds until a verdict is undetermined, where the request does not say.
    pub deadline_s: f64,
    /// Seconds between two pieces of a request's body before its sender counts as gone, and those in which the
    /// reader of a reply in pieces may take none.
    pub read_s: f64,
    /// Seconds that requests under way have to finish after a signal to stop.
    pub shutdown_s: f64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            body_bytes: 4 << 20,
            pairs: 256,
            queue: 1024,
            in_flight: 32,
            deadline_s: 120.0,
            read_s: 30.0,
            shutdown_s: 30.0,
        }
    }
}

/// What `/v1/moderations` answers.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Moderations {
    /// Policies that judge, as in a request's `policies`; empty: all of the folder.
    pub policies: Vec<String>,
    /// From a policy (`harassment`) or one of its labels (`harassment.HA4`) to the stock categories that it
    /// sets. A policy whose name is a stock category needs no line. By default, what the policies that come
    /// with safeguard mean by theirs.
    pub map: BTreeMap<String, Vec<String>>,
    /// What becomes of an item that could not be judged.
    pub on_undetermined: StockUndetermined,
}

impl Default for Moderations {
    fn default() -> Moderations {
        let map = [
            ("harassment.HA4", "harassment/threatening"),
            ("hate.HS4", "hate/threatening"),
            ("illicit-goods", "illicit"),
            ("self-harm.SH2", "self-harm/intent"),
            ("self-harm.SH4", "self-harm/instructions"),
        ];
        Moderations {
            policies: Vec::new(),
            map: map.map(|(from, to)| (from.to_owned(), vec![to.to_owned()])).into(),
            on_undetermined: StockUndetermined::default(),
        }
    }
}

/// What `/v1/moderations` does without a verdict, for which its shape has no word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StockUndetermined {
    /// The request fails with status 503, so that clients try again or notice.
    #[default]
    Error,
    /// The item is flagged.
    Flag,
}

/// What a caller of `/v1/classify` wants done where there is no verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnUndetermined {
    /// Let it through; counted as bypassed.
    Allow,
    /// Treat it as a violation.
    Block,
    /// A person decides.
    #[default]
    Review,
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

/// Why settings cannot hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Not the TOML of settings.
    #[error("{}:{line}:{column}: {problem}", file.display())]
    Toml {
        /// The file.
        file: PathBuf,
        /// Where, from 1.
        line: usize,
        /// Where in the line, from 1, in characters.
        column: usize,
        /// Why. The line itself is not repeated, for a password may be in it.
        problem: String,
    },
    /// A value out of its range.
    #[error("serve.{setting} is {found}; it must be {expected}")]
    Value {
        /// Its name.
        setting: &'static str,
        /// What it is.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A category that `/v1/moderations` does not have.
    #[error("serve.moderations.map: {category} is none of the 13 stock categories")]
    Category {
        /// The name.
        category: String,
    },
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
            toml::from_str(text).map_err(|error| unreadable(file, text, &error))?;
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
        let Limits { body_bytes, pairs, queue, in_flight, deadline_s, read_s, shutdown_s } =
            self.limits;
        for (setting, count, most) in [
            ("limits.body_bytes", body_bytes, 1 << 30),
            ("limits.pairs", pairs, 1 << 20),
            ("limits.queue", queue, 1 << 20),
            ("limits.in_flight", in_flight, 4096),
        ] {
            if count == 0 || count > most {
                let found = count.to_string();
                let expected = "at least 1, and no more than a machine can hold";
                return Err(SettingsError::Value { setting, found, expected });
            }
        }
        if pairs > queue {
            let found = pairs.to_string();
            let expected = "at most limits.queue, or such a request could never be taken";
            return Err(SettingsError::Value { setting: "limits.pairs", found, expected });
        }
        for (setting, seconds) in [
            ("limits.deadline_s", deadline_s),
            ("limits.read_s", read_s),
            ("limits.shutdown_s", shutdown_s),
        ] {
            if !(seconds > 0.0 && seconds <= MAX_SECONDS) {
                let found = seconds.to_string();
                let expected = "above 0 and at most 86400 seconds";
                return Err(SettingsError::Value { setting, found, expected });
            }
        }
        self.shadow.check()?;
        if let Some(guard) = &self.guard
            && !(guard.check_s > 0.0
                && guard.check_s <= MAX_SECONDS
                && guard.window_chars < 1 << 24)
        {
            let found = format!("{} and {}", guard.check_s, guard.window_chars);
            let setting = "guard.check_s and guard.window_chars";
            let expected = "at most a day and 16 million characters";
            return Err(SettingsError::Value { setting, found, expected });
        }
        if let Some(traces) = &self.traces
            && !(0.0..=1.0).contains(&traces.share)
        {
            let (setting, found) = ("traces.share", traces.share.to_string());
            return Err(SettingsError::Value { setting, found, expected: "0 to 1" });
        }
        self.jobs.check()?;
        self.webhooks.check()?;
        let mapped = self.moderations.map.values().flatten();
        match mapped.into_iter().find(|it| !crate::api::STOCK.contains(&it.as_str())) {
            Some(category) => Err(SettingsError::Category { category: category.clone() }),
            None => Ok(()),
        }
    }
}

/// Where and why, without the text at fault.
fn unreadable(file: &Path, text: &str, error: &toml::de::Error) -> SettingsError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    let message = error.message();
    // A message may quote the value it is about.
    let is_safe = !message.contains("://");
    SettingsError::Toml {
        file: file.to_owned(),
        line: before.matches('\n').count() + 1,
        column: line.chars().count() + 1,
        problem: if is_safe { message } else { "no such value is taken here" }.to_owned(),
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
