//! The input, read line by line while it is judged; what cannot be judged goes to the file of errors.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;

use super::MAX_LINE;
use super::line::{Item, LineError, items};

/// An iterator over the items of a file.
pub(super) struct Input {
    path: PathBuf,
    reader: BufReader<File>,
    n_lines: usize,
    /// Items of the line read last.
    ready: VecDeque<Item>,
    /// Where each id was seen first.
    seen: HashMap<String, usize>,
    pub(super) errors: Errors,
}

impl Input {
    pub(super) fn open(path: &Path, errors: Errors) -> Result<Input> {
        let file =
            File::open(path).with_context(|| format!("{}: cannot be read", path.display()))?;
        Ok(Input {
            path: path.to_owned(),
            reader: BufReader::new(file),
            n_lines: 0,
            ready: VecDeque::new(),
            seen: HashMap::new(),
            errors,
        })
    }

    /// The next item, or `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Item>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(Some(item));
            }
            let Some(line) = self.line()? else { return Ok(None) };
            match line.and_then(|line| {
                if line.trim_ascii().is_empty() { Ok(Vec::new()) } else { items(&line) }
            }) {
                Ok(items) => {
                    for item in items {
                        self.admit(item)?;
                    }
                }
                Err(error) => self.errors.add(self.n_lines, None, &error)?,
            }
        }
    }

    fn admit(&mut self, item: Item) -> Result<()> {
        if let Some(&first_line) = self.seen.get(&item.id) {
            let error = LineError::DuplicateId { id: item.id.clone(), first_line };
            return self.errors.add(self.n_lines, Some(&item.id), &error);
        }
        self.seen.insert(item.id.clone(), self.n_lines);
        self.ready.push_back(item);
        Ok(())
    }

    fn line(&mut self) -> Result<Option<Result<Vec<u8>, LineError>>> {
        let line = next_line(&mut self.reader)
            .with_context(|| format!("{}: cannot be read", self.path.display()))?;
        self.n_lines += usize::from(line.is_some());
        Ok(line)
    }
}

/// The next line with its end; one that is too long is read over, never kept. `None` at the end.
pub(crate) fn next_line(
    reader: &mut (impl BufRead + ?Sized),
) -> io::Result<Option<Result<Vec<u8>, LineError>>> {
    let mut line = Vec::new();
    let n_read = reader.take(MAX_LINE as u64).read_until(b'\n', &mut line)?;
    if n_read == 0 {
        return Ok(None);
    }
    if n_read == MAX_LINE && !line.ends_with(b"\n") {
        skip_line(reader)?;
        return Ok(Some(Err(LineError::TooLong)));
    }
    Ok(Some(Ok(line)))
}

fn skip_line(reader: &mut (impl BufRead + ?Sized)) -> io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let end = buffer.iter().position(|&byte| byte == b'\n');
        let n_used = end.map_or(buffer.len(), |end| end + 1);
        reader.consume(n_used);
        if end.is_some() {
            return Ok(());
        }
    }
}

/// The file of errors: written anew in every run, made when there is a first error.
pub(super) struct Errors {
    path: PathBuf,
    file: Option<File>,
    pub(super) n: usize,
}

#[derive(Serialize)]
struct ErrorLine<'a> {
    line: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    error: String,
}

impl Errors {
    /// Forgets those of an earlier run.
    pub(super) fn new(path: PathBuf) -> Result<Errors> {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("{}: cannot be replaced", path.display()))
            }
            _ => Ok(Errors { path, file: None, n: 0 }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn add(&mut self, line: usize, id: Option<&str>, error: &LineError) -> Result<()> {
        let place = || format!("{}: cannot be written", self.path.display());
        if self.file.is_none() {
            self.file = Some(File::create(&self.path).with_context(place)?);
        }
        let mut text = serde_json::to_string(&ErrorLine { line, id, error: error.to_string() })?;
        text.push('\n');
        let file = self.file.as_mut().expect("made above");
        file.write_all(text.as_bytes())
            .with_context(|| format!("{}: cannot be written", self.path.display()))?;
        self.n += 1;
        Ok(())
    }
}
