//! `{"prompt","S","H","V","HR","SH","S3","H2","V2"}` a line: one policy for each column but one.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use policy::Content;
use serde::Deserialize;
use serde_json::Value;

use super::{Carried, carried, read_lines};
use crate::commands::labelled::{self, Row};
use crate::output::report_note;

/// A column of the set, and the label and policy for it.
struct Category {
    column: &'static str,
    carried: Carried,
}

macro_rules! category {
    ($column:literal, $label:literal, $folder:literal) => {
        Category { column: $column, carried: carried!($label, "openai-moderation-2022", $folder) }
    };
}

static CATEGORIES: [Category; 7] = [
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

pub(super) fn policies() -> impl Iterator<Item = &'static Carried> {
    CATEGORIES.iter().map(|category| &category.carried)
}

pub(super) fn read(path: &Path) -> Result<Vec<Row>> {
    let mut rows = read_lines(path, row)?;
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

/// A line of the set as it was published; it has no ids.
#[derive(Deserialize)]
struct Line {
    prompt: String,
    #[serde(flatten)]
    columns: BTreeMap<String, Value>,
}

fn row(line: Value, number: u64) -> Result<Row, String> {
    let Line { prompt, columns } =
        serde_json::from_value(line).map_err(|error| error.to_string())?;
    let content = Content::text(prompt);
    content.check().map_err(|error| error.to_string())?;
    let mut labels = BTreeMap::new();
    let known = CATEGORIES.iter().map(|it| (it.column, it.carried.label));
    for (column, label) in known.chain([(LEFT_OUT, LEFT_OUT)]) {
        if let Some(known) =
            columns.get(column).map(|value| labelled::known(column, value)).transpose()?
        {
            labels.extend(known.map(|known| (label.to_owned(), known)));
        }
    }
    Ok(Row { id: format!("line-{number}"), content, labels, lang: None })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_absent_column_is_not_known() {
        let row = row(json!({"prompt": "x", "S": 0, "H2": 1, "V": null}), 7).expect("a row");
        assert_eq!(row.id, "line-7");
        let labels: Vec<(&str, bool)> =
            row.labels.iter().map(|(label, known)| (label.as_str(), *known)).collect();
        assert_eq!(labels, [("hate_threatening", true), ("sexual", false)]);
        assert!(super::row(json!({"prompt": "x", "S": 3}), 1).is_err());
    }
}
