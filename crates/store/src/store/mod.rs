//! [`Store`]: one type over both databases. Each call goes to its twin; appends to the chain go through the
//! writer.

mod audit;
mod deliveries;
mod files;
mod jobs;
mod keys;
mod policies;

use std::fmt;
use std::sync::Arc;

use crate::entry::{Applied, Entry, LogState};
use crate::error::Result;
use crate::url::Place;
use crate::writer::Writer;
use crate::{postgres, sqlite};

/// Calls the function of the module in the twin that is open.
macro_rules! twin {
    ($store:expr, $module:ident::$call:ident($($argument:expr),* $(,)?)) => {
        match &*$store.database {
            $crate::store::Database::Sqlite(db) => {
                $crate::sqlite::$module::$call(db, $($argument),*).await
            }
            $crate::store::Database::Postgres(db) => {
                $crate::postgres::$module::$call(db, $($argument),*).await
            }
        }
    };
}
pub(crate) use twin;

/// Most rows of one page.
const MAX_PAGE: usize = 1000;

/// A store: decisions, audit chain, jobs, policies, reviews, keys, files. Clones share what is open.
#[derive(Clone)]
pub struct Store {
    database: Arc<Database>,
    writer: Writer,
    shown: Arc<str>,
}

/// The twins.
#[derive(Debug)]
pub(crate) enum Database {
    Sqlite(sqlite::Db),
    Postgres(postgres::Db),
}

impl Database {
    pub(crate) async fn apply(&self, entries: &[&Entry]) -> Result<Vec<Result<Applied>>> {
        match self {
            Database::Sqlite(db) => sqlite::chain::apply(db, entries).await,
            Database::Postgres(db) => postgres::chain::apply(db, entries).await,
        }
    }
}

impl Store {
    /// Opens `sqlite:FILE` (made if it is not there) or `postgres://USER:PASSWORD@HOST/DATABASE`, and brings
    /// its tables up to date. Must be called on a tokio runtime, which the store's writer lives on.
    ///
    /// # Errors
    /// [`crate::StoreError::Url`], `NoTls`, `Open`, `Newer` or `Migrate`; none shows a password.
    pub async fn open(url: &str) -> Result<Store> {
        let place = Place::parse(url)?;
        let shown = place.to_string();
        let database = Arc::new(match &place {
            Place::Sqlite(file) => Database::Sqlite(sqlite::Db::open(&shown, file).await?),
            Place::Postgres(url) => Database::Postgres(postgres::Db::open(&shown, url).await?),
        });
        let writer = Writer::start(Arc::clone(&database));
        Ok(Store { database, writer, shown: shown.into() })
    }

    /// Closes all connections once their work is done. Later calls fail.
    pub async fn close(&self) {
        match &*self.database {
            Database::Sqlite(db) => db.close().await,
            Database::Postgres(db) => db.close().await,
        }
    }

    async fn forget(&self) -> Result<LogState> {
        match &*self.database {
            Database::Sqlite(db) => db.forget().await,
            Database::Postgres(db) => db.forget().await,
        }
    }
}

/// Where it is, without a password.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.shown).finish()
    }
}

fn page_of(limit: usize) -> i64 {
    i64::try_from(limit.clamp(1, MAX_PAGE)).unwrap_or(i64::MAX)
}
