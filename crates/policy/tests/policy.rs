//! Policy files, good and bad.

use policy::{
    Cause, Content, GoldenError, Outcome, Policy, PolicyError, PolicyRef, Side, Verdict,
    check_golden, parse_golden, parse_golden_fully,
};
use proptest::prelude::*;

const CODED: &str = "\
+++
effort = \"low\"
date = \"2026-03-01\"
+++
# Spam Policy (#SP), version 1.0

## VIOLATES (violation = 1)
- SP1 Bulk: sends the same offer to many people,
  or to the same people many times.
- SP2 asks for a click: here

## SAFE (violation = 0)
- SP0.a A receipt.
- SP0.b Names a shop when asked.

## EXAMPLES
- SP9 this is an example and no rule
";

fn parse(text: &str) -> Result<Policy, PolicyError> {
    Policy::parse("spam", text.as_bytes())
}

#[test]
fn coded_rules_are_read_with_side_name_and_line() {
    let policy = parse(CODED).expect("a good policy");
    let rules: Vec<_> = policy
        .rules
        .iter()
        .map(|rule| (rule.code.as_str(), rule.name.as_deref(), rule.side, rule.line))
        .collect();
    assert_eq!(
        rules,
        [
            ("SP1", Some("Bulk"), Side::Violating, 8),
            ("SP2", Some("asks for a click"), Side::Violating, 10),
            ("SP0.a", None, Side::Safe, 13),
            ("SP0.b", None, Side::Safe, 14),
        ]
    );
    assert_eq!(
        policy.rule("SP1").map(|rule| rule.text.as_str()),
        Some("sends the same offer to many people, or to the same people many times.")
    );
    assert_eq!(
        policy.labels().collect::<Vec<_>>(),
        [("SP1", Side::Violating), ("SP2", Side::Violating), ("SP0", Side::Safe)]
    );
    assert_eq!(
        policy.rule_ids().map(|(code, _)| code).collect::<Vec<_>>(),
        ["SP1", "SP2", "SP0.a", "SP0.b", "SP0"]
    );
    assert_eq!(policy.side("SP0"), Some(Side::Safe));
    assert_eq!(policy.side("SP9"), None);
    assert_eq!(policy.title.as_deref(), Some("Spam Policy (#SP), version 1.0"));
    assert_eq!(policy.front.date.as_deref(), Some("2026-03-01"));
    assert!(policy.body.starts_with("# Spam Policy") && !policy.body.contains("effort"));
}

#[test]
fn prose_is_one_rule() {
    let policy = parse("No insults, please.").expect("prose is a policy");
    assert!(policy.is_prose());
    assert_eq!(policy.labels().collect::<Vec<_>>(), [("V", Side::Violating), ("V0", Side::Safe)]);
}

#[test]
fn a_policy_without_safe_rules_gets_a_safe_label() {
    let policy = parse("## VIOLATES\n- X1 shouting\n- X0 whispering\n").expect("a policy");
    assert_eq!(policy.labels().last(), Some(("X00", Side::Safe)));
}

#[test]
fn the_id_is_of_the_bytes_and_the_body_is_not_touched_by_line_ends() {
    let (unix, windows) = (parse("a\nb\n").expect("good"), parse("a\r\nb\r\n").expect("good"));
    assert_eq!(unix.body, windows.body);
    assert_ne!(unix.id, windows.id);
    assert_eq!(unix.id.0.len(), 64);
}

#[test]
fn faults_name_their_line() {
    let cases: [(&[u8], PolicyError); 8] = [
        (b" \n", PolicyError::Empty),
        (b"ok\n\xff", PolicyError::NotText { line: 2 }),
        (
            b"+++\neffort = \"low\"\n",
            PolicyError::FrontMatter { line: 1, problem: "the closing +++ is missing".into() },
        ),
        (
            b"## VIOLATES\n- A1 x\n- A1 y\n",
            PolicyError::DuplicateCode { code: "A1".into(), line: 3, first_line: 2 },
        ),
        (
            b"## VIOLATES\n- A1 x\n\n## SAFE\n- A1.a y\n",
            PolicyError::MixedSides { label: "A1".into(), line: 5, first_line: 2 },
        ),
        (b"## SAFE\n- A0 x\n", PolicyError::NothingViolates),
        (
            b"---\neffort: low\n---\nText\n",
            PolicyError::FrontMatter {
                line: 1,
                problem: "it must be TOML between lines of +++, not ---".into(),
            },
        ),
        (
            b"+++\ndate = \"today\"\n+++\nText\n",
            PolicyError::FrontMatter {
                line: 1,
                problem: "date \"today\" is not of the form YYYY-MM-DD".into(),
            },
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(Policy::parse("p", bytes).expect_err("a bad policy"), expected);
    }
    let error =
        parse("+++\neffort = \"low\"\ncolour = 1\n+++\nText\n").expect_err("an unknown key");
    assert!(matches!(error, PolicyError::FrontMatter { line: 3, .. }), "{error}");
    assert!(matches!(Policy::parse("p", &vec![b'a'; 2 << 20]), Err(PolicyError::TooLong { .. })));
}

#[test]
fn golden_lines_are_read_and_faults_named() {
    let good = concat!(
        r#"{"id":"a","text":"hi","outcome":"clear","rule":"SP0.a"}"#,
        "\n\n",
        r#"{"id":"b","prompt":"p","reply":"r","outcome":"violation","metadata":{"stars":5}}"#,
        "\n",
        r#"{"id":"c","messages":[{"role":"user","text":"x"}],"outcome":"clear","note":"why"}"#,
        "\n"
    );
    let cases = parse_golden(good).expect("good lines");
    assert_eq!(cases.len(), 3);
    assert_eq!(cases[1].content.metadata(), [("stars".to_owned(), "5".to_owned())]);
    assert_eq!(cases[2].content.kind(), "conversation");
    assert!(matches!(parse_golden("{}"), Err(GoldenError::Json { line: 1, .. })));
    assert!(matches!(
        parse_golden("\n{\"id\":\"a\",\"text\":\" \",\"outcome\":\"clear\"}"),
        Err(GoldenError::Content { line: 2, .. })
    ));
    let two_bad = "{}\n{\"id\":\"a\",\"text\":\"x\",\"outcome\":\"clear\",\"lang\":\"de\"}\n[]\n";
    let errors = parse_golden_fully(two_bad.as_bytes()).expect_err("two bad lines");
    assert!(matches!(
        errors.as_slice(),
        [GoldenError::Json { line: 1, .. }, GoldenError::Json { line: 3, .. }]
    ));
    let twice = r#"{"id":"a","text":"hi","outcome":"clear"}"#;
    let twice = format!("{twice}\n{twice}");
    assert!(matches!(
        parse_golden(&twice),
        Err(GoldenError::DuplicateId { line: 2, first_line: 1, .. })
    ));
}

#[test]
fn all_bad_golden_lines_are_named_and_held_against_the_policy() {
    let policy = parse(CODED).expect("a good policy");
    let good = concat!(
        "\u{feff}{\"id\":\"a\",\"text\":\"hi\",\"outcome\":\"clear\",\"rule\":\"SP0\"}\r\n",
        "{\"id\":\"b\",\"text\":\"hi\",\"outcome\":\"violation\",\"rule\":\"SP1\"}\n",
        "{\"id\":\"c\",\"text\":\"hi\",\"outcome\":\"violation\"}\n",
    );
    assert_eq!(check_golden(good.as_bytes(), &policy).expect("good lines").len(), 3);
    let mut bad = good.as_bytes().to_vec();
    bad.extend(b"{\"id\":\"a\",\"text\":\"hi\",\"outcome\":\"violation\",\"rule\":\"SP0.b\"}\n");
    bad.extend(b"{\"id\":\"d\",\"text\":\"caf\xe9\"}\n{\"id\":\"e\"\n\n");
    bad.extend(b"{\"id\":\"f\",\"prompt\":\"no reply\",\"outcome\":\"clear\"}\n");
    bad.extend(b"{\"id\":\"g\",\"text\":\"\",\"outcome\":\"clear\"}\n");
    bad.extend(b"{\"id\":\"h\",\"text\":\"hi\",\"outcome\":\"clear\",\"rule\":\"SP9\"}");
    bad.extend(b"\n[\"i\", \"clear\"]");
    let errors = check_golden(&bad, &policy).expect_err("bad lines");
    let lines: Vec<_> = errors.iter().map(GoldenError::line).collect();
    assert_eq!(lines, [4, 4, 5, 6, 8, 9, 10, 11]);
    assert!(matches!(&errors[0], GoldenError::DuplicateId { first_line: 1, .. }), "{errors:?}");
    assert!(matches!(&errors[1], GoldenError::OtherSide { side: Side::Safe, .. }), "{errors:?}");
    assert!(matches!(&errors[2], GoldenError::NotText { .. }), "{errors:?}");
    assert!(matches!(&errors[3], GoldenError::Json { .. }), "{errors:?}");
    assert!(matches!(&errors[4], GoldenError::NoContent { .. }), "{errors:?}");
    assert!(matches!(&errors[5], GoldenError::Content { .. }), "{errors:?}");
    assert!(matches!(&errors[6], GoldenError::UnknownRule { rule, .. } if rule == "SP9"));
}

#[test]
fn examples_are_read_with_their_codes() {
    let text = CODED.to_owned()
        + "- \"a receipt\" -> SP0 (SP0.a)\n### More\n- x -> SP1\n## OUTPUT\n- y -> SP2\n";
    let policy = parse(&text).expect("a policy");
    let examples: Vec<_> =
        policy.examples.iter().map(|example| (example.line, example.codes.join(" "))).collect();
    let expected = [(17, "SP9"), (18, "SP0 SP0.a"), (20, "SP1")];
    assert_eq!(examples, expected.map(|(line, codes)| (line, codes.to_owned())));
}

#[test]
fn metadata_cannot_break_lines_or_fake_the_fence() {
    for (key, value) in
        [("a", "1\n2"), ("END 1234", "x"), ("CONTENT x", "y"), ("", "z"), ("a:b", "c")]
    {
        let content =
            Content::Text { text: "t".into(), metadata: vec![(key.into(), value.into())] };
        assert!(content.check().is_err(), "{key:?}");
    }
}

#[test]
fn an_undetermined_verdict_says_so_in_json() {
    let policy = parse("Text").expect("a policy");
    for cause in Cause::ALL {
        let verdict = Verdict::undetermined(
            cause,
            "why",
            PolicyRef { name: "p".into(), id: policy.id.clone() },
            "m",
        );
        let json = serde_json::to_value(&verdict).expect("a verdict is JSON");
        assert_eq!(json["outcome"], "undetermined");
        assert!(json["cause"].is_string() && json["label"].is_null() && json["score"].is_null());
        let back: Verdict = serde_json::from_value(json).expect("and comes back");
        assert_eq!(back.outcome, Outcome::Undetermined(cause));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_policy_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Policy::parse("p", &bytes);
    }

    #[test]
    fn any_text_of_rules_is_a_policy_or_an_error(text in "((\\+\\+\\+|---|## VIOLATES|## SAFE|- [A-Z]{1,3}[0-9](\\.[a-z])?( [a-z]{1,5}:)? [a-z]{1,9}|  more|)\\r?\\n){0,14}") {
        if let Ok(policy) = parse(&text) {
            prop_assert!(policy.labels().any(|(_, side)| side == Side::Violating));
            prop_assert!(policy.labels().any(|(_, side)| side == Side::Safe));
            for rule in policy.rules.iter().filter(|_| !policy.is_prose()) {
                let line = text.lines().nth(rule.line - 1).unwrap_or_default();
                prop_assert!(line.contains(&rule.code), "{} is not in line {}", rule.code, rule.line);
            }
        }
    }
}
