//! Brings the tables up to date, or refuses those of a newer program.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::{Acquire, Database, Pool};

use crate::error::{Result, StoreError};

/// How often a start that met another one at the same moment is tried again.
const N_TRIES: usize = 5;
/// How long the other one is given before the next try.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) async fn run<D>(migrations: &Migrator, pool: &Pool<D>, url: &str) -> Result<()>
where
    D: Database,
    for<'a> &'a Pool<D>: Acquire<'a>,
    for<'a> <<&'a Pool<D> as Acquire<'a>>::Connection as Deref>::Target: Migrate,
{
    let mut last = migrations.run(pool).await;
    for _ in 1..N_TRIES {
        // Two programs that make the tables of one new file at once: the second finds them made.
        let Err(MigrateError::Execute(_) | MigrateError::ExecuteMigration(..)) = &last else {
            break;
        };
        tokio::time::sleep(PAUSE).await;
        last = migrations.run(pool).await;
    }
    let known = migrations.iter().map(|migration| migration.version).max().unwrap_or_default();
    last.map_err(|error| match error {
        MigrateError::VersionMissing(found) if found > known => {
            StoreError::Newer { url: url.to_owned(), found, known }
        }
        error => StoreError::Migrate { url: url.to_owned(), source: Arc::new(error) },
    })
}
