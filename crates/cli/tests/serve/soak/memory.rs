//! How much a running program holds, as Linux tells it, second by second.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use serde_json::json;

/// What a process held at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Seconds since the run began.
    pub(super) at_s: f64,
    /// Which life of the service it was.
    pub(super) life: usize,
    /// Bytes in memory.
    pub(super) resident: u64,
    pub(super) n_threads: u64,
    pub(super) n_files: u64,
}

/// All samples of a run; each is a line of a file as soon as it is there.
pub(super) struct Samples {
    begun: Instant,
    file: File,
    all: Vec<Sample>,
}

impl Samples {
    pub(super) fn new(file: &Path) -> Samples {
        Samples { begun: Instant::now(), file: File::create(file).unwrap(), all: Vec::new() }
    }

    /// Looks at a process, unless it has just gone.
    pub(super) fn take(&mut self, pid: u32, life: usize) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let (Some(kib), Some(n_threads)) = (number("VmRSS:"), number("Threads:")) else { return };
        let Ok(files) = fs::read_dir(format!("/proc/{pid}/fd")) else { return };
        let n_files = files.count() as u64;
        let at_s = self.begun.elapsed().as_secs_f64();
        let sample = Sample { at_s, life, resident: kib * 1024, n_threads, n_files };
        let line = json!({
            "at_s": (at_s * 10.0).round() / 10.0, "life": life, "resident_bytes": sample.resident,
            "threads": n_threads, "files": n_files,
        });
        writeln!(self.file, "{line}").unwrap();
        self.all.push(sample);
    }

    /// Those of one life from so many seconds after its first on.
    pub(super) fn of_life(&self, life: usize, after_s: f64) -> Vec<Sample> {
        let of: Vec<Sample> = self.all.iter().filter(|it| it.life == life).copied().collect();
        let first_s = of.first().map_or(0.0, |first| first.at_s);
        of.into_iter().filter(|it| it.at_s >= first_s + after_s).collect()
    }

    /// The most that any life held.
    pub(super) fn peak(&self) -> u64 {
        self.all.iter().map(|it| it.resident).max().unwrap_or_default()
    }
}

/// Bytes a second by which memory grows: the line of least squares through all samples.
pub(super) fn slope(samples: &[Sample]) -> f64 {
    let n = samples.len() as f64;
    let mean = |of: fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / n;
    let (at, held) = (mean(|it| it.at_s), mean(|it| it.resident as f64));
    let product = |it: &Sample| (it.at_s - at) * (it.resident as f64 - held);
    let square = |it: &Sample| (it.at_s - at).powi(2);
    samples.iter().map(product).sum::<f64>() / samples.iter().map(square).sum::<f64>()
}

/// Mean bytes held.
pub(super) fn mean(samples: &[Sample]) -> f64 {
    samples.iter().map(|it| it.resident as f64).sum::<f64>() / samples.len() as f64
}

#[test]
fn a_line_has_its_slope() {
    let at = |at_s: f64| Sample {
        at_s,
        life: 0,
        resident: 100 + (3.0 * at_s) as u64,
        n_threads: 1,
        n_files: 1,
    };
    let samples = [at(0.0), at(1.0), at(5.0)];
    assert!((slope(&samples) - 3.0).abs() < 1e-9 && (mean(&samples) - 106.0).abs() < 1e-9);
}
