//! Jobs: each item has one outcome, whoever works on it; deliveries are tried until heard or dead.

use std::collections::HashSet;
use std::time::Duration;

use policy::Outcome;
use store::{
    Backoff, Completion, DecisionFilter, DeliveryState, Event, ItemState, JobId, KeyId, KeyUsage,
    Millis, Notify, Store, StoreError,
};

use crate::fixture::{TENANT, TEXT, decision, job};
use crate::place::on_each;

const LONG: Duration = Duration::from_secs(3600);

async fn deliveries(store: &Store) -> Vec<store::Delivery> {
    store.lease_deliveries(1000, LONG).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_goes_from_acceptance_to_webhook() {
    on_each(|place| async move {
        let store = place.open().await;
        let (id, is_new) = store.accept(&job(2)).await.unwrap();
        assert!(is_new);
        let leased = store.lease("w", 10, LONG).await.unwrap();
        assert_eq!(leased.len(), 2);
        assert_eq!(leased[0].content, policy::Content::text(format!("{TEXT} 0")));
        assert_eq!((leased[0].attempt, leased[0].custom_id.as_deref()), (1, Some("n0")));
        assert_eq!(store.lease("other", 10, LONG).await.unwrap().len(), 0);
        for item in &leased {
            let new = decision(Outcome::Violation);
            let first = store.complete(&item.id, new.clone(), None).await.unwrap();
            let Completion::Stored(stored) = first else { panic!("{first:?}") };
            assert_eq!((stored.job.as_ref(), stored.item.as_ref()), (Some(&id), Some(&item.id)));
            let again = store.complete(&item.id, new.clone(), None).await.unwrap();
            assert_eq!(again, Completion::Already(new.id.clone()));
            let other = store.complete(&item.id, decision(Outcome::Clear), None).await.unwrap();
            assert_eq!(other, Completion::Already(new.id));
            assert_eq!(store.item_content(&item.id).await.unwrap(), None);
        }
        let done = store.job(Some(TENANT), &id).await.unwrap();
        assert_eq!((done.n_done, done.finished_at.is_some()), (2, true));
        let mut events: Vec<_> = deliveries(&store).await.iter().map(|d| d.event).collect();
        events.sort_by_key(|event| format!("{event:?}"));
        assert_eq!(events, [Event::ItemDone, Event::ItemDone, Event::JobFinished]);
        let filter = DecisionFilter { job: Some(id), ..DecisionFilter::default() };
        assert_eq!(store.decisions(&filter, 0, 10).await.unwrap().len(), 2);
        store.close().await;
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_nothing_is_finished_and_told_of_once() {
    on_each(|place| async move {
        let store = place.open().await;
        let mut new = job(0);
        new.request_key = Some("r1".to_owned());
        let (id, _) = store.accept(&new).await.unwrap();
        assert!(!store.accept(&new).await.unwrap().1);
        assert!(store.job(Some(TENANT), &id).await.unwrap().finished_at.is_some());
        let told = deliveries(&store).await;
        let told: Vec<_> = told.iter().map(|d| (&d.job, d.event)).collect();
        assert_eq!(told, [(&id, Event::JobFinished)]);
        let quiet = store::NewJob { webhook: None, ..job(0) };
        store.accept(&quiet).await.unwrap();
        assert_eq!(deliveries(&store).await.len(), 0);
        store.close().await;
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_key_accepts_once() {
    on_each(|place| async move {
        let store = place.open().await;
        let mut new = job(1);
        new.request_key = Some("r1".to_owned());
        let first = store.accept(&new).await.unwrap();
        assert_eq!(store.accept(&new).await.unwrap(), (first.0.clone(), false));
        new.tenant = "other".to_owned();
        assert!(store.accept(&new).await.unwrap().1);
        new.request_key = None;
        assert!(store.accept(&new).await.unwrap().1 && store.accept(&new).await.unwrap().1);
        store.close().await;
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_end_are_renewed_and_given_back_and_go_by_priority() {
    on_each(|place| async move {
        let store = place.open().await;
        store.accept(&job(1)).await.unwrap();
        let mut urgent = job(1);
        urgent.priority = 5;
        let (urgent, _) = store.accept(&urgent).await.unwrap();
        let first = store.lease("a", 1, Duration::ZERO).await.unwrap();
        assert_eq!(first[0].job, urgent);
        // That lease ended as it began.
        let again = store.lease("b", 1, LONG).await.unwrap();
        assert_eq!((again[0].id.clone(), again[0].attempt), (first[0].id.clone(), 2));
        assert!(!store.renew(&again[0].id, "a", LONG).await.unwrap());
        assert!(store.renew(&again[0].id, "b", LONG).await.unwrap());
        assert_eq!(store.release("b").await.unwrap(), 1);
        assert_eq!(store.lease("c", 2, LONG).await.unwrap()[0].attempt, 2);
        // Work that outlived its lease counts.
        let late = store.complete(&first[0].id, decision(Outcome::Clear), None).await.unwrap();
        assert!(matches!(late, Completion::Stored(_)));
        assert_eq!(store.n_open_items().await.unwrap(), 1);
        store.close().await;
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_workers_settle_each_item_once() {
    on_each(|place| async move {
        let stores = [place.open().await, place.open().await];
        let mut jobs = Vec::new();
        for _ in 0..4 {
            jobs.push(stores[0].accept(&job(20)).await.unwrap().0);
        }
        let workers: Vec<_> = (0..8)
            .map(|n| {
                let store = stores[n % 2].clone();
                tokio::spawn(async move { work(&store, &format!("w{n}")).await })
            })
            .collect();
        let mut stored = 0;
        for worker in workers {
            stored += worker.await.unwrap();
        }
        assert_eq!(stored, 80);
        check_settled(&stores[0], &jobs, 20).await;
        for store in stores {
            store.close().await;
        }
        place
    })
    .await;
}

/// Leases and completes, each item twice, until nothing is left; returns how many decisions it stored.
async fn work(store: &Store, worker: &str) -> usize {
    let mut stored = 0;
    loop {
        // A lease of no length: others get the same items, so that workers meet.
        let items = store.lease(worker, 3, Duration::ZERO).await.unwrap();
        if items.is_empty() {
            return stored;
        }
        for item in items {
            let (one, two) = tokio::join!(
                store.complete(&item.id, decision(Outcome::Violation), None),
                store.complete(&item.id, decision(Outcome::Clear), None),
            );
            for completion in [one.unwrap(), two.unwrap()] {
                stored += usize::from(matches!(completion, Completion::Stored(_)));
            }
        }
    }
}

/// Every item of the jobs has exactly one decision and was told exactly once, and the chain is whole.
pub(crate) async fn check_settled(store: &Store, jobs: &[JobId], n_items: i64) {
    let mut told = HashSet::new();
    let mut n_told = 0;
    loop {
        let page = deliveries(store).await;
        if page.is_empty() {
            break;
        }
        n_told += page.len();
        told.extend(page.into_iter().map(|d| (d.job, d.item, d.decision, d.event)));
    }
    assert_eq!(told.len(), n_told, "told twice");
    let mut expected = 0;
    for id in jobs {
        let job = store.job(None, id).await.unwrap();
        assert_eq!((job.n_items, job.n_done), (n_items, n_items));
        let filter = DecisionFilter { job: Some(id.clone()), ..DecisionFilter::default() };
        let decisions = store.decisions(&filter, 0, 1000).await.unwrap();
        let settled: HashSet<_> =
            decisions.iter().map(|d| (d.decision.item.clone(), d.decision.id.clone())).collect();
        assert_eq!(decisions.len() as i64, n_items);
        for item in store.items(id, None, 1000).await.unwrap() {
            assert_eq!(item.state, ItemState::Done);
            let decision = item.decision.unwrap().id;
            assert!(settled.contains(&(Some(item.id.clone()), decision.clone())));
            assert!(told.contains(&(id.clone(), Some(item.id), Some(decision), Event::ItemDone)));
        }
        assert!(told.contains(&(id.clone(), None, None, Event::JobFinished)));
        expected += n_items as usize + 1;
    }
    assert_eq!(n_told, expected);
    let chain = store.verify(None).await.unwrap();
    assert!(matches!(chain, store::Verification::Whole(_)), "{chain:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_items_get_no_decision_and_lose_their_content() {
    on_each(|place| async move {
        let store = place.open().await;
        let (id, _) = store.accept(&job(3)).await.unwrap();
        let leased = store.lease("w", 2, LONG).await.unwrap();
        store.complete(&leased[0].id, decision(Outcome::Clear), None).await.unwrap();
        assert!(store.cancel("other", &id).await.is_err());
        assert_eq!(store.cancel(TENANT, &id).await.unwrap(), 2);
        assert_eq!(store.cancel(TENANT, &id).await.unwrap(), 0);
        let late = store.complete(&leased[1].id, decision(Outcome::Clear), None).await.unwrap();
        assert_eq!(late, Completion::Cancelled);
        assert_eq!(store.item_content(&leased[1].id).await.unwrap(), None);
        assert_eq!(store.lease("w", 2, LONG).await.unwrap().len(), 0);
        let cancelled = store.job(None, &id).await.unwrap();
        assert_eq!((cancelled.n_done, cancelled.n_cancelled), (1, 2));
        assert!(cancelled.finished_at.is_some() && cancelled.cancelled_at.is_some());
        store.close().await;
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_is_told_once() {
    on_each(|place| async move {
        let store = place.open().await;
        let mut new = job(1);
        new.notify = Notify::End;
        store.accept(&new).await.unwrap();
        new.deadline_at = Some(Millis(1));
        let (late, _) = store.accept(&new).await.unwrap();
        assert_eq!(store.note_deadlines(10).await.unwrap(), std::slice::from_ref(&late));
        assert_eq!(store.note_deadlines(10).await.unwrap(), []);
        let told = deliveries(&store).await;
        assert_eq!((told[0].event, &told[0].job), (Event::DeadlinePassed, &late));
        store.close().await;
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_tried_until_dead_and_can_be_raised() {
    on_each(|place| async move {
        let store = place.open().await;
        store.accept(&job(1)).await.unwrap();
        let item = store.lease("w", 1, LONG).await.unwrap().remove(0);
        store.complete(&item.id, decision(Outcome::Clear), None).await.unwrap();
        let due = deliveries(&store).await;
        assert_eq!(due.len(), 2);
        assert_eq!(deliveries(&store).await, []);
        store.delivered(&due[0].id).await.unwrap();
        let at_once = Backoff { first: Duration::ZERO, n_tries: 2, ..Backoff::default() };
        let id = &due[1].id;
        assert!(store.delivery_failed(id, "HTTP 500", &at_once).await.unwrap().is_some());
        let again = deliveries(&store).await;
        assert_eq!((&again[0].id, again[0].attempts), (id, 1));
        assert_eq!(store.delivery_failed(id, "HTTP 501", &at_once).await.unwrap(), None);
        assert_eq!(deliveries(&store).await, []);
        let dead = store.deliveries(TENANT, Some(DeliveryState::Dead), None, 10).await.unwrap();
        assert_eq!((&dead[0].id, dead[0].last_error.as_deref()), (id, Some("HTTP 501")));
        assert!(matches!(
            store.retry_delivery("other", id).await.unwrap_err(),
            StoreError::Unknown { .. }
        ));
        store.retry_delivery(TENANT, id).await.unwrap();
        assert_eq!(deliveries(&store).await.len(), 1);
        store.delivered(id).await.unwrap();
        assert_eq!(store.delivery_failed(id, "late", &at_once).await.unwrap(), None);
        assert!(
            store.deliveries(TENANT, Some(DeliveryState::Dead), None, 10).await.unwrap().is_empty()
        );
        store.close().await;
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_job_uses_is_counted_for_its_key() {
    on_each(|place| async move {
        let store = place.open().await;
        let key = KeyId::new(Millis::now()).unwrap();
        let mut new = job(2);
        new.key = Some(key.clone());
        store.accept(&new).await.unwrap();
        let mut at = Millis(0);
        for item in store.lease("w", 2, LONG).await.unwrap() {
            let mut new = decision(Outcome::Clear);
            new.at = Millis(86_400_000);
            at = new.at;
            new.verdict.usage.generated_tokens = 21;
            let again = new.clone();
            store.complete(&item.id, new, None).await.unwrap();
            store.complete(&item.id, again, None).await.unwrap();
        }
        let used = store.key_usage(&key, at).await.unwrap();
        assert_eq!(used, KeyUsage { n_items: 2, n_tokens: 42 });
        let day_before = store.key_usage(&key, Millis(86_399_999)).await.unwrap();
        assert_eq!(day_before, KeyUsage::default());
        store.close().await;
        place
    })
    .await;
}

#[test]
fn waits_double_up_to_the_longest() {
    let backoff = Backoff::default();
    let waits: Vec<_> = (1..=17).map(|n| backoff.wait(n).map(|wait| wait.as_secs())).collect();
    assert_eq!(waits[..3], [Some(5), Some(10), Some(20)]);
    assert_eq!(
        waits[10..],
        [Some(3600), Some(3600), Some(3600), Some(3600), Some(3600), None, None]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_newest_first() {
    on_each(|place| async move {
        let store = place.open().await;
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(store.accept(&job(0)).await.unwrap().0);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let page = store.jobs(TENANT, None, None, 2).await.unwrap();
        assert_eq!(page.iter().map(|job| &job.id).collect::<Vec<_>>(), [&ids[2], &ids[1]]);
        assert!(page[0].finished_at.is_some(), "a job of nothing is done");
        let rest = store.jobs(TENANT, Some("classify"), Some(&ids[1]), 2).await.unwrap();
        assert_eq!(rest.len(), 1);
        assert!(store.jobs(TENANT, Some("batch"), None, 2).await.unwrap().is_empty());
        store.close().await;
        place
    })
    .await;
}
