//! A filter at work: the scores of texts, and the reasons for them.

use crate::encoder::{Encoder, Windows, encode};
use crate::error::CascadeError;
use crate::features::{Featuriser, Named, marks, named, windows};
use crate::filter::{Contribution, Filter, FilterScore, logistic};
use crate::text::Normalised;

/// Texts whose vectors are held at a time.
const CHUNK: usize = 512;

/// A filter with all that it reads texts with; one a thread.
pub struct Scorer<'a> {
    filter: &'a Filter,
    featuriser: Option<Featuriser>,
    encoder: Option<&'a dyn Encoder>,
}

/// One head's log-odds, and where it found them.
#[derive(Clone, Copy)]
struct Margin {
    label: usize,
    log_odds: f64,
    /// The window of n-grams.
    window: usize,
    of_vectors: f64,
}

impl Filter {
    /// What scores texts. An encoder that the filter does not read is not asked.
    ///
    /// # Errors
    /// [`CascadeError::EncoderMissing`] if the filter reads vectors and there is no encoder,
    /// [`CascadeError::EncoderForeign`] if it is another than the filter was trained with.
    pub fn scorer<'a>(
        &'a self,
        encoder: Option<&'a dyn Encoder>,
    ) -> Result<Scorer<'a>, CascadeError> {
        let reads = &self.about.reads;
        let encoder = reads.check_encoder(encoder)?;
        Ok(Scorer { filter: self, featuriser: reads.ngrams.map(Featuriser::new), encoder })
    }
}

impl Scorer<'_> {
    /// The score of a raw text; 1 where nothing is left to read after normalising, or more than can be read.
    ///
    /// # Errors
    /// [`CascadeError::Encode`] and [`CascadeError::Vectors`], if there is an encoder.
    pub fn score(&mut self, raw: &str) -> Result<FilterScore, CascadeError> {
        let mut scores = self.score_all(&[raw])?;
        scores.pop().ok_or_else(|| self.no_vectors())
    }

    /// The scores of raw texts, in order; see [`Scorer::score`]. Faster than one by one if there is an encoder.
    ///
    /// # Errors
    /// As of [`Scorer::score`].
    pub fn score_all(&mut self, raws: &[&str]) -> Result<Vec<FilterScore>, CascadeError> {
        let mut scores = Vec::with_capacity(raws.len());
        for raws in raws.chunks(CHUNK) {
            let encoded = self.encoder.map(|encoder| encode(encoder, raws)).transpose()?;
            for (at, raw) in raws.iter().enumerate() {
                let vectors = encoded.as_ref().map(|texts| &texts[at]);
                let (normalised, windows) = windows(raw);
                let margin = self.margin(&normalised, &windows, vectors);
                // What the filter cannot read, a model may.
                let unread = FilterScore { score: 1.0, label: 0, window: 0 };
                scores.push(margin.map_or(unread, |margin| FilterScore {
                    score: logistic(margin.log_odds),
                    label: margin.label,
                    window: margin.window,
                }));
            }
        }
        Ok(scores)
    }

    /// Why `raw` has its score: what its features add, the strongest first, the bias last. Empty where the text
    /// cannot be read.
    ///
    /// # Errors
    /// As of [`Scorer::score`].
    pub fn explain(&mut self, raw: &str) -> Result<Vec<Contribution>, CascadeError> {
        let encoded = self.encoder.map(|encoder| encode(encoder, &[raw])).transpose()?;
        let vectors = encoded.as_ref().and_then(|texts| texts.first());
        let (normalised, windows) = windows(raw);
        let Some(margin) = self.margin(&normalised, &windows, vectors) else {
            return Ok(Vec::new());
        };
        let head = &self.filter.heads[margin.label];
        let mut all = Vec::new();
        if let Some(shape) = self.filter.about.reads.ngrams {
            let window = &normalised.text[windows[margin.window].clone()];
            let names = named(shape, window, &marks(&normalised)).into_iter();
            all.extend(names.map(|Named { name, feature }| Contribution {
                feature: name,
                log_odds: head.of_slots(&[feature]),
            }));
        }
        if vectors.is_some() {
            let feature = "(vector)".to_owned();
            all.push(Contribution { feature, log_odds: margin.of_vectors });
        }
        all.sort_by(|a, b| b.log_odds.abs().total_cmp(&a.log_odds.abs()));
        all.push(Contribution { feature: "(always)".to_owned(), log_odds: head.bias.into() });
        Ok(all)
    }

    /// The head that finds most: its best window of n-grams and its best vector, each for itself. `None` where the
    /// text cannot be read.
    fn margin(
        &mut self,
        normalised: &Normalised,
        windows: &[std::ops::Range<usize>],
        vectors: Option<&Windows>,
    ) -> Option<Margin> {
        if normalised.text.is_empty() || vectors.is_some_and(Vec::is_empty) {
            return None;
        }
        let heads = &self.filter.heads;
        let mut margins: Vec<Margin> = (heads.iter().enumerate())
            .map(|(label, head)| {
                let best = vectors.map(|vectors| {
                    let each = vectors.iter().map(|vector| head.of_vector(vector));
                    each.fold(f64::NEG_INFINITY, f64::max)
                });
                let of_vectors = best.unwrap_or(0.0);
                Margin { label, log_odds: f64::NEG_INFINITY, window: 0, of_vectors }
            })
            .collect();
        let marks = marks(normalised);
        for (window, range) in windows.iter().enumerate() {
            let features = match &mut self.featuriser {
                Some(featuriser) => featuriser.window(&normalised.text[range.clone()], &marks),
                None if window > 0 => break,
                None => &[],
            };
            for (head, best) in heads.iter().zip(&mut margins) {
                let log_odds = f64::from(head.bias) + head.of_slots(features) + best.of_vectors;
                if log_odds > best.log_odds {
                    *best = Margin { log_odds, window, ..*best };
                }
            }
        }
        margins
            .into_iter()
            .max_by(|a, b| a.log_odds.total_cmp(&b.log_odds).then(b.label.cmp(&a.label)))
    }

    fn no_vectors(&self) -> CascadeError {
        let identity = self.encoder.map(|encoder| encoder.identity().to_owned());
        CascadeError::Vectors { identity: identity.unwrap_or_default() }
    }
}
