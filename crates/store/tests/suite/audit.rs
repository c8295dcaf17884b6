//! Decisions, erasure, reviews.

use policy::{Cause, Confidence, Content, GoldenOutcome, Outcome};
use store::{
    ChainHead, DecisionFilter, DecisionId, Finding, Millis, Store, StoreError, Verification, Why,
};

use crate::fixture::{TENANT, TEXT, THOUGHT, decision, policy_ref, review};
use crate::place::on_each;

async fn head(store: &Store) -> ChainHead {
    match store.verify(None).await.unwrap() {
        Verification::Whole(head) => head,
        broken => panic!("{broken:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_comes_back_as_it_was_and_is_stored_once() {
    on_each(|place| async move {
        let store = place.open().await;
        let new = decision(Outcome::Violation);
        let stored = store.record(new.clone()).await.unwrap();
        assert_eq!(stored.score.unwrap().to_bits(), (0.1f64 + 0.2).to_bits());
        assert_eq!(store.record(new.clone()).await.unwrap(), stored);
        assert_eq!(store.decision(Some(TENANT), &new.id).await.unwrap().decision, stored);
        let of_another = store.decision(Some("other"), &new.id).await.unwrap_err();
        assert!(matches!(of_another, StoreError::Unknown { .. }));
        let kept = store.kept(&new.id).await.unwrap();
        assert_eq!(kept.content, Some(new.content.clone()));
        assert_eq!(kept.words.unwrap().reasoning, new.verdict.reasoning);
        assert_eq!(head(&store).await.n_records, 1);
        store.close().await;
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_find_what_they_ask_for_and_pages_follow_each_other() {
    on_each(|place| async move {
        let store = place.open().await;
        let mut ids = Vec::new();
        for n in 0..5 {
            let outcome = if n % 2 == 0 { Outcome::Violation } else { Outcome::Clear };
            let mut new = decision(outcome);
            new.at = Millis(1000 + n);
            ids.push(store.record(new).await.unwrap().id);
        }
        let found = |filter: DecisionFilter| {
            let (store, ids) = (store.clone(), ids.clone());
            async move {
                let page = store.decisions(&filter, 0, 10).await.unwrap();
                let place = |id: &DecisionId| ids.iter().position(|other| other == id).unwrap();
                page.iter().map(|stored| place(&stored.decision.id)).collect::<Vec<_>>()
            }
        };
        let all = DecisionFilter::default;
        assert_eq!(found(all()).await, [0, 1, 2, 3, 4]);
        let outcome = Some("clear".to_owned());
        assert_eq!(found(DecisionFilter { outcome, ..all() }).await, [1, 3]);
        let (since, until) = (Some(Millis(1001)), Some(Millis(1003)));
        assert_eq!(found(DecisionFilter { since, until, ..all() }).await, [1, 2]);
        let tenant = Some("other".to_owned());
        assert_eq!(found(DecisionFilter { tenant, ..all() }).await, [0usize; 0]);
        let first = store.decisions(&all(), 0, 2).await.unwrap();
        let next = store.decisions(&all(), first[1].seq, 2).await.unwrap();
        assert_eq!(next[0].decision.id, ids[2]);
        let latest = store.latest_decisions(&all(), None, 2).await.unwrap();
        assert_eq!((&latest[0].decision.id, &latest[1].decision.id), (&ids[4], &ids[3]));
        let older = store.latest_decisions(&all(), Some(latest[1].seq), 2).await.unwrap();
        assert_eq!(older[0].decision.id, ids[2]);
        store.close().await;
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_was_not_kept_can_still_be_recognised() {
    on_each(|place| async move {
        let store = place.open().await;
        let mut new = decision(Outcome::Clear);
        new.keep_content = false;
        store.record(new.clone()).await.unwrap();
        assert_eq!(store.kept(&new.id).await.unwrap(), store::Kept::default());
        let is = |content| {
            let (store, id) = (store.clone(), new.id.clone());
            async move { store.is_content_of(&id, &content).await.unwrap() }
        };
        assert_eq!(is(Content::text(TEXT)).await, Some(true));
        assert_eq!(is(Content::text("other")).await, Some(false));
        store.erase(Some(TENANT), &new.id, "ada").await.unwrap();
        assert_eq!(is(Content::text(TEXT)).await, None);
        store.close().await;
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erasure_takes_the_content_and_leaves_the_chain() {
    on_each(|place| async move {
        let store = place.open().await;
        let (one, other) = (decision(Outcome::Violation), decision(Outcome::Violation));
        for new in [&one, &other] {
            store.record(new.clone()).await.unwrap();
            store.review(review(&new.id, Finding::Confirm)).await.unwrap();
        }
        let unknown = DecisionId::new(Millis(1)).unwrap();
        let error = store.erase(None, &unknown, "ada").await.unwrap_err();
        assert!(matches!(error, StoreError::Unknown { .. }));
        assert!(store.erase(Some("other"), &one.id, "ada").await.is_err());
        assert_eq!(store.erase(Some(TENANT), &one.id, "ada").await.unwrap().n_records, 2);
        assert_eq!(store.erase(Some(TENANT), &one.id, "ada").await.unwrap().n_records, 0);
        assert_eq!(store.kept(&one.id).await.unwrap(), store::Kept::default());
        assert_eq!(store.reviews(&one.id).await.unwrap()[0].reason, None);
        assert!(store.kept(&other.id).await.unwrap().content.is_some());
        // Two decisions, two reviews, one erasure.
        assert_eq!(head(&store).await.n_records, 5);
        store.close().await;
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_erased_is_in_no_file_any_more() {
    let place = crate::place::Place::sqlite().await;
    let store = place.open().await;
    let mut old = decision(Outcome::Violation);
    old.at = Millis(1000);
    store.record(old.clone()).await.unwrap();
    assert!(files_hold(&place, TEXT) && files_hold(&place, THOUGHT));
    assert_eq!(store.erase_before(None, Millis(1000), "ada").await.unwrap().n_records, 0);
    assert_eq!(store.erase_before(Some("other"), Millis(1001), "ada").await.unwrap().n_records, 0);
    assert_eq!(store.erase_before(Some(TENANT), Millis(1001), "ada").await.unwrap().n_records, 1);
    assert!(!files_hold(&place, TEXT) && !files_hold(&place, THOUGHT));
    assert_eq!(head(&store).await.n_records, 2);
    store.close().await;
}

fn files_hold(place: &crate::place::Place, text: &str) -> bool {
    let files = std::fs::read_dir(place.folder.path()).unwrap().flatten();
    files
        .map(|file| std::fs::read(file.path()).unwrap())
        .any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn overturned_decisions_become_golden_cases_until_the_last_word_confirms() {
    on_each(|place| async move {
        let store = place.open().await;
        let new = decision(Outcome::Violation);
        let missing = store.review(review(&new.id, Finding::Appeal)).await.unwrap_err();
        assert!(matches!(missing, StoreError::Unknown { what: "decision", .. }));
        store.record(new.clone()).await.unwrap();
        store.review(review(&new.id, Finding::Appeal)).await.unwrap();
        assert_eq!(waiting(&store).await, [(Why::Appealed, new.id.clone())]);
        let overturn =
            Finding::Overturn { outcome: GoldenOutcome::Clear, rule: Some("V0".to_owned()) };
        let overturn = review(&new.id, overturn);
        let first = store.review(overturn.clone()).await.unwrap();
        assert_eq!(store.review(overturn).await.unwrap(), first);
        assert_eq!(waiting(&store).await, []);
        assert_eq!(store.reviews(&new.id).await.unwrap().len(), 2);
        let cases = store.overturned(TENANT, Some("tests")).await.unwrap();
        let case = cases[0].case.as_ref().unwrap();
        assert_eq!((case.outcome, case.rule.as_deref()), (GoldenOutcome::Clear, Some("V0")));
        assert_eq!(case.content, new.content);
        assert!(store.overturned(TENANT, Some("other")).await.unwrap().is_empty());
        store.erase(None, &new.id, "ada").await.unwrap();
        assert!(store.overturned(TENANT, None).await.unwrap()[0].case.is_none());
        store.review(review(&new.id, Finding::Confirm)).await.unwrap();
        assert!(store.overturned(TENANT, None).await.unwrap().is_empty());
        assert_eq!(head(&store).await.n_records, 5);
        store.close().await;
        place
    })
    .await;
}

async fn waiting(store: &Store) -> Vec<(Why, DecisionId)> {
    let (n_waiting, waiting) = store.waiting(TENANT, Some("tests"), 10).await.unwrap();
    assert_eq!(n_waiting, waiting.len() as i64);
    assert_eq!(store.waiting("other", None, 10).await.unwrap().0, 0);
    waiting.into_iter().map(|it| (it.why, it.decision.id)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_has_appeals_first_and_lets_go_what_was_looked_at() {
    on_each(|place| async move {
        let store = place.open().await;
        let mut doubtful = decision(Outcome::Clear);
        doubtful.verdict.confidence = Some(Confidence::Low);
        let undetermined = decision(Outcome::Undetermined(Cause::Timeout));
        let sure = decision(Outcome::Violation);
        let mut shadow = decision(Outcome::Undetermined(Cause::Timeout));
        shadow.origin.shadow_of = Some(sure.id.clone());
        for new in [&doubtful, &undetermined, &sure, &shadow] {
            store.record(new.clone()).await.unwrap();
        }
        let in_doubt = (Why::Doubtful, doubtful.id.clone());
        let unknown = (Why::Undetermined, undetermined.id.clone());
        assert_eq!(waiting(&store).await, [unknown.clone(), in_doubt.clone()]);
        store.review(review(&sure.id, Finding::Appeal)).await.unwrap();
        let appealed = |of: &DecisionId| (Why::Appealed, of.clone());
        assert_eq!(waiting(&store).await, [appealed(&sure.id), unknown.clone(), in_doubt]);
        store.review(review(&doubtful.id, Finding::Confirm)).await.unwrap();
        store.review(review(&sure.id, Finding::Confirm)).await.unwrap();
        assert_eq!(waiting(&store).await, std::slice::from_ref(&unknown));
        store.review(review(&doubtful.id, Finding::Appeal)).await.unwrap();
        assert_eq!(waiting(&store).await, [appealed(&doubtful.id), unknown]);
        head(&store).await;
        store.close().await;
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overturning_review_must_say_what_is_right_and_why() {
    on_each(|place| async move {
        let store = place.open().await;
        store.add_policy(TENANT, "tests", crate::fixture::POLICY).await.unwrap();
        let new = decision(Outcome::Violation);
        store.record(new.clone()).await.unwrap();
        let overturn = |outcome, rule: Option<&str>| {
            review(&new.id, Finding::Overturn { outcome, rule: rule.map(str::to_owned) })
        };
        let mut silent = overturn(GoldenOutcome::Clear, None);
        silent.reason = " ".to_owned();
        let mut nameless = overturn(GoldenOutcome::Clear, None);
        nameless.reviewer = "a\nb".to_owned();
        for (wrong, at) in [
            (silent, "reason"),
            (nameless, "reviewer"),
            (overturn(GoldenOutcome::Violation, None), "outcome"),
            (overturn(GoldenOutcome::Violation, Some("V")), "outcome"),
            (overturn(GoldenOutcome::Clear, Some("V")), "rule"),
            (overturn(GoldenOutcome::Clear, Some("XY9")), "rule"),
        ] {
            let error = store.review(wrong).await.unwrap_err();
            assert!(matches!(error, StoreError::Review { field, .. } if field == at), "{error}");
        }
        store.review(overturn(GoldenOutcome::Clear, Some("V0"))).await.unwrap();
        store.close().await;
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_is_compared_with_what_acted() {
    on_each(|place| async move {
        let store = place.open().await;
        for outcome in [Outcome::Violation, Outcome::Clear] {
            let live = store.record(decision(Outcome::Violation)).await.unwrap();
            let mut shadow = decision(outcome);
            shadow.origin.shadow_of = Some(live.id);
            store.record(shadow).await.unwrap();
        }
        let candidate = policy_ref().id;
        let differ = store.disagreements(TENANT, "tests", &candidate, 10).await.unwrap();
        assert_eq!(differ.len(), 1);
        assert_eq!(differ[0].shadow.outcome, Outcome::Clear);
        let counts = store.comparison(TENANT, "tests", &candidate).await.unwrap();
        let counts: Vec<_> =
            counts.iter().map(|it| (&*it.live.0, &*it.shadow.0, it.n_pairs)).collect();
        assert_eq!(counts, [("violation", "clear", 1), ("violation", "violation", 1)]);
        store.close().await;
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_of_many_make_one_chain() {
    on_each(|place| async move {
        let stores = [place.open().await, place.open().await];
        let tasks: Vec<_> = (0..8)
            .map(|n| {
                let store = stores[n % 2].clone();
                tokio::spawn(async move {
                    for _ in 0..10 {
                        store.record(decision(Outcome::Clear)).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(head(&stores[0]).await.n_records, 80);
        for store in stores {
            store.close().await;
        }
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_stored_takes_no_others_with_it() {
    on_each(|place| async move {
        let store = place.open().await;
        let tasks: Vec<_> = (0..20)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut new = decision(Outcome::Clear);
                    if n % 5 == 0 {
                        // PostgreSQL stores no text with a zero byte; SQLite does.
                        new.origin.tenant = "nul\0".to_owned();
                    }
                    (n, store.record(new).await)
                })
            })
            .collect();
        for task in tasks {
            let (n, reply) = task.await.unwrap();
            assert!(reply.is_ok() || n % 5 == 0, "{n}: {reply:?}");
        }
        assert!(head(&store).await.n_records >= 16);
        store.close().await;
        place
    })
    .await;
}

#[test]
fn debug_shows_neither_content_nor_reasons() {
    let new = decision(Outcome::Violation);
    let shown =
        format!("{new:?} {:?} {:?}", review(&new.id, Finding::Appeal), crate::fixture::job(2));
    assert!(!shown.contains("quokka") && !shown.contains("wombat"), "{shown}");
}
