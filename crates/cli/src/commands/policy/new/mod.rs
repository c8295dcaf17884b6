//! `safeguard policy new`: a policy to fill in, and a golden set beside it.

mod ask;
mod template;

use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::commands::files::{GOLDEN, POLICY};
use crate::exit::Exit;
use crate::output::{hinted, print_result, report_hint};
use template::Draft;

/// Write a policy to start from, with slots where only you know what belongs there
///
/// Makes DIR/NAME with policy.md and golden.jsonl. In a terminal, what is not given by flags is asked for;
/// an empty answer leaves a slot, and `safeguard policy lint` names the slots that are left.
///
/// Exit status: 0 written, 2 not written; nothing is overwritten.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The policy's name, as in game-cheating: letters, digits, hyphens
    #[arg(value_parser = name)]
    name: String,
    /// The letters of its codes, as in GC; by default made from the name
    #[arg(long, value_name = "XX", value_parser = prefix)]
    prefix: Option<String>,
    /// Where the items come from, as in "public posts on a game's forum"
    #[arg(long, value_name = "TEXT", value_parser = line)]
    surface: Option<String>,
    /// A violating rule, as in "Trade: sells cheats or accounts", the least severe first; may be given many times
    #[arg(long = "rule", value_name = "RULE", value_parser = line)]
    rules: Vec<String>,
    /// The folder that holds policies
    #[arg(long, value_name = "DIR", default_value = "policies")]
    dir: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let folder = args.dir.join(&args.name);
    // Before any question is asked.
    for file in [POLICY, GOLDEN] {
        if folder.join(file).exists() {
            let error = anyhow::anyhow!("{} is there already", folder.join(file).display());
            return Err(hinted(error, "choose another name, or remove what is there"));
        }
    }
    let mut draft = Draft {
        name: args.name.clone(),
        prefix: args.prefix.clone().or_else(|| template::prefix_of(&args.name)),
        surface: args.surface.clone(),
        rules: args.rules.clone(),
    };
    if io::stdin().is_terminal() {
        ask::complete(
            &mut draft,
            args.prefix.is_none(),
            &mut io::stdin().lock(),
            &mut io::stderr(),
        )?;
    }
    let Some(prefix) = &draft.prefix else {
        let error = anyhow::anyhow!("no letters for codes can be made from {:?}", args.name);
        return Err(hinted(error, "give them with --prefix"));
    };
    write(&folder, &draft.policy(prefix), &draft.golden(prefix))?;
    print_result(&format!("{}\n", folder.join(POLICY).display()))?;
    report_hint(&format!(
        "fill in the slots that `safeguard policy lint {}` names",
        folder.display()
    ));
    Ok(Exit::Clear)
}

/// Writes both files, or none of them.
fn write(folder: &Path, policy: &str, golden: &str) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    let mut written: Vec<PathBuf> = Vec::new();
    for (name, text) in [(GOLDEN, golden), (POLICY, policy)] {
        let path = folder.join(name);
        let result = File::create_new(&path).and_then(|mut file| {
            written.push(path.clone());
            file.write_all(text.as_bytes())
        });
        if let Err(error) = result {
            for path in &written {
                // What is left of it is of no use; the first error is the one to report.
                let _ = fs::remove_file(path);
            }
            return Err(error).with_context(|| format!("{}: cannot be written", path.display()));
        }
    }
    Ok(())
}

fn name(text: &str) -> Result<String> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    if text.is_empty() || text.starts_with('-') || !text.chars().all(is_part) {
        bail!("a name is letters, digits and hyphens, such as game-cheating");
    }
    Ok(text.to_owned())
}

fn prefix(text: &str) -> Result<String> {
    const MAX_LEN: usize = 8;
    if text.is_empty()
        || text.len() > MAX_LEN
        || !text.chars().all(|letter| letter.is_ascii_uppercase())
    {
        bail!("the letters of codes are one to eight capitals, such as GC");
    }
    Ok(text.to_owned())
}

/// One line with something in it.
fn line(text: &str) -> Result<String> {
    let text = text.trim();
    if text.is_empty() || text.contains(char::is_control) {
        bail!("must be one line of text");
    }
    Ok(text.to_owned())
}
