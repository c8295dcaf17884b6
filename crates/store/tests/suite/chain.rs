//! Whatever is changed behind the store's back, the walk names the first record that is not as it was.

use policy::Outcome;
use store::{
    BrokenPolicy, ChainHead, Change, DecisionFilter, Fault, Finding, Millis, PolicyFault,
    StoreError, Verification,
};

use crate::fixture::{TENANT, decision, policy, review};
use crate::place::{Place, on_each};

/// What is done, the first broken place, and what is wrong there. The chain: decisions at 1, 2 and 3, a
/// review at 4, a change of policy at 5, a decision at 6.
const CASES: &[(&str, i64, Fault)] = &[
    (
        "UPDATE records SET body = REPLACE(body, 'violation', 'clear') WHERE seq = 2",
        2,
        Fault::Altered,
    ),
    ("UPDATE records SET at = at + 1 WHERE seq = 3", 3, Fault::Altered),
    ("UPDATE records SET kind = 'erasure' WHERE seq = 1", 1, Fault::Altered),
    ("UPDATE records SET hash = previous WHERE seq = 6", 6, Fault::Altered),
    ("UPDATE records SET previous = hash WHERE seq = 4", 4, Fault::Unlinked),
    ("DELETE FROM records WHERE seq = 1", 1, Fault::Missing),
    ("DELETE FROM records WHERE seq = 4", 4, Fault::Missing),
    ("DELETE FROM records WHERE seq = 6", 6, Fault::Truncated),
    ("DELETE FROM records WHERE seq > 2", 3, Fault::Truncated),
    ("DELETE FROM records", 1, Fault::Truncated),
    (
        "UPDATE records SET seq = 99 WHERE seq = 2; UPDATE records SET seq = 2 WHERE seq = 3; \
      UPDATE records SET seq = 3 WHERE seq = 99",
        2,
        Fault::Unlinked,
    ),
    ("UPDATE records SET seq = 7 WHERE seq = 6", 6, Fault::Missing),
    ("UPDATE chain_head SET seq = 5", 6, Fault::Head),
    ("UPDATE chain_head SET hash = (SELECT hash FROM records WHERE seq = 1)", 6, Fault::Head),
    ("DELETE FROM chain_head", 0, Fault::Head),
    ("UPDATE decisions SET outcome = 'clear' WHERE seq = 3", 3, Fault::Index),
    ("UPDATE decisions SET tenant = 'other' WHERE seq = 1", 1, Fault::Index),
    ("UPDATE decisions SET label = NULL WHERE seq = 1", 1, Fault::Index),
    ("UPDATE decisions SET attention = 'doubtful' WHERE seq = 1", 1, Fault::Index),
    ("DELETE FROM decisions WHERE seq = 6", 6, Fault::Index),
    ("DELETE FROM reviews WHERE seq = 4", 4, Fault::Index),
    ("UPDATE reviews SET finding = 'confirm'", 4, Fault::Index),
    ("UPDATE policy_changes SET policy_id = 'x'", 5, Fault::Index),
    (
        "UPDATE sealed SET content = REPLACE(content, 'quokka', 'wallaby') \
      WHERE decision_id = (SELECT id FROM records WHERE seq = 2)",
        2,
        Fault::Sealed,
    ),
    (
        "UPDATE sealed SET words = 'other' \
      WHERE record_id = (SELECT id FROM records WHERE seq = 4)",
        4,
        Fault::Sealed,
    ),
    // Rows one too many, beside a record of another kind.
    (
        "INSERT INTO reviews (seq, id, tenant, decision_id, finding, at) \
      SELECT 2, 'rev_x', tenant, decision_id, 'confirm', at FROM reviews",
        2,
        Fault::Index,
    ),
    (
        "INSERT INTO policy_changes (seq, tenant, name, change, policy_id, at) \
      SELECT 3, tenant, name, change, policy_id, at FROM policy_changes",
        3,
        Fault::Index,
    ),
    (
        "UPDATE sealed SET salt = NULL, content = NULL, words = NULL \
      WHERE record_id = (SELECT id FROM records WHERE seq = 3)",
        3,
        Fault::Gone,
    ),
    (
        "UPDATE sealed SET content = NULL \
      WHERE record_id = (SELECT id FROM records WHERE seq = 2)",
        2,
        Fault::Gone,
    ),
    (
        "UPDATE sealed SET words = NULL \
      WHERE record_id = (SELECT id FROM records WHERE seq = 4)",
        4,
        Fault::Gone,
    ),
    ("DELETE FROM sealed WHERE record_id = (SELECT id FROM records WHERE seq = 6)", 6, Fault::Gone),
];

async fn fill(place: &Place) -> ChainHead {
    let store = place.open().await;
    let mut last = None;
    for _ in 0..3 {
        last = Some(store.record(decision(Outcome::Violation)).await.unwrap().id);
    }
    store.review(review(&last.unwrap(), Finding::Appeal)).await.unwrap();
    let policy = policy();
    store
        .add_policy(TENANT, &policy.name, b"# Tests\n\nNothing may quote a quokka.\n")
        .await
        .unwrap();
    store.change_policy(TENANT, &policy.name, Change::Activate(policy.id), "ada").await.unwrap();
    store.record(decision(Outcome::Violation)).await.unwrap();
    let head = store.head().await.unwrap();
    assert_eq!(store.verify(None).await.unwrap(), Verification::Whole(head.clone()));
    store.close().await;
    head
}

const TABLES: [&str; 6] =
    ["records", "chain_head", "decisions", "reviews", "policy_changes", "sealed"];

/// A statement for every table of the chain, `T` standing for its name.
fn for_tables(statement: &str) -> String {
    TABLES.map(|table| statement.replace('T', table)).join(";")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_found_where_it_was_made() {
    on_each(|place| async move {
        fill(&place).await;
        place.tamper(&for_tables("create table kept_T as select * from T")).await;
        let store = place.open().await;
        for (statements, seq, fault) in CASES {
            place.tamper(statements).await;
            let Verification::Broken(broken) = store.verify(None).await.unwrap() else {
                panic!("{statements}: not found")
            };
            assert_eq!((broken.seq, broken.fault), (*seq, *fault), "{statements}");
            place.tamper(&for_tables("delete from T; insert into T select * from kept_T")).await;
            let restored = store.verify(None).await.unwrap();
            assert!(matches!(restored, Verification::Whole(_)), "{statements}: {restored:?}");
        }
        store.close().await;
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_on_record_covers_what_it_took_and_no_more() {
    const WIPE: &str = "UPDATE sealed SET salt = NULL, content = NULL, words = NULL WHERE ";
    on_each(|place| async move {
        let store = place.open().await;
        let mut old = decision(Outcome::Violation);
        old.at = Millis(1000);
        for new in [&old, &decision(Outcome::Clear), &decision(Outcome::Clear)] {
            store.record(new.clone()).await.unwrap();
        }
        let third = store.decisions(&DecisionFilter::default(), 2, 1).await.unwrap();
        store.erase(None, &third[0].decision.id, "ada").await.unwrap();
        store.erase_before(Some(TENANT), Millis(1001), "ada").await.unwrap();
        // A word said after the erasure is not of it.
        store.review(review(&third[0].decision.id, Finding::Appeal)).await.unwrap();
        let whole = store.verify(None).await.unwrap();
        assert!(matches!(whole, Verification::Whole(_)), "{whole:?}");
        for seq in [6, 2] {
            place
                .tamper(&format!("{WIPE} record_id = (SELECT id FROM records WHERE seq = {seq})"))
                .await;
            let Verification::Broken(broken) = store.verify(None).await.unwrap() else {
                panic!("{seq}: not found")
            };
            assert_eq!((broken.seq, broken.fault), (seq, Fault::Gone));
        }
        store.close().await;
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_exchanged_under_its_hash_is_refused() {
    on_each(|place| async move {
        fill(&place).await;
        let store = place.open().await;
        let id = policy().id;
        store.policy_bytes(&id).await.unwrap();
        place
            .tamper("UPDATE policy_texts SET bytes = (SELECT hash FROM records WHERE seq = 1)")
            .await;
        let error = store.policy_bytes(&id).await.unwrap_err();
        assert!(matches!(error, StoreError::Altered { what: "policy", .. }), "{error:?}");
        let found = |fault| Verification::Policy(BrokenPolicy { id: id.clone(), fault });
        assert_eq!(store.verify(None).await.unwrap(), found(PolicyFault::Altered));
        place.tamper("DELETE FROM policy_texts").await;
        assert_eq!(store.verify(None).await.unwrap(), found(PolicyFault::Gone));
        store.close().await;
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_noted_elsewhere_finds_a_chain_cut_and_patched() {
    on_each(|place| async move {
        let noted = fill(&place).await;
        let store = place.open().await;
        store.record(decision(Outcome::Clear)).await.unwrap();
        let whole = store.verify(Some(noted.clone())).await.unwrap();
        assert!(matches!(whole, Verification::Whole(_)));
        let other = ChainHead { n_records: 6, hash: "00".repeat(32) };
        let Verification::Broken(broken) = store.verify(Some(other)).await.unwrap() else {
            panic!("not found")
        };
        assert_eq!((broken.seq, broken.fault), (6, Fault::Forked));
        place
            .tamper(
                "DELETE FROM records WHERE seq > 3; UPDATE chain_head SET seq = 3, \
                 hash = (SELECT hash FROM records WHERE seq = 3)",
            )
            .await;
        assert!(matches!(store.verify(None).await.unwrap(), Verification::Whole(_)));
        let Verification::Broken(broken) = store.verify(Some(noted)).await.unwrap() else {
            panic!("not found")
        };
        assert_eq!((broken.seq, broken.fault), (4, Fault::Truncated));
        store.close().await;
        place
    })
    .await;
}
