//! The log: one line an event on stderr, for people or as JSON. Content, policies and keys never get there:
//! events carry counts, names of routes and policies, statuses and times.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::error::ServerError;
use crate::traces::{self, Sending, TraceSettings};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The log of a program, and its traces where they are wanted. Dropped, it sends what it has.
#[derive(Debug)]
pub struct Log {
    _sending: Option<Sending>,
}

/// Starts the log of this program. Where another log was started before, that one stays.
///
/// # Errors
/// [`ServerError::Traces`] where traces are wanted and cannot be sent.
pub fn start_log(format: LogFormat, traces: Option<&TraceSettings>) -> Result<Log, ServerError> {
    let lines = fmt::layer().with_target(false).with_writer(std::io::stderr);
    let lines = lines.with_ansi(std::io::stderr().is_terminal());
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // Lower levels would have the HTTP crates write headers and frames, which hold keys and content. Spans are for
    // traces; a line stands alone.
    let is_line =
        |data: &tracing::Metadata<'_>| data.is_event() && *data.level() <= tracing::Level::INFO;
    let lines = lines.with_filter(filter_fn(is_line).with_max_level_hint(LevelFilter::INFO));
    let subscriber = tracing_subscriber::registry().with(lines);
    // The only failure of either is a log that was started before.
    let sending = match traces {
        None => {
            let _ = subscriber.try_init();
            None
        }
        Some(settings) => {
            let (layer, sending) = traces::layer(settings)?;
            let _ = subscriber.with(layer).try_init();
            Some(sending)
        }
    };
    Ok(Log { _sending: sending })
}
