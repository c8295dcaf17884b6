//! Verdicts that are read later: their words, what a deadline ends, what a finished job came to.

use std::time::Duration;

use policy::Outcome;
use store::{
    Backlog, Backoff, Completion, DeliveryState, Item, JobId, KeyId, Millis, NewJob, OnDeadline,
    Store, Words,
};

use crate::fixture::{TENANT, THOUGHT, decision, job};
use crate::place::on_each;

const LONG: Duration = Duration::from_secs(3600);

fn words() -> Words {
    Words { rationale: Some(THOUGHT.to_owned()), ..Words::default() }
}

pub(crate) async fn settle_all(store: &Store) {
    for item in store.lease("w", 100, LONG).await.unwrap() {
        store.complete(&item.id, decision(Outcome::Violation), Some(words())).await.unwrap();
    }
}

async fn items(store: &Store, job: &JobId) -> Vec<Item> {
    store.items(job, None, 100).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn words_stay_for_the_caller_until_they_are_forgotten_or_erased() {
    on_each(|place| async move {
        let store = place.open().await;
        let (id, _) = store.accept(&job(3)).await.unwrap();
        settle_all(&store).await;
        let settled = items(&store, &id).await;
        for item in &settled {
            let verdict = item.decision.as_ref().unwrap().verdict(item.words.clone());
            assert_eq!(verdict.rationale.as_deref(), Some(THOUGHT));
            assert_eq!(verdict.outcome, Outcome::Violation);
        }
        // Content is not kept for this job, and its words still are.
        let first = &settled[0].decision.as_ref().unwrap().id;
        assert_eq!(store.kept(first).await.unwrap(), store::Kept::default());
        store.erase(Some(TENANT), first, "me").await.unwrap();
        assert_eq!(items(&store, &id).await[0].words, None);
        assert!(items(&store, &id).await[1].words.is_some());
        store.erase_before(Some("other"), Millis(i64::MAX), "me").await.unwrap();
        assert!(items(&store, &id).await[1].words.is_some());
        assert_eq!(store.forget_words(Millis(1)).await.unwrap(), 0);
        assert_eq!(store.forget_words(Millis(i64::MAX)).await.unwrap(), 2);
        let (id, _) = store.accept(&job(1)).await.unwrap();
        settle_all(&store).await;
        store.erase_before(Some(TENANT), Millis(i64::MAX), "me").await.unwrap();
        assert_eq!(items(&store, &id).await[0].words, None);
        store.close().await;
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn overdue_items_are_handed_out_where_the_job_gives_up_on_them() {
    on_each(|place| async move {
        let store = place.open().await;
        let late = |on_deadline| NewJob { deadline_at: Some(Millis(1)), on_deadline, ..job(2) };
        store.accept(&late(OnDeadline::Wait)).await.unwrap();
        store.accept(&NewJob { on_deadline: OnDeadline::GiveUp, ..job(1) }).await.unwrap();
        assert_eq!(store.lease_overdue("w", 10, LONG).await.unwrap().len(), 0);
        let (id, _) = store.accept(&late(OnDeadline::GiveUp)).await.unwrap();
        let overdue = store.lease_overdue("w", 10, LONG).await.unwrap();
        assert!(overdue.iter().all(|it| it.job == id && it.on_deadline == OnDeadline::GiveUp));
        assert_eq!(overdue.len(), 2);
        assert_eq!(store.lease_overdue("v", 10, LONG).await.unwrap().len(), 0, "w has them");
        store.release("w").await.unwrap();
        for item in store.lease_overdue("v", 10, LONG).await.unwrap() {
            let done = store.complete(&item.id, decision(Outcome::Clear), None).await.unwrap();
            assert!(matches!(done, Completion::Stored(_)));
        }
        assert!(store.job(None, &id).await.unwrap().finished_at.is_some());
        assert_eq!(store.lease("v", 10, LONG).await.unwrap().len(), 3, "the others wait on");
        store.close().await;
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_job_is_concluded_once_and_its_files_with_it() {
    on_each(|place| async move {
        let store = place.open().await;
        let mut new = job(3);
        new.items[1].custom_id = new.items[0].custom_id.clone();
        let (id, _) = store.accept(&new).await.unwrap();
        assert_eq!(store.n_names(&id).await.unwrap(), (2, 2));
        assert!(!store.conclude(&id, &[], "early").await.unwrap());
        assert!(store.unconcluded("classify", 10).await.unwrap().is_empty());
        settle_all(&store).await;
        assert_eq!(store.n_names(&id).await.unwrap(), (2, 0));
        assert_eq!(store.unconcluded("classify", 10).await.unwrap()[0].id, id);
        assert!(store.unconcluded("batch", 10).await.unwrap().is_empty());
        let file = store.begin_file(TENANT, "out", "batch_output").await.unwrap();
        store.add_to_file(&file, b"x").await.unwrap();
        assert!(store.files(TENANT, None, None, 10).await.unwrap().is_empty());
        assert!(store.conclude(&id, std::slice::from_ref(&file), "first").await.unwrap());
        assert!(!store.conclude(&id, &[], "second").await.unwrap());
        let done = store.job(None, &id).await.unwrap();
        assert_eq!(done.conclusion.as_deref(), Some("first"));
        assert_eq!(store.files(TENANT, None, None, 10).await.unwrap()[0].id, file);
        assert!(items(&store, &id).await.iter().all(|item| item.words.is_none()));
        assert!(store.unconcluded("classify", 10).await.unwrap().is_empty());
        store.close().await;
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_is_counted_and_deliveries_are_listed_by_state() {
    on_each(|place| async move {
        let store = place.open().await;
        assert_eq!(store.backlog().await.unwrap(), Backlog::default());
        let key = KeyId::new(Millis::now()).unwrap();
        store.accept(&NewJob { key: Some(key.clone()), ..job(3) }).await.unwrap();
        let leased = store.lease("w", 2, LONG).await.unwrap();
        assert_eq!(leased[0].key.as_ref(), Some(&key));
        let open = Backlog { n_jobs: 1, n_waiting: 1, n_leased: 2, n_due: 0, n_dead: 0 };
        assert_eq!(store.backlog().await.unwrap(), open);
        store.complete(&leased[0].id, decision(Outcome::Clear), None).await.unwrap();
        store.complete(&leased[1].id, decision(Outcome::Clear), None).await.unwrap();
        assert_eq!(store.n_open_items_of(&key).await.unwrap(), 1);
        let other = KeyId::new(Millis::now()).unwrap();
        assert_eq!(store.n_open_items_of(&other).await.unwrap(), 0);
        let due = store.deliveries(TENANT, Some(DeliveryState::Due), None, 10).await.unwrap();
        assert_eq!(due.len(), 2);
        store.delivered(&due[0].id).await.unwrap();
        let never = Backoff { n_tries: 0, ..Backoff::default() };
        store.delivery_failed(&due[1].id, "HTTP 500", &never).await.unwrap();
        let open = Backlog { n_jobs: 1, n_waiting: 1, n_leased: 0, n_due: 0, n_dead: 1 };
        assert_eq!(store.backlog().await.unwrap(), open);
        for (state, id) in [(DeliveryState::Delivered, 0), (DeliveryState::Dead, 1)] {
            let page = store.deliveries(TENANT, Some(state), None, 10).await.unwrap();
            assert_eq!((page.len(), &page[0].id, page[0].state()), (1, &due[id].id, state));
        }
        assert_eq!(store.deliveries(TENANT, None, None, 10).await.unwrap().len(), 2);
        let older = store.deliveries(TENANT, None, Some(&due[0].id), 10).await.unwrap();
        assert_eq!(older.iter().map(|it| &it.id).collect::<Vec<_>>(), [&due[1].id]);
        store.close().await;
        place
    })
    .await;
}

#[test]
fn jitter_shortens_waits_by_up_to_a_half() {
    let wait = |chance| Backoff::default().jittered(chance).wait(1).unwrap();
    assert_eq!(wait(0), Duration::from_secs(5));
    assert_eq!(wait(u32::MAX), Duration::from_millis(2500));
    assert!(wait(7) > wait(u32::MAX / 2));
}
