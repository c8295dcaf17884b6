//! The generated page of the book (the command line's reference, from clap) and the book's checks.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

const REFERENCE: &str = "docs/src/reference/cli.md";

/// Writes the generated page and, where mdBook is installed, builds the book.
pub(crate) fn write(root: &Path) -> Result<()> {
    fs::write(root.join(REFERENCE), reference(root)?)?;
    build(root)
}

/// The generated page is up to date, every page is in the summary, every link leads somewhere.
pub(crate) fn check(root: &Path) -> Result<()> {
    if fs::read_to_string(root.join(REFERENCE)).unwrap_or_default() != reference(root)? {
        bail!("{REFERENCE} is not what the command line says now; run `cargo xtask docs`");
    }
    let lost = lost_links(root)?;
    if !lost.is_empty() {
        bail!("links that lead nowhere:\n{}", lost.join("\n"));
    }
    let unlisted = unlisted_pages(root)?;
    if !unlisted.is_empty() {
        bail!("pages that docs/src/SUMMARY.md does not list: {}", unlisted.join(", "));
    }
    build(root)
}

fn build(root: &Path) -> Result<()> {
    if Command::new("mdbook").arg("--version").output().is_err() {
        eprintln!("mdbook is not installed, so the book is checked but not built");
        return Ok(());
    }
    let status = Command::new("mdbook").args(["build", "docs"]).current_dir(root).status()?;
    if !status.success() {
        bail!("mdbook build docs failed");
    }
    Ok(())
}

/// The help of every command, in one page.
fn reference(root: &Path) -> Result<String> {
    let mut page = String::from(
        "# Command line\n\nWritten by `cargo xtask docs` from the program itself; edit the flags' \
         descriptions in `crates/cli/src/commands/`.\n",
    );
    describe(root, &[], &mut page)?;
    Ok(page)
}

fn describe(root: &Path, path: &[String], page: &mut String) -> Result<()> {
    let help = help(root, path)?;
    let mut name = vec!["safeguard".to_owned()];
    name.extend_from_slice(path);
    write!(page, "\n## {}\n\n```text\n{}\n```\n", name.join(" "), help.trim_end())?;
    for subcommand in subcommands(&help) {
        let mut below = path.to_vec();
        below.push(subcommand);
        describe(root, &below, page)?;
    }
    Ok(())
}

fn help(root: &Path, path: &[String]) -> Result<String> {
    let output = Command::new("cargo")
        .args(["run", "--quiet", "--locked", "--package", "cli", "--"])
        .args(path)
        .arg("--help")
        .env("COLUMNS", "100")
        .current_dir(root)
        .output()
        .context("cargo does not start")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8(output.stdout).context("help is not UTF-8")?;
    Ok(text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"))
}

/// The names under `Commands:` in a help text.
fn subcommands(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    listed
        .take_while(|line| line.starts_with("  "))
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// Relative links in Markdown files that name no file.
fn lost_links(root: &Path) -> Result<Vec<String>> {
    let mut lost = Vec::new();
    for page in pages(root)? {
        let text = fs::read_to_string(&page)?;
        for target in links(&text) {
            let file = target.split('#').next().unwrap_or_default();
            let folder = page.parent().unwrap_or(root);
            if !file.is_empty() && !target.contains("://") && !folder.join(file).exists() {
                lost.push(format!("{}: {target}", page.strip_prefix(root)?.display()));
            }
        }
    }
    Ok(lost)
}

fn unlisted_pages(root: &Path) -> Result<Vec<String>> {
    let source = root.join("docs/src");
    let summary = fs::read_to_string(source.join("SUMMARY.md")).context("docs/src/SUMMARY.md")?;
    let listed: BTreeSet<String> = links(&summary).into_iter().collect();
    let all = markdown(&source)?.into_iter().filter_map(|page| {
        let name = page.strip_prefix(&source).ok()?.display().to_string();
        (name != "SUMMARY.md" && !listed.contains(&name)).then_some(name)
    });
    Ok(all.collect())
}

/// The targets of `[text](target)` outside code blocks.
fn links(text: &str) -> Vec<String> {
    let mut targets = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        in_code ^= line.trim_start().starts_with("```");
        let parts = line.split("](").skip(1).filter(|_| !in_code);
        targets.extend(parts.filter_map(|part| part.split(')').next()).map(str::to_owned));
    }
    targets
}

fn pages(root: &Path) -> Result<Vec<PathBuf>> {
    let mut pages = markdown(&root.join("docs/src"))?;
    let here =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "policies/README.md"];
    pages.extend(here.iter().map(|name| root.join(name)).filter(|page| page.exists()));
    Ok(pages)
}

fn markdown(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(markdown(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subcommands_are_read_from_help() {
        let help = "Usage: x\n\nCommands:\n  model  Weights\n         and more\n  help   Print\n\nOptions:\n  -h  y";
        assert_eq!(subcommands(help), ["model"]);
    }

    #[test]
    fn links_in_code_blocks_are_not_links() {
        assert_eq!(links("[a](b.md) and [c](d.md#e)\n```\n[f](g)\n```\n"), ["b.md", "d.md#e"]);
    }
}
