//! What turns a text into vectors of numbers for a filter to read: the border to every neural model.
//!
//! A filter knows its encoder by name alone ([`Encoder::identity`]) and reads whatever has that name. An encoder that
//! needs more than the text, such as the policy, is made with it and bears it in its name.

use crate::error::CascadeError;

/// Most windows that a text is read in; a longer text is not read.
pub const MAX_WINDOWS: usize = 256;

/// The vectors of one text, one for each window, each of [`Encoder::n_dims`] finite numbers. Empty where the text
/// cannot be read, for it is longer than [`MAX_WINDOWS`] windows: it is then passed on.
pub type Windows = Vec<Vec<f32>>;

/// Reads texts as vectors.
pub trait Encoder: Send + Sync {
    /// Where the vectors come from: the kind and a digest of all that they depend on. The same name means the same
    /// vectors.
    fn identity(&self) -> &str;

    /// How many numbers a vector has, at least 1.
    fn n_dims(&self) -> usize;

    /// The windows of each text, in order. They overlap, and no part of a text is left out. A text's vectors do not
    /// depend on its neighbours.
    ///
    /// # Errors
    /// [`CascadeError::Encode`] if the computation fails.
    fn encode(&self, texts: &[&str]) -> Result<Vec<Windows>, CascadeError>;
}

/// [`Encoder::encode`], held to what it promises.
pub(crate) fn encode(encoder: &dyn Encoder, texts: &[&str]) -> Result<Vec<Windows>, CascadeError> {
    let encoded = encoder.encode(texts)?;
    let is_vector = |window: &Vec<f32>| {
        window.len() == encoder.n_dims() && window.iter().all(|number| number.is_finite())
    };
    if encoded.len() == texts.len() && encoded.iter().flatten().all(is_vector) {
        Ok(encoded)
    } else {
        Err(CascadeError::Vectors { identity: encoder.identity().to_owned() })
    }
}
