//! Opening: again, at once, of a newer program, of nothing.

use std::time::Duration;

use sqlx::{Connection, SqliteConnection};
use store::{Store, StoreError};

use crate::fixture::decision;
use crate::place::{Place, on_each};

#[tokio::test(flavor = "multi_thread")]
async fn many_may_make_the_same_store_at_once() {
    on_each(|place| async move {
        let opened = (0..4).map(|_| {
            let url = place.url.clone();
            tokio::spawn(async move { Store::open(&url).await.unwrap() })
        });
        for store in opened.collect::<Vec<_>>() {
            store.await.unwrap().close().await;
        }
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_file_that_another_writes_is_waited_for() {
    let place = Place::sqlite().await;
    let url = format!("{}?mode=rwc", place.url);
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let url = place.url.clone();
    let opened = tokio::spawn(async move { Store::open(&url).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    opened.await.unwrap().unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_is_there_after_opening_again() {
    on_each(|place| async move {
        let store = place.open().await;
        let stored = store.record(decision(policy::Outcome::Violation)).await.unwrap();
        store.close().await;
        let again = place.open().await;
        let read = again.decision(None, &stored.id).await.unwrap();
        assert_eq!(read.decision, stored);
        again.close().await;
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_a_newer_program_are_refused() {
    on_each(|place| async move {
        place.open().await.close().await;
        place
            .tamper(
                "INSERT INTO _sqlx_migrations \
                     (version, description, success, checksum, execution_time) \
                 SELECT 9000, description, success, checksum, execution_time \
                 FROM _sqlx_migrations WHERE version = 1",
            )
            .await;
        let error = Store::open(&place.url).await.unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 9000, .. }), "{error:?}");
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_none_is_refused_without_its_password() {
    let missing = tempfile::tempdir().unwrap();
    let file = missing.path().join("text.db");
    std::fs::write(&file, "not a database, but long enough to be read as the header of one")
        .unwrap();
    let urls = [
        "store.db".to_owned(),
        "mysql://u:sesame@h/d".to_owned(),
        "postgres://u:sesame@127.0.0.1:1/d".to_owned(),
        "postgres://u:sesame@127.0.0.1:1/d?sslmode=verify-full".to_owned(),
        format!("sqlite:{}/no/such/folder/store.db", missing.path().display()),
        format!("sqlite:{}", file.display()),
    ];
    for url in urls {
        let error = Store::open(&url).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("sesame"), "{shown}");
    }
}
