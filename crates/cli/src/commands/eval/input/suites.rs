//! Published sets with the policies that this program brings for them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use policy::{Content, Policy};
use serde::Deserialize;
use serde_json::Value;

use super::rows::{self, Row};
use crate::output::report_note;

/// A published set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Published {
    /// Markov and others (2022), the set behind OpenAI's moderation endpoint of that year
    #[value(name = "openai-moderation-2022")]
    OpenaiModeration2022,
}

/// What stands in the set's own column, the label's name, and the policy for it.
struct Category {
    column: &'static str,
    label: &'static str,
    folder: &'static str,
    policy: &'static str,
}

macro_rules! category {
    ($column:literal, $label:literal, $folder:literal) => {
        Category {
            column: $column,
            label: $label,
            folder: concat!("policies/suites/openai-moderation-2022/", $folder),
            policy: include_str!(concat!(
                "../../../../../../policies/suites/openai-moderation-2022/",
                $folder,
                "/policy.md"
            )),
        }
    };
}

const CATEGORIES: [Category; 7] = [
    category!("S", "sexual", "sexual"),
    category!("H", "hate", "hate"),
    category!("V", "violence", "violence"),
    category!("HR", "harassment", "harassment"),
    category!("SH", "self_harm", "self-harm"),
    category!("H2", "hate_threatening", "hate-threatening"),
    category!("V2", "violence_graphic", "violence-graphic"),
];

/// Sexual content about minors: no policy, and items that carry it are left out. Nobody should pass such
/// material through a general judge to get a number.
const LEFT_OUT: &str = "S3";

impl Published {
    /// The items, from a file in the set's own layout (`{"prompt","S","H",…}`) or as labelled rows.
    pub(super) fn read_rows(self, path: &Path) -> Result<Vec<Row>> {
        let mut rows = rows::read(path, parse)?;
        let n_rows = rows.len();
        rows.retain(|row| row.labels.get(LEFT_OUT) != Some(&true));
        if rows.len() < n_rows {
            report_note(&format!(
                "{} item(s) labelled {LEFT_OUT}, sexual content about minors, are left out",
                n_rows - rows.len()
            ));
        }
        Ok(rows)
    }

    /// Each label with its policy and the place of the policy in the project.
    pub(super) fn policies(self) -> Result<Vec<(&'static str, PathBuf, Policy)>> {
        let read = |it: &Category| {
            let path = Path::new(it.folder).join("policy.md");
            let name = it.label.replace('_', "-");
            let policy = Policy::parse(&name, it.policy.as_bytes())
                .with_context(|| path.display().to_string())?;
            Ok((it.label, path, policy))
        };
        CATEGORIES.iter().map(read).collect()
    }
}

/// A line of the set as it was published; it has no ids.
#[derive(Deserialize)]
struct Line {
    prompt: String,
    #[serde(flatten)]
    columns: BTreeMap<String, Value>,
}

fn parse(line: &str, number: u64) -> Result<Row, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    if value.get("labels").is_some() {
        return rows::parse(line, number);
    }
    let Line { prompt, columns } =
        serde_json::from_value(value).map_err(|error| error.to_string())?;
    let content = Content::text(prompt);
    content.check().map_err(|error| error.to_string())?;
    let mut labels = BTreeMap::new();
    let names = CATEGORIES.iter().map(|it| (it.column, it.label)).chain([(LEFT_OUT, LEFT_OUT)]);
    for (column, label) in names {
        if let Some(known) =
            columns.get(column).map(|value| rows::known(column, value)).transpose()?
        {
            labels.extend(known.map(|known| (label.to_owned(), known)));
        }
    }
    Ok(Row { id: format!("line-{number}"), content, labels, lang: None })
}

#[cfg(test)]
mod tests {
    use policy::Side;

    use super::*;

    #[test]
    fn every_policy_has_both_sides_and_codes_of_its_own() {
        let policies = Published::OpenaiModeration2022.policies().expect("they can be read");
        let mut codes: Vec<String> = Vec::new();
        for (label, _, policy) in &policies {
            let sides: Vec<Side> = policy.labels().map(|(_, side)| side).collect();
            assert!(sides.contains(&Side::Violating) && sides.contains(&Side::Safe), "{label}");
            assert!(!policy.is_prose() && policy.rules.len() >= 6, "{label}");
            codes.extend(policy.labels().map(|(code, _)| code.to_owned()));
        }
        let n_codes = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), n_codes);
    }

    #[test]
    fn an_absent_column_is_not_known() {
        let row = parse("{\"prompt\":\"x\",\"S\":0,\"H2\":1,\"V\":null}", 7).expect("a row");
        assert_eq!(row.id, "line-7");
        let labels: Vec<(&str, bool)> =
            row.labels.iter().map(|(label, known)| (label.as_str(), *known)).collect();
        assert_eq!(labels, [("hate_threatening", true), ("sexual", false)]);
        assert!(parse("{\"prompt\":\"x\",\"S\":3}", 1).is_err());
    }
}
