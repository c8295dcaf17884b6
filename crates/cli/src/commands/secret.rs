//! Secrets: from the environment, or from a file that it names; never from flags, which every user of the machine can
//! read.

use std::env::VarError;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};

use crate::output::hinted;

/// The secret in an environment variable, or in the file that `VARIABLE_FILE` names; `None` where neither is set.
///
/// # Errors
/// If both are set, or the file cannot be read or is empty: a service must not start without a secret that it was
/// meant to have. No message shows a secret.
pub(super) fn secret(variable: &str) -> Result<Option<String>> {
    let file_variable = format!("{variable}_FILE");
    let said = match std::env::var(variable) {
        Ok(said) => Some(said),
        Err(VarError::NotPresent) => None,
        // The error of the library would show the value.
        Err(VarError::NotUnicode(_)) => bail!("{variable}: is not text in UTF-8"),
    };
    of(variable, said, std::env::var_os(&file_variable).filter(|file| !file.is_empty()))
}

fn of(variable: &str, said: Option<String>, file: Option<OsString>) -> Result<Option<String>> {
    let told = |text: &str| Some(text.trim().to_owned()).filter(|secret| !secret.is_empty());
    let said = said.as_deref().and_then(told);
    let Some(file) = file else { return Ok(said) };
    let file = Path::new(&file);
    let place = || format!("{variable}_FILE: {}", file.display());
    if said.is_some() {
        let error = anyhow!("both {variable} and {variable}_FILE are set");
        return Err(hinted(error, "unset one of them: they could say different things"));
    }
    let text = fs::read_to_string(file).map_err(|error| {
        let error = anyhow::Error::from(error).context(format!("{}: cannot be read", place()));
        hinted(error, "whoever runs the program must be able to read it")
    })?;
    told(&text).with_context(|| format!("{}: is empty", place())).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_tells_it_and_two_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let file = folder.path().join(name);
            fs::write(&file, text).unwrap();
            Some(file.into_os_string())
        };
        let said = |text: &str| Some(text.to_owned());
        assert_eq!(of("KEY", None, None).unwrap(), None);
        assert_eq!(of("KEY", said(" \n"), None).unwrap(), None);
        assert_eq!(of("KEY", said("cinnabar\n"), None).unwrap(), said("cinnabar"));
        assert_eq!(of("KEY", None, file("key", "cinnabar\n")).unwrap(), said("cinnabar"));
        assert_eq!(of("KEY", said(""), file("key", "cinnabar")).unwrap(), said("cinnabar"));
        let none = Some(folder.path().join("none").into_os_string());
        for (said, file, word) in [
            (said("cinnabar"), file("key", "cinnabar"), "both KEY and KEY_FILE"),
            (None, file("empty", " \n"), "is empty"),
            (None, none, "cannot be read"),
        ] {
            let error = format!("{:#}", of("KEY", said, file).unwrap_err());
            assert!(error.contains(word) && !error.contains("cinnabar"), "{error}");
        }
    }
}
