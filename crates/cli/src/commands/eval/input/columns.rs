//! CSV files: which column is what, and the cases that come of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail};
use csv::{Position, Reader, StringRecord};
use policy::{Content, GoldenCase};

use crate::commands::labelled::{Ids, Row, all_lines, outcome};
use crate::output::hinted;

/// The name of each column; an id and a language are optional, and so is a rule.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    names: BTreeMap<&'static str, Column>,
    /// What to do where one is missing.
    advice: &'static str,
}

/// A column's name, and whether the user asked for it.
#[derive(Clone, Debug)]
struct Column {
    name: String,
    is_asked_for: bool,
}

const KEYS: [&str; 5] = ["id", "text", "outcome", "rule", "lang"];

impl Default for Columns {
    fn default() -> Columns {
        let column = |key: &str| Column { name: key.to_owned(), is_asked_for: false };
        Columns {
            names: KEYS.into_iter().map(|key| (key, column(key))).collect(),
            advice: "--columns says which is what",
        }
    }
}

impl FromStr for Columns {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Columns> {
        let mut columns = Columns::default();
        for pair in text.split(',') {
            let (key, name) = pair.split_once('=').context("must be KEY=COLUMN,…")?;
            let Some(key) = KEYS.into_iter().find(|known| *known == key.trim()) else {
                bail!("{key:?} is none of {}", KEYS.join(", "));
            };
            columns.names.insert(key, Column { name: name.to_owned(), is_asked_for: true });
        }
        Ok(columns)
    }
}

impl Columns {
    /// Of a published file, whose names cannot be chosen: only a text, and labels.
    pub(super) fn of_text(name: &'static str) -> Columns {
        let text = Column { name: name.to_owned(), is_asked_for: true };
        Columns {
            names: BTreeMap::from([("text", text)]),
            advice: "take the file as it was published",
        }
    }

    /// Reads a golden set; a line without an outcome is not known and left out.
    pub(super) fn read_golden(&self, path: &Path) -> Result<Vec<GoldenCase>> {
        let mut table = Table::open(path)?;
        let places = Places::find(self, path, &table.names)?;
        let outcome_at = self.place(path, &table.names, &self.names["outcome"].name)?;
        let cases = table.lines(path, &places, |record| {
            let rule = places.field(record, "rule").map(str::to_owned);
            Ok((known(record.get(outcome_at).unwrap_or_default())?, rule))
        })?;
        let case = |(item, (is_violation, rule)): (Item, (Option<bool>, _))| {
            Some(GoldenCase {
                id: item.id,
                content: item.content,
                outcome: outcome(is_violation?),
                rule,
                lang: item.lang,
                note: None,
            })
        };
        Ok(cases.into_iter().filter_map(case).collect())
    }

    /// Reads labelled rows: a column for each of `labels`, empty where it is not known.
    pub(super) fn read_rows(&self, path: &Path, labels: &[&str]) -> Result<Vec<Row>> {
        let mut table = Table::open(path)?;
        let places = Places::find(self, path, &table.names)?;
        let label_places = labels.iter().map(|label| self.place(path, &table.names, label));
        let label_places = label_places.collect::<Result<Vec<usize>>>()?;
        let rows = table.lines(path, &places, |record| {
            let mut known_labels = BTreeMap::new();
            for (label, &at) in labels.iter().zip(&label_places) {
                if let Some(is_so) = known(record.get(at).unwrap_or_default())? {
                    known_labels.insert((*label).to_owned(), is_so);
                }
            }
            Ok(known_labels)
        })?;
        let row = |(item, labels): (Item, _)| Row {
            id: item.id,
            content: item.content,
            labels,
            lang: item.lang,
        };
        Ok(rows.into_iter().map(row).collect())
    }

    fn place(&self, path: &Path, names: &[String], name: &str) -> Result<usize> {
        names.iter().position(|other| other == name).ok_or_else(|| {
            let error = anyhow!("{}: there is no column {name:?}", path.display());
            hinted(error, format!("its columns are {}; {}", names.join(", "), self.advice))
        })
    }
}

/// An item of a table.
struct Item {
    id: String,
    content: Content,
    lang: Option<String>,
}

/// An open file with the names in its first line.
struct Table {
    reader: Reader<File>,
    names: Vec<String>,
}

impl Table {
    fn open(path: &Path) -> Result<Table> {
        let place = || format!("{}: cannot be read as CSV", path.display());
        let mut reader = csv::ReaderBuilder::new().from_path(path).with_context(place)?;
        let names = reader.headers().with_context(place)?;
        let names = names.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned());
        let names = names.collect();
        Ok(Table { reader, names })
    }

    /// Every line with what `more` reads from it.
    fn lines<T>(
        &mut self,
        path: &Path,
        places: &Places,
        mut more: impl FnMut(&StringRecord) -> Result<T, String>,
    ) -> Result<Vec<(Item, T)>> {
        let mut ids = Ids::default();
        let lines = self.reader.records().map(|record| {
            let record = record.map_err(|error| error.to_string())?;
            let number = record.position().map_or(0, Position::line);
            let item = places.item(&record, number).and_then(|item| {
                ids.add(&item.id, number)?;
                Ok((item, more(&record)?))
            });
            item.map_err(|problem| format!("line {number}: {problem}"))
        });
        all_lines(path, lines)
    }
}

/// Where in a line each column is.
struct Places {
    text: usize,
    others: BTreeMap<&'static str, usize>,
}

impl Places {
    fn find(columns: &Columns, path: &Path, names: &[String]) -> Result<Places> {
        let text = columns.place(path, names, &columns.names["text"].name)?;
        let mut others = BTreeMap::new();
        for key in ["id", "rule", "lang"] {
            let Some(column) = columns.names.get(key) else { continue };
            match names.iter().position(|name| *name == column.name) {
                Some(at) => drop(others.insert(key, at)),
                None if column.is_asked_for => drop(columns.place(path, names, &column.name)?),
                None => {}
            }
        }
        Ok(Places { text, others })
    }

    /// Without an id the line's number is one.
    fn item(&self, record: &StringRecord, number: u64) -> Result<Item, String> {
        let content = Content::text(record.get(self.text).unwrap_or_default());
        content.check().map_err(|error| error.to_string())?;
        let id = self.field(record, "id").map_or_else(|| format!("line-{number}"), str::to_owned);
        Ok(Item { id, content, lang: self.field(record, "lang").map(str::to_owned) })
    }

    /// What stands there; `None` where nothing does.
    fn field<'a>(&self, record: &'a StringRecord, key: &str) -> Option<&'a str> {
        let field = record.get(*self.others.get(key)?)?.trim();
        (!field.is_empty()).then_some(field)
    }
}

/// A field as a truth; `None` where it is empty, because what is not said is not known.
fn known(field: &str) -> Result<Option<bool>, String> {
    match field.trim().to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "violation" | "1" | "1.0" | "true" | "yes" => Ok(Some(true)),
        "clear" | "0" | "0.0" | "false" | "no" => Ok(Some(false)),
        _ => Err(format!("{field:?} is neither violation, 1, true, yes nor clear, 0, false, no")),
    }
}
