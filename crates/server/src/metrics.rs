//! What Prometheus is told. Labels come from lists that are known beforehand: routes, outcomes, policies of the
//! folder and the store; never from a request's text.

use std::time::Duration;

use policy::{Outcome, Verdict};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::jobs::JobMetrics;
use crate::shadow::ShadowFate;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    outcome: &'static str,
    cause: String,
    stage: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TrafficLabels {
    policy: String,
    disposition: &'static str,
    /// Why nothing was decided; empty for a violation and for clear.
    cause: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabel {
    stage: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabel {
    kind: &'static str,
}

/// The label of policies that were not found.
pub(crate) const UNKNOWN: &str = "unknown";

/// What became of a pair of item and policy. Every pair that was answered is in exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// Judged, and clear.
    Admitted,
    /// Judged, and a violation; or undetermined, where the caller blocks that.
    Blocked,
    /// Not decided; a person or the caller has to.
    Undetermined,
    /// Not decided, and let through because the caller wanted it so.
    Bypassed,
}

impl Disposition {
    fn word(self) -> &'static str {
        match self {
            Disposition::Admitted => "admitted",
            Disposition::Blocked => "blocked",
            Disposition::Undetermined => "undetermined",
            Disposition::Bypassed => "bypassed",
        }
    }
}

/// All metrics of one service.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<RouteLabel, Histogram>,
    verdicts: Family<VerdictLabels, Counter>,
    traffic: Family<TrafficLabels, Counter>,
    shadow: Family<ResultLabel, Counter>,
    stage_seconds: Family<StageLabel, Histogram>,
    tokens: Family<TokenLabel, Counter>,
    queue: Gauge,
    policies: Gauge,
    faults: Gauge,
    pub(crate) jobs: JobMetrics,
}

/// From 1 ms to 2 minutes and a bit, in steps of a factor of 2.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 18))
}

impl Metrics {
    /// With what the judge computes with, by label.
    pub(crate) fn new(engine_info: Vec<(&'static str, String)>) -> Metrics {
        let mut metrics = Metrics {
            registry: Registry::default(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds),
            verdicts: Family::default(),
            traffic: Family::default(),
            shadow: Family::default(),
            stage_seconds: Family::new_with_constructor(seconds),
            tokens: Family::default(),
            queue: Gauge::default(),
            policies: Gauge::default(),
            faults: Gauge::default(),
            jobs: JobMetrics::default(),
        };
        let mut registry = Registry::with_prefix("safeguard");
        registry.register("requests", "Requests answered", metrics.requests.clone());
        registry.register_with_unit(
            "request",
            "Time from a request's head to its answer's",
            Unit::Seconds,
            metrics.request_seconds.clone(),
        );
        registry.register("verdicts", "Verdicts made", metrics.verdicts.clone());
        registry.register(
            "traffic",
            "Pairs of item and policy by what became of them, and why nothing was decided; they add up to all pairs answered",
            metrics.traffic.clone(),
        );
        registry.register(
            "shadow",
            "Items of policies that have a candidate beside them, by what became of its verdict",
            metrics.shadow.clone(),
        );
        registry.register_with_unit(
            "stage",
            "Time a pair spent waiting (queue), or until the stage that decided it had a verdict",
            Unit::Seconds,
            metrics.stage_seconds.clone(),
        );
        registry.register(
            "tokens",
            "Tokens of prompts, those of them found in the prefix cache, and tokens generated",
            metrics.tokens.clone(),
        );
        registry.register("queue_pairs", "Pairs that wait for a judge", metrics.queue.clone());
        registry.register("policies", "Policies in service", metrics.policies.clone());
        registry.register(
            "policy_faults",
            "Policy files that cannot be served as they are now",
            metrics.faults.clone(),
        );
        if !engine_info.is_empty() {
            let info = Info::new(engine_info);
            registry.register("engine", "What the model in this process is computed with", info);
        }
        metrics.jobs = JobMetrics::register(&mut registry);
        metrics.registry = registry;
        metrics
    }

    /// The text that Prometheus reads.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string does not fail");
        text
    }

    pub(crate) fn answered(&self, route: &str, status: u16, took: Duration) {
        let route = route.to_owned();
        self.requests.get_or_create(&RequestLabels { route: route.clone(), status }).inc();
        self.request_seconds.get_or_create(&RouteLabel { route }).observe(took.as_secs_f64());
    }

    pub(crate) fn waited(&self, time: Duration) {
        let label = StageLabel { stage: "queue" };
        self.stage_seconds.get_or_create(&label).observe(time.as_secs_f64());
    }

    pub(crate) fn judged(&self, verdict: &Verdict, took: Duration) {
        let stage = verdict.stage.name();
        let (outcome, cause) = verdict.outcome.names();
        let cause = cause.unwrap_or_default();
        self.verdicts.get_or_create(&VerdictLabels { outcome, cause, stage }).inc();
        self.stage_seconds.get_or_create(&StageLabel { stage }).observe(took.as_secs_f64());
        let usage = &verdict.usage;
        for (kind, n_tokens) in [
            ("prompt", usage.prompt_tokens),
            ("cached", usage.cached_tokens),
            ("generated", usage.generated_tokens),
        ] {
            self.tokens.get_or_create(&TokenLabel { kind }).inc_by(n_tokens as u64);
        }
    }

    /// Counts a pair that was answered; once for each.
    pub(crate) fn disposed(&self, policy: &str, outcome: Outcome, disposition: Disposition) {
        let (_, cause) = outcome.names();
        self.counted(policy, disposition, cause.unwrap_or_default());
    }

    /// The same for a pair that no judge was asked about, by the code of what stood against it.
    pub(crate) fn failed(&self, policy: &str, code: &'static str, disposition: Disposition) {
        self.counted(policy, disposition, code.to_owned());
    }

    fn counted(&self, policy: &str, disposition: Disposition, cause: String) {
        let (policy, disposition) = (policy.to_owned(), disposition.word());
        self.traffic.get_or_create(&TrafficLabels { policy, disposition, cause }).inc();
    }

    pub(crate) fn shadowed(&self, fate: ShadowFate) {
        self.shadow.get_or_create(&ResultLabel { result: fate.word() }).inc();
    }

    pub(crate) fn set_queue(&self, n_pairs: usize) {
        self.queue.set(n_pairs as i64);
    }

    pub(crate) fn set_policies(&self, n_served: usize, n_faults: usize) {
        self.policies.set(n_served as i64);
        self.faults.set(n_faults as i64);
    }
}
