//! Panics of code that is not the engine's own, caught where they concern one request.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::EngineError;

/// Runs a guide's code. A panic there is its own request's failure.
pub(crate) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(call))
        .map_err(|panic| EngineError::GuidePanicked { message: panic_message(panic.as_ref()) })
}

/// The words of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
