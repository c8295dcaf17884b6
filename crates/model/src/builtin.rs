//! The small model that is part of the program (`training/` makes it, `models/builtin/` holds it).

use crate::error::ModelError;
use crate::model::{EmbeddedFiles, Model};

/// Its name in verdicts.
const NAME: &str = "builtin";

const FILES: EmbeddedFiles = EmbeddedFiles {
    config: include_bytes!("../../../models/builtin/config.json"),
    tokenizer: include_bytes!("../../../models/builtin/tokenizer.json"),
    generation: include_bytes!("../../../models/builtin/generation_config.json"),
    weights: include_bytes!("../../../models/builtin/model.safetensors"),
};

impl Model {
    /// The built-in model.
    ///
    /// # Errors
    /// As [`Model::from_embedded`]; the tests open it, so none is to be expected.
    pub fn builtin() -> Result<Model, ModelError> {
        Model::from_embedded(NAME, FILES)
    }
}
