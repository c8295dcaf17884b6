//! Headers of safetensors files.

#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use model::checkpoint::Checkpoint;

fuzz_target!(|bytes: &[u8]| {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), bytes).expect("it is written");
    if let Ok(checkpoint) = Checkpoint::open_file(file.path()) {
        for (_, tensor) in checkpoint.tensors() {
            checkpoint.bytes(tensor);
        }
    }
});
