//! What Prometheus is told of jobs and webhooks.

use std::sync::atomic::{AtomicI64, Ordering};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use store::Backlog;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    kind: &'static str,
    event: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

/// Numbers of jobs, their items and deliveries.
#[derive(Debug, Default)]
pub(crate) struct JobMetrics {
    jobs: Family<EventLabels, Counter>,
    items: Family<ResultLabel, Counter>,
    deliveries: Family<ResultLabel, Counter>,
    jobs_open: Gauge,
    items_open: Family<StateLabel, Gauge>,
    deliveries_open: Family<StateLabel, Gauge>,
    /// As `items_open`, all states together.
    n_open: AtomicI64,
}

impl JobMetrics {
    pub(crate) fn register(registry: &mut Registry) -> JobMetrics {
        let metrics = JobMetrics::default();
        registry.register(
            "jobs",
            "Jobs accepted and cancelled by this service",
            metrics.jobs.clone(),
        );
        registry.register(
            "job_items",
            "Pairs of jobs by what came of a try: settled, retried after a failure of the judge, or lost to another service or a cancellation",
            metrics.items.clone(),
        );
        registry.register(
            "deliveries",
            "Messages to webhooks by what came of a try: delivered, failed, or dead after the last",
            metrics.deliveries.clone(),
        );
        registry.register(
            "jobs_open",
            "Jobs in the store with pairs open, of all services",
            metrics.jobs_open.clone(),
        );
        registry.register(
            "job_items_open",
            "Pairs in the store that wait or are leased, of all services",
            metrics.items_open.clone(),
        );
        registry.register(
            "deliveries_open",
            "Messages in the store that are due or dead, of all services",
            metrics.deliveries_open.clone(),
        );
        metrics
    }

    pub(crate) fn job(&self, kind: &'static str, event: &'static str) {
        self.jobs.get_or_create(&EventLabels { kind, event }).inc();
    }

    pub(crate) fn item(&self, result: &'static str) {
        self.items.get_or_create(&ResultLabel { result }).inc();
    }

    pub(crate) fn delivery(&self, result: &'static str) {
        self.deliveries.get_or_create(&ResultLabel { result }).inc();
    }

    pub(crate) fn set_backlog(&self, backlog: &Backlog) {
        self.n_open.store(backlog.n_waiting + backlog.n_leased, Ordering::Relaxed);
        self.jobs_open.set(backlog.n_jobs);
        for (family, state, n) in [
            (&self.items_open, "waiting", backlog.n_waiting),
            (&self.items_open, "leased", backlog.n_leased),
            (&self.deliveries_open, "due", backlog.n_due),
            (&self.deliveries_open, "dead", backlog.n_dead),
        ] {
            family.get_or_create(&StateLabel { state }).set(n);
        }
    }

    /// Pairs that were open when that was last looked at.
    pub(crate) fn n_open(&self) -> usize {
        usize::try_from(self.n_open.load(Ordering::Relaxed)).unwrap_or_default()
    }
}
