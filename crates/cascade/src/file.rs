//! A filter's file: a line that says what it is, a header in JSON, the weights, and a digest of it all.
//!
//! Layout, numbers little-endian: 8 bytes `sgfilter`; `u32` version; `u32` bytes of header; the header;
//! `u32` count and as many `u32` prints of the rows that training saw; for each label `f32` bias, then for n-grams, if
//! it reads them, `f32` scales and `i8` weights, then for vectors `f32` bias and `f32` weights; 32 bytes SHA-256 of
//! all before. Nothing is allocated by a number from the file
//! before the file is known to be that long.

use sha2::{Digest, Sha256};

use crate::error::CascadeError;
use crate::filter::{About, Filter};
use crate::head::{DenseWeights, Head, SCALE_SLOTS, SlotWeights};
use crate::reads::Reads;

const MAGIC: &[u8; 8] = b"sgfilter";
const VERSION: u32 = 2;
const DIGEST: usize = 32;

impl Filter {
    /// Whether a file begins as a filter's does.
    pub fn is_file(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC)
    }

    /// The bytes of its file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = serde_json::to_vec(&self.about).expect("a header is plain JSON");
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((header.len() as u32).to_le_bytes());
        bytes.extend(header);
        bytes.extend((self.seen.len() as u32).to_le_bytes());
        bytes.extend(self.seen.iter().flat_map(|print| print.to_le_bytes()));
        for head in &self.heads {
            bytes.extend(head.bias.to_le_bytes());
            bytes.extend(head.slots.scales.iter().flat_map(|scale| scale.to_le_bytes()));
            bytes.extend(head.slots.weights.iter().map(|&weight| weight as u8));
            if let Some(dense) = &head.dense {
                bytes.extend(dense.bias.to_le_bytes());
                bytes.extend(dense.weights.iter().flat_map(|weight| weight.to_le_bytes()));
            }
        }
        let digest = Sha256::digest(&bytes);
        bytes.extend(digest);
        bytes
    }

    /// Reads what [`Filter::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`CascadeError::NotAFilter`], [`CascadeError::Version`], or [`CascadeError::Damaged`] with the part.
    pub fn from_bytes(bytes: &[u8]) -> Result<Filter, CascadeError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(CascadeError::NotAFilter)?;
        let mut rest = Reader(rest);
        match rest.u32("version")? {
            VERSION => {}
            found => return Err(CascadeError::Version { found, known: VERSION }),
        }
        let n_before = bytes.len().checked_sub(DIGEST).ok_or(damaged("length"))?;
        let (before, digest) = bytes.split_at(n_before);
        if Sha256::digest(before).as_slice() != digest {
            return Err(damaged("digest"));
        }
        let n_header = rest.u32("header")? as usize;
        let about: About = serde_json::from_slice(rest.take(n_header, "header")?)
            .map_err(|_| damaged("header"))?;
        if !about.reads.is_sound() || about.labels.is_empty() {
            return Err(damaged("header"));
        }
        let n_seen = rest.u32("rows seen")? as usize;
        let seen = rest.take(n_seen.saturating_mul(4), "rows seen")?;
        let seen =
            seen.chunks_exact(4).map(|four| u32::from_le_bytes(four.try_into().expect("four")));
        let seen = seen.collect();
        let heads = about.labels.iter().map(|_| rest.head(&about.reads));
        let heads = heads.collect::<Result<Vec<_>, _>>()?;
        if rest.0.len() != DIGEST {
            return Err(damaged("length"));
        }
        Ok(Filter { about, seen, heads })
    }
}

fn damaged(part: &'static str) -> CascadeError {
    CascadeError::Damaged { part }
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize, part: &'static str) -> Result<&'a [u8], CascadeError> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(damaged(part))?;
        self.0 = rest;
        Ok(taken)
    }

    fn u32(&mut self, part: &'static str) -> Result<u32, CascadeError> {
        let four = self.take(4, part)?;
        Ok(u32::from_le_bytes(four.try_into().expect("four bytes were taken")))
    }

    fn f32(&mut self) -> Result<f32, CascadeError> {
        let number = f32::from_bits(self.u32("weights")?);
        if number.is_finite() { Ok(number) } else { Err(damaged("weights")) }
    }

    fn f32s(&mut self, n: usize) -> Result<Vec<f32>, CascadeError> {
        let mut numbers = Reader(self.take(n.saturating_mul(4), "weights")?);
        (0..n).map(|_| numbers.f32()).collect()
    }

    fn head(&mut self, reads: &Reads) -> Result<Head, CascadeError> {
        let bias = self.f32()?;
        let n_slots = reads.n_slots();
        let scales = self.f32s(n_slots.div_ceil(SCALE_SLOTS))?;
        let weights = self.take(n_slots, "weights")?.iter().map(|&byte| byte as i8).collect();
        let dense = match &reads.dense {
            Some(dense) => {
                Some(DenseWeights { bias: self.f32()?, weights: self.f32s(dense.n_dims)? })
            }
            None => None,
        };
        Ok(Head { bias, slots: SlotWeights { scales, weights }, dense })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::features::FeatureShape;
    use crate::reads::DenseSource;
    use crate::train::{Reading, Row, TrainSettings, train};

    static FILTER: LazyLock<Filter> = LazyLock::new(|| {
        let row = |at: usize| Row {
            text: format!(
                "{} number {at}",
                if at.is_multiple_of(2) { "good cheese" } else { "plain bread" }
            ),
            truths: vec![Some(at.is_multiple_of(2))],
            weight: 1.0,
        };
        let rows: Vec<Row> = (0..40).map(row).collect();
        let labels = ["cheese".to_owned()];
        let settings = TrainSettings::default();
        train(&rows, &labels, None, &Reading::default(), &settings, |_, _, _| ()).unwrap()
    });

    #[test]
    fn what_is_written_is_read_back() {
        let filter = &*FILTER;
        let bytes = filter.to_bytes();
        assert!(bytes.len() <= 8 << 20);
        let again = Filter::from_bytes(&bytes).unwrap();
        assert_eq!(again, *filter);
        let score = |text: &str| again.scorer(None).unwrap().score(text).unwrap().score;
        assert!(score("good cheese") > 0.5 && score("plain bread") < 0.5);
    }

    #[test]
    fn every_kind_of_damage_is_named() {
        let whole = FILTER.to_bytes();
        assert!(matches!(Filter::from_bytes(b"# policy"), Err(CascadeError::NotAFilter)));
        let mut newer = whole.clone();
        newer[8] = 9;
        assert!(matches!(Filter::from_bytes(&newer), Err(CascadeError::Version { found: 9, .. })));
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        assert!(matches!(
            Filter::from_bytes(&flipped),
            Err(CascadeError::Damaged { part: "digest" })
        ));
        assert!(Filter::from_bytes(&whole[..whole.len() - 1]).is_err());
    }

    /// With a right digest, so that what lies behind it is reached.
    fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
        let digest = Sha256::digest(&bytes);
        bytes.extend(digest);
        bytes
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(body in proptest::collection::vec(any::<u8>(), 0..300), n_header: u32) {
            let _ = Filter::from_bytes(&body);
            let mut bytes = MAGIC.to_vec();
            bytes.extend(VERSION.to_le_bytes());
            bytes.extend(n_header.to_le_bytes());
            bytes.extend(&body);
            let _ = Filter::from_bytes(&sealed(bytes));
        }

        #[test]
        fn no_header_is_a_panic(
            bits in 0_u8..255, n_seen: u32, n_labels in 0_usize..4, n_dims in proptest::option::of(any::<usize>())
        ) {
            let mut about = FILTER.about.clone();
            about.reads.ngrams = Some(FeatureShape { word_bits: bits, char_bits: 19 });
            about.reads.dense = n_dims.map(|n_dims| DenseSource {
                identity: String::new(),
                n_dims,
                place: None,
            });
            about.labels = vec!["x".to_owned(); n_labels];
            let header = serde_json::to_vec(&about).unwrap();
            let mut bytes = MAGIC.to_vec();
            bytes.extend(VERSION.to_le_bytes());
            bytes.extend((header.len() as u32).to_le_bytes());
            bytes.extend(header);
            bytes.extend(n_seen.to_le_bytes());
            prop_assert!(Filter::from_bytes(&sealed(bytes)).is_err());
        }
    }
}
