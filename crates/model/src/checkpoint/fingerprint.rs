//! What tells a checkpoint from others: by a sample of its bytes, or by what the system says of its files.

use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use super::Checkpoint;

impl Checkpoint {
    /// The name of these weights under `settings`, the hash of the small files; see [`crate::Model::fingerprint`].
    pub(crate) fn fingerprint(&self, settings: &Sha256) -> String {
        let mut hash = settings.clone();
        for (name, tensor) in self.tensors() {
            hash.update(format!("{name}\n{}\n{:?}\n", tensor.dtype, tensor.shape));
            sample(self.bytes(tensor), &mut |page| hash.update(page));
        }
        hex(&hash.finalize())
    }

    /// What changes whenever a file is written: names, lengths, times of the last writing, and `settings`. `None` for parts
    /// of the program and for weights made in memory.
    pub(crate) fn stamp(&self, settings: &Sha256) -> Option<String> {
        let mut hash = settings.clone();
        for (path, _) in &self.files {
            let file = path.metadata().ok()?;
            let written = file.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
            let name = path.file_name()?.to_string_lossy();
            hash.update(format!("{name}\n{} {}\n", file.len(), written.as_nanos()));
        }
        Some(hex(&hash.finalize()))
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Shows `see` all of `bytes`, or pages of them where there are many.
fn sample(bytes: &[u8], see: &mut dyn FnMut(&[u8])) {
    const PAGE: usize = 4096;
    const N_PAGES: usize = 16;
    if bytes.len() <= N_PAGES * PAGE {
        return see(bytes);
    }
    for at in 0..N_PAGES {
        // The first page begins and the last one ends with the bytes.
        let start = (bytes.len() - PAGE) / (N_PAGES - 1) * at;
        let start = if at + 1 == N_PAGES { bytes.len() - PAGE } else { start };
        see(&bytes[start..start + PAGE]);
    }
}
