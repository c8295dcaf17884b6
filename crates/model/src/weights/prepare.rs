//! Weights in the form that products want: packed experts in tiles, dense matrices as 8-bit integers where that is wanted.

use kernels::{GROUP, Kernels, Matrix, NAN_SCALE, StoredMxfp4};
use sha2::Sha256;

use super::{CHECKED, Dense, ExpertCells, Experts, Weights, part};
use crate::checkpoint::{Checkpoint, Tensor};
use crate::error::ModelError;
use crate::prepared::{Plan, Preparation, Prepared, Residence};

impl Weights {
    /// Puts packed experts into the tiles that products want. `settings` is the hash of the small files.
    ///
    /// # Errors
    /// [`ModelError::NanScale`]; [`ModelError::Read`] when the system does not give the memory.
    pub(crate) fn tile_experts(
        &mut self,
        settings: &Sha256,
        preparation: &Preparation<'_>,
    ) -> Result<(), ModelError> {
        let all: Vec<&Experts> = self.experts().collect();
        // A checkpoint packs all of them, or none.
        let Some(first) = all.first().filter(|experts| experts.is_packed()) else { return Ok(()) };
        let n_experts = first.n_experts();
        let lengths = all.iter().flat_map(|experts| {
            let n_bytes = Matrix::mxfp4_len(experts.n_out, experts.n_in).expect(CHECKED);
            std::iter::repeat_n(n_bytes, experts.n_experts())
        });
        let plan = Plan {
            name: "experts",
            stamp: self.checkpoint.stamp(settings),
            fingerprint: &|| self.checkpoint.fingerprint(settings),
            n_beside: self.all_dense().chain([&self.embed]).map(|dense| self.n_stored(dense)).sum(),
            lengths: lengths.collect(),
            make: &mut |idx, out| {
                self.tile_expert(all[idx / n_experts], idx % n_experts, preparation, out)
            },
        };
        self.tiles = Some(Prepared::new(plan, preparation)?);
        Ok(())
    }

    /// The checkpoint's fingerprint, where a file remembered it.
    pub(crate) fn remembered_fingerprint(&self) -> Option<&str> {
        self.tiles.as_ref()?.fingerprint.as_deref()
    }

    /// All experts in the order in which they are tiled.
    fn experts(&self) -> impl Iterator<Item = &Experts> {
        self.layers.iter().flat_map(|layer| [&layer.gate_up, &layer.down])
    }

    fn tile_expert(
        &self,
        experts: &Experts,
        expert: usize,
        preparation: &Preparation<'_>,
        out: &mut [u8],
    ) -> Result<(), ModelError> {
        let ExpertCells::Mxfp4 { blocks, scales, scales_name, .. } = &experts.cells else {
            unreachable!("only packed experts are tiled")
        };
        if expert == 0 {
            check_scales(&self.checkpoint, scales_name, scales)?;
        }
        let stored = self.stored_expert(experts, expert, blocks, scales);
        Kernels::detect().tile_mxfp4(preparation.pool, stored, out);
        if expert + 1 == experts.n_experts() {
            self.checkpoint.forget(blocks);
            self.checkpoint.forget(scales);
        }
        Ok(())
    }

    fn stored_expert<'a>(
        &'a self,
        experts: &Experts,
        expert: usize,
        blocks: &Tensor,
        scales: &Tensor,
    ) -> StoredMxfp4<'a> {
        let n_groups = experts.n_out * experts.n_in / GROUP;
        let blocks = part(self.checkpoint.bytes(blocks), expert, n_groups * GROUP / 2);
        let scales = part(self.checkpoint.bytes(scales), expert, n_groups);
        StoredMxfp4::new(blocks, scales, experts.n_out, experts.n_in).expect(CHECKED)
    }

    /// Turns the matrices of attention and the head into 8-bit integers. The embedding and the routers stay: single rows
    /// are read of the one, and the others are small and decide a lot. `settings` is the hash of the small files.
    ///
    /// # Errors
    /// [`ModelError::Int8`] when a matrix has inputs that do not come in groups of 32; [`ModelError::Read`] when the
    /// system does not give the memory.
    pub(crate) fn make_dense_int8(
        &mut self,
        settings: &Sha256,
        preparation: &Preparation<'_>,
    ) -> Result<(), ModelError> {
        let all: Vec<&Dense> = self.all_dense().collect();
        if let Some(dense) = all.iter().find(|dense| !dense.n_in.is_multiple_of(GROUP)) {
            return Err(ModelError::Int8 { n_in: dense.n_in });
        }
        let n_bytes = |dense: &&Dense| Matrix::int8_len(dense.n_out, dense.n_in).expect(CHECKED);
        let plan = Plan {
            name: "dense-int8",
            stamp: self.checkpoint.stamp(settings),
            fingerprint: &|| self.checkpoint.fingerprint(settings),
            n_beside: self.n_stored(&self.embed),
            lengths: all.iter().map(n_bytes).collect(),
            make: &mut |idx, out| {
                Kernels::detect().to_int8(preparation.pool, &self.stored(all[idx]), out);
                self.checkpoint.forget(&all[idx].tensor);
                Ok(())
            },
        };
        self.int8 = Some(Prepared::new(plan, preparation)?);
        Ok(())
    }

    /// The head and the matrices of attention, in the order in which they become 8-bit integers.
    fn all_dense(&self) -> impl Iterator<Item = &Dense> {
        let attention =
            self.layers.iter().flat_map(|layer| [&layer.q, &layer.k, &layer.v, &layer.o]);
        std::iter::once(&self.head).chain(attention)
    }

    /// Bytes of a dense matrix in the checkpoint.
    fn n_stored(&self, dense: &Dense) -> u64 {
        self.checkpoint.bytes(&dense.tensor).len() as u64
    }

    /// Where the experts are, which are most of all weights.
    pub fn residence(&self) -> Residence {
        self.tiles.as_ref().map_or(Residence::Memory, |tiles| tiles.residence)
    }
}

/// Refuses scales that are no numbers.
fn check_scales(checkpoint: &Checkpoint, name: &str, scales: &Tensor) -> Result<(), ModelError> {
    let bytes = checkpoint.bytes(scales);
    // The maximum of a chunk is found many bytes at a time; only a bad chunk is searched.
    let worst = |chunk: &[u8]| chunk.iter().fold(0, |worst, &byte| worst.max(byte));
    let bad = bytes.chunks(4096).position(|chunk| worst(chunk) == NAN_SCALE);
    let Some(chunk) = bad else { return Ok(()) };
    let within = bytes[chunk * 4096..].iter().position(|&byte| byte == NAN_SCALE).unwrap_or(0);
    Err(ModelError::NanScale {
        path: checkpoint.path(scales).to_owned(),
        tensor: name.to_owned(),
        position: chunk * 4096 + within,
    })
}
