//! Names: a repository, a revision of it, a commit; each checked, for each becomes part of a path.

use std::fmt;
use std::str::FromStr;

use crate::hub::error::HubError;

/// What people call the two published models.
const SHORT: &[(&str, &str)] =
    &[("20b", "openai/gpt-oss-safeguard-20b"), ("120b", "openai/gpt-oss-safeguard-120b")];
const DEFAULT_REVISION: &str = "main";
/// The hub's own limit on each half of a repository's name.
const MAX_NAME: usize = 96;
const MAX_REVISION: usize = 200;
/// Digits of a git commit.
const COMMIT_LEN: usize = 40;

/// A repository, `ORG/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Repo {
    org: String,
    name: String,
}

/// A branch, a tag or a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revision(String);

/// A commit: 40 lowercase hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Commit(String);

/// What a user asks for: `20b`, `120b` or `ORG/NAME`, each with `@REV` or without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModelName {
    pub(crate) repo: Repo,
    pub(crate) revision: Revision,
}

impl Repo {
    fn parse(text: &str) -> Option<Repo> {
        let (org, name) = text.split_once('/')?;
        let valid = |half: &str| {
            let edge = |c: char| c == '-' || c == '.';
            (1..=MAX_NAME).contains(&half.len())
                && half.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
                && !half.starts_with(edge)
                && !half.ends_with(edge)
                && !half.contains("--")
                && !half.contains("..")
        };
        (valid(org) && valid(name)).then(|| Repo { org: org.to_owned(), name: name.to_owned() })
    }

    pub(crate) fn org(&self) -> &str {
        &self.org
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The repository's folder in the cache.
    pub(crate) fn folder(&self) -> String {
        format!("models--{}--{}", self.org, self.name)
    }

    /// The repository of a folder in the cache.
    pub(crate) fn of_folder(folder: &str) -> Option<Repo> {
        let (org, name) = folder.strip_prefix("models--")?.split_once("--")?;
        Repo::parse(&format!("{org}/{name}"))
    }

    /// What to type to pull this repository: its short name if it has one.
    pub(crate) fn short(&self) -> String {
        let full = self.to_string();
        match SHORT.iter().find(|(_, repo)| *repo == full) {
            Some((short, _)) => (*short).to_owned(),
            None => full,
        }
    }
}

impl Revision {
    fn parse(text: &str) -> Option<Revision> {
        // Git's own rules for references, and nothing that a URL or a shell would read differently.
        let part = |part: &str| {
            !part.is_empty()
                && !part.starts_with(['.', '-'])
                && !part.ends_with(".lock")
                && !part.contains("..")
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c))
        };
        let valid = text.len() <= MAX_REVISION && text.split('/').all(part);
        valid.then(|| Revision(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The commit, if the revision is one already.
    pub(crate) fn as_commit(&self) -> Option<Commit> {
        Commit::parse(&self.0)
    }
}

impl Commit {
    pub(crate) fn parse(text: &str) -> Option<Commit> {
        let valid = text.len() == COMMIT_LEN
            && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        valid.then(|| Commit(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl ModelName {
    /// What to type after `safeguard model pull` to get this.
    pub(crate) fn short(&self) -> String {
        match self.revision.as_str() {
            DEFAULT_REVISION => self.repo.short(),
            revision => format!("{}@{revision}", self.repo.short()),
        }
    }
}

impl FromStr for ModelName {
    type Err = HubError;

    fn from_str(text: &str) -> Result<ModelName, HubError> {
        let (name, revision) = text.split_once('@').unwrap_or((text, DEFAULT_REVISION));
        let full = SHORT.iter().find(|(short, _)| *short == name).map_or(name, |(_, repo)| repo);
        let invalid = || HubError::Name { name: text.to_owned() };
        Ok(ModelName {
            repo: Repo::parse(full).ok_or_else(invalid)?,
            revision: Revision::parse(revision).ok_or_else(invalid)?,
        })
    }
}

impl fmt::Display for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.org, self.name)
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_repositories_and_revisions() {
        for (text, repo, revision) in [
            ("20b", "openai/gpt-oss-safeguard-20b", "main"),
            ("120b", "openai/gpt-oss-safeguard-120b", "main"),
            ("20b@v1.0", "openai/gpt-oss-safeguard-20b", "v1.0"),
            ("a/b_c.d", "a/b_c.d", "main"),
            ("a/b@refs/pr/3", "a/b", "refs/pr/3"),
        ] {
            let name: ModelName = text.parse().unwrap();
            assert_eq!((name.repo.to_string().as_str(), name.revision.as_str()), (repo, revision));
            assert_eq!(Repo::of_folder(&name.repo.folder()), Some(name.repo));
        }
    }

    #[test]
    fn whatever_could_leave_the_cache_is_no_name() {
        for text in [
            "",
            "20",
            "b",
            "/b",
            "a/",
            "a/b/c",
            "../b",
            "a/..",
            "a/.b",
            "a/b--c",
            "a/b c",
            "a/b%2f",
            "a/b@",
            "a/b@../x",
            "a/b@x//y",
            "a/b@/etc",
            "a/b@-x",
            "a/b@x..y",
            "a/b@x.lock",
            "a\\b/c",
        ] {
            assert!(text.parse::<ModelName>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_shortest_name_is_shown() {
        let short = |text: &str| text.parse::<ModelName>().unwrap().short();
        assert_eq!(short("openai/gpt-oss-safeguard-20b"), "20b");
        assert_eq!(short("120b@v2"), "120b@v2");
        assert_eq!(short("a/b@main"), "a/b");
    }
}
