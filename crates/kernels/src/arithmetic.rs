//! How exactly products are computed.

use std::fmt;
use std::str::FromStr;

/// How exactly products of activations with weights are computed.
///
/// Each is a fixed sum: a row's bits do not depend on its neighbours or on the number of threads. Formats for which
/// a way makes no sense are computed exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arithmetic {
    /// Activations and sums in 32-bit floats, weights as they are stored: nothing is rounded but the sums.
    #[default]
    Exact,
    /// Activations as 8-bit integers, with one scale for every 32 of a row, when they meet MXFP4 or 8-bit
    /// weights; these stay as they are stored. Sums of 32 products are exact,
    /// and the bits are the same on every instruction set.
    Int8,
    /// Activations rounded to bfloat16 when they meet bfloat16 or MXFP4 weights; these stay as they are stored. Sums
    /// are 32-bit floats, and differ between instruction sets by their rounding.
    Bf16,
}

impl Arithmetic {
    /// All of them.
    pub const ALL: [Arithmetic; 3] = [Arithmetic::Exact, Arithmetic::Int8, Arithmetic::Bf16];
}

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Arithmetic::Exact => "exact",
            Arithmetic::Int8 => "int8",
            Arithmetic::Bf16 => "bf16",
        })
    }
}

impl FromStr for Arithmetic {
    type Err = String;

    fn from_str(name: &str) -> Result<Arithmetic, String> {
        let known = Arithmetic::ALL.into_iter().find(|way| way.to_string() == name);
        known.ok_or_else(|| {
            let names: Vec<String> = Arithmetic::ALL.iter().map(ToString::to_string).collect();
            format!("no arithmetic is called {name}; there are {}", names.join(", "))
        })
    }
}
