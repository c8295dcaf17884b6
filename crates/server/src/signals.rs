//! Signals that ask the service to stop.

use std::io;

use tokio::runtime::Runtime;
use tokio::sync::watch;

/// From now on SIGINT and SIGTERM set `stop`, and do not end the program.
///
/// # Errors
/// The system lets no signal be heard.
#[cfg(unix)]
pub(crate) fn listen(runtime: &Runtime, stop: &watch::Sender<bool>) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let _inside = runtime.enter();
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let (mut signals, stop) = (signal(kind)?, stop.clone());
        runtime.spawn(async move {
            while signals.recv().await.is_some() {
                stop.send_replace(true);
            }
        });
    }
    Ok(())
}

/// From now on Ctrl-C sets `stop`, and does not end the program.
#[cfg(not(unix))]
pub(crate) fn listen(runtime: &Runtime, stop: &watch::Sender<bool>) -> io::Result<()> {
    let stop = stop.clone();
    runtime.spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            stop.send_replace(true);
        }
    });
    Ok(())
}
