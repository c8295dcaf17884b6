//! In what pages a mapped file lies. Products read all of it again and again, and with small pages much of that time goes
//! into finding where they are.

use std::fs;

use memmap2::{Advice, Mmap};

use crate::memory::kib;

/// Bytes of a large page.
pub(super) const LARGE_PAGE: usize = 2 << 20;
/// Pieces of a map that are looked at.
const N_SAMPLES: usize = 16;
/// So many of them may be in small pages: what they cost is then less than a load.
const N_SMALL: usize = 4;

/// Whether a map of which nothing was read yet comes in large pages, by a few pieces of it. What cannot be found out counts
/// as small.
pub(super) fn are_large(map: &Mmap) -> bool {
    let n_pages = map.len() / LARGE_PAGE;
    let n_samples = n_pages.min(N_SAMPLES);
    let mut starts = (0..n_samples).map(|idx| idx * n_pages / n_samples * LARGE_PAGE);
    let read = |start| map.advise_range(Advice::PopulateRead, start, LARGE_PAGE).is_ok();
    if !starts.all(read) {
        return false;
    }
    let Ok(smaps) = fs::read_to_string("/proc/self/smaps") else { return false };
    let n_large = in_large_pages(&smaps, map.as_ptr().addr()) / LARGE_PAGE as u64;
    n_large > 0 && n_large as usize + N_SMALL >= n_samples
}

/// Whether memory of this process can be had in large pages.
pub(super) fn can_be_large() -> bool {
    fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled")
        .is_ok_and(|chosen| !chosen.contains("[never]"))
}

/// Bytes of the file mapped at an address that are there in large pages.
fn in_large_pages(smaps: &str, address: usize) -> u64 {
    let head = format!("{address:x}-");
    let lines = smaps.lines().skip_while(|line| !line.starts_with(&head));
    // The last line of every map.
    let mut lines = lines.take_while(|line| !line.starts_with("VmFlags:"));
    lines.find_map(|line| kib(line, "FilePmdMapped:")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
7f0000000000-7f0040000000 r--s 00000000 fe:00 12 /a\nFilePmdMapped:   4096 kB\nVmFlags: rd sh\n\
7f0040000000-7f0080000000 r--s 00000000 fe:00 12 /a\nRss:   8192 kB\nVmFlags: rd sh\n\
7f0080000000-7f00c0000000 r--s 00000000 fe:00 13 /b\nFilePmdMapped:   6144 kB\nVmFlags: rd sh\n";

    #[test]
    fn the_figure_is_that_of_the_map() {
        for (address, n_bytes) in [
            (0x7f00_0000_0000, 4 << 20),
            (0x7f00_4000_0000, 0),
            (0x7f00_8000_0000, 6 << 20),
            (0x7f, 0),
        ] {
            assert_eq!(in_large_pages(SMAPS, address), n_bytes, "{address:x}");
        }
    }
}
