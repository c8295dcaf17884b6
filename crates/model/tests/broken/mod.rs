//! Copies of fixtures that tests may break.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A fixture's folder.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A copy of a fixture's checkpoint.
pub(crate) struct Broken {
    path: PathBuf,
    _folder: Option<TempDir>,
}

impl Broken {
    pub(crate) fn copy_of(name: &str) -> Broken {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let copy = Broken::copy_to(name, folder.path());
        Broken { _folder: Some(folder), ..copy }
    }

    pub(crate) fn copy_to(name: &str, path: &Path) -> Broken {
        std::fs::create_dir_all(path).expect("the folder can be made");
        for entry in std::fs::read_dir(fixture(name)).expect("the fixture is there") {
            let from = entry.expect("readable").path();
            if from.is_file() {
                let to = path.join(from.file_name().expect("a file has a name"));
                std::fs::copy(&from, to).expect("files can be copied");
            }
        }
        Broken { path: path.to_owned(), _folder: None }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn write(&mut self, file: &str, bytes: &[u8]) {
        std::fs::write(self.path.join(file), bytes).expect("files can be written");
    }

    pub(crate) fn remove(&mut self, file: &str) {
        std::fs::remove_file(self.path.join(file)).expect("files can be removed");
    }

    pub(crate) fn edit_bytes(&mut self, file: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = std::fs::read(self.path.join(file)).expect("the file is there");
        edit(&mut bytes);
        self.write(file, &bytes);
    }

    pub(crate) fn edit_json(&mut self, file: &str, edit: impl FnOnce(&mut Value)) {
        self.edit_bytes(file, |bytes| {
            let mut value = serde_json::from_slice(bytes).expect("the file is JSON");
            edit(&mut value);
            *bytes = value.to_string().into_bytes();
        });
    }

    pub(crate) fn set_config(&mut self, key: &str, value: Value) {
        self.edit_json("config.json", |config| config[key] = value);
    }

    /// Edits the header of a safetensors file; what follows it stays.
    pub(crate) fn edit_header(&mut self, file: &str, edit: impl FnOnce(&mut Value)) {
        self.edit_bytes(file, |bytes| {
            let (mut header, start) = header_of(bytes);
            edit(&mut header);
            let header = header.to_string().into_bytes();
            let length = (header.len() as u64).to_le_bytes();
            *bytes = [&length[..], &header, &bytes[start..]].concat();
        });
    }

    /// Sets one byte of a tensor.
    pub(crate) fn poison(&mut self, file: &str, tensor: &str, at: usize, byte: u8) {
        self.edit_bytes(file, |bytes| {
            let (header, start) = header_of(bytes);
            let from = header[tensor]["data_offsets"][0].as_u64().expect("the tensor is there");
            bytes[start + from as usize + at] = byte;
        });
    }
}

/// The header of a sound safetensors file, and where the tensors begin.
fn header_of(bytes: &[u8]) -> (Value, usize) {
    let length = bytes.first_chunk::<8>().map_or(0, |prefix| u64::from_le_bytes(*prefix));
    let start = 8 + length as usize;
    let header = serde_json::from_slice(&bytes[8..start]);
    (header.unwrap_or_else(|error| json!(error.to_string())), start)
}
