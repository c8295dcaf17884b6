//! Where computed policies are kept between runs: the word behind `--prefix-cache`.

use engine::{PrefixCache, Warn};
use model::Model;

use super::place::CachePlace;
use crate::commands::files::user_cache;
use crate::output::{report_hint, report_note};

/// Most bytes of all prefixes: some forty policies of the 20b.
const MAX_BYTES: u64 = 4 << 30;
/// Smaller models compute a policy as fast as it is read.
const WORTHWHILE: usize = 1 << 30;

/// The cache for a model; without a word, in the user's cache folder if the model is large enough to gain by it.
pub(super) fn prefix_cache(place: Option<&CachePlace>, model: &Model) -> Option<PrefixCache> {
    let dir = match place {
        Some(CachePlace::Off) => return None,
        Some(CachePlace::Folder(dir)) => dir.clone(),
        None if model.weights().checkpoint().n_bytes() < WORTHWHILE => return None,
        None => user_cache()?.join("prefixes"),
    };
    let warn = Warn(|problem| {
        report_note(&format!("{problem}: {}", problem.source));
        report_hint("--prefix-cache DIR names another folder, --prefix-cache off does without");
    });
    Some(PrefixCache { dir, max_bytes: MAX_BYTES, warn })
}
