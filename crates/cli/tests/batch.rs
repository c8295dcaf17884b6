//! `safeguard batch` as people run it: the real program, the built-in model, cuts at any moment.

mod program;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use program::{command, stderr, stdout};
use serde_json::Value;

const POLICY: &str = "policies/game-cheating";
/// A model that thinks no longer than this is quick, and thinking is not what is tested here.
const QUICK: [&str; 4] = ["--seed", "1", "--max-analysis-tokens", "8"];

struct Place {
    _dir: tempfile::TempDir,
    input: PathBuf,
    out: PathBuf,
}

fn place(lines: &str) -> Place {
    let dir = tempfile::tempdir().expect("a folder");
    let (input, out) = (dir.path().join("in.jsonl"), dir.path().join("out.jsonl"));
    fs::write(&input, lines).expect("written");
    Place { _dir: dir, input, out }
}

/// `safeguard batch`, from the project's own folder, with short thoughts.
fn batch(place: &Place, more: &[&str]) -> Command {
    batch_as_told(place, &[&QUICK[..], more].concat())
}

fn batch_as_told(place: &Place, more: &[&str]) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut command = command(&root, &["batch"]);
    command.arg(&place.input).arg("--out").arg(&place.out).args(["-p", POLICY]);
    command.args(more);
    command
}

fn run(place: &Place, more: &[&str]) -> Output {
    batch(place, more).output().expect("the program starts")
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("whole lines of JSON")).collect()
}

fn ids(path: &Path) -> Vec<String> {
    lines(path).iter().map(|line| line["id"].as_str().expect("an id").to_owned()).collect()
}

fn numbered(n: usize) -> (String, Vec<String>) {
    let ids: Vec<String> = (0..n).map(|at| format!("item-{at}")).collect();
    let line = |(at, id): (usize, &String)| {
        format!("{{\"id\":\"{id}\",\"text\":\"sentence number {at} about aim and skins\"}}\n")
    };
    (ids.iter().enumerate().map(line).collect(), ids)
}

#[test]
fn a_run_that_is_killed_goes_on_and_nothing_is_lost_or_doubled() {
    let (input, expected) = numbered(40);
    let place = place(&input);
    let mut n_kills = 0;
    for n_wanted in [1, 9, 17, 30] {
        let mut child =
            batch(&place, &["--max-inflight", "4"]).spawn().expect("the program starts");
        while lines_there(&place.out) < n_wanted && child.try_wait().expect("a child").is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        // SIGKILL on Unix: no clean-up of any kind.
        n_kills += usize::from(child.kill().is_ok());
        child.wait().expect("it is gone");
    }
    // And half a line at the end, as a cut in the middle of a write leaves it.
    let mut text = fs::read(&place.out).expect("verdicts");
    text.extend_from_slice(b"{\"id\":\"item-3");
    fs::write(&place.out, text).expect("written");
    let output = run(&place, &["--max-inflight", "4"]);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", stderr(&output));
    assert_eq!(ids(&place.out), expected, "in order, each once, after {n_kills} kills");
    assert!(stderr(&output).contains("going on"));
    let before = fs::read(&place.out).expect("verdicts");
    run(&place, &[]);
    assert_eq!(fs::read(&place.out).expect("verdicts"), before, "all is there already");
}

fn lines_there(path: &Path) -> usize {
    fs::read(path).map_or(0, |bytes| bytes.iter().filter(|&&byte| byte == b'\n').count())
}

#[test]
fn verdicts_do_not_depend_on_how_many_are_in_flight() {
    let (input, expected) = numbered(12);
    let (alone, together) = (place(&input), place(&input));
    run(&alone, &["--max-inflight", "1"]);
    run(&together, &["--max-inflight", "32", "--any-order"]);
    let without_usage = |path: &Path| {
        let mut lines = lines(path);
        lines.iter_mut().for_each(|line| line["usage"] = Value::Null);
        lines.sort_by_key(|line| expected.iter().position(|id| line["id"] == *id.as_str()));
        lines
    };
    assert_eq!(without_usage(&alone.out), without_usage(&together.out));
}

#[test]
fn bad_lines_go_to_a_file_of_their_own_and_the_rest_is_judged() {
    let place = place(concat!(
        "{\"id\":\"a\",\"text\":\"fine\"}\n",
        "\n",
        "{\"id\":\"b\"}\n",
        "{\"id\":\"a\",\"text\":\"again\"}\n",
        "{\"custom_id\":\"m\",\"method\":\"POST\",\"url\":\"/v1/moderations\",\"body\":{\"input\":[\"x\",\"y\"]}}\n",
        "not json",
    ));
    let output = run(&place, &["-p", "policies/spam", "--reasoning"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert_eq!(ids(&place.out), ["a", "a", "m/0", "m/0", "m/1", "m/1"]);
    let verdicts = lines(&place.out);
    assert_eq!(
        (&verdicts[0]["policy"], &verdicts[1]["policy"]),
        (&"game-cheating".into(), &"spam".into())
    );
    assert!(verdicts[0]["reasoning"].is_string() && verdicts[0]["policy_id"].is_string());
    let errors = lines(&place.out.with_extension("errors.jsonl"));
    let places: Vec<_> = errors.iter().map(|line| line["line"].as_u64()).collect();
    assert_eq!(places, [Some(3), Some(4), Some(6)]);
    assert!(stderr(&output).contains("3 lines could not be judged"));
    assert_eq!(stdout(&output), "", "verdicts go to their file");
}

#[test]
fn what_cannot_be_done_is_said_and_nothing_is_lost() {
    let place = place("{\"id\":\"a\",\"text\":\"fine\"}\n");
    let own = fs::read(&place.input).expect("the input");
    let input = place.input.to_str().expect("text").to_owned();
    for (more, expected) in [
        (vec!["--errors", input.as_str()], "must be different files"),
        (vec!["-p", "policies/game-cheating/policy.md"], "two policies"),
        (vec!["--max-inflight", "0"], "max-inflight"),
    ] {
        let output = run(&place, &more);
        assert_eq!(output.status.code(), Some(2), "{more:?}");
        assert!(stderr(&output).contains(expected), "{more:?}: {}", stderr(&output));
    }
    fs::write(&place.out, "somebody's notes\n").expect("written");
    let output = run(&place, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("not a verdict that batch wrote"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(&place.out).expect("kept"), "somebody's notes\n");
    assert_eq!(fs::read(&place.input).expect("kept"), own);
}

#[test]
fn undetermined_verdicts_can_be_tried_again() {
    let place = place("{\"id\":\"a\",\"text\":\"fine\"}\n{\"id\":\"b\",\"text\":\"fine too\"}\n");
    let output = run(&place, &["--timeout", "0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(lines(&place.out).iter().all(|line| line["cause"] == "timeout"));
    assert_eq!(run(&place, &[]).status.code(), Some(2), "they are verdicts, and are there");
    let output = run(&place, &["--retry-undetermined"]);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", stderr(&output));
    assert_eq!(ids(&place.out), ["a", "b"]);
    assert!(lines(&place.out).iter().all(|line| line["outcome"] != "undetermined"));
}

#[test]
fn direct_verdicts_and_verdicts_with_reasoning_do_not_go_into_one_file() {
    let place = place("{\"id\":\"a\",\"text\":\"fine\"}\n");
    let direct = |more: &[&str]| {
        batch_as_told(&place, &[&["--direct"], more].concat()).output().expect("the program starts")
    };
    assert_eq!(direct(&["--timeout", "0"]).status.code(), Some(2), "it is undetermined");
    let one_more = "{\"id\":\"a\",\"text\":\"fine\"}\n{\"id\":\"b\",\"text\":\"fine too\"}\n";
    fs::write(&place.input, one_more).expect("written");
    // What is undetermined was not scored in any way.
    assert!(ids(&place.out) == ["a"] && run(&place, &[]).status.code() == Some(2));
    let reasoned = fs::read(&place.out).expect("verdicts");
    fs::write(&place.input, one_more.replace("\"b\"", "\"c\"")).expect("written");
    let said = stderr(&direct(&[]));
    assert!(
        said.contains("verdicts with reasoning, and those of now are direct")
            && said.contains("hint:"),
        "{said}"
    );
    assert_eq!(fs::read(&place.out).expect("verdicts"), reasoned, "nothing was added");

    fs::remove_file(&place.out).expect("a file");
    direct(&[]);
    let mixed = [reasoned, fs::read(&place.out).expect("verdicts")].concat();
    fs::write(&place.out, mixed).expect("written");
    let said = stderr(&direct(&[]));
    assert!(said.contains("direct verdicts and verdicts with reasoning are in one file"), "{said}");
}
