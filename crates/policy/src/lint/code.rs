//! Every code that the linter gives, in one table: number, severity, title, reason.
//!
//! Numbers stay: a code that is retired is not given again. `docs/src/reference/lint.md` shows this table,
//! and a test compares the two.

use std::fmt;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The policy does not say what its author means, or cannot be used.
    Error,
    /// It can be used, and experience says that it will judge worse.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

/// What the linter looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each has a row with title and reason in `ROWS`")]
#[non_exhaustive]
pub enum Code {
    NoInstructions,
    NoViolates,
    NoSafe,
    NoOutput,
    UnknownCode,
    DuplicateCode,
    OtherPrefix,
    OneSidedExamples,
    FormatOnce,
    FormatDiffers,
    OpenSlot,
    ControlToken,
    ChangesPerCall,
    Unreadable,
    FrontMatter,
    TwoSidedLabel,
    NoCodedRule,
    NotARule,
    UnknownAllowed,
    TooLong,
    TooShort,
    HedgeWord,
    UndefinedTerm,
    UntestedRule,
    NoAmbiguityRoute,
    ManyRules,
    NegatedRule,
    NearDuplicate,
    IdleAllowed,
    NotACase,
    BadContent,
    DuplicateId,
    UnknownRule,
    OtherSide,
    OpenCase,
}

impl Code {
    /// As it is written: `P001`. P0 are errors of the policy, P1 warnings, G errors of the golden set.
    pub fn id(self) -> &'static str {
        self.row().id
    }

    /// Its line in the table.
    pub fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// What is to be known about a code.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Which one.
    pub code: Code,
    /// As it is written.
    pub id: &'static str,
    /// How bad.
    pub severity: Severity,
    /// What is found, in a few words.
    pub title: &'static str,
    /// Why it matters.
    pub reason: &'static str,
}

/// The most tokens that a policy should have; 400 to 600 work best.
pub const MAX_TOKENS: usize = 700;
/// The fewest tokens of a policy with sections.
pub const MIN_TOKENS: usize = 150;
/// The most rules, both sides together.
pub const MAX_RULES: usize = 12;

const fn error(code: Code, id: &'static str, title: &'static str, reason: &'static str) -> Row {
    Row { code, id, severity: Severity::Error, title, reason }
}

const fn warning(code: Code, id: &'static str, title: &'static str, reason: &'static str) -> Row {
    Row { code, id, severity: Severity::Warning, title, reason }
}

/// All codes, in the order of [`Code`].
pub const ROWS: &[Row] = &[
    error(
        Code::NoInstructions,
        "P001",
        "no INSTRUCTIONS section",
        "the model is told nowhere what to decide, in which order to test the rules, and how to reply",
    ),
    error(
        Code::NoViolates,
        "P002",
        "no VIOLATES section",
        "without violating rules nothing can violate the policy",
    ),
    error(
        Code::NoSafe,
        "P003",
        "no SAFE section",
        "most wrong verdicts come from a missing safe rule: reports, news, quotes, satire, fiction",
    ),
    error(
        Code::NoOutput,
        "P004",
        "no OUTPUT section",
        "the reply format is followed best when it stands near the top and again at the end",
    ),
    error(
        Code::UnknownCode,
        "P005",
        "a code that no rule defines",
        "a reply can cite only codes that a rule defines, so this asks for a reply that will be refused",
    ),
    error(
        Code::DuplicateCode,
        "P006",
        "two rules with one code",
        "a verdict names a code, and this one would not say which rule it rests on",
    ),
    error(
        Code::OtherPrefix,
        "P007",
        "a rule's code does not fit the policy's prefix",
        "codes are read across policies, in replies and reports, and the letters say which policy is meant",
    ),
    error(
        Code::OneSidedExamples,
        "P008",
        "no example on one of the two sides",
        "examples show where the line is; with one side only, the model sees no line",
    ),
    error(
        Code::FormatOnce,
        "P009",
        "the reply format is not stated twice",
        "the reply format is followed best when it stands near the top and again at the end",
    ),
    error(
        Code::FormatDiffers,
        "P010",
        "the reply format is stated in two ways",
        "of two formats the model follows one, and it is not known which",
    ),
    error(
        Code::OpenSlot,
        "P011",
        "a slot of a template is left over",
        "the model reads the slot as it stands",
    ),
    error(
        Code::ControlToken,
        "P012",
        "a control token in the text",
        "servers that turn it into a real token end the message there; here it is plain text and means nothing",
    ),
    error(
        Code::ChangesPerCall,
        "P013",
        "a date, an id or another thing that changes from call to call",
        "the policy is the prefix that all calls share; one that changes is computed anew for every item",
    ),
    error(Code::Unreadable, "P014", "the file is no policy", "nothing can be judged by it"),
    error(
        Code::FrontMatter,
        "P015",
        "the front matter cannot be read",
        "what is not for the model stands there, and a policy is not used by halves",
    ),
    error(
        Code::TwoSidedLabel,
        "P016",
        "one label on both sides",
        "a reply names a label, and the label says whether the item violates the policy",
    ),
    error(
        Code::NoCodedRule,
        "P017",
        "a section of rules without a coded rule",
        "a verdict cites a rule by its code; without codes it can cite the whole text only",
    ),
    error(
        Code::NotARule,
        "P018",
        "a line among the rules that is no rule",
        "the model reads the line, but no reply can cite it",
    ),
    error(
        Code::UnknownAllowed,
        "P019",
        "a silenced code that does not exist",
        "it silences nothing, and its author believes that it does",
    ),
    warning(
        Code::TooLong,
        "P101",
        "over 700 tokens",
        "policies of 400 to 600 tokens worked best in early tests, and every token is paid for",
    ),
    warning(
        Code::TooShort,
        "P102",
        "under 150 tokens",
        "so little text leaves terms undefined and the hard cases undecided",
    ),
    warning(
        Code::HedgeWord,
        "P103",
        "a hedge word",
        "the word leaves the decision open, and two readers will decide differently",
    ),
    warning(
        Code::UndefinedTerm,
        "P104",
        "a term in a rule that DEFINITIONS does not have",
        "the model fills the term with its own meaning",
    ),
    warning(
        Code::UntestedRule,
        "P105",
        "a rule with neither example nor golden case",
        "nobody has written down what the rule is for, and no test notices when it stops working",
    ),
    warning(
        Code::NoAmbiguityRoute,
        "P106",
        "no route for items that cannot be decided",
        "an item that lacks what a rule needs gets a confident verdict",
    ),
    warning(
        Code::ManyRules,
        "P107",
        "more than 12 rules",
        "every further rule costs some accuracy on the others; two policies are asked one by one",
    ),
    warning(
        Code::NegatedRule,
        "P108",
        "a violating rule that begins with a prohibition",
        "\"no X\" under VIOLATES is read both ways: X violates, and the lack of X violates",
    ),
    warning(
        Code::NearDuplicate,
        "P109",
        "a safe and a violating rule in nearly the same words",
        "nothing but a word or two tells the sides apart, and the model has to guess which ones",
    ),
    warning(
        Code::IdleAllowed,
        "P110",
        "a silenced code that is not found",
        "it silences nothing now, and would hide the fault on the day that it appears",
    ),
    error(
        Code::NotACase,
        "G001",
        "a line that is no golden case",
        "a set with bad lines is not run, so that no number rests on half of it",
    ),
    error(
        Code::BadContent,
        "G002",
        "a case without anything to judge",
        "the judge would be shown nothing, or metadata that breaks its line",
    ),
    error(
        Code::DuplicateId,
        "G003",
        "two cases with one id",
        "results are compared from version to version by id",
    ),
    error(
        Code::UnknownRule,
        "G004",
        "a rule that the policy does not have",
        "no verdict can name it, so the case would fail for ever",
    ),
    error(
        Code::OtherSide,
        "G005",
        "an outcome that is not that of the rule's side",
        "a violation under a safe rule, or the reverse, contradicts itself",
    ),
    error(
        Code::OpenCase,
        "G006",
        "a case that is a slot of a template",
        "the case tests nothing until it holds a real item",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_their_codes_and_ids_differ() {
        for (at, row) in ROWS.iter().enumerate() {
            assert_eq!(row.code as usize, at, "{}", row.id);
            assert_eq!(row.code.id(), row.id);
            assert_eq!(row.severity == Severity::Warning, row.id.starts_with("P1"), "{}", row.id);
        }
        let ids: std::collections::BTreeSet<_> = ROWS.iter().map(|row| row.id).collect();
        assert_eq!(ids.len(), ROWS.len());
        assert_eq!(Code::OpenCase as usize + 1, ROWS.len(), "the last code has the last row");
    }
}
