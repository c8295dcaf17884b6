//! Golden numbers: what an independent implementation computed with the same checkpoint.
//!
//! The folder holds `golden.json` (prompts, the greedy continuation) and `golden.safetensors` (logits of
//! every prompt, the routing of one); `tests/fixtures/make_checkpoint.py` makes both.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kernels::{Kernels, Pool};
use serde::{Deserialize, Serialize};

use crate::Model;
use crate::checkpoint::{self, Checkpoint, Dtype};
use crate::error::ModelError;
use crate::forward::{Forward, LogitRows, Segment};
use crate::kv::KvTable;

/// Relative error up to which two implementations count as the same model.
pub const TOLERANCE: f32 = 1e-4;

/// Golden numbers, read and ready to compare.
#[derive(Debug)]
pub struct Golden {
    path: PathBuf,
    file: File,
    numbers: Checkpoint,
}

#[derive(Debug, Deserialize)]
struct File {
    tap_prompt: Option<String>,
    prompts: Vec<Prompt>,
    greedy: Greedy,
}

#[derive(Debug, Deserialize)]
struct Prompt {
    name: String,
    ids: Vec<u32>,
    logits: String,
}

#[derive(Debug, Deserialize)]
struct Greedy {
    prompt: String,
    ids: Vec<u32>,
}

/// How far this implementation is from the golden numbers.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// One line a prompt.
    pub prompts: Vec<PromptReport>,
    /// Expert choices compared, and how many were the same; `None` without golden routing.
    pub experts: Option<Agreement>,
    /// Tokens of the greedy continuation.
    pub greedy: Agreement,
    /// The prompt that is continued.
    pub greedy_prompt: String,
}

/// The logits of one prompt.
#[derive(Clone, Debug, Serialize)]
pub struct PromptReport {
    /// Its name.
    pub name: String,
    /// Its length.
    pub n_tokens: usize,
    /// Largest difference of a logit.
    pub max_absolute: f32,
    /// The same, divided by the largest golden logit of its row.
    pub max_relative: f32,
    /// Positions whose most probable token is the same.
    pub argmax: Agreement,
}

/// How many of how many were equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Agreement {
    /// Equal ones.
    pub n_equal: usize,
    /// All.
    pub n_all: usize,
}

impl Agreement {
    fn of<T: PartialEq>(found: &[T], expected: &[T]) -> Agreement {
        let n_equal = found.iter().zip(expected).filter(|(a, b)| a == b).count();
        Agreement { n_equal, n_all: expected.len() }
    }

    /// Whether all were equal.
    pub fn is_full(self) -> bool {
        self.n_equal == self.n_all
    }
}

impl Report {
    /// The largest relative error of all prompts.
    pub fn max_relative(&self) -> f32 {
        self.prompts.iter().map(|prompt| prompt.max_relative).fold(0.0, f32::max)
    }

    /// Whether this is the same model: errors within [`TOLERANCE`], all experts and all tokens equal.
    pub fn passes(&self) -> bool {
        self.max_relative() <= TOLERANCE
            && self.greedy.is_full()
            && self.experts.is_none_or(Agreement::is_full)
    }
}

impl Golden {
    /// Reads `golden.json` and maps `golden.safetensors` of a folder.
    ///
    /// # Errors
    /// [`ModelError`] naming the file.
    pub fn open(dir: &Path) -> Result<Golden, ModelError> {
        let path = dir.join("golden.json");
        let file = serde_json::from_slice(&checkpoint::read(&path)?)
            .map_err(|source| ModelError::Json { path: path.clone(), source })?;
        let numbers = Checkpoint::open_file(&dir.join("golden.safetensors"))?;
        Ok(Golden { path, file, numbers })
    }

    /// Computes everything anew and compares; `progress` is called with each finished part's name.
    ///
    /// # Errors
    /// [`ModelError::Golden`] when the numbers do not fit the model, and errors of the forward pass.
    pub fn compare(
        &self,
        model: &Arc<Model>,
        kernels: Kernels,
        n_threads: usize,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Report, ModelError> {
        let forward = Forward::new(Arc::clone(model), kernels, Pool::new(n_threads));
        let mut prompts = Vec::new();
        let mut experts = None;
        for prompt in &self.file.prompts {
            let is_tapped = self.file.tap_prompt.as_ref() == Some(&prompt.name);
            let (report, agreement) = self.prompt(model, &forward, prompt, is_tapped)?;
            prompts.push(report);
            experts = experts.or(agreement);
            progress(&prompt.name);
        }
        let greedy = self.greedy(model, &forward)?;
        progress("greedy");
        Ok(Report { prompts, experts, greedy, greedy_prompt: self.file.greedy.prompt.clone() })
    }

    fn prompt(
        &self,
        model: &Model,
        forward: &Forward,
        prompt: &Prompt,
        is_tapped: bool,
    ) -> Result<(PromptReport, Option<Agreement>), ModelError> {
        let mut kv = KvTable::with_room(model.config(), prompt.ids.len());
        let mut routed: Vec<Vec<f32>> = Vec::new();
        let mut tap = |_: Option<usize>, name: &'static str, values: &[f32]| {
            if name == "router_indices" {
                routed.push(values.to_vec());
            }
        };
        let segment = Segment { tokens: &prompt.ids, kv: &mut kv, logits: LogitRows::All };
        let found = forward.run_tapped(&mut [segment], &mut tap)?;
        let vocab = model.config().vocab_size;
        let expected = self.floats(&prompt.logits, prompt.ids.len() * vocab)?;
        let rows: Vec<(&[f32], &[f32])> = expected
            .chunks_exact(vocab)
            .enumerate()
            .map(|(row, expected)| (found.row(row), expected))
            .collect();
        let report = PromptReport {
            name: prompt.name.clone(),
            n_tokens: prompt.ids.len(),
            max_absolute: rows.iter().map(|(a, b)| difference(a, b)).fold(0.0, f32::max),
            max_relative: rows
                .iter()
                .map(|(a, b)| difference(a, b) / largest(b))
                .fold(0.0, f32::max),
            argmax: Agreement::of(
                &rows.iter().map(|(a, _)| argmax(a)).collect::<Vec<_>>(),
                &rows.iter().map(|(_, b)| argmax(b)).collect::<Vec<_>>(),
            ),
        };
        let experts = is_tapped.then(|| self.experts(model, &routed)).transpose()?;
        Ok((report, experts))
    }

    /// Compares the sets of experts, row by row: the order inside a row means nothing.
    fn experts(&self, model: &Model, routed: &[Vec<f32>]) -> Result<Agreement, ModelError> {
        let n_used = model.config().num_experts_per_tok;
        let mut total = Agreement { n_equal: 0, n_all: 0 };
        for (layer, found) in routed.iter().enumerate() {
            let name = format!("tap.layer{layer}.router_indices");
            let expected = self.integers(&name, found.len())?;
            let rows = |values: Vec<i64>| -> Vec<Vec<i64>> {
                let sorted = |row: &[i64]| {
                    let mut row = row.to_vec();
                    row.sort_unstable();
                    row
                };
                values.chunks_exact(n_used).map(sorted).collect()
            };
            let agreement = Agreement::of(
                &rows(found.iter().map(|&index| index as i64).collect()),
                &rows(expected),
            );
            total.n_equal += agreement.n_equal;
            total.n_all += agreement.n_all;
        }
        Ok(total)
    }

    fn greedy(&self, model: &Model, forward: &Forward) -> Result<Agreement, ModelError> {
        let greedy = &self.file.greedy;
        let prompt = self.file.prompts.iter().find(|prompt| prompt.name == greedy.prompt);
        let prompt =
            prompt.ok_or_else(|| self.fault(format!("prompt {} is missing", greedy.prompt)))?;
        let mut kv = KvTable::with_room(model.config(), prompt.ids.len() + greedy.ids.len());
        let mut next = prompt.ids.clone();
        let mut found = Vec::new();
        for _ in &greedy.ids {
            let segment = Segment { tokens: &next, kv: &mut kv, logits: LogitRows::Last };
            let logits = forward.run(&mut [segment])?;
            let token = argmax(logits.row(0)) as u32;
            found.push(token);
            next = vec![token];
        }
        Ok(Agreement::of(&found, &greedy.ids))
    }

    fn floats(&self, name: &str, n: usize) -> Result<Vec<f32>, ModelError> {
        let cells = self.cells(name, Dtype::F32, n)?;
        Ok(cells.as_chunks::<4>().0.iter().map(|cell| f32::from_le_bytes(*cell)).collect())
    }

    fn integers(&self, name: &str, n: usize) -> Result<Vec<i64>, ModelError> {
        if self.numbers.tensor(name)?.dtype == Dtype::I64 {
            let cells = self.cells(name, Dtype::I64, n)?;
            return Ok(cells
                .as_chunks::<8>()
                .0
                .iter()
                .map(|cell| i64::from_le_bytes(*cell))
                .collect());
        }
        let cells = self.cells(name, Dtype::I32, n)?;
        Ok(cells
            .as_chunks::<4>()
            .0
            .iter()
            .map(|cell| i64::from(i32::from_le_bytes(*cell)))
            .collect())
    }

    fn cells(&self, name: &str, dtype: Dtype, n: usize) -> Result<&[u8], ModelError> {
        let tensor = self.numbers.tensor(name)?;
        let bytes = self.numbers.bytes(tensor);
        if tensor.dtype != dtype || bytes.len() != n * dtype.n_bytes() {
            return Err(self.fault(format!(
                "{name} should be {n} cells of {dtype}, it is {:?} of {}",
                tensor.shape, tensor.dtype
            )));
        }
        Ok(bytes)
    }

    fn fault(&self, problem: String) -> ModelError {
        ModelError::Golden { path: self.path.clone(), problem }
    }
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    // Not-a-number must not hide: `max` would drop it.
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, |top, off| if off > top || off.is_nan() { off } else { top })
}

fn largest(x: &[f32]) -> f32 {
    x.iter().fold(f32::MIN_POSITIVE, |top, value| top.max(value.abs()))
}

fn argmax(x: &[f32]) -> usize {
    (0..x.len()).fold(0, |best, at| if x[at] > x[best] { at } else { best })
}
