//! What the system says of memory; Linux alone says it.

use std::fs;

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

    /// Bytes that a program could still take.
    pub(super) fn available() -> Option<u64> {
        kib(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
    }
}

fn kib(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}
