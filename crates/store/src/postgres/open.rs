//! Opens the database.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::{Connection, PgConnection, Pool, Transaction};

use super::dialect::Driver;
use crate::entry::LogState;
use crate::error::{Result, StoreError};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// Connections of one server; PostgreSQL allows 100 in all unless told otherwise.
const N_CONNECTIONS: u32 = 8;
/// How long a call waits for one of them.
const WAIT: Duration = Duration::from_secs(30);

/// An open database.
#[derive(Debug)]
pub(crate) struct Db {
    pool: Pool<Driver>,
}

impl Db {
    pub(crate) async fn open(shown: &str, url: &str) -> Result<Db> {
        let failed = |source| StoreError::Open { url: shown.to_owned(), source: Arc::new(source) };
        let options = PgConnectOptions::from_str(url).map_err(failed)?;
        let options = options.application_name("safeguard");
        if !cfg!(feature = "tls") {
            refuse_tls(options.get_ssl_mode())?;
        }
        // A pool would wait for a server that is not there; whoever starts us hears of it at once.
        let first = PgConnection::connect_with(&options).await.map_err(failed)?;
        first.close().await.map_err(failed)?;
        let pool = PgPoolOptions::new().max_connections(N_CONNECTIONS).acquire_timeout(WAIT);
        let pool = pool.connect_with(options).await.map_err(failed)?;
        crate::migrate::run(&MIGRATIONS, &pool, shown).await?;
        Ok(Db { pool })
    }

    /// For reads outside transactions.
    pub(crate) fn reader(&self) -> &Pool<Driver> {
        &self.pool
    }

    /// A transaction that will write; what it must not share it locks.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Driver>> {
        Ok(self.pool.begin().await?)
    }

    /// A transaction that sees one state of everything.
    pub(crate) async fn snapshot(&self) -> Result<Transaction<'static, Driver>> {
        Ok(self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?)
    }

    /// After an erasure: the server's own vacuum frees the old rows in its time.
    #[expect(clippy::unused_async, reason = "the twin of a call that waits")]
    pub(crate) async fn forget(&self) -> Result<LogState> {
        Ok(LogState::Settled)
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

/// Without TLS in this build, a URL that insists on it is an error, never a plain connection.
fn refuse_tls(mode: PgSslMode) -> Result<()> {
    let mode = match mode {
        PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer => return Ok(()),
        PgSslMode::Require => "require",
        PgSslMode::VerifyCa => "verify-ca",
        PgSslMode::VerifyFull => "verify-full",
    };
    Err(StoreError::NoTls { mode: mode.to_owned() })
}
