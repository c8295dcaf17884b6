//! A page of the book as the steps that it tells its reader to take.

use std::iter::Peekable;
use std::str::Lines;

/// Stands for what is left out.
const REST: &str = "…";

/// What a reader does.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    Write { path: String, text: String },
    Change { path: String, hunks: Vec<Hunk> },
    Run { command: String, shown: Vec<String>, status: i32 },
}

/// Lines to find in a file, and the lines to put in their place.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Hunk {
    old: Vec<String>,
    new: Vec<String>,
}

/// The steps of all blocks, in order. A block that is neither a file nor `console` is none.
pub(crate) fn steps(page: &str) -> Vec<Step> {
    let mut lines = page.lines();
    let (mut steps, mut path) = (Vec::new(), None);
    while let Some(line) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else {
            path = named(line).or(path.filter(|_| line.is_empty()));
            continue;
        };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        match (path.take(), kind) {
            (Some(path), "diff") => steps.push(Step::Change { path, hunks: hunks(&block) }),
            (Some(path), _) => steps.push(Step::Write { path, text: block.join("\n") + "\n" }),
            (None, "console") => steps.extend(commands(&block.join("\n"))),
            (None, _) => {}
        }
    }
    steps
}

/// A line that is nothing but a path in bold.
fn named(line: &str) -> Option<String> {
    line.strip_prefix("**`")?.strip_suffix("`**").map(str::to_owned)
}

fn commands(block: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = block.lines().peekable();
    while let Some(line) = lines.next() {
        let mut command =
            line.strip_prefix("$ ").expect("a block starts with a command").to_owned();
        while command.ends_with('\\') {
            command = command + "\n" + lines.next().expect("the line goes on");
        }
        let shown = printed(&mut lines);
        if command != "echo $?" {
            steps.push(Step::Run { command, shown, status: 0 });
        } else if let Some(Step::Run { status, .. }) = steps.last_mut() {
            *status = shown.concat().parse().expect("a status");
        }
    }
    steps
}

/// What stands there until the next command.
fn printed(lines: &mut Peekable<Lines<'_>>) -> Vec<String> {
    std::iter::from_fn(|| lines.next_if(|line| !line.starts_with("$ ")))
        .map(str::to_owned)
        .collect()
}

/// Lines with `-`, `+` or a space before them; what `…` leaves out lies between two hunks.
fn hunks(block: &[&str]) -> Vec<Hunk> {
    let hunk = |lines: &[&str]| {
        let mut hunk = Hunk::default();
        for line in lines {
            let (sign, text) = line.split_at_checked(1).expect("a sign before each line");
            if sign != "+" {
                hunk.old.push(text.to_owned());
            }
            if sign != "-" {
                hunk.new.push(text.to_owned());
            }
        }
        hunk
    };
    block.split(|line| *line == REST).map(hunk).collect()
}

/// The file with every hunk changed where it stands.
pub(crate) fn changed(text: &str, hunks: &[Hunk]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for Hunk { old, new } in hunks {
        let at = lines.windows(old.len()).position(|window| window == old.as_slice());
        let at = at.unwrap_or_else(|| panic!("{old:?} is not in the file:\n{text}"));
        lines.splice(at..at + old.len(), new.iter().cloned());
    }
    lines.join("\n") + "\n"
}

/// Whether the shown lines are what was printed, but for what is left out. Nothing shown says nothing.
pub(crate) fn is_shown(shown: &[String], printed: &[&str]) -> bool {
    shown.is_empty() || fits_lines(shown, printed)
}

fn fits_lines(shown: &[String], printed: &[&str]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((line, rest)) if line == REST => {
            (0..=printed.len()).any(|at| fits_lines(rest, &printed[at..]))
        }
        Some((line, rest)) => {
            printed.first().is_some_and(|first| fits(line, first.trim_end()))
                && fits_lines(rest, &printed[1..])
        }
    }
}

/// Within a line: its parts in their order, the first at its start and the last at its end.
fn fits(shown: &str, printed: &str) -> bool {
    match shown.split_once(REST) {
        None => shown.trim_end() == printed,
        Some((start, rest)) => printed.strip_prefix(start).is_some_and(|printed| {
            let mut ends = printed.char_indices().map(|(at, _)| at).chain([printed.len()]);
            ends.any(|at| fits(rest, &printed[at..]))
        }),
    }
}

#[test]
fn blocks_become_steps() {
    let page = "Text\n```console\n$ a \\\n  b\nout\n$ echo $?\n1\n$ c\n```\n**`x.md`**\n\n```diff\n-d\n+e\n```\n```text\n$ f\n```\n";
    let run = |command: &str, shown: &[&str], status| Step::Run {
        command: command.to_owned(),
        shown: shown.iter().map(|&line| line.to_owned()).collect(),
        status,
    };
    let hunk = Hunk { old: vec!["d".to_owned()], new: vec!["e".to_owned()] };
    assert_eq!(changed("c\nd\n", std::slice::from_ref(&hunk)), "c\ne\n");
    let change = Step::Change { path: "x.md".to_owned(), hunks: vec![hunk] };
    assert_eq!(steps(page), [run("a \\\n  b", &["out"], 1), run("c", &[], 0), change]);
}

#[test]
fn what_is_shown_is_what_was_printed() {
    let is_shown = |shown: &[&str], printed: &[&str]| {
        let shown: Vec<String> = shown.iter().map(|&line| line.to_owned()).collect();
        is_shown(&shown, printed)
    };
    let printed = ["one two three", "four", "five"];
    for shown in [&[][..], &["…"], &["one … three", "…", "five"], &["one…", "four", "five"]]
    {
        assert!(is_shown(shown, &printed), "{shown:?}");
    }
    for shown in [&["one two three"][..], &["…", "four"], &["one … two", "…"], &["…", "six", "…"]]
    {
        assert!(!is_shown(shown, &printed), "{shown:?}");
    }
}
