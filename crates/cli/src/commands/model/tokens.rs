//! `safeguard model tokens`: the token ids that a model sees, before any model is there.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use model::harmony::{Conversation, render};
use model::tokenizer::Tokenizer;
use serde_json::{Value, json};

use crate::commands::tokenizer;
use crate::exit::Exit;
use crate::output::{Format, is_broken_pipe, report_error};

/// Print the token ids of a text, or of whole conversations as harmony prompts
///
/// Ids are written as one JSON array a line. Text that looks like a control token stays text: only the
/// frame around messages is made of control tokens. Without --model, the vocabulary is that of gpt-oss
/// (`o200k_harmony`), which is built in.
///
/// Exit status: 0 done, 2 something could not be read.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    input: Input,
    /// The vocabulary of a model's folder: its tokenizer.json
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Print how many tokens there are instead
    #[arg(long)]
    count: bool,
    /// Print each token with its text instead
    #[arg(long, conflicts_with = "count")]
    pieces: bool,
    /// How to write pieces; ids and counts are JSON either way
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Where the text or the conversations are.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Input {
    /// The text; - reads standard input
    text: Option<String>,
    /// Read the text from a file, to the byte; - is standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Read one conversation a line, as JSON: system, developer, messages, `next_role`; - is standard input
    ///
    /// A line that is no conversation gives null, so that lines in and out belong together.
    #[arg(long, value_name = "FILE.jsonl")]
    conversations: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    match print(args, &mut BufWriter::new(io::stdout().lock())) {
        // The reader has seen enough, as `head` does.
        Err(error) if is_broken_pipe(&error) => Ok(Exit::Clear),
        result => result.map(|()| Exit::Clear),
    }
}

fn print(args: &Args, out: &mut impl Write) -> Result<()> {
    let read;
    let tokenizer = match &args.model {
        None => Tokenizer::o200k_harmony(),
        Some(dir) => {
            read = tokenizer::read(dir)?;
            &read
        }
    };
    if let Some(path) = &args.input.conversations {
        print_conversations(args, tokenizer, path, out)?;
    } else {
        print_tokens(args, tokenizer, &tokenizer.encode(&text(&args.input)?), out)?;
    }
    Ok(out.flush()?)
}

fn text(input: &Input) -> Result<String> {
    let path = match (&input.text, &input.file) {
        (Some(text), _) if text != "-" => return Ok(text.clone()),
        (None, Some(path)) => path,
        _ => Path::new("-"),
    };
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes).with_context(|| name(path))?;
    String::from_utf8(bytes).map_err(|error| {
        let line =
            error.as_bytes()[..error.utf8_error().valid_up_to()].split(|&b| b == b'\n').count();
        anyhow!("{}:{line}: is not UTF-8", name(path))
    })
}

fn print_conversations(
    args: &Args,
    tokenizer: &Tokenizer,
    path: &Path,
    out: &mut impl Write,
) -> Result<()> {
    let mut input = BufReader::new(open(path)?);
    let (mut line, mut n_unreadable) = (Vec::new(), 0);
    for number in 1_usize.. {
        line.clear();
        if input.read_until(b'\n', &mut line).with_context(|| name(path))? == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match conversation(&line) {
            Ok(conversation) => {
                print_tokens(args, tokenizer, &render(tokenizer, &conversation), out)?
            }
            Err(error) => {
                report_error(&error.context(format!("{}:{number}", name(path))));
                writeln!(out, "{}", Value::Null)?;
                n_unreadable += 1;
            }
        }
    }
    if n_unreadable > 0 {
        out.flush()?;
        bail!("{}: {n_unreadable} lines are no conversations", name(path));
    }
    Ok(())
}

fn conversation(line: &[u8]) -> Result<Conversation> {
    let conversation: Conversation = serde_json::from_slice(line).map_err(|error| {
        let text = error.to_string();
        // The position that the message ends with is inside this one line.
        let problem = text.split(" at line ").next().unwrap_or(&text);
        anyhow!("column {}: {problem}", error.column())
    })?;
    if conversation == Conversation::default() {
        bail!("none of system, developer, messages, next_role is there");
    }
    Ok(conversation)
}

fn print_tokens(
    args: &Args,
    tokenizer: &Tokenizer,
    tokens: &[u32],
    out: &mut impl Write,
) -> Result<()> {
    if args.count {
        writeln!(out, "{}", tokens.len())?;
    } else if args.pieces {
        print_pieces(args.format, tokenizer, tokens, out)?;
    } else {
        serde_json::to_writer(&mut *out, tokens).map_err(io::Error::from)?;
        writeln!(out)?;
    }
    Ok(())
}

/// Each token's text as a JSON string, so that spaces and line ends are seen; a token that ends inside
/// a character shows U+FFFD.
fn print_pieces(
    format: Format,
    tokenizer: &Tokenizer,
    tokens: &[u32],
    out: &mut impl Write,
) -> Result<()> {
    let pieces = tokens.iter().map(|&token| (token, tokenizer.decode(&[token])));
    match format {
        Format::Json => {
            let pieces: Value =
                pieces.map(|(id, text)| json!({ "id": id, "text": text })).collect();
            writeln!(out, "{pieces}")?;
        }
        Format::Text => {
            for (id, text) in pieces {
                writeln!(out, "{id:>6}  {}", Value::from(text))?;
            }
        }
    }
    Ok(())
}

fn open(path: &Path) -> Result<Box<dyn Read>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    Ok(Box::new(File::open(path).with_context(|| name(path))?))
}

fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}
