//! Unit values made by an independent reference in `f64` (`fixtures/ops_golden.json`).

use kernels::{BLOCK, GROUP, Matrix, Run};
use serde_json::Value;

mod numbers;
use numbers::{tables, tiled};

fn golden() -> Value {
    serde_json::from_str(include_str!("fixtures/ops_golden.json")).expect("the fixture is JSON")
}

fn floats(value: &Value) -> Vec<f32> {
    let cells = value.as_array().expect("an array");
    cells.iter().map(|cell| cell.as_f64().expect("a number") as f32).collect()
}

fn bytes(value: &Value) -> Vec<u8> {
    floats(value).into_iter().map(|cell| cell as u8).collect()
}

fn assert_near(found: &[f32], expected: &[f32], relative: f32, what: &str) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let off = (found - expected).abs();
        assert!(off <= relative * expected.abs().max(1e-6), "{what}: {found} for {expected}");
    }
}

#[test]
fn mxfp4_blocks() {
    let golden = &golden()["mxfp4"];
    let scales = bytes(&golden["scales"]);
    for (at, scale) in scales.iter().enumerate() {
        let (block, expected) = (bytes(&golden["blocks_hf"][at]), floats(&golden["values"][at]));
        let scale = [*scale];
        let tiled = tiled(&block, &scale, 1, GROUP);
        let w = Matrix::mxfp4(&tiled, 1, GROUP).expect("one group");
        for kernels in tables() {
            let mut out = vec![f32::NAN; GROUP];
            kernels.unpack_rows(&w, 0, &mut out);
            assert_eq!(out, expected, "{kernels:?} block {at}");
        }
    }
}

#[test]
fn swiglu_values() {
    let golden = &golden()["swiglu"];
    let (gate, up, expected) =
        (floats(&golden["gate"]), floats(&golden["up"]), floats(&golden["out"]));
    let gate_up: Vec<f32> = gate.iter().zip(&up).flat_map(|(gate, up)| [*gate, *up]).collect();
    for kernels in tables() {
        let mut out = vec![0.0; expected.len()];
        kernels.swiglu(&gate_up, 7.0, &mut out);
        assert_near(&out, &expected, 1e-5, "swiglu");
    }
}

#[test]
fn rms_norm_values() {
    let golden = &golden()["rms_norm"];
    let weight = floats(&golden["weight"]);
    for (x, y) in
        golden["x"].as_array().expect("rows").iter().zip(golden["y"].as_array().expect("rows"))
    {
        let (x, y) = (floats(x), floats(y));
        for kernels in tables() {
            let mut out = vec![0.0; x.len()];
            kernels.rms_norm(&x, &weight, 1e-5, &mut out);
            assert_near(&out, &y, 1e-5, "rms_norm");
        }
    }
}

#[test]
fn a_sink_takes_its_share() {
    for case in golden()["sink_softmax"].as_array().expect("cases") {
        let (scores, weights) = (floats(&case["scores"]), floats(&case["weights"]));
        let sink = case["sink"].as_f64().expect("a number") as f32;
        let n = scores.len();
        // One-hot values: the output is the list of weights.
        let mut values = vec![0.0; n * BLOCK];
        (0..n).for_each(|at| values[at * n + at] = 1.0);
        let mut keys = vec![0.0; n * BLOCK];
        keys[..n].copy_from_slice(&scores);
        let mut q = vec![0.0; n];
        q[0] = 1.0;
        let runs = [Run { keys: &keys, values: &values, start: 0, end: n }];
        for kernels in tables() {
            let mut out = vec![0.0; n];
            kernels.attend(&q, 1.0, &runs, &[sink], &mut Vec::new(), &mut out);
            assert_near(&out, &weights, 1e-5, "sink softmax");
        }
    }
}
