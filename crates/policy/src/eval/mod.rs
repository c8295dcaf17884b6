//! How well a judge judges: counts, intervals, curves, calibration, comparison of two runs.
//!
//! Pure arithmetic over numbers that the caller brings, in `f64`, with the same result on every run:
//! what is random is drawn from a seed. Two rules hold throughout. An undetermined verdict is never
//! counted as clear; it is kept apart. And a number that the data do not define (precision where
//! nothing was called a violation) is `None`, never 0 and never NaN.
//!
//! Start with `confusion.rs` (verdicts against golden outcomes) and `share.rs` (`hits` out of `of`,
//! from which every interval is made). `curve.rs`, `reliability.rs` and `calibration.rs` are about
//! scores; `paired.rs`, `agreement.rs` and `groups.rs` about several runs, policies and groups.
//!
//! ```
//! use policy::eval::{Confusion, Level, Rate};
//!
//! let verdicts = [(true, Some(true)), (true, Some(false)), (false, Some(false)), (true, None)];
//! let confusion = Confusion::from_iter(verdicts);
//! assert_eq!(confusion.recall(), Some(0.5));
//! assert_eq!(confusion.undetermined(), 1);
//! let recall = confusion.share(Rate::Recall).wilson(Level::P95);
//! assert!(recall.width() > 0.8, "one of two says next to nothing");
//! ```

mod agreement;
mod bootstrap;
mod calibration;
mod confusion;
mod curve;
mod groups;
mod interval;
mod isotonic;
mod paired;
mod random;
mod reliability;
mod scored;
mod share;
mod size;
mod special;
mod temperature;

pub use agreement::{Unstable, exact_match, instability, most_unstable, unanimous};
pub use bootstrap::{Bootstrap, Resampled};
pub use calibration::{Calibration, CalibrationMethod, cross_fitted};
pub use confusion::{Confusion, Rate};
pub use curve::{Curve, OperatingPoint, PrPoint, RocPoint};
pub use groups::{Gap, GroupMetrics, by_group, gap};
pub use interval::{Interval, newcombe};
pub use isotonic::Isotonic;
pub use paired::{Flips, Paired, flips, mcnemar, mcnemar_mid_p};
pub use random::SplitMix;
pub use reliability::{Bin, brier, expected_calibration_error, log_loss, reliability};
pub use scored::Scored;
pub use share::{Estimate, Level, Share};
pub use size::{SizeLimits, TooSmall, too_small};
pub use temperature::Temperature;
