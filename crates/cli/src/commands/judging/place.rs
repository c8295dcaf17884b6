//! Where something is kept between runs: the word behind `--prefix-cache` and `--weights-cache`.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

/// A folder, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CachePlace {
    /// Nowhere.
    Off,
    /// In this folder, whatever the model.
    Folder(PathBuf),
}

impl FromStr for CachePlace {
    type Err = Infallible;

    fn from_str(word: &str) -> Result<CachePlace, Infallible> {
        Ok(match word {
            "off" => CachePlace::Off,
            folder => CachePlace::Folder(folder.into()),
        })
    }
}
