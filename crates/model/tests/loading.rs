//! Checkpoints that must be refused, each with the error that names the place.

mod broken;

use broken::{Broken, fixture};
use model::{FileProblem, Model, ModelError};
use serde_json::json;

/// Breaks a copy of a fixture and opens it.
fn check(name: &str, break_it: impl FnOnce(&mut Broken), is_expected: fn(&ModelError) -> bool) {
    let mut copy = Broken::copy_of("tiny-a");
    break_it(&mut copy);
    let error = Model::open(copy.path()).expect_err(name);
    assert!(is_expected(&error), "{name}: {error:?}");
}

#[test]
fn numbers_of_the_configuration_that_cannot_be() {
    let cases = [
        ("num_hidden_layers", json!(null), "num_hidden_layers"),
        ("num_hidden_layers", json!(0), "num_hidden_layers"),
        ("num_hidden_layers", json!(u64::MAX), "num_hidden_layers"),
        ("hidden_size", json!(1_u64 << 40), "hidden_size"),
        ("hidden_size", json!(100), "hidden_size"),
        ("intermediate_size", json!(33), "intermediate_size"),
        ("num_key_value_heads", json!(4), "num_key_value_heads"),
        ("head_dim", json!(31), "head_dim"),
        ("num_experts_per_tok", json!(9), "num_experts_per_tok"),
        ("vocab_size", json!(0), "vocab_size"),
        ("max_position_embeddings", json!(u64::MAX), "max_position_embeddings"),
        ("sliding_window", json!(0), "sliding_window"),
        ("layer_types", json!(["full_attention"]), "layer_types"),
        ("layer_types", json!(["full_attention", "chunked", "x", "y"]), "layer_types"),
        ("rms_norm_eps", json!(-1.0), "rms_norm_eps"),
        ("swiglu_limit", json!(0.0), "swiglu_limit"),
        ("swiglu_alpha", json!(1.0), "swiglu_alpha"),
        ("attention_bias", json!(false), "attention_bias"),
        ("tie_word_embeddings", json!(true), "tie_word_embeddings"),
        ("hidden_act", json!("gelu"), "hidden_act"),
        ("quantization_config", json!({"quant_method": "gptq"}), "quant_method"),
        ("rope_theta", json!(1.0), "rope_theta"),
        ("rope_scaling", json!({"rope_type": "linear", "factor": 2.0}), "rope_type"),
        ("rope_scaling", json!({"rope_type": "yarn", "factor": 0.0}), "factor"),
        ("rope_scaling", json!({"rope_type": "yarn", "mscale": 0.7}), "attention_factor"),
        ("eos_token_id", json!(512), "eos_token_id"),
        ("eos_token_id", json!([1, 1_u64 << 40]), "eos_token_id"),
    ];
    for (key, value, named) in cases {
        let mut copy = Broken::copy_of("tiny-a");
        copy.edit_json("config.json", |config| config[key] = value.clone());
        let error = Model::open(copy.path()).expect_err(key);
        let ModelError::Config { path, key: found, .. } = &error else {
            panic!("{key} = {value}: {error:?}")
        };
        assert_eq!((*found, path.file_name()), (named, Some("config.json".as_ref())), "{value}");
    }
}

#[test]
fn small_files_that_are_wrong() {
    check(
        "another architecture",
        |copy| copy.set_config("model_type", json!("llama")),
        |error| matches!(error, ModelError::Architecture { found, .. } if found == "llama"),
    );
    check(
        "no architecture",
        |copy| copy.set_config("model_type", json!(null)),
        |error| matches!(error, ModelError::Architecture { .. }),
    );
    for (name, text) in
        [("cut", &b"{\"model_type\": \"gpt"[..]), ("huge", b"{\"vocab_size\": 1e999}")]
    {
        check(
            name,
            |copy| copy.write("config.json", text),
            |error| matches!(error, ModelError::Json { path, .. } if path.ends_with("config.json")),
        );
    }
    check(
        "no configuration",
        |copy| copy.remove("config.json"),
        |error| matches!(error, ModelError::Read { path, .. } if path.ends_with("config.json")),
    );
    check(
        "no tokenizer",
        |copy| copy.remove("tokenizer.json"),
        |error| matches!(error, ModelError::Read { path, .. } if path.ends_with("tokenizer.json")),
    );
    check(
        "a cut tokenizer",
        |copy| copy.write("tokenizer.json", b"{"),
        |error| matches!(error, ModelError::Tokenizer { path, .. } if path.ends_with("tokenizer.json")),
    );
    check(
        "more tokens than rows",
        |copy| copy.set_config("vocab_size", json!(511)),
        |error| matches!(error, ModelError::VocabSize { n_tokens: 512, vocab_size: 511, .. }),
    );
    let stop = |copy: &mut Broken| {
        copy.edit_json("generation_config.json", |file| file["eos_token_id"] = json!([1, 512]));
    };
    check("a stop token without a row", stop, |error| {
        matches!(error, ModelError::Config { path, key: "eos_token_id", .. }
            if path.ends_with("generation_config.json"))
    });
}

#[test]
fn indexes_that_are_wrong() {
    let name_file = |file: &'static str| {
        move |copy: &mut Broken| {
            copy.edit_json("model.safetensors.index.json", |index| {
                index["weight_map"]["lm_head.weight"] = json!(file);
            });
        }
    };
    check("a file that is not there", name_file("model-00009-of-00002.safetensors"), |error| {
        matches!(error, ModelError::Read { path, .. }
            if path.ends_with("model-00009-of-00002.safetensors"))
    });
    for file in ["../model.safetensors", "/etc/passwd", "", ".."] {
        check(file, name_file(file), |error| {
            matches!(error, ModelError::Safetensors { path, problem: FileProblem::NotBeside { .. } }
                if path.ends_with("model.safetensors.index.json"))
        });
    }
    check("the wrong one of the files", name_file("model-00000-of-00002.safetensors"), |error| {
        matches!(error, ModelError::MissingTensor { path, tensor }
            if tensor == "lm_head.weight" && path.ends_with("model-00000-of-00002.safetensors"))
    });
    check(
        "neither index nor file",
        |copy| copy.remove("model.safetensors.index.json"),
        |error| matches!(error, ModelError::Read { path, .. } if path.ends_with("model.safetensors")),
    );
}

const FILE: &str = "model-00000-of-00002.safetensors";
const SINKS: &str = "model.layers.0.self_attn.sinks";
const NORM: &str = "model.layers.0.input_layernorm.weight";
const SCALES: &str = "model.layers.0.mlp.experts.gate_up_proj_scales";

#[test]
fn files_that_do_not_hold_together() {
    check("an empty file", |copy| copy.write(FILE, b""), is_header);
    check("no room for a length", |copy| copy.write(FILE, b"1234567"), is_header);
    check("an absurd length", |copy| copy.edit_bytes(FILE, |bytes| bytes[7] = 255), is_header);
    check("a length past the end", |copy| copy.edit_bytes(FILE, |bytes| bytes[2] = 200), is_header);
    check(
        "a header that ends too early",
        |copy| copy.edit_bytes(FILE, |bytes| bytes[0] ^= 1),
        |error| matches!(error, ModelError::Json { path, .. } if path.ends_with(FILE)),
    );
    check(
        "a header of other things",
        |copy| copy.edit_header(FILE, |head| head[NORM] = json!(3)),
        |error| matches!(problem(error), Some(FileProblem::Line { tensor, .. }) if tensor == NORM),
    );
    check(
        "a file cut short",
        |copy| copy.edit_bytes(FILE, |bytes| bytes.truncate(bytes.len() - 1)),
        |error| matches!(problem(error), Some(FileProblem::Outside { .. })),
    );
    let offsets = |from: u64, to: u64| {
        move |copy: &mut Broken| {
            copy.edit_header(FILE, |head| head[NORM]["data_offsets"] = json!([from, to]));
        }
    };
    for (name, from, to) in [
        ("past the end", 1 << 40, (1 << 40) + 192),
        ("huge", u64::MAX - 192, u64::MAX),
        ("backwards", 192, 0),
    ] {
        check(
            name,
            offsets(from, to),
            |error| matches!(problem(error), Some(FileProblem::Outside { tensor, .. }) if tensor == NORM),
        );
    }
    check(
        "too few bytes",
        offsets(0, 190),
        |error| matches!(problem(error), Some(FileProblem::Size { tensor, .. }) if tensor == NORM),
    );
    check("another's bytes", offsets(1000, 1192), |error| {
        matches!(problem(error), Some(FileProblem::Overlap { .. }))
    });
    let huge = |copy: &mut Broken| {
        copy.edit_header(FILE, |head| head[NORM]["shape"] = json!([u64::MAX, u64::MAX]));
    };
    check(
        "a shape that no memory holds",
        huge,
        |error| matches!(problem(error), Some(FileProblem::Size { tensor, .. }) if tensor == NORM),
    );
    check(
        "an unknown format",
        |copy| copy.edit_header(FILE, |head| head[NORM]["dtype"] = json!("F7")),
        |error| {
            matches!(problem(error), Some(FileProblem::Format { tensor, dtype })
            if tensor == NORM && dtype == "F7")
        },
    );
}

#[test]
fn tensors_that_do_not_fit() {
    let rename = |copy: &mut Broken| {
        copy.edit_header(FILE, |head| {
            let entry = head[NORM].take();
            head.as_object_mut().expect("an object").remove(NORM);
            head["model.layers.0.renamed"] = entry;
        });
        copy.edit_json("model.safetensors.index.json", |index| {
            index["weight_map"].as_object_mut().expect("an object").remove(NORM);
        });
    };
    check(
        "a missing tensor",
        rename,
        |error| matches!(error, ModelError::MissingTensor { tensor, .. } if tensor == NORM),
    );
    check("more layers than the file has", add_layer, |error| {
        matches!(error, ModelError::MissingTensor { tensor, .. }
            if tensor == "model.layers.4.input_layernorm.weight")
    });
    check(
        "another width",
        |copy| copy.set_config("hidden_size", json!(128)),
        |error| {
            matches!(error, ModelError::Shape { tensor, expected, found, .. }
            if tensor == "model.embed_tokens.weight" && *expected == [512, 128] && *found == [512, 96])
        },
    );
    let turned = |copy: &mut Broken| {
        copy.edit_header(FILE, |head| head[SCALES]["shape"] = json!([8, 3, 128]));
    };
    check("a turned shape", turned, |error| {
        matches!(error, ModelError::Shape { path, tensor, .. }
            if path.ends_with(FILE) && tensor == SCALES)
    });
    let as_bytes = |copy: &mut Broken| {
        copy.edit_header(FILE, |head| {
            let from = head[SINKS]["data_offsets"][0].as_u64().expect("a number");
            head[SINKS] = json!({"dtype": "U8", "shape": [6], "data_offsets": [from, from + 6]});
        });
    };
    check("bytes for floats", as_bytes, |error| {
        matches!(error, ModelError::Dtype { path, tensor, found, .. }
            if path.ends_with(FILE) && tensor == SINKS && found == "U8")
    });
    let as_floats = |copy: &mut Broken| {
        let n_bytes = 2 * 8 * 128 * 3;
        copy.edit_header(FILE, |head| {
            let entries = head.as_object().expect("an object").values();
            let end = entries.filter_map(|entry| entry["data_offsets"][1].as_u64()).max();
            let end = end.expect("there are tensors");
            head[SCALES]["dtype"] = json!("BF16");
            head[SCALES]["data_offsets"] = json!([end, end + n_bytes]);
        });
        copy.edit_bytes(FILE, |bytes| bytes.resize(bytes.len() + n_bytes as usize, 0));
    };
    check("floats for bytes", as_floats, |error| {
        matches!(error, ModelError::Dtype { tensor, found, expected: "U8", .. }
            if tensor == SCALES && found == "BF16")
    });
    check(
        "not a number among the scales",
        |copy| copy.poison(FILE, SCALES, 777, 255),
        |error| {
            matches!(error, ModelError::NanScale { path, tensor, position: 777 }
            if path.ends_with(FILE) && tensor == SCALES)
        },
    );
}

fn add_layer(copy: &mut Broken) {
    copy.edit_json("config.json", |config| {
        config["num_hidden_layers"] = json!(5);
        config["layer_types"] = json!(null);
    });
}

fn is_header(error: &ModelError) -> bool {
    matches!(problem(error), Some(FileProblem::Header { .. }))
}

fn problem(error: &ModelError) -> Option<&FileProblem> {
    match error {
        ModelError::Safetensors { path, problem } if path.ends_with(FILE) => Some(problem),
        _ => None,
    }
}

#[test]
fn errors_read_as_sentences_with_the_place() {
    let mut copy = Broken::copy_of("tiny-a");
    copy.poison(FILE, SCALES, 3, 255);
    let error = Model::open(copy.path()).expect_err("poisoned");
    let text = error.to_string().replace(&copy.path().display().to_string(), "DIR");
    assert_eq!(
        text,
        format!("DIR/{FILE}: tensor {SCALES} has the scale byte 255 (not a number) at position 3")
    );
}

#[test]
fn older_and_newer_spellings_of_the_configuration_are_the_same_network() {
    let plain = Model::open(&fixture("tiny-a")).expect("the fixture opens");
    let mut copy = Broken::copy_of("tiny-a");
    copy.edit_json("config.json", |config| {
        let mut rope = config["rope_scaling"].take();
        rope["rope_theta"] = config["rope_theta"].take();
        config["rope_parameters"] = rope;
        config["layer_types"] = json!(null);
        config["experts_per_token"] = config["num_experts_per_tok"].take();
    });
    let newer = Model::open(copy.path()).expect("it is the same network");
    assert_eq!(plain.config(), newer.config());
}

#[test]
fn stop_tokens_come_from_all_files_and_from_harmony() {
    let mut copy = Broken::copy_of("tiny-a");
    copy.set_config("eos_token_id", json!([3, 495]));
    copy.edit_json("generation_config.json", |file| file["eos_token_id"] = json!(7));
    let model = Model::open(copy.path()).expect("it opens");
    assert_eq!(model.stop_tokens(), [3, 7, 492, 495, 505]);
    copy.remove("generation_config.json");
    let model = Model::open(copy.path()).expect("the file may be missing");
    assert_eq!(model.stop_tokens(), [3, 492, 495, 505]);
}

#[test]
fn names_and_fingerprints_tell_models_apart() {
    let plain = Model::open(&fixture("tiny-a")).expect("the fixture opens");
    assert_eq!(plain.name(), "tiny-a");
    let cache = tempfile::tempdir().expect("a temporary folder");
    let snapshot = cache.path().join("models--some-org--a-model/snapshots/0123abcd");
    let copy = Broken::copy_to("tiny-a", &snapshot);
    let same = Model::open(copy.path()).expect("a copy opens");
    assert_eq!(same.name(), "some-org/a-model");
    assert_eq!(same.fingerprint(), plain.fingerprint());
    assert_eq!(plain.fingerprint().len(), 64);
    let mut other = Broken::copy_of("tiny-a");
    other.poison(FILE, SCALES, 0, 1);
    let other = Model::open(other.path()).expect("another scale is no fault");
    assert_ne!(other.fingerprint(), plain.fingerprint());
}
