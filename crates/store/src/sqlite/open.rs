//! Opens the file, one writer and a few readers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Pool, Transaction};

use super::dialect::Driver;
use crate::entry::LogState;
use crate::error::{Result, StoreError};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// How long a writer waits for another process.
const BUSY: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 30 });
/// Readers see the last commit and never wait for the writer.
const N_READERS: u32 = 4;
/// How often the first connection is tried.
const N_TRIES: usize = 60;
/// How long it waits between.
const PAUSE: Duration = Duration::from_millis(50);

/// An open file.
#[derive(Debug)]
pub(crate) struct Db {
    /// One connection: SQLite has one writer, and those of this process stand in line here, not in its
    /// busy loop.
    writer: Pool<Driver>,
    readers: Pool<Driver>,
}

impl Db {
    pub(crate) async fn open(url: &str, file: &Path) -> Result<Db> {
        let failed = |source| StoreError::Open { url: url.to_owned(), source: Arc::new(source) };
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            // An accepted job is on the disk: in WAL mode FULL syncs the log at each commit, where NORMAL
            // could lose the last commits with the power.
            .synchronous(SqliteSynchronous::Full)
            // What is erased is overwritten, not only unlinked.
            .pragma("secure_delete", "ON")
            .busy_timeout(BUSY);
        let writer = connect(1, &options).await.map_err(failed)?;
        crate::migrate::run(&MIGRATIONS, &writer, url).await?;
        let options = options.create_if_missing(false).read_only(true);
        let readers = connect(N_READERS, &options).await.map_err(failed)?;
        Ok(Db { writer, readers })
    }

    /// For reads outside transactions.
    pub(crate) fn reader(&self) -> &Pool<Driver> {
        &self.readers
    }

    /// A transaction that will write. `IMMEDIATE` takes the lock at once: one that reads first and wants to
    /// write later can be refused for good.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Driver>> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// A transaction that sees one state of everything.
    pub(crate) async fn snapshot(&self) -> Result<Transaction<'static, Driver>> {
        Ok(self.readers.begin().await?)
    }

    /// After an erasure: the old pages leave the log too, as far as no reader holds them.
    pub(crate) async fn forget(&self) -> Result<LogState> {
        // Busy is no error here: it stands in the row, before the pages logged and those brought home.
        let (busy, _, _): (i64, i64, i64) =
            sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.writer).await?;
        Ok(if busy == 0 { LogState::Settled } else { LogState::Held })
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Two that open a fresh file at once both switch it to WAL, and SQLite refuses one of them without waiting:
/// its busy timeout does not hold there.
async fn connect(n: u32, options: &SqliteConnectOptions) -> sqlx::Result<Pool<Driver>> {
    let pool = || SqlitePoolOptions::new().max_connections(n).connect_with(options.clone());
    let mut last = pool().await;
    for _ in 1..N_TRIES {
        if !last.as_ref().is_err_and(is_busy) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        last = pool().await;
    }
    last
}

/// `SQLITE_BUSY` is 5; what it was busy with stands in the higher bytes.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_log_that_a_reader_holds_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open("sqlite:", &folder.path().join("store.db")).await.unwrap();
        let mut reader = db.snapshot().await.unwrap();
        sqlx::query("SELECT seq FROM chain_head").fetch_all(&mut *reader).await.unwrap();
        let mut writer = db.begin().await.unwrap();
        sqlx::query("UPDATE chain_head SET seq = 1").execute(&mut *writer).await.unwrap();
        writer.commit().await.unwrap();
        assert_eq!(db.forget().await.unwrap(), LogState::Held);
        reader.rollback().await.unwrap();
        assert_eq!(db.forget().await.unwrap(), LogState::Settled);
        db.close().await;
    }
}
