//! An empty place for a store, once of each kind.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use store::Store;
use tempfile::TempDir;

use crate::server::Server;

/// Where a test's store lives.
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) folder: TempDir,
    database: Option<String>,
}

impl Place {
    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.url).await.unwrap()
    }

    /// Runs statements behind the store's back, foreign keys unchecked.
    pub(crate) async fn tamper(&self, statements: &str) {
        let sql = AssertSqlSafe(statements.to_owned());
        if self.database.is_some() {
            let mut direct = PgConnection::connect(&self.url).await.unwrap();
            sqlx::raw_sql("SET session_replication_role = replica")
                .execute(&mut direct)
                .await
                .unwrap();
            sqlx::raw_sql(sql).execute(&mut direct).await.unwrap();
        } else {
            let mut direct = SqliteConnection::connect(&self.url).await.unwrap();
            sqlx::raw_sql("PRAGMA foreign_keys = OFF").execute(&mut direct).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut direct).await.unwrap();
            direct.close().await.unwrap();
        }
    }

    pub(crate) async fn sqlite() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("store.db").display());
        Place { url, folder, database: None }
    }

    pub(crate) async fn postgres() -> Option<Place> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let server = Server::find()?;
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("safeguard_test_{}_{n}", std::process::id());
        admin(server, &format!("CREATE DATABASE {name}")).await;
        let folder = tempfile::tempdir().unwrap();
        Some(Place { url: server.url(&name), folder, database: Some(name) })
    }

    pub(crate) async fn remove(&self) {
        if let (Some(name), Some(server)) = (&self.database, Server::find()) {
            admin(server, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        }
    }
}

async fn admin(server: &Server, statement: &str) {
    let mut connection = PgConnection::connect(&server.url("postgres")).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
}

/// Runs a case on each database that there is.
pub(crate) async fn on_each<F: Future<Output = Place>>(case: impl Fn(Place) -> F) {
    let place = case(Place::sqlite().await).await;
    place.remove().await;
    if let Some(place) = Place::postgres().await {
        case(place).await.remove().await;
    }
}
