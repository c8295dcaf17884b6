//! Test results as JUnit XML, which every continuous integration reads.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::test::{Tested, TestedCase, said};

/// One suite a policy, one case a golden case.
pub(super) fn write(path: &Path, tested: &[Tested<'_>]) -> Result<()> {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for one in tested {
        suite(&mut xml, one).expect("a string takes everything");
    }
    xml.push_str("</testsuites>\n");
    fs::write(path, xml).with_context(|| format!("{}: cannot be written", path.display()))
}

fn suite(xml: &mut String, tested: &Tested<'_>) -> std::fmt::Result {
    let n_errors = tested.n_undetermined();
    let n_failures = tested.cases.iter().filter(|case| !case.has_passed).count() - n_errors;
    writeln!(
        xml,
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{n_failures}\" errors=\"{n_errors}\">",
        escaped(&tested.suite.policy.name),
        tested.cases.len(),
    )?;
    for case in &tested.cases {
        case_element(xml, &tested.suite.policy.name, case)?;
    }
    writeln!(xml, "  </testsuite>")
}

fn case_element(xml: &mut String, policy: &str, case: &TestedCase<'_>) -> std::fmt::Result {
    let seconds: f64 = case.verdicts.iter().map(|verdict| verdict.usage.seconds).sum();
    write!(
        xml,
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{seconds:.3}\"",
        escaped(policy),
        escaped(&case.case.id),
    )?;
    if case.has_passed {
        return writeln!(xml, "/>");
    }
    let (element, verdict) = match case.undetermined() {
        Some(verdict) => ("error", verdict),
        None => ("failure", case.telling()),
    };
    let message = format!("expected {}, given {}", case.expected(), said(verdict));
    let text = verdict.detail.as_ref().unwrap_or(&verdict.reasoning);
    writeln!(xml, ">")?;
    writeln!(
        xml,
        "      <{element} message=\"{}\">{}</{element}>",
        escaped(&message),
        escaped(text)
    )?;
    writeln!(xml, "    </testcase>")
}

/// Text as XML holds it; characters that XML 1.0 has no form for become U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(letter),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {
                out.push('\u{fffd}')
            }
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn any_text_can_stand_in_xml() {
        assert_eq!(escaped("a<b>\"&\u{1b}\n"), "a&lt;b&gt;&quot;&amp;\u{fffd}\n");
    }
}
