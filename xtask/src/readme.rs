//! README's main command is run as it is written, so that it stays true.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Runs the first `cargo run` line of README's console blocks. A judge's 0 and 1 are both answers.
pub(crate) fn check(root: &Path) -> Result<()> {
    let readme = fs::read_to_string(root.join("README.md")).context("README.md")?;
    let command = main_command(&readme).context("README.md shows no `cargo run` command")?;
    eprintln!("$ {command}");
    let output = Command::new("sh").args(["-c", &command]).current_dir(root).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    eprint!("{}{said}", String::from_utf8_lossy(&output.stderr));
    if !matches!(output.status.code(), Some(0 | 1)) {
        bail!("README's command ended with {}", output.status);
    }
    if said.trim().is_empty() {
        bail!("README's command printed no verdict");
    }
    Ok(())
}

/// The first `cargo run` line, with its continuation lines joined.
fn main_command(readme: &str) -> Option<String> {
    let mut lines = readme.lines().skip_while(|line| !line.starts_with("cargo run"));
    let mut command = String::new();
    for line in lines.by_ref() {
        match line.strip_suffix('\\') {
            Some(part) => command.push_str(part),
            None => {
                command.push_str(line);
                return Some(command);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::main_command;

    #[test]
    fn continuation_lines_are_joined() {
        let readme = "# x\n```console\ncargo run --release -- \\\n  classify y\n```\ncargo run z\n";
        assert_eq!(main_command(readme).unwrap(), "cargo run --release --   classify y");
        assert_eq!(main_command("nothing"), None);
    }
}
