//! The end of a batch: its files are written, and become visible together with the batch's end.

use serde::{Deserialize, Serialize};
use store::{CHUNK_BYTES, FileId, Item, Job, Millis, Store, StoreError};

use super::reply::{Kind, Replies, Reply};
use crate::api::App;
use crate::jobs::{BATCH, BatchDetails, JobDetails, json};

/// Batches looked at in one go.
const PAGE: usize = 4;
/// Items read at once.
const ITEMS: usize = 1000;
/// OpenAI's word for what such files are for.
const PURPOSE: &str = "batch_output";

/// What a batch came to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Conclusion {
    pub(crate) output_file: Option<FileId>,
    pub(crate) error_file: Option<FileId>,
    pub(crate) n_completed: usize,
    pub(crate) n_failed: usize,
    pub(crate) n_expired: usize,
    pub(crate) at: Millis,
}

/// Concludes batches whose last item is settled.
///
/// # Errors
/// [`StoreError`]; what was written of the files is not visible, and swept later.
pub(crate) async fn conclude_all(app: &App, store: &Store) -> Result<(), StoreError> {
    for job in store.unconcluded(BATCH, PAGE).await? {
        conclude(app, store, &job).await?;
    }
    Ok(())
}

async fn conclude(app: &App, store: &Store, job: &Job) -> Result<(), StoreError> {
    let details: JobDetails = serde_json::from_str(&job.details)?;
    let replies = Replies { job, model: &app.model, moderations: &app.settings.moderations };
    let mut output = Output::new(store, &job.tenant, &job.id);
    let faults = details.batch.map(|BatchDetails { faults, .. }| faults).unwrap_or_default();
    for (at, fault) in faults.iter().enumerate() {
        output.write(&replies.fault(fault, at)).await?;
    }
    let mut line: Vec<Item> = Vec::new();
    let mut after = None;
    loop {
        let page = store.items(&job.id, after, ITEMS).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.position);
        for item in page {
            if line.first().is_some_and(|first| first.custom_id != item.custom_id) {
                output.write(&replies.of(&line)).await?;
                line.clear();
            }
            line.push(item);
        }
    }
    if !line.is_empty() {
        output.write(&replies.of(&line)).await?;
    }
    let conclusion = output.end().await?;
    let files: Vec<FileId> =
        [&conclusion.output_file, &conclusion.error_file].into_iter().flatten().cloned().collect();
    if !store.conclude(&job.id, &files, &json(&conclusion)).await? {
        // Another service was faster.
        for file in &files {
            store.delete_file(&job.tenant, file).await?;
        }
    }
    Ok(())
}

/// The two files in the making.
struct Output<'a> {
    output: Lines<'a>,
    error: Lines<'a>,
    conclusion: Conclusion,
}

impl<'a> Output<'a> {
    fn new(store: &'a Store, tenant: &'a str, job: &store::JobId) -> Output<'a> {
        let lines = |kind: &str| Lines {
            store,
            tenant,
            name: format!("{job}_{kind}.jsonl"),
            file: None,
            bytes: Vec::new(),
        };
        Output { output: lines("output"), error: lines("error"), conclusion: Conclusion::default() }
    }

    async fn write(&mut self, reply: &Reply) -> Result<(), StoreError> {
        let (lines, n) = match reply.kind {
            Kind::Completed => (&mut self.output, &mut self.conclusion.n_completed),
            Kind::Failed => (&mut self.error, &mut self.conclusion.n_failed),
            Kind::Expired => (&mut self.error, &mut self.conclusion.n_expired),
        };
        *n += 1;
        lines.bytes.extend_from_slice(reply.line.to_string().as_bytes());
        lines.bytes.push(b'\n');
        lines.flush(CHUNK_BYTES).await
    }

    async fn end(mut self) -> Result<Conclusion, StoreError> {
        self.output.flush(1).await?;
        self.error.flush(1).await?;
        let (output_file, error_file) = (self.output.file, self.error.file);
        Ok(Conclusion { output_file, error_file, at: Millis::now(), ..self.conclusion })
    }
}

/// A file that is begun with its first line.
struct Lines<'a> {
    store: &'a Store,
    tenant: &'a str,
    name: String,
    file: Option<FileId>,
    bytes: Vec<u8>,
}

impl Lines<'_> {
    /// Stores what was written, as long as it is at least so many bytes.
    async fn flush(&mut self, least: usize) -> Result<(), StoreError> {
        while self.bytes.len() >= least {
            let file = match &self.file {
                Some(file) => file.clone(),
                None => self.store.begin_file(self.tenant, &self.name, PURPOSE).await?,
            };
            let rest = self.bytes.split_off(self.bytes.len().min(CHUNK_BYTES));
            self.store.add_to_file(&file, &self.bytes).await?;
            self.file = Some(file);
            self.bytes = rest;
        }
        Ok(())
    }
}
