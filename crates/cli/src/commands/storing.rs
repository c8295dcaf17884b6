//! A store on the command line: which one, and async calls from commands that are not.

use std::future::Future;

use anyhow::{Context, Result, anyhow};
use store::{Store, StoreError};
use tokio::runtime::{Builder, Runtime};

use crate::output::hinted;

/// Whose decisions those of the command line are, where no tenant is named.
pub(crate) const TENANT: &str = "default";

/// Which store.
#[derive(Debug, clap::Args)]
pub(crate) struct StoreArgs {
    /// The store: sqlite:FILE, or the URL of a PostgreSQL database
    #[arg(long, value_name = "URL", env = "SAFEGUARD_STORE", hide_env_values = true)]
    store: String,
}

impl StoreArgs {
    /// Opens the store to read what is in it; one that is not there is an error, not made.
    pub(crate) fn open(&self) -> Result<OpenStore> {
        if let Some(file) = self.store.strip_prefix("sqlite:") {
            let file = file.strip_prefix("//").unwrap_or(file);
            if !file.is_empty() && !std::path::Path::new(file).exists() {
                let error = anyhow!("{file}: there is no such store");
                return Err(hinted(
                    error,
                    "`safeguard serve`, `safeguard key create` or `safeguard classify --store` makes one",
                ));
            }
        }
        self.make()
    }

    /// Opens the store, or makes it.
    pub(crate) fn make(&self) -> Result<OpenStore> {
        OpenStore::open(&self.store)
    }
}

/// An open store with what runs its async calls.
pub(crate) struct OpenStore {
    runtime: Runtime,
    pub(crate) store: Store,
}

impl OpenStore {
    /// Opens the store, or makes it.
    pub(crate) fn open(url: &str) -> Result<OpenStore> {
        let runtime =
            Builder::new_current_thread().enable_all().build().context("no async runtime")?;
        let store = runtime.block_on(Store::open(url)).map_err(|error| {
            let hint = match &error {
                StoreError::Url { .. } => "for a file in this folder: sqlite:safeguard.db",
                StoreError::Open { .. } => {
                    "check that the folder or server is there and lets you in"
                }
                _ => return anyhow::Error::from(error),
            };
            hinted(error, hint)
        })?;
        Ok(OpenStore { runtime, store })
    }

    /// Waits for a call of the store.
    pub(crate) fn wait<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T> {
        Ok(self.runtime.block_on(call)?)
    }
}

/// Lets what was begun end.
impl Drop for OpenStore {
    fn drop(&mut self) {
        self.runtime.block_on(self.store.close());
    }
}
