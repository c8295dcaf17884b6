//! Which files of a repository make a model, and which names a server may not send.

use crate::hub::error::HubError;
use crate::hub::name::Repo;

pub(crate) const CONFIG: &str = "config.json";
pub(crate) const TOKENIZER: &str = "tokenizer.json";
pub(crate) const INDEX: &str = "model.safetensors.index.json";
pub(crate) const SINGLE: &str = "model.safetensors";
const WEIGHTS: &str = ".safetensors";

/// Files beside the weights: what the model needs, what other programs need to use the same
/// folder, and the terms under which it may be used.
const BESIDE: &[&str] = &[
    CONFIG,
    "generation_config.json",
    TOKENIZER,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
    INDEX,
    "README.md",
    "LICENSE",
    "LICENSE.md",
    "LICENSE.txt",
    "USAGE_POLICY",
];

/// The names that make the model, sorted; folders (`original/`, `metal/`: the same weights once
/// more) are left out.
///
/// # Errors
/// [`HubError::UnsafeFile`] for a name that could leave the folder, [`HubError::NotAModel`] when
/// something that a model must have is not listed.
pub(crate) fn wanted(repo: &Repo, listed: Vec<String>) -> Result<Vec<String>, HubError> {
    if let Some(file) = listed.iter().find(|name| !is_safe(name)) {
        return Err(HubError::UnsafeFile { repo: repo.clone(), file: file.clone() });
    }
    let mut names = listed;
    names.retain(|name| is_wanted(name));
    names.sort();
    names.dedup();
    let missing = [CONFIG, TOKENIZER].into_iter().find(|name| !names.iter().any(|n| n == name));
    let has_weights = names.iter().any(|name| name.ends_with(WEIGHTS));
    match missing.or((!has_weights).then_some("*.safetensors")) {
        Some(missing) => Err(HubError::NotAModel { repo: repo.clone(), missing }),
        None => Ok(names),
    }
}

/// A plain name, with nothing in it that leads elsewhere.
pub(crate) fn is_plain(name: &str) -> bool {
    is_safe(name) && !name.contains('/')
}

fn is_wanted(name: &str) -> bool {
    is_plain(name) && (BESIDE.contains(&name) || name.ends_with(WEIGHTS))
}

/// Relative, inside the folder, and of characters that every file system takes.
fn is_safe(name: &str) -> bool {
    let part = |part: &str| {
        !matches!(part, "" | "." | "..") && part.len() <= 255 && !part.starts_with('~')
    };
    name.split('/').all(part) && !name.chars().any(|c| c.is_control() || c == '\\' || c == ':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(listed: &[&str]) -> Result<Vec<String>, HubError> {
        let repo = "a/b".parse::<crate::hub::ModelName>().unwrap().repo;
        wanted(&repo, listed.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn the_model_is_taken_and_other_forms_of_it_are_not() {
        let files = check(&[
            ".gitattributes",
            "LICENSE",
            "config.json",
            "tokenizer.json",
            "model-00000-of-00002.safetensors",
            "model.safetensors.index.json",
            "original/model.safetensors",
            "metal/model.bin",
            "pytorch_model.bin",
            ".hidden/x.json",
        ]);
        let expected = [
            "LICENSE",
            "config.json",
            "model-00000-of-00002.safetensors",
            "model.safetensors.index.json",
            "tokenizer.json",
        ];
        assert_eq!(files.unwrap(), expected);
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in ["../x", "/etc/passwd", "a/../../x", "a//b", "", "a\\b", "c:x", "a\0b", "~/x"] {
            let error = check(&["config.json", "tokenizer.json", "a.safetensors", name]);
            assert!(matches!(error, Err(HubError::UnsafeFile { .. })), "{name:?}");
        }
    }

    #[test]
    fn a_repository_without_weights_is_no_model() {
        let error = check(&["config.json", "tokenizer.json", "pytorch_model.bin"]);
        assert!(matches!(error, Err(HubError::NotAModel { missing: "*.safetensors", .. })));
        let error = check(&["tokenizer.json", "model.safetensors"]);
        assert!(matches!(error, Err(HubError::NotAModel { missing: "config.json", .. })));
    }
}
