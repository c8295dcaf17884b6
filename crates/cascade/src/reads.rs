//! What a filter reads of a text: hashed n-grams, the vectors of an encoder, or both joined.

use serde::{Deserialize, Serialize};

use crate::encoder::Encoder;
use crate::error::CascadeError;
use crate::features::FeatureShape;

/// The most numbers in a vector that a filter reads.
const MAX_DIMS: usize = 1 << 14;

/// What a filter reads; at least one of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reads {
    /// The slots of its n-grams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ngrams: Option<FeatureShape>,
    /// Where its vectors come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dense: Option<DenseSource>,
}

/// Where a filter's vectors come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DenseSource {
    /// [`Encoder::identity`] of the only encoder that will do.
    pub identity: String,
    /// How many numbers a vector has.
    pub n_dims: usize,
    /// Where the encoder was found in training; a hint, no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

impl Reads {
    /// Slots of the n-grams; the vectors' numbers are the slots behind them.
    pub(crate) fn n_slots(&self) -> usize {
        self.ngrams.map_or(0, FeatureShape::n_slots)
    }

    /// Numbers of a vector.
    pub(crate) fn n_dims(&self) -> usize {
        self.dense.as_ref().map_or(0, |dense| dense.n_dims)
    }

    /// Whether a filter can read that.
    pub(crate) fn is_sound(&self) -> bool {
        (self.ngrams.is_some() || self.dense.is_some())
            && self.ngrams.is_none_or(FeatureShape::is_sound)
            && self.dense.as_ref().is_none_or(|dense| (1..=MAX_DIMS).contains(&dense.n_dims))
    }

    /// The encoder if one is needed, and only if it is the right one.
    ///
    /// # Errors
    /// [`CascadeError::EncoderMissing`] or [`CascadeError::EncoderForeign`].
    pub(crate) fn check_encoder<'a>(
        &self,
        encoder: Option<&'a dyn Encoder>,
    ) -> Result<Option<&'a dyn Encoder>, CascadeError> {
        let Some(dense) = &self.dense else { return Ok(None) };
        let encoder = encoder
            .ok_or_else(|| CascadeError::EncoderMissing { identity: dense.identity.clone() })?;
        if encoder.identity() != dense.identity || encoder.n_dims() != dense.n_dims {
            return Err(CascadeError::EncoderForeign {
                made_for: dense.identity.clone(),
                found: encoder.identity().to_owned(),
            });
        }
        Ok(Some(encoder))
    }
}
