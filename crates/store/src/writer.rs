//! The one task that appends to the chain: what waits while a commit is on its way goes into the next one.
//!
//! A commit costs a sync of the disk, so its price is shared by all who came in the meantime. A caller that
//! goes away does not take its entry back: once sent, it is stored.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::entry::{Applied, Entry};
use crate::error::{Result, StoreError};
use crate::store::Database;

/// Most entries of one commit.
const MAX_BATCH: usize = 128;
/// Entries that may wait; further callers wait for room.
const QUEUE: usize = 1024;

struct Request {
    entry: Entry,
    reply: oneshot::Sender<Result<Applied>>,
}

/// The door to the task.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    requests: mpsc::Sender<Request>,
}

impl Writer {
    /// Starts the task on the present runtime; it ends when all doors are dropped.
    pub(crate) fn start(database: Arc<Database>) -> Writer {
        let (requests, inbox) = mpsc::channel(QUEUE);
        tokio::spawn(write_all(database, inbox));
        Writer { requests }
    }

    /// Returns once the entry is on the disk, or refused.
    pub(crate) async fn append(&self, entry: Entry) -> Result<Applied> {
        let (reply, answer) = oneshot::channel();
        let request = Request { entry, reply };
        self.requests.send(request).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

async fn write_all(database: Arc<Database>, mut inbox: mpsc::Receiver<Request>) {
    let mut requests = Vec::with_capacity(MAX_BATCH);
    while inbox.recv_many(&mut requests, MAX_BATCH).await > 0 {
        let entries: Vec<&Entry> = requests.iter().map(|request| &request.entry).collect();
        let replies = apply(&database, &entries).await;
        for (request, reply) in requests.drain(..).zip(replies) {
            // Nobody waits any more: the entry is stored all the same.
            let _ = request.reply.send(reply);
        }
    }
}

/// All entries in one commit; should the database refuse them together, each in its own, so that one that it
/// cannot store (a zero byte in a text) takes no others with it.
async fn apply(database: &Database, entries: &[&Entry]) -> Vec<Result<Applied>> {
    match database.apply(entries).await {
        Ok(replies) => replies,
        Err(error) if entries.len() == 1 => vec![Err(error)],
        Err(_) => {
            let mut replies = Vec::with_capacity(entries.len());
            for entry in entries {
                let reply = database.apply(&[*entry]).await;
                replies
                    .push(reply.and_then(|mut one| one.pop().unwrap_or(Err(StoreError::Closed))));
            }
            replies
        }
    }
}
