//! One file from the hub onto the disk: goes on where an earlier attempt stopped, and checks.
//!
//! Bytes go to `<checksum>.incomplete` and are hashed on the way. Connections may break as often as
//! they like while each brings something. The finished file is renamed by `cache.rs`.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::blocking::Response;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderValue};

use crate::hub::checksum::Hasher;
use crate::hub::client::{Client, Facts, MAX_ATTEMPTS};
use crate::hub::error::HubError;
use crate::hub::name::{Commit, ModelName};
use crate::hub::reply::{host, number, text};

const BUFFER_LEN: usize = 256 << 10;

/// Which file of which commit, and what it must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) client: &'a Client,
    pub(crate) name: &'a ModelName,
    pub(crate) commit: &'a Commit,
    pub(crate) file: &'a str,
    pub(crate) facts: &'a Facts,
    /// Set when another file's download failed for good.
    pub(crate) stop: &'a AtomicBool,
}

/// Brings `path` to the file's whole length and checks it.
///
/// # Errors
/// [`HubError::Damaged`] when the bytes are others than promised (they are deleted), what the
/// connection or the disk says, or [`HubError::Stopped`]. What is on disk stays for the next time.
pub(crate) fn download(source: Source<'_>, path: &Path) -> Result<(), HubError> {
    let client = source.client;
    let mut partial = Partial::open(source, path)?;
    let mut n_failed = 0;
    let mut started_over = false;
    loop {
        let before = partial.n_bytes;
        match partial.extend() {
            Ok(()) => match partial.check() {
                Ok(()) => return Ok(()),
                // Joined from pieces, one of which may be old: once more in one piece.
                Err(_) if partial.is_joined && !started_over => {
                    started_over = true;
                    client.progress().note(&format!("{} is damaged, starting over", source.file));
                    partial.restart()?;
                }
                Err(error) => {
                    std::fs::remove_file(path).map_err(HubError::io(path))?;
                    return Err(error);
                }
            },
            Err(error) if client.is_worth_repeating(&error) => {
                n_failed = if partial.n_bytes > before { 1 } else { n_failed + 1 };
                if n_failed == MAX_ATTEMPTS {
                    return Err(error);
                }
                client.pause(n_failed, &error);
            }
            Err(error) => return Err(error),
        }
    }
}

/// The part of a file that is on disk.
struct Partial<'a> {
    source: Source<'a>,
    path: PathBuf,
    file: File,
    n_bytes: u64,
    hasher: Hasher,
    /// The storage's own tag of what it sent, so that it can tell whether that is still the same.
    validator: Option<HeaderValue>,
    /// Whether the bytes came in more than one piece.
    is_joined: bool,
}

impl<'a> Partial<'a> {
    /// Opens what is there and hashes it.
    fn open(source: Source<'a>, path: &Path) -> Result<Partial<'a>, HubError> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(HubError::io(path))?;
        let hasher = source.facts.checksum.hasher(source.facts.n_bytes);
        let mut partial = Partial {
            source,
            path: path.to_owned(),
            file,
            n_bytes: 0,
            hasher,
            validator: None,
            is_joined: false,
        };
        let mut buffer = vec![0; BUFFER_LEN];
        loop {
            partial.go_on()?;
            let n_read = partial.file.read(&mut buffer).map_err(HubError::io(path))?;
            if n_read == 0 {
                break;
            }
            partial.hasher.update(&buffer[..n_read]);
            partial.n_bytes += n_read as u64;
        }
        partial.is_joined = partial.n_bytes > 0;
        if partial.n_bytes > source.facts.n_bytes {
            partial.restart()?;
        }
        Ok(partial)
    }

    /// Asks for what is missing and writes it.
    fn extend(&mut self) -> Result<(), HubError> {
        let Source { client, name, commit, file, facts, .. } = self.source;
        if self.n_bytes == facts.n_bytes {
            return Ok(());
        }
        let response = client.open(name, commit, file, self.n_bytes, self.validator.as_ref())?;
        self.place(&response)?;
        self.validator = response.headers().get(ETAG).filter(|etag| is_strong(etag)).cloned();
        self.receive(response)
    }

    /// Finds out where the reply's bytes belong: after those on disk, or in place of them.
    fn place(&mut self, response: &Response) -> Result<(), HubError> {
        let expected = self.source.facts.n_bytes;
        let headers = response.headers();
        let goes_on = response.status().as_u16() == 206
            && text(headers, CONTENT_RANGE.as_str()).and_then(range_of)
                == Some((self.n_bytes, expected));
        if goes_on {
            self.is_joined |= self.n_bytes > 0;
            return Ok(());
        }
        let had = self.n_bytes;
        self.restart()?;
        match response.status().as_u16() {
            200 => match number(headers, CONTENT_LENGTH.as_str()) {
                Some(found) if found != expected => {
                    Err(HubError::Size { file: self.source.file.to_owned(), expected, found })
                }
                _ => Ok(()),
            },
            // The server will not go on from there; the next attempt begins at the start.
            _ if had > 0 => Err(self.cut(response)),
            status => {
                let problem = format!("status {status} for a whole file");
                Err(HubError::Reply { host: host(response.url()), problem })
            }
        }
    }

    fn receive(&mut self, mut response: Response) -> Result<(), HubError> {
        let expected = self.source.facts.n_bytes;
        let mut buffer = vec![0; BUFFER_LEN];
        loop {
            self.go_on()?;
            let n_read = response
                .read(&mut buffer)
                .map_err(|source| HubError::Broken { host: host(response.url()), source })?;
            let found = self.n_bytes + n_read as u64;
            if found > expected {
                self.restart()?;
                return Err(HubError::Size { file: self.source.file.to_owned(), expected, found });
            }
            if n_read == 0 {
                return if found == expected { Ok(()) } else { Err(self.cut(&response)) };
            }
            self.file.write_all(&buffer[..n_read]).map_err(HubError::io(&self.path))?;
            self.hasher.update(&buffer[..n_read]);
            self.n_bytes = found;
            self.source.client.progress().add(n_read as u64);
        }
    }

    fn check(&mut self) -> Result<(), HubError> {
        let found = self.hasher.clone().hex();
        let expected = &self.source.facts.checksum;
        if found != expected.as_str() {
            let file = self.source.file.to_owned();
            return Err(HubError::Damaged { file, expected: expected.clone(), found });
        }
        self.file.sync_data().map_err(HubError::io(&self.path))
    }

    /// Forgets what is on disk.
    fn restart(&mut self) -> Result<(), HubError> {
        self.file.set_len(0).map_err(HubError::io(&self.path))?;
        self.file.seek(SeekFrom::Start(0)).map_err(HubError::io(&self.path))?;
        self.source.client.progress().take_back(self.n_bytes);
        self.n_bytes = 0;
        self.hasher = self.source.facts.checksum.hasher(self.source.facts.n_bytes);
        self.validator = None;
        self.is_joined = false;
        Ok(())
    }

    fn go_on(&self) -> Result<(), HubError> {
        if self.source.stop.load(Ordering::Relaxed) { Err(HubError::Stopped) } else { Ok(()) }
    }

    fn cut(&self, response: &Response) -> HubError {
        HubError::Cut {
            host: host(response.url()),
            file: self.source.file.to_owned(),
            received: self.n_bytes,
            expected: self.source.facts.n_bytes,
        }
    }
}

/// Only a strong tag vouches for single bytes.
fn is_strong(etag: &HeaderValue) -> bool {
    etag.as_bytes().starts_with(b"\"")
}

/// First byte and length of the whole, of `bytes FIRST-LAST/LENGTH`.
fn range_of(content_range: &str) -> Option<(u64, u64)> {
    let (range, length) = content_range.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, length): (u64, u64, u64) =
        (first.parse().ok()?, last.parse().ok()?, length.parse().ok()?);
    (first <= last && last < length).then_some((first, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_says_where_it_begins_and_how_long_the_whole_is() {
        assert_eq!(range_of("bytes 5-9/10"), Some((5, 10)));
        for text in ["", "bytes 5-9/*", "bytes 9-5/10", "bytes 5-10/10", "items 5-9/10"] {
            assert_eq!(range_of(text), None, "{text}");
        }
    }
}
