//! What was measured, for people and for machines.

use anyhow::Result;
use comfy_table::{Table, presets};
use kernels::Isa;
use model::Residence;
use serde_json::{Value, json};

use super::limits::Limits;
use super::machine::Memory;
use super::measure::{Measure, What};
use crate::commands::judging::Exactness;
use crate::output::{align_numbers, print_result};

/// All of a run.
pub(super) struct Report {
    pub(super) isa: Isa,
    pub(super) exactness: Exactness,
    pub(super) n_threads: usize,
    pub(super) model: String,
    /// Seconds until its weights and vocabulary could be used, random ones made included.
    pub(super) ready_seconds: f64,
    pub(super) n_weight_bytes: usize,
    pub(super) residence: Residence,
    pub(super) n_prefix: usize,
    pub(super) n_items: usize,
    pub(super) item_tokens: usize,
    pub(super) n_generate: usize,
    pub(super) memory: Memory,
    pub(super) limits: Limits,
    pub(super) measures: Vec<Measure>,
}

/// Tokens of a reply by effort that estimates assume: an assumption, not a measurement.
const REPLIES: [(&str, usize); 3] = [("low", 100), ("medium", 300), ("high", 1_000)];

impl Report {
    pub(super) fn print(&self, as_json: bool) -> Result<()> {
        print_result(&if as_json { format!("{:#}\n", self.json()) } else { self.text() })
    }

    fn text(&self) -> String {
        let mut table = Table::new();
        table
            .load_style(presets::UTF8_HORIZONTAL_ONLY)
            .set_header(["measured", "", "", "limit", "reached", "bound by", "memory"]);
        align_numbers(&mut table, 1);
        table.add_rows(self.measures.iter().map(|measure| {
            [
                measure.what.to_string(),
                number(measure.value),
                measure.what.unit().to_string(),
                number(measure.limit),
                format!("{:.0} %", measure.reached() * 100.0),
                measure.bound.to_string(),
                measure.peak.map(gigabytes).unwrap_or_default(),
            ]
        }));
        format!(
            "{}\n{}\n\n{}\n\n{}{}\n",
            self.machine_line(),
            self.model_line(),
            table.trim_fmt(),
            self.estimates_text(),
            self.memory_line(),
        )
    }

    fn machine_line(&self) -> String {
        format!(
            "this machine: {} threads, kernels {}, reads {:.1} GB/s, multiplies {:.0} GFLOP/s in float32, {:.0} in bfloat16 and {:.0} Gop/s in int8",
            self.n_threads,
            self.isa,
            self.limits.read / 1e9,
            self.limits.exact / 1e9,
            self.limits.bf16 / 1e9,
            self.limits.int8 / 1e9
        )
    }

    fn model_line(&self) -> String {
        let items = match self.n_items {
            0 => String::new(),
            n => format!(
                "; {n} items of {} tokens, {} generated for each",
                self.item_tokens, self.n_generate
            ),
        };
        format!(
            "{}: {:.2} GB of weights {}, products {}, dense matrices {}, ready after {:.2} s; a prefix of {} tokens{items}",
            self.model,
            self.n_weight_bytes as f64 / 1e9,
            self.residence,
            self.exactness.arithmetic(),
            self.exactness.dense(),
            self.ready_seconds,
            self.n_prefix,
        )
    }

    fn estimates_text(&self) -> String {
        let of = |(effort, n_tokens, items): (&str, usize, f64)| {
            format!("{effort} ({n_tokens} tokens) {}", number(items))
        };
        let estimates: Vec<String> = self.estimates().into_iter().map(of).collect();
        match estimates.as_slice() {
            [] => String::new(),
            all => format!("items/min to be expected by effort: {}\n", all.join(", ")),
        }
    }

    fn memory_line(&self) -> String {
        let gb = |bytes: Option<u64>| bytes.map_or("unknown".to_owned(), gigabytes);
        format!("memory: {} resident, {} at most", gb(self.memory.resident), gb(self.memory.peak))
    }

    /// Items a minute by effort: reading an item at the rate of prefill, writing at the best rate of decoding.
    fn estimates(&self) -> Vec<(&'static str, usize, f64)> {
        let best = |is: fn(What) -> bool| {
            let rates = self.measures.iter().filter(|m| is(m.what)).map(|m| m.value);
            rates.reduce(f64::max)
        };
        let prefill = best(|what| matches!(what, What::Prefill(_)));
        let decode = best(|what| matches!(what, What::Decode(_)));
        let (Some(prefill), Some(decode)) = (prefill, decode) else { return Vec::new() };
        REPLIES
            .into_iter()
            .map(|(effort, n_tokens)| {
                let seconds = self.item_tokens as f64 / prefill + n_tokens as f64 / decode;
                (effort, n_tokens, 60.0 / seconds)
            })
            .collect()
    }

    fn json(&self) -> Value {
        let measures = self.measures.iter().map(|measure| {
            json!({
                "name": measure.what.to_string(),
                "what": measure.what.kind(),
                "count": measure.what.count(),
                "value": measure.value,
                "unit": measure.what.unit().to_string(),
                "limit": measure.limit,
                "reached": measure.reached(),
                "bound_by": measure.bound.to_string(),
                "peak_bytes": measure.peak,
            })
        });
        let estimates = self.estimates().into_iter().map(|(effort, n_tokens, items)| {
            json!({ "effort": effort, "reply_tokens": n_tokens, "items_per_minute": items })
        });
        json!({
            "machine": {
                "threads": self.n_threads,
                "isa": self.isa.to_string(),
                "read_bytes_per_second": self.limits.read,
                "float32_flops": self.limits.exact,
                "bfloat16_flops": self.limits.bf16,
                "int8_ops": self.limits.int8,
            },
            "arithmetic": self.exactness.arithmetic().to_string(),
            "dense": self.exactness.dense(),
            "model": {
                "name": self.model,
                "weight_bytes": self.n_weight_bytes,
                "weights": self.residence.to_string(),
                "ready_seconds": self.ready_seconds,
            },
            "sizes": {
                "prefix_tokens": self.n_prefix,
                "items": self.n_items,
                "item_tokens": self.item_tokens,
                "generated_tokens": self.n_generate,
            },
            "measures": measures.collect::<Value>(),
            "estimates": estimates.collect::<Value>(),
            "memory": {
                "resident_bytes": self.memory.resident,
                "peak_bytes": self.memory.peak,
            },
        })
    }
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.2} GB", bytes as f64 / 1e9)
}

/// Three digits, or all before the point.
fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 0.1 => format!("{value:.2}"),
        value => format!("{value:.4}"),
    }
}
