//! `conv_id,user_input,model_output,human_annotation,toxicity,jailbreaking,openai_moderation`, as CSV or as JSON
//! lines. The label is about `user_input`, so that alone is judged; the file's other columns are not read.

use std::path::Path;

use anyhow::Result;
use policy::Content;
use serde::Deserialize;
use serde_json::Value;

use super::super::columns::Columns;
use super::super::is_csv;
use super::{Carried, carried, read_lines};
use crate::commands::labelled::{self, Row};

/// The column, the label and the policy's folder.
const LABEL: &str = "toxicity";

pub(super) static POLICY: Carried = carried!("toxicity", "toxicchat", "toxicity");

pub(super) fn read(path: &Path) -> Result<Vec<Row>> {
    if is_csv(path) {
        return Columns::of_text("user_input").read_rows(path, &[LABEL]);
    }
    read_lines(path, row)
}

/// A line of an export.
#[derive(Deserialize)]
struct Line {
    user_input: String,
    #[serde(default)]
    toxicity: Value,
}

/// Named after its line: a conversation is no name, as nothing says that it has one row only.
fn row(line: Value, number: u64) -> Result<Row, String> {
    let line: Line = serde_json::from_value(line).map_err(|error| error.to_string())?;
    let content = Content::text(line.user_input);
    content.check().map_err(|error| error.to_string())?;
    let known = labelled::known(LABEL, &line.toxicity)?;
    let labels = known.map(|known| (LABEL.to_owned(), known)).into_iter().collect();
    Ok(Row { id: format!("line-{number}"), content, labels, lang: None })
}
