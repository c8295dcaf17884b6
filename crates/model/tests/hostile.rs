//! Bytes from anywhere: refused or read, never a panic.

mod broken;

use std::path::Path;

use broken::{Broken, fixture};
use model::checkpoint::Checkpoint;
use model::golden::Golden;
use model::{Config, Model};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Reads `bytes` as a safetensors file.
fn open(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("x.safetensors");
    std::fs::write(&path, bytes).expect("files can be written");
    if let Ok(checkpoint) = Checkpoint::open_file(&path) {
        for (_, tensor) in checkpoint.tensors() {
            // Whatever is accepted must be readable to its last byte.
            let _ = checkpoint.bytes(tensor).last();
        }
    }
}

/// Numbers that arithmetic on sizes fears.
fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(0)),
        Just(json!(u64::MAX)),
        Just(json!(u64::MAX - 7)),
        Just(json!(u64::from(u32::MAX) + 1)),
        Just(json!(-1)),
        Just(json!(1e308)),
        Just(json!(5e-324)),
        Just(json!(null)),
        Just(json!("8")),
        Just(json!([])),
        Just(json!({})),
        Just(json!(true)),
        (0_u64..300).prop_map(|n| json!(n)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_as_a_file(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        open(&bytes);
    }

    #[test]
    fn any_bytes_as_a_header(
        header in prop::collection::vec(any::<u8>(), 0..100),
        claimed in prop_oneof![any::<u64>(), 0_u64..120],
    ) {
        open(&[&claimed.to_le_bytes()[..], &header, &[0; 16]].concat());
    }

    #[test]
    fn any_entry_in_a_header(
        dtype in prop_oneof!["U8", "BF16", "F32", "F4", ".{0,4}"],
        shape in prop::collection::vec(number(), 0..4),
        offsets in prop::collection::vec(number(), 1..4),
        other in number(),
    ) {
        let header = json!({
            "a": {"dtype": dtype, "shape": shape, "data_offsets": offsets},
            "b": {"dtype": "U8", "shape": [4], "data_offsets": [0, other]},
        });
        let header = header.to_string();
        open(&[&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 64]].concat());
    }

    #[test]
    fn any_number_in_a_configuration(key in 0_usize..64, inner in 0_usize..16, value in number()) {
        let text = std::fs::read(fixture("tiny-a").join("config.json")).expect("the fixture is there");
        let mut config: Value = serde_json::from_slice(&text).expect("it is JSON");
        let keys: Vec<String> = config.as_object().expect("an object").keys().cloned().collect();
        let at = &mut config[&keys[key % keys.len()]];
        let inner_keys: Vec<String> =
            at.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default();
        match inner_keys.get(inner) {
            Some(inner) => at[inner] = value,
            None => *at = value,
        }
        let _ = Config::from_json(config.to_string().as_bytes(), Path::new("config.json"));
    }

    #[test]
    fn any_byte_changed_in_a_configuration(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text =
            std::fs::read(fixture("tiny-a").join("config.json")).expect("the fixture is there");
        let at = at.index(text.len());
        text[at] = byte;
        let _ = Config::from_json(&text, Path::new("config.json"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whole models too: what the header does not betray, shapes and formats must.
    #[test]
    fn any_byte_changed_in_a_header(at in 0_usize..3000, byte in any::<u8>()) {
        let mut copy = Broken::copy_of("tiny-plain");
        copy.edit_bytes("model.safetensors", |bytes| bytes[at] = byte);
        let _ = Model::open(copy.path());
    }

    #[test]
    fn any_byte_changed_in_an_index(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut copy = Broken::copy_of("tiny-a");
        copy.edit_bytes("model.safetensors.index.json", |bytes| {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        });
        let _ = Model::open(copy.path());
    }

    #[test]
    fn any_byte_changed_in_golden_facts(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for file in ["golden.json", "golden.safetensors"] {
            let mut bytes =
                std::fs::read(fixture("tiny-plain/golden").join(file)).expect("the fixture is there");
            if file == "golden.json" {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            std::fs::write(folder.path().join(file), bytes).expect("files can be written");
        }
        let _ = Golden::open(folder.path());
    }
}
