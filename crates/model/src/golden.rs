//! Golden numbers: what an independent implementation computed with the same checkpoint.
//!
//! The folder holds `golden.json` (prompts, the greedy continuation) and `golden.safetensors` (logits of
//! every prompt, the values inside the pass over one); `tests/fixtures/make_checkpoint.py` makes both.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kernels::{Arithmetic, Kernels, Pool};
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
    /// What is inside the pass over one prompt; `None` if it was not recorded.
    pub inner: Option<InnerReport>,
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

/// The values inside the pass over one prompt.
#[derive(Clone, Debug, Serialize)]
pub struct InnerReport {
    /// Its name.
    pub prompt: String,
    /// Places in the network that were compared.
    pub n_places: usize,
    /// The place that is farthest off, such as `layer2.mlp_out`.
    pub worst_place: String,
    /// How far: the largest difference, divided by the largest golden value of its row.
    pub max_relative: f32,
    /// Choices of experts, one for each token and layer.
    pub experts: Agreement,
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
        self.prompts.iter().map(|prompt| prompt.max_relative).fold(0.0, worse)
    }

    /// Whether this is the same model: errors within [`TOLERANCE`], all experts and all tokens equal.
    pub fn passes(&self) -> bool {
        self.max_relative() <= TOLERANCE
            && self.greedy.is_full()
            && self
                .inner
                .iter()
                .all(|inner| inner.max_relative <= TOLERANCE && inner.experts.is_full())
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
    /// [`ModelError`] when the numbers do not fit the model, and errors of the forward pass.
    pub fn compare(
        &self,
        model: &Arc<Model>,
        kernels: Kernels,
        n_threads: usize,
        arithmetic: Arithmetic,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Report, ModelError> {
        let forward = Forward::new(Arc::clone(model), kernels, Pool::new(n_threads), arithmetic);
        let mut prompts = Vec::new();
        let mut inner = None;
        for prompt in &self.file.prompts {
            let is_tapped = self.file.tap_prompt.as_ref() == Some(&prompt.name);
            let (report, found) = self.prompt(model, &forward, prompt, is_tapped)?;
            prompts.push(report);
            inner = inner.or(found);
            progress(&prompt.name);
        }
        let greedy = self.greedy(model, &forward)?;
        progress("greedy");
        Ok(Report { prompts, inner, greedy, greedy_prompt: self.file.greedy.prompt.clone() })
    }

    fn prompt(
        &self,
        model: &Model,
        forward: &Forward,
        prompt: &Prompt,
        is_tapped: bool,
    ) -> Result<(PromptReport, Option<InnerReport>), ModelError> {
        let mut kv = KvTable::with_room(model.config(), prompt.ids.len());
        let mut seen: Vec<(String, Vec<f32>)> = Vec::new();
        let mut tap = |layer: Option<usize>, name: &'static str, values: &[f32]| {
            if is_tapped {
                let place = layer.map_or_else(|| name.to_owned(), |n| format!("layer{n}.{name}"));
                seen.push((place, values.to_vec()));
            }
        };
        let segment = Segment { tokens: &prompt.ids, kv: &mut kv, logits: LogitRows::All };
        let found = forward.run_tapped(&mut [segment], &mut tap)?;
        let vocab = model.config().vocab_size;
        let expected = self.floats(&prompt.logits, &[prompt.ids.len(), vocab])?;
        let rows: Vec<(&[f32], &[f32])> = expected
            .chunks_exact(vocab)
            .enumerate()
            .map(|(row, expected)| (found.row(row), expected))
            .collect();
        let report = PromptReport {
            name: prompt.name.clone(),
            n_tokens: prompt.ids.len(),
            max_absolute: rows.iter().map(|(a, b)| difference(a, b)).fold(0.0, worse),
            max_relative: rows.iter().map(|(a, b)| relative(a, b)).fold(0.0, worse),
            argmax: Agreement::of(
                &rows.iter().map(|(a, _)| argmax(a)).collect::<Vec<_>>(),
                &rows.iter().map(|(_, b)| argmax(b)).collect::<Vec<_>>(),
            ),
        };
        let inner = is_tapped.then(|| self.inner(prompt, &seen)).transpose()?;
        Ok((report, inner))
    }

    /// Compares the values seen with those recorded.
    fn inner(
        &self,
        prompt: &Prompt,
        seen: &[(String, Vec<f32>)],
    ) -> Result<InnerReport, ModelError> {
        let mut report = InnerReport {
            prompt: prompt.name.clone(),
            n_places: 0,
            worst_place: String::new(),
            max_relative: 0.0,
            experts: Agreement { n_equal: 0, n_all: 0 },
        };
        for (place, found) in seen {
            let name = format!("tap.{place}");
            let width = found.len() / prompt.ids.len();
            let shape = [prompt.ids.len(), width];
            if place.ends_with("router_indices") {
                let agreement = same_experts(found, &self.integers(&name, &shape)?, width);
                report.experts.n_equal += agreement.n_equal;
                report.experts.n_all += agreement.n_all;
                continue;
            }
            let expected = self.floats(&name, &shape)?;
            let rows = found.chunks_exact(width).zip(expected.chunks_exact(width));
            let off = rows.map(|(a, b)| relative(a, b)).fold(0.0, worse);
            report.n_places += 1;
            if worse(report.max_relative, off).to_bits() != report.max_relative.to_bits() {
                (report.worst_place, report.max_relative) = (place.clone(), off);
            }
        }
        Ok(report)
    }

    fn greedy(&self, model: &Model, forward: &Forward) -> Result<Agreement, ModelError> {
        let greedy = &self.file.greedy;
        let prompt = self.file.prompts.iter().find(|prompt| prompt.name == greedy.prompt);
        let prompt = prompt.ok_or_else(|| ModelError::GoldenPrompt {
            path: self.path.clone(),
            prompt: greedy.prompt.clone(),
        })?;
        let mut kv = KvTable::with_room(model.config(), prompt.ids.len() + greedy.ids.len());
        let mut next = prompt.ids.clone();
        let mut found = Vec::new();
        for _ in &greedy.ids {
            let segment = Segment { tokens: &next, kv: &mut kv, logits: LogitRows::Last(1) };
            let logits = forward.run(&mut [segment])?;
            let token = argmax(logits.row(0)) as u32;
            found.push(token);
            next = vec![token];
        }
        Ok(Agreement::of(&found, &greedy.ids))
    }

    fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let cells = self.cells(name, Dtype::F32, "F32", shape)?;
        Ok(cells.as_chunks::<4>().0.iter().map(|cell| f32::from_le_bytes(*cell)).collect())
    }

    fn integers(&self, name: &str, shape: &[usize]) -> Result<Vec<i32>, ModelError> {
        let cells = self.cells(name, Dtype::I32, "I32", shape)?;
        Ok(cells.as_chunks::<4>().0.iter().map(|cell| i32::from_le_bytes(*cell)).collect())
    }

    fn cells(
        &self,
        name: &str,
        dtype: Dtype,
        expected: &'static str,
        shape: &[usize],
    ) -> Result<&[u8], ModelError> {
        let tensor = self.numbers.tensor(name)?;
        let (path, name) = (|| self.numbers.path(tensor).to_owned(), || name.to_owned());
        if tensor.dtype != dtype {
            let found = tensor.dtype.to_string();
            return Err(ModelError::Dtype { path: path(), tensor: name(), expected, found });
        }
        if tensor.shape != shape {
            let (expected, found) = (shape.to_vec(), tensor.shape.clone());
            return Err(ModelError::Shape { path: path(), tensor: name(), expected, found });
        }
        Ok(self.numbers.bytes(tensor))
    }
}

/// Compares the sets of experts, row by row: their order inside a row is seen in their weights.
fn same_experts(found: &[f32], expected: &[i32], width: usize) -> Agreement {
    let sorted = |row: &[i32]| {
        let mut row = row.to_vec();
        row.sort_unstable();
        row
    };
    let found: Vec<i32> = found.iter().map(|&expert| expert as i32).collect();
    let found: Vec<_> = found.chunks_exact(width).map(sorted).collect();
    let expected: Vec<_> = expected.chunks_exact(width).map(sorted).collect();
    Agreement::of(&found, &expected)
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, worse)
}

fn relative(found: &[f32], expected: &[f32]) -> f32 {
    difference(found, expected) / largest(expected)
}

/// The larger one; "not a number" must not hide, as it would in `max`.
fn worse(a: f32, b: f32) -> f32 {
    if b > a || b.is_nan() { b } else { a }
}

fn largest(x: &[f32]) -> f32 {
    x.iter().fold(f32::MIN_POSITIVE, |top, value| top.max(value.abs()))
}

fn argmax(x: &[f32]) -> usize {
    (0..x.len()).fold(0, |best, at| if x[at] > x[best] { at } else { best })
}
