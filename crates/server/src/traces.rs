//! Traces to an OpenTelemetry collector: a span for every request, with spans for reading it, for its time in the
//! queue, for the judge and for the record. They hold routes, statuses, outcomes and counts; never content, policies,
//! keys or what a judge thought.

use serde::Deserialize;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;

use crate::error::ServerError;
use crate::settings::SettingsError;

/// Where traces go: the table `[serve.traces]`. It needs a build with the feature `otel`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceSettings {
    /// The collector's root for OTLP over HTTP, such as `http://127.0.0.1:4318`.
    pub endpoint: String,
    /// The share of requests that are traced, 0 to 1.
    #[serde(default = "all")]
    pub share: f64,
}

impl TraceSettings {
    /// Whether the values can hold.
    ///
    /// # Errors
    /// [`SettingsError::Value`] for a share that is none.
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        if (0.0..=1.0).contains(&self.share) {
            return Ok(());
        }
        let (setting, found) = ("traces.share", self.share.to_string());
        Err(SettingsError::Value { setting, found, expected: "0 to 1" })
    }
}

fn all() -> f64 {
    1.0
}

/// What sends traces; those under way are sent when it is dropped.
#[derive(Debug)]
pub(crate) struct Sending {
    #[cfg(feature = "otel")]
    provider: opentelemetry_sdk::trace::SdkTracerProvider,
}

#[cfg(feature = "otel")]
impl Drop for Sending {
    fn drop(&mut self) {
        // A collector that is gone takes none.
        let _ = self.provider.shutdown();
    }
}

/// The layer that makes traces of the service's spans.
///
/// # Errors
/// [`ServerError::Traces`] for an address that cannot be used.
#[cfg(feature = "otel")]
pub(crate) fn layer<S>(settings: &TraceSettings) -> Result<(impl Layer<S>, Sending), ServerError>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    use opentelemetry::KeyValue;
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};

    let unusable = ServerError::Traces { problem: "endpoint is no http or https address" };
    let url = reqwest::Url::parse(settings.endpoint.trim());
    if !url.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
        return Err(unusable);
    }
    // Another part of this program may have chosen the same provider before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let route = format!("{}/v1/traces", settings.endpoint.trim().trim_end_matches('/'));
    let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary);
    let exporter = exporter.with_endpoint(route).build();
    let exporter = exporter.map_err(|_| unusable)?;
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_service_name("safeguard").with_attribute(version);
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.share)));
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter);
    let provider = provider.with_resource(resource.build()).with_sampler(sampler).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("safeguard"));
    let layer = layer.with_location(false).with_threads(false).with_tracked_inactivity(false);
    // Spans of this crate alone: those of others may hold what they send.
    let is_ours =
        |data: &tracing::Metadata<'_>| data.is_span() && data.target().starts_with("server::");
    let filter = tracing_subscriber::filter::filter_fn(is_ours);
    Ok((layer.with_filter(filter), Sending { provider }))
}

/// Without the feature `otel` there is none.
///
/// # Errors
/// [`ServerError::Traces`], always.
#[cfg(not(feature = "otel"))]
pub(crate) fn layer<S>(_: &TraceSettings) -> Result<(impl Layer<S>, Sending), ServerError>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    let none: Result<(tracing_subscriber::layer::Identity, Sending), ServerError> =
        Err(ServerError::Traces { problem: "this program was built without the feature otel" });
    none
}
