//! The tasks behind the routes, from the start of the service to its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::texts::Texts;
use super::{upkeep, worker};
use crate::api::App;
use crate::settings::duration;
use crate::webhooks::{self, Webhooks};

/// How long a task looks away when there is nothing to do: another service may have accepted something.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How far the service is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It takes work.
    Open,
    /// It takes none, and finishes what it has.
    Finishing,
    /// It ends, whatever is under way.
    Ending,
}

/// What wakes the tasks before it is time to look again.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// There may be items to lease.
    pub(crate) items: Notify,
    /// There may be deliveries that are due.
    pub(crate) deliveries: Notify,
}

/// What routes and tasks share of jobs.
pub(crate) struct Jobs {
    pub(crate) signals: Signals,
    pub(crate) texts: Texts,
    pub(crate) webhooks: Webhooks,
}

impl Jobs {
    pub(crate) fn new(webhooks: Webhooks) -> Jobs {
        Jobs { signals: Signals::default(), texts: Texts::default(), webhooks }
    }
}

/// The tasks.
pub(crate) struct Crew {
    tasks: JoinSet<()>,
    patience: Duration,
}

impl Crew {
    /// Starts them; without a store there is nothing to do.
    pub(crate) fn start(app: &Arc<App>, phase: &watch::Receiver<Phase>) -> Crew {
        let mut tasks = JoinSet::new();
        if app.recorder.is_some() {
            tasks.spawn(worker::work(Arc::clone(app), phase.clone()));
            tasks.spawn(upkeep::keep_up(Arc::clone(app), phase.clone()));
            tasks.spawn(webhooks::deliver_all(Arc::clone(app), phase.clone()));
        }
        Crew { tasks, patience: duration(app.settings.limits.shutdown_s) }
    }

    /// Waits until all have finished what they had and given back what they could not.
    pub(crate) async fn finish(mut self) {
        // Each keeps to its own time; this is for one that does not.
        let end = tokio::time::Instant::now() + self.patience + Duration::from_secs(5);
        while let Ok(Some(_)) = tokio::time::timeout_at(end, self.tasks.join_next()).await {}
    }
}

/// Returns when the service is that far.
pub(crate) async fn reached(phase: &mut watch::Receiver<Phase>, wanted: Phase) {
    // A sender that is gone has ended.
    let _ = phase.wait_for(|phase| *phase >= wanted).await;
}
