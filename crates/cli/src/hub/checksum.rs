//! What a file must hash to. The hub names files by it, in the `ETag` and in the cache.
//!
//! Large files (LFS, Xet) are named by the SHA-256 of their bytes, small ones by git's blob hash.

use std::fmt;

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// A file's name in the cache, which is the checksum of its bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Checksum {
    hex: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Sha256,
    GitBlob,
}

impl Checksum {
    /// Reads an `ETag`: `"…"`, `W/"…"` or bare. `None` when it is not one of the two checksums.
    pub(crate) fn from_etag(etag: &str) -> Option<Checksum> {
        let etag = etag.trim();
        let hex = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"').to_ascii_lowercase();
        let kind = match hex.len() {
            64 => Kind::Sha256,
            40 => Kind::GitBlob,
            _ => return None,
        };
        hex.bytes().all(|b| b.is_ascii_hexdigit()).then_some(Checksum { hex, kind })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.hex
    }

    /// Starts hashing a file of `n_bytes`.
    pub(crate) fn hasher(&self, n_bytes: u64) -> Hasher {
        match self.kind {
            Kind::Sha256 => Hasher::Sha256(Sha256::new()),
            // Git hashes the length before the bytes.
            Kind::GitBlob => Hasher::GitBlob(Sha1::new().chain_update(format!("blob {n_bytes}\0"))),
        }
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex)
    }
}

/// A checksum in the making.
#[derive(Clone, Debug)]
pub(crate) enum Hasher {
    Sha256(Sha256),
    GitBlob(Sha1),
}

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hash) => hash.update(bytes),
            Hasher::GitBlob(hash) => hash.update(bytes),
        }
    }

    /// The checksum so far, as hexadecimal digits.
    pub(crate) fn hex(self) -> String {
        let bytes = match self {
            Hasher::Sha256(hash) => hash.finalize().to_vec(),
            Hasher::GitBlob(hash) => hash.finalize().to_vec(),
        };
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_those_of_git_and_of_the_hub() {
        // `printf 'hello\n' | git hash-object --stdin`, and `| sha256sum`.
        for hex in [
            "ce013625030ba8dba906f756967f9e9ca394464a",
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
        ] {
            for etag in [hex.to_owned(), format!("\"{hex}\""), format!("W/\"{hex}\"")] {
                let checksum = Checksum::from_etag(&etag).unwrap();
                let mut hasher = checksum.hasher(6);
                hasher.update(b"hel");
                hasher.update(b"lo\n");
                assert_eq!(hasher.hex(), checksum.as_str());
            }
        }
    }

    #[test]
    fn other_tags_are_not_checksums() {
        for etag in ["", "\"\"", "abc", "../../../etc/passwd", &"g".repeat(40), &"0".repeat(41)] {
            assert_eq!(Checksum::from_etag(etag), None, "{etag}");
        }
    }
}
