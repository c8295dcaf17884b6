//! The rows of a training as vectors, each text in windows.

use crate::dense::Standard;
use crate::encoder::{Encoder, Windows, encode};
use crate::error::CascadeError;
use crate::features::{Feature, Featuriser, marks, windows};
use crate::linear::{Linear, Rows};
use crate::reads::Reads;
use crate::train::Row;

/// Texts that are encoded at a time.
const CHUNK: usize = 256;

/// The windows of all rows.
///
/// Windows of n-grams and of vectors are of different lengths. They are joined in pairs, from the beginning to the end
/// of the text, such that each is in a pair; slots behind those of the n-grams hold the vectors.
pub(crate) struct Table {
    pub(crate) joined: Rows,
    /// The first window of each row, and one past the last of all.
    starts: Vec<usize>,
    n_slots: usize,
    /// How the vectors were standardised.
    pub(crate) standard: Option<Standard>,
    /// What the vectors' length is multiplied by now.
    scale: f64,
}

impl Table {
    pub(crate) fn new(
        rows: &[Row],
        reads: &Reads,
        encoder: Option<&dyn Encoder>,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Table, CascadeError> {
        let encoded =
            encoder.map(|encoder| encode_all(rows, encoder, &mut progress)).transpose()?;
        let standard = encoded.as_ref().map(|texts| Standard::new(texts, reads.n_dims()));
        let mut table = Table {
            joined: Rows::default(),
            starts: vec![0],
            n_slots: reads.n_slots(),
            standard,
            scale: 1.0,
        };
        let mut featuriser = reads.ngrams.map(Featuriser::new);
        for (at, row) in rows.iter().enumerate() {
            let ngrams = featuriser.as_mut().map(|featuriser| of_ngrams(&row.text, featuriser));
            table.push(ngrams, encoded.as_ref().map(|texts| &texts[at]));
        }
        Ok(table)
    }

    /// A row that cannot be read has no windows.
    fn push(&mut self, ngrams: Option<Vec<Vec<Feature>>>, vectors: Option<&Windows>) {
        let n_ngrams = ngrams.as_ref().map_or(0, Vec::len);
        let n_vectors = vectors.map_or(0, Vec::len);
        let is_read = vectors.is_none() || n_vectors > 0;
        let n_pairs = if is_read { n_ngrams.max(n_vectors) } else { 0 };
        for pair in 0..n_pairs {
            let mut joined = Vec::new();
            if let Some(ngrams) = &ngrams {
                joined.extend_from_slice(&ngrams[pair * n_ngrams / n_pairs]);
            }
            if let (Some(vectors), Some(standard)) = (vectors, &self.standard) {
                let vector = &vectors[pair * n_vectors / n_pairs];
                joined.extend(standard.features(vector, self.n_slots));
            }
            self.joined.push(&joined);
        }
        self.starts.push(self.joined.len());
    }

    /// Makes the vectors `scale` times as long as they are by themselves; a power of 2 loses nothing.
    pub(crate) fn set_scale(&mut self, scale: f64) {
        if scale != self.scale {
            self.joined.scale_from(self.n_slots as u32, (scale / self.scale) as f32);
            self.scale = scale;
        }
    }

    /// A line of this table's scale as one of scale 1.
    pub(crate) fn unscaled(&self, mut head: Linear) -> Linear {
        head.weights[self.n_slots..].iter_mut().for_each(|weight| *weight *= self.scale);
        head
    }

    pub(crate) fn windows(&self, row: usize) -> std::ops::Range<usize> {
        self.starts[row]..self.starts[row + 1]
    }

    /// What the filter will say of the row: the best of its n-grams' windows and the best of its vectors, each for
    /// itself; above everything if the row cannot be read.
    pub(crate) fn margin(&self, head: &Linear, row: usize) -> f64 {
        if self.windows(row).is_empty() {
            return f64::INFINITY;
        }
        let (mut ngrams, mut dense) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
        for window in self.windows(row) {
            let features = self.joined.row(window);
            let n_ngrams = features.partition_point(|f| (f.slot as usize) < self.n_slots);
            let (of_ngrams, of_vector) = features.split_at(n_ngrams);
            ngrams = ngrams.max(head.product(of_ngrams));
            dense = dense.max(head.product(of_vector));
        }
        ngrams + dense + head.bias
    }
}

fn of_ngrams(text: &str, featuriser: &mut Featuriser) -> Vec<Vec<Feature>> {
    let (normalised, windows) = windows(text);
    let marks = marks(&normalised);
    let windows = windows.into_iter();
    windows.map(|window| featuriser.window(&normalised.text[window], &marks).to_vec()).collect()
}

fn encode_all(
    rows: &[Row],
    encoder: &dyn Encoder,
    progress: &mut impl FnMut(usize, usize),
) -> Result<Vec<Windows>, CascadeError> {
    let mut encoded = Vec::with_capacity(rows.len());
    for chunk in rows.chunks(CHUNK) {
        let texts: Vec<&str> = chunk.iter().map(|row| row.text.as_str()).collect();
        encoded.extend(encode(encoder, &texts)?);
        progress(encoded.len(), rows.len());
    }
    Ok(encoded)
}
