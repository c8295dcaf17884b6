//! How exactly the model in this process is computed: `--arithmetic` and `--dense`.

use anyhow::Result;
use clap::ValueEnum;
use kernels::Arithmetic;
use model::{Model, Preparation};

/// Flags that trade exactness for speed. Verdicts under them are another judge's: calibrations, probes and remembered
/// verdicts that were made without them are not used. Promoted filters and learned routes go by the model's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub(crate) struct Exactness {
    /// exact computes in 32-bit floats; int8 rounds activations to 8-bit integers and bf16 rounds them to bfloat16, which
    /// is faster where the CPU has units for it and changes some tokens
    #[arg(long, value_name = "exact|int8|bf16", default_value_t)]
    arithmetic: Arithmetic,
    /// Keep the matrices of attention and the output head as they are stored, or as 8-bit integers
    #[arg(long, value_enum, default_value_t)]
    dense: DenseFormat,
}

/// What becomes of the dense matrices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum DenseFormat {
    /// As the checkpoint has them
    #[default]
    Stored,
    /// As 8-bit integers with a scale for every 32 inputs
    Int8,
}

impl Exactness {
    /// Whether anything is asked for.
    pub(crate) fn is_given(self) -> bool {
        self != Exactness::default()
    }

    /// How products are computed.
    pub(crate) fn arithmetic(self) -> Arithmetic {
        self.arithmetic
    }

    /// The form of the dense matrices, as the flag has it.
    pub(crate) fn dense(self) -> &'static str {
        match self.dense {
            DenseFormat::Stored => "stored",
            DenseFormat::Int8 => "int8",
        }
    }

    /// The model with its dense matrices as wanted.
    pub(crate) fn on(self, model: Model, preparation: &Preparation<'_>) -> Result<Model> {
        Ok(match self.dense {
            DenseFormat::Stored => model,
            DenseFormat::Int8 => model.with_int8_dense(preparation)?,
        })
    }
}
