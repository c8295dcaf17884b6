//! The places inside a forward pass where its values can be seen.

use std::fmt;

/// A place in a layer, or before and after all of them. Values are `[n_rows, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TapPoint {
    /// The tokens' embeddings; before layer 0.
    Embed,
    /// What goes into attention.
    AttnNorm,
    /// Queries before rotation.
    Q,
    /// Keys before rotation.
    K,
    /// Values.
    V,
    /// What the heads give, before the output matrix.
    AttnHeads,
    /// What attention adds.
    AttnOut,
    /// What goes into router and experts.
    MlpNorm,
    /// The router's logits over all experts.
    RouterLogits,
    /// The chosen experts, best first, as numbers.
    RouterIndices,
    /// Their shares.
    RouterWeights,
    /// What the experts add.
    MlpOut,
    /// The residual stream after the layer.
    Out,
    /// The last norm, of the rows whose logits are wanted; after the last layer.
    FinalNorm,
}

impl TapPoint {
    /// Whether it belongs to a layer.
    pub fn is_in_layer(self) -> bool {
        !matches!(self, TapPoint::Embed | TapPoint::FinalNorm)
    }
}

/// The name that golden files use.
impl fmt::Display for TapPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TapPoint::Embed => "embed",
            TapPoint::AttnNorm => "attn_norm",
            TapPoint::Q => "q",
            TapPoint::K => "k",
            TapPoint::V => "v",
            TapPoint::AttnHeads => "attn_heads",
            TapPoint::AttnOut => "attn_out",
            TapPoint::MlpNorm => "mlp_norm",
            TapPoint::RouterLogits => "router_logits",
            TapPoint::RouterIndices => "router_indices",
            TapPoint::RouterWeights => "router_weights",
            TapPoint::MlpOut => "mlp_out",
            TapPoint::Out => "out",
            TapPoint::FinalNorm => "final_norm",
        })
    }
}
