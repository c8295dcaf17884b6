//! Published sets with the policies that this program brings for them.

mod openai_moderation;
mod toxicchat;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use policy::Policy;
use serde_json::Value;

use crate::commands::labelled::{self, Row};

/// A published set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Published {
    /// Markov and others (2022), the set behind OpenAI's moderation endpoint of that year
    #[value(name = "openai-moderation-2022")]
    OpenaiModeration2022,
    /// Lin and others (2023), what people typed to a chat assistant; CSV or JSON lines
    Toxicchat,
}

/// A label, and the policy for it.
struct Carried {
    label: &'static str,
    folder: &'static str,
    policy: &'static str,
}

macro_rules! carried {
    ($label:literal, $set:literal, $folder:literal) => {
        $crate::commands::eval::input::suites::Carried {
            label: $label,
            folder: concat!("policies/suites/", $set, "/", $folder),
            policy: include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../policies/suites/",
                $set,
                "/",
                $folder,
                "/policy.md"
            )),
        }
    };
}
use carried;

impl Published {
    /// The items, from a file in the set's own layout or as labelled rows.
    pub(super) fn read_rows(self, path: &Path) -> Result<Vec<Row>> {
        match self {
            Published::OpenaiModeration2022 => openai_moderation::read(path),
            Published::Toxicchat => toxicchat::read(path),
        }
    }

    /// Each label with its policy and the place of the policy in the project.
    pub(super) fn policies(self) -> Result<Vec<(&'static str, PathBuf, Policy)>> {
        self.carried().into_iter().map(Carried::read).collect()
    }

    fn carried(self) -> Vec<&'static Carried> {
        match self {
            Published::OpenaiModeration2022 => openai_moderation::policies().collect(),
            Published::Toxicchat => vec![&toxicchat::POLICY],
        }
    }
}

impl Carried {
    fn read(&self) -> Result<(&'static str, PathBuf, Policy)> {
        let path = Path::new(self.folder).join("policy.md");
        let name = self.label.replace('_', "-");
        let policy = Policy::parse(&name, self.policy.as_bytes())
            .with_context(|| path.display().to_string())?;
        Ok((self.label, path, policy))
    }
}

/// Reads JSON lines: those with `labels` as rows, others by `parse`, which gets the line's number too.
fn read_lines(path: &Path, parse: impl Fn(Value, u64) -> Result<Row, String>) -> Result<Vec<Row>> {
    labelled::read(path, |line, number| {
        let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        if value.get("labels").is_some() {
            return labelled::parse(line, number);
        }
        parse(value, number)
    })
}

#[cfg(test)]
mod tests {
    use policy::Side;

    use super::*;

    #[test]
    fn every_policy_has_both_sides_and_codes_of_its_own() {
        for set in Published::value_variants() {
            let mut codes: Vec<String> = Vec::new();
            for (label, _, policy) in set.policies().expect("they can be read") {
                let sides: Vec<Side> = policy.labels().map(|(_, side)| side).collect();
                assert!(sides.contains(&Side::Violating) && sides.contains(&Side::Safe), "{label}");
                assert!(!policy.is_prose() && policy.rules.len() >= 6, "{label}");
                codes.extend(policy.labels().map(|(code, _)| code.to_owned()));
            }
            let n_codes = codes.len();
            codes.sort_unstable();
            codes.dedup();
            assert_eq!(codes.len(), n_codes, "{set:?}");
        }
    }
}
