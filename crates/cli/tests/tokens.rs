//! `safeguard model tokens` as people run it, on the rows that OpenAI's own library made.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

const CONVERSATIONS: &str = include_str!("../../model/tests/fixtures/harmony/harmony_golden.jsonl");

/// Runs `safeguard model tokens` with `input` on standard input.
fn tokens(args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_safeguard"))
        .args(["model", "tokens"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("the program ends");
    // A program that refuses its flags does not read its input.
    let _ = writer.join().expect("the writer does not panic");
    output
}

fn lines(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("UTF-8")
}

fn fixture(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures").join(path)
}

/// One row of the file gives its long text as a recipe, which is no conversation.
#[test]
fn conversations_give_the_ids_of_openai_harmony() {
    let is_whole = |row: &Value| row.get("ids").is_some();
    let rows: Vec<Value> = CONVERSATIONS
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .filter(is_whole)
        .collect();
    assert_eq!(rows.len(), 23);
    let input: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let output = tokens(&["--conversations", "-"], input.as_bytes());
    assert!(output.status.success(), "{}", stderr(&output));
    let expected: Vec<Value> = rows.iter().map(|row| row["ids"].clone()).collect();
    assert_eq!(lines(&output), expected);

    let output = tokens(&["--conversations", "-", "--count"], input.as_bytes());
    let expected: Vec<Value> = rows.iter().map(|row| row["n"].clone()).collect();
    assert_eq!(lines(&output), expected);
}

#[test]
fn a_line_that_is_no_conversation_is_named() {
    let path = fixture("harmony/harmony_golden.jsonl");
    let path = path.to_str().expect("UTF-8");
    let output = tokens(&["--conversations", path, "--count"], b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("harmony_golden.jsonl:23: column "), "{}", stderr(&output));
    let counts = lines(&output);
    assert_eq!((counts.len(), &counts[22]), (24, &Value::Null));

    let output = tokens(&["--conversations", "-"], b"\n{\"next_role\":\"user\"}\n{}\n");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("standard input:3: none of"), "{}", stderr(&output));
    assert_eq!(lines(&output), [json!([200_006, 1428]), Value::Null]);
}

#[test]
fn texts_come_from_the_line_a_file_or_standard_input() {
    let file = fixture("harmony/lenient.jsonl");
    let file = file.to_str().expect("UTF-8");
    let content = std::fs::read(file).expect("the fixture");
    let from_file = tokens(&["--file", file], b"");
    assert!(from_file.status.success());
    for args in [["--file", "-"].as_slice(), &["-"]] {
        assert_eq!(tokens(args, &content).stdout, from_file.stdout);
    }
    // Text that looks like a control token is not one.
    assert_eq!(lines(&tokens(&["<|end|>"], b"")), [json!([27, 91, 419, 91, 29])]);
    assert_eq!(lines(&tokens(&["--count", "<|end|>"], b"")), [json!(5)]);
    assert_eq!(lines(&tokens(&[""], b"")), [json!([])]);
}

#[test]
fn pieces_show_what_each_token_says() {
    let output = tokens(&["--pieces", "two words\n"], b"");
    let text = std::str::from_utf8(&output.stdout).expect("UTF-8");
    assert_eq!(text, " 38397  \"two\"\n  6391  \" words\"\n   198  \"\\n\"\n");
    let output = tokens(&["--pieces", "--format", "json", "0 "], b"");
    assert_eq!(lines(&output), [json!([{ "id": 15, "text": "0" }, { "id": 220, "text": " " }])]);
}

#[test]
fn a_models_folder_gives_its_own_vocabulary() {
    let dir = fixture("tiny-a");
    let output = tokens(&["--model", dir.to_str().expect("UTF-8"), "plain words"], b"");
    assert!(output.status.success(), "{}", stderr(&output));
    let ids: Vec<u32> = serde_json::from_value(lines(&output)[0].clone()).expect("ids");
    assert!(ids.iter().all(|&id| id < 512), "{ids:?}");
}

#[test]
fn what_cannot_be_read_is_named() {
    let not_json = fixture("harmony/harmony_golden.jsonl");
    let not_json = not_json.to_str().expect("UTF-8");
    let cases: [(&[&str], &str); 5] = [
        (&["--file", "no/such/file"], "no/such/file"),
        (&["--conversations", "no/such/file"], "no/such/file"),
        (&["--model", "no/such/model", "text"], "hint:"),
        (&["--model", not_json, "text"], "harmony_golden.jsonl"),
        (&["-"], "standard input:2: is not UTF-8"),
    ];
    for (args, expected) in cases {
        let output = tokens(args, b"fine\n\xff");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains(expected), "{args:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{args:?}");
    }
    assert_eq!(tokens(&[], b"").status.code(), Some(2));
    assert_eq!(tokens(&["text", "--file", "-"], b"").status.code(), Some(2));
}
