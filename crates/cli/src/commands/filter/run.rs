//! `safeguard filter run`: scores for a file of items.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use cascade::{Encoder, Filter, FilterScore, Ruling, readable};
use serde::Serialize;

use super::encoder::EncoderArgs;
use super::read_filter;
use crate::commands::batch::{Item, LineError, items, next_line};
use crate::exit::Exit;
use crate::output::{is_broken_pipe, report_note, shortened};

/// Lines that are scored together, each thread taking its share; and bytes, where lines are long.
const CHUNK: usize = 4096;
const CHUNK_BYTES: usize = 32 << 20;

/// Score a file of items, one JSON object a line
///
/// Takes what `safeguard batch` takes. One line comes out for each item, in order: {"id","score","pass"}, where
/// "pass" says that the item goes on to the reasoner; what a promoted filter decides by itself has an "outcome" too.
/// A filter that is not calibrated passes everything on. Lines that cannot be read are named on stderr.
///
/// Exit status: 0 done, 2 a line could not be read.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The filter
    #[arg(value_name = "FILTER")]
    filter: PathBuf,
    /// The items; - reads standard input
    #[arg(value_name = "IN.jsonl")]
    input: PathBuf,
    /// Where the scores go; by default standard output
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    encoder: EncoderArgs,
}

/// One item's line.
#[derive(Serialize)]
struct Scored<'a> {
    id: &'a str,
    score: f64,
    pass: bool,
    /// What a promoted filter decides by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    match score_all(args) {
        Err(error) if is_broken_pipe(&error) => Ok(Exit::Clear),
        ended => ended,
    }
}

fn score_all(args: &Args) -> Result<Exit> {
    let filter = read_filter(&args.filter)?;
    if args.out.as_ref().is_some_and(|out| *out == args.input || *out == args.filter) {
        bail!("the scores must go to a file of their own");
    }
    if filter.about.calibration.is_none() {
        report_note("the filter is not calibrated, so everything is passed on");
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let n_threads = args.encoder.n_threads().unwrap_or(cores);
    let encoder = args.encoder.open(&args.filter, &filter)?;
    let mut lines = Lines::open(args)?;
    let mut out: Box<dyn Write> = match &args.out {
        Some(path) => Box::new(
            File::create(path).with_context(|| format!("{}: cannot be written", path.display()))?,
        ),
        None => Box::new(io::stdout().lock()),
    };
    let mut exit = Exit::Clear;
    while let Some(chunk) = lines.next_chunk()? {
        let (texts, problems) = score_chunk(&filter, encoder.as_deref(), &chunk, n_threads)?;
        for text in texts {
            out.write_all(text.as_bytes())?;
        }
        for (number, problem) in problems {
            report_note(&format!("line {number}: {}", shortened(&problem, 200)));
            exit = Exit::CouldNot;
        }
    }
    out.flush()?;
    Ok(exit)
}

/// A line with its number.
type Numbered = (usize, Result<Vec<u8>, LineError>);

/// The input in chunks.
struct Lines {
    reader: Box<dyn BufRead>,
    n_read: usize,
}

impl Lines {
    fn open(args: &Args) -> Result<Lines> {
        let reader: Box<dyn BufRead> = if args.input.as_os_str() == "-" {
            Box::new(io::stdin().lock())
        } else {
            let file = File::open(&args.input);
            Box::new(BufReader::new(
                file.with_context(|| format!("{}: cannot be read", args.input.display()))?,
            ))
        };
        Ok(Lines { reader, n_read: 0 })
    }

    fn next_chunk(&mut self) -> Result<Option<Vec<Numbered>>> {
        let (mut chunk, mut n_bytes) = (Vec::new(), 0);
        while chunk.len() < CHUNK && n_bytes < CHUNK_BYTES {
            let Some(line) = next_line(&mut *self.reader).context("the input cannot be read")?
            else {
                break;
            };
            self.n_read += 1;
            n_bytes += line.as_ref().map_or(0, Vec::len);
            if !line.as_ref().is_ok_and(|line| line.trim_ascii().is_empty()) {
                chunk.push((self.n_read, line));
            }
        }
        Ok((!chunk.is_empty()).then_some(chunk))
    }
}

/// Lines that cannot be read: the number and what is wrong.
type Problems = Vec<(usize, String)>;

/// Every thread a stretch of the lines; what they wrote, in order.
fn score_chunk(
    filter: &Filter,
    encoder: Option<&dyn Encoder>,
    chunk: &[Numbered],
    n_threads: usize,
) -> Result<(Vec<String>, Problems)> {
    let stretch = chunk.len().div_ceil(n_threads);
    let (mut texts, mut problems) = (Vec::new(), Problems::new());
    std::thread::scope(|scope| {
        let threads: Vec<_> = chunk
            .chunks(stretch)
            .map(|lines| scope.spawn(move || score_lines(filter, encoder, lines)))
            .collect();
        for thread in threads {
            let (text, bad) = thread.join().expect("scoring does not panic")?;
            texts.push(text);
            problems.extend(bad);
        }
        Ok((texts, problems))
    })
}

fn score_lines(
    filter: &Filter,
    encoder: Option<&dyn Encoder>,
    lines: &[Numbered],
) -> Result<(String, Problems)> {
    let (mut read, mut problems) = (Vec::new(), Vec::new());
    for (number, line) in lines {
        let found = line.as_ref().map_err(ToString::to_string);
        let found = found.and_then(|line| items(line).map_err(|error| error.to_string()));
        let found = match found {
            Ok(found) => found,
            Err(problem) => {
                problems.push((*number, problem));
                continue;
            }
        };
        read.extend(found.into_iter().map(|Item { id, content }| (id, readable(&content))));
    }
    let texts: Vec<&str> = read.iter().map(|(_, text)| text.as_str()).collect();
    let scores = filter.scorer(encoder)?.score_all(&texts)?;
    let mut out = String::new();
    for ((id, _), FilterScore { score, .. }) in read.iter().zip(scores) {
        let ruling = filter.ruling(score);
        let outcome = match ruling {
            Ruling::Clear => Some("clear"),
            Ruling::Violation => Some("violation"),
            Ruling::Stopped | Ruling::PassedOn => None,
        };
        let scored = Scored { id, score, pass: ruling == Ruling::PassedOn, outcome };
        out.push_str(&serde_json::to_string(&scored)?);
        out.push('\n');
    }
    Ok((out, problems))
}
