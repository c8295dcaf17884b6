//! Headings: which section of a policy a line opens.

use crate::rule::Side;

/// The sections that this program reads; all others are for the model only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SectionKind {
    Instructions,
    Definitions,
    Violates,
    Safe,
    Precedence,
    Examples,
    Output,
    Other,
}

impl SectionKind {
    /// The side of the rules in it.
    pub(crate) fn side(self) -> Option<Side> {
        match self {
            SectionKind::Violates => Some(Side::Violating),
            SectionKind::Safe => Some(Side::Safe),
            _ => None,
        }
    }

    fn of(word: &str) -> SectionKind {
        match word.to_ascii_uppercase().as_str() {
            "INSTRUCTIONS" | "INSTRUCTION" => SectionKind::Instructions,
            "DEFINITIONS" | "DEFINITION" => SectionKind::Definitions,
            "VIOLATES" => SectionKind::Violates,
            "SAFE" => SectionKind::Safe,
            "PRECEDENCE" | "AMBIGUITY" => SectionKind::Precedence,
            "EXAMPLES" | "EXAMPLE" => SectionKind::Examples,
            "OUTPUT" => SectionKind::Output,
            _ => SectionKind::Other,
        }
    }
}

/// A line that opens a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heading {
    /// What its first word says.
    pub(crate) kind: SectionKind,
    /// How many `#` it begins with.
    pub(crate) level: usize,
}

impl Heading {
    /// Any line that begins with `#`; `None` for all others.
    pub(crate) fn parse(line: &str) -> Option<Heading> {
        let text = line.trim_start_matches('#');
        let level = line.len() - text.len();
        let word = text.trim_start().split([' ', '(', ':']).next().unwrap_or_default();
        (level > 0).then(|| Heading { kind: SectionKind::of(word), level })
    }

    /// Whether it ends a section that `open` opened: one of its own level or above, or one that is read.
    pub(crate) fn ends(self, open: Heading) -> bool {
        self.level <= open.level || self.kind != SectionKind::Other
    }
}
