//! A store that an earlier program left is brought up to date with all that is in it.

use std::path::Path;
use std::time::Duration;

use policy::{Cause, Outcome};
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use store::{
    ApiKey, Backlog, ChainHead, Change, Decision, DecisionFilter, Delivery, File, Finding, Grants,
    InUse, Item, Job, JobId, NewKey, Store, StoredReview, Verification, Waiting,
};

use crate::fixture::{POLICY, TENANT, decision, job, policy, review};
use crate::later::settle_all;
use crate::place::{Place, on_each};

/// The migrations of a kind of store, as they lie in the checkout.
async fn migrations(place: &Place) -> Migrator {
    let kind = if is_file(place) { "sqlite" } else { "postgres" };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(kind);
    Migrator::new(folder).await.unwrap()
}

fn is_file(place: &Place) -> bool {
    place.url.starts_with("sqlite:")
}

/// Makes of a closed store one whose tables are those of an earlier version, with the rows that it would have had.
async fn set_back(place: &Place, version: i64) {
    if is_file(place) {
        set_back_file(place, version).await
    } else {
        set_back_database(place, version).await
    }
}

/// What moves the rows of a table into one of fewer columns.
fn moved(table: &str, columns: &[(String,)]) -> AssertSqlSafe<String> {
    let columns = columns.iter().map(|(name,)| name.as_str()).collect::<Vec<_>>().join(", ");
    AssertSqlSafe(format!(
        "DELETE FROM {table}; INSERT INTO {table} ({columns}) SELECT {columns} FROM newer.{table}"
    ))
}

async fn set_back_file(place: &Place, version: i64) {
    let file = place.folder.path().join("store.db");
    let newer = place.folder.path().join("newer.db");
    std::fs::rename(file, &newer).unwrap();
    let mut direct = SqliteConnection::connect(&format!("{}?mode=rwc", place.url)).await.unwrap();
    migrations(place).await.run_to(version, &mut direct).await.unwrap();
    let attach = format!("PRAGMA foreign_keys = OFF; ATTACH '{}' AS newer", newer.display());
    sqlx::raw_sql(AssertSqlSafe(attach)).execute(&mut direct).await.unwrap();
    let tables: Vec<(String,)> = sqlx::query_as(
        "SELECT name FROM main.sqlite_master \
         WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> '_sqlx_migrations'",
    )
    .fetch_all(&mut direct)
    .await
    .unwrap();
    for (table,) in &tables {
        let columns = sqlx::query_as("SELECT name FROM pragma_table_info($1, 'main')")
            .bind(table)
            .fetch_all(&mut direct)
            .await
            .unwrap();
        sqlx::raw_sql(moved(table, &columns)).execute(&mut direct).await.unwrap();
    }
    direct.close().await.unwrap();
    std::fs::remove_file(newer).unwrap();
}

async fn set_back_database(place: &Place, version: i64) {
    const TABLES: &str =
        "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = 'public'";
    let mut direct = PgConnection::connect(&place.url).await.unwrap();
    sqlx::raw_sql("CREATE SCHEMA newer; SET session_replication_role = replica")
        .execute(&mut direct)
        .await
        .unwrap();
    let tables: Vec<(String,)> = sqlx::query_as(TABLES).fetch_all(&mut direct).await.unwrap();
    for (table,) in &tables {
        let aside = format!("ALTER TABLE {table} SET SCHEMA newer");
        sqlx::raw_sql(AssertSqlSafe(aside)).execute(&mut direct).await.unwrap();
    }
    migrations(place).await.run_to(version, &mut direct).await.unwrap();
    let tables: Vec<(String,)> = sqlx::query_as(TABLES).fetch_all(&mut direct).await.unwrap();
    for (table,) in tables.iter().filter(|(table,)| table != "_sqlx_migrations") {
        let columns = sqlx::query_as(
            "SELECT CAST(column_name AS TEXT) FROM information_schema.columns \
             WHERE table_schema = 'public' AND table_name = $1",
        )
        .bind(table)
        .fetch_all(&mut direct)
        .await
        .unwrap();
        sqlx::raw_sql(moved(table, &columns)).execute(&mut direct).await.unwrap();
    }
    sqlx::raw_sql("DROP SCHEMA newer CASCADE").execute(&mut direct).await.unwrap();
    direct.close().await.unwrap();
}

/// All that can be read of a store.
#[derive(Debug, PartialEq)]
struct Seen {
    head: ChainHead,
    decisions: Vec<Decision>,
    reviews: Vec<StoredReview>,
    waiting: (i64, Vec<Waiting>),
    policies: Vec<InUse>,
    key: Option<ApiKey>,
    file: (File, Vec<u8>),
    job: Job,
    items: Vec<Item>,
    deliveries: Vec<Delivery>,
    backlog: Backlog,
}

/// What a test has to know of what it stored.
struct Stored {
    secret: String,
    job: JobId,
}

async fn fill(store: &Store) -> Stored {
    let mut doubtful = decision(Outcome::Clear);
    doubtful.verdict.doubts = vec!["the \"confidence\":\"low\" of another".to_owned()];
    let undetermined = decision(Outcome::Undetermined(Cause::Timeout));
    let mut sure = decision(Outcome::Violation);
    sure.verdict.label = Some("\"confidence\":\"low\"".to_owned());
    let mut shadow = decision(Outcome::Undetermined(Cause::Timeout));
    shadow.origin.shadow_of = Some(sure.id.clone());
    for new in [&doubtful, &undetermined, &sure, &shadow] {
        store.record(new.clone()).await.unwrap();
    }
    store.review(review(&doubtful.id, Finding::Confirm)).await.unwrap();
    store.review(review(&doubtful.id, Finding::Appeal)).await.unwrap();
    store.add_policy(TENANT, "tests", POLICY).await.unwrap();
    store.change_policy(TENANT, "tests", Change::Activate(policy().id), "ada").await.unwrap();
    store.put_file(TENANT, "in.jsonl", "batch", b"a line").await.unwrap();
    let new = NewKey {
        tenant: TENANT.to_owned(),
        name: "app".to_owned(),
        grants: Grants { scopes: vec!["judge".to_owned()], ..Grants::default() },
        expires_at: None,
    };
    let (_, secret) = store.create_key(&new).await.unwrap();
    let (job, _) = store.accept(&job(2)).await.unwrap();
    let leased = store.lease("w", 1, Duration::ZERO).await.unwrap();
    store.complete(&leased[0].id, decision(Outcome::Violation), None).await.unwrap();
    Stored { secret: secret.reveal().to_owned(), job }
}

async fn look(store: &Store, stored: &Stored) -> Seen {
    let Verification::Whole(head) = store.verify(None).await.unwrap() else { panic!("broken") };
    let page = store.decisions(&DecisionFilter::default(), 0, 100).await.unwrap();
    let decisions: Vec<Decision> = page.into_iter().map(|it| it.decision).collect();
    let file = store.files(TENANT, None, None, 1).await.unwrap().remove(0);
    let bytes = store.file_chunk(&file.id, 0).await.unwrap().unwrap();
    Seen {
        head,
        reviews: store.reviews(&decisions[0].id).await.unwrap(),
        decisions,
        waiting: store.waiting(TENANT, None, 10).await.unwrap(),
        policies: store.policies(TENANT).await.unwrap(),
        key: store.key_of(&stored.secret).await.unwrap(),
        file: (file, bytes),
        job: store.job(None, &stored.job).await.unwrap(),
        items: store.items(&stored.job, None, 10).await.unwrap(),
        deliveries: store.deliveries(TENANT, None, None, 10).await.unwrap(),
        backlog: store.backlog().await.unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_every_earlier_version_opens_with_all_that_is_in_it() {
    on_each(|place| async move {
        let store = place.open().await;
        let stored = fill(&store).await;
        let before = look(&store, &stored).await;
        assert_eq!((before.decisions.len(), before.waiting.0), (5, 2), "{before:?}");
        assert!(before.key.is_some() && before.deliveries.len() == 1);
        store.close().await;
        let versions: Vec<i64> = migrations(&place).await.iter().map(|it| it.version).collect();
        let (last, earlier) = versions.split_last().unwrap();
        assert!(earlier.iter().all(|version| version < last) && !earlier.is_empty());
        for version in earlier {
            set_back(&place, *version).await;
            let store = place.open().await;
            assert_eq!(look(&store, &stored).await, before, "from version {version}");
            store.close().await;
        }
        let store = place.open().await;
        settle_all(&store).await;
        assert!(store.job(None, &stored.job).await.unwrap().finished_at.is_some());
        look(&store, &stored).await;
        store.close().await;
        place
    })
    .await;
}
