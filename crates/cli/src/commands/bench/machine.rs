//! What the system says of memory; Linux alone says it.

use std::fs;

use model::memory::kib;

/// Bytes of memory of this process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    /// Held now, pages of mapped files included.
    pub(super) resident: Option<u64>,
    /// The most ever held.
    pub(super) peak: Option<u64>,
}

impl Memory {
    pub(super) fn now() -> Memory {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Memory { resident: kib(&status, "VmRSS:"), peak: kib(&status, "VmHWM:") }
    }
}

/// The most memory held, row by row.
#[derive(Default)]
pub(super) struct Peaks {
    /// Of the whole run.
    most: Option<u64>,
}

impl Peaks {
    /// Does it, and says how much was held meanwhile at most; nothing where the system does not tell.
    pub(super) fn during<T>(&mut self, work: impl FnOnce() -> T) -> (T, Option<u64>) {
        self.most();
        // Sets the peak to what is held now.
        let is_reset = fs::write("/proc/self/clear_refs", "5").is_ok();
        let done = work();
        let peak = Memory::now().peak;
        (done, peak.filter(|_| is_reset))
    }

    /// The most that was held so far.
    pub(super) fn most(&mut self) -> Option<u64> {
        self.most = self.most.max(Memory::now().peak);
        self.most
    }
}
