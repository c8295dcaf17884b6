//! Bodies of `Body::Guarded`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use server::Body;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(contents) = Body::Guarded.read(bytes) {
        assert!(contents.iter().all(|content| content.check().is_ok()));
    }
});
