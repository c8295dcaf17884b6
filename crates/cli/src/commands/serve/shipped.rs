//! The policies that come with safeguard, for a service that is started with nothing.

use anyhow::{Context, Result};
use policy::Policy;

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        &[$((
            $name,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/", $name, "/policy.md")),
        )),*]
    };
}

/// Names and texts.
const SHIPPED: &[(&str, &str)] = shipped![
    "fake-reviews",
    "fraud-phishing",
    "game-cheating",
    "harassment",
    "hate",
    "illicit-goods",
    "personal-data",
    "prompt-injection",
    "self-harm",
    "spam",
];

/// All of them, with their files.
pub(super) fn policies() -> Result<Vec<(Policy, Vec<u8>)>> {
    let read = |(name, text): &(&str, &str)| {
        let policy = Policy::parse(name, text.as_bytes());
        let policy = policy.with_context(|| format!("policies/{name}"))?;
        Ok((policy, text.as_bytes().to_vec()))
    };
    SHIPPED.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_the_folder_are_there() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies");
        let on_disk = server::read_folder(folder.as_ref()).unwrap();
        let on_disk: Vec<Policy> = on_disk.into_iter().map(|(_, policy)| policy).collect();
        let shipped: Vec<Policy> = policies().unwrap().into_iter().map(|it| it.0).collect();
        assert_eq!(shipped, on_disk);
    }
}
