//! What has been kept for long enough goes, and nothing else.

use std::time::Duration;

use store::{Millis, NewJob, StoreError, Verification};

use crate::fixture::{TENANT, job};
use crate::later::settle_all;
use crate::place::on_each;

/// Behind everything.
const END: Millis = Millis(i64::MAX);

#[tokio::test(flavor = "multi_thread")]
async fn finished_jobs_go_with_what_hangs_on_them_and_no_others() {
    on_each(|place| async move {
        let store = place.open().await;
        let silent = |kind: &str| NewJob {
            webhook: None,
            kind: kind.to_owned(),
            request_key: Some(kind.to_owned()),
            ..job(2)
        };
        let (old, _) = store.accept(&silent("classify")).await.unwrap();
        let (unconcluded, _) = store.accept(&silent("batch")).await.unwrap();
        let (untold, _) = store.accept(&job(1)).await.unwrap();
        settle_all(&store).await;
        let (open, _) = store.accept(&NewJob { webhook: None, ..job(1) }).await.unwrap();
        let decided = store.items(&old, None, 1).await.unwrap()[0].decision.clone().unwrap();
        assert_eq!(store.prune_jobs(Millis(1), "batch", 10).await.unwrap(), 0, "none is so old");
        assert_eq!(store.prune_jobs(END, "batch", 10).await.unwrap(), 1);
        let gone = store.job(None, &old).await.unwrap_err();
        assert!(matches!(gone, StoreError::Unknown { what: "job", .. }));
        assert!(store.items(&old, None, 10).await.unwrap().is_empty());
        assert_eq!(store.items(&unconcluded, None, 10).await.unwrap().len(), 2);

        assert!(store.conclude(&unconcluded, &[], "done").await.unwrap());
        assert_eq!(store.prune_jobs(END, "batch", 10).await.unwrap(), 1, "it is concluded");
        for delivery in store.lease_deliveries(10, Duration::ZERO).await.unwrap() {
            assert_eq!(delivery.job, untold);
            store.delivered(&delivery.id).await.unwrap();
        }
        assert_eq!(store.prune_jobs(END, "batch", 10).await.unwrap(), 1, "all was told");
        assert!(store.deliveries(TENANT, None, None, 10).await.unwrap().is_empty());
        assert_eq!(store.job(None, &open).await.unwrap().n_done, 0);
        settle_all(&store).await;
        assert!(store.job(None, &open).await.unwrap().finished_at.is_some());

        let kept = store.decision(None, &decided.id).await.unwrap().decision;
        assert_eq!(kept, *decided, "decisions stay");
        let head = store.head().await.unwrap();
        assert_eq!(store.verify(None).await.unwrap(), Verification::Whole(head));
        let (again, is_new) = store.accept(&silent("classify")).await.unwrap();
        assert!(is_new && again != old, "its key can be used anew");
        store.close().await;
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_jobs_go_at_once_as_is_asked_the_oldest_first() {
    on_each(|place| async move {
        let store = place.open().await;
        let mut ids = Vec::new();
        for _ in 0..3 {
            let empty = NewJob { webhook: None, ..job(0) };
            ids.push(store.accept(&empty).await.unwrap().0);
        }
        for (n, id) in ids.iter().enumerate() {
            let finished = format!("UPDATE jobs SET finished_at = {n} WHERE id = '{id}'");
            place.tamper(&finished).await;
        }
        assert_eq!(store.prune_jobs(Millis(2), "batch", 1).await.unwrap(), 1);
        assert!(store.job(None, &ids[0]).await.is_err());
        assert!(store.job(None, &ids[1]).await.is_ok());
        assert_eq!(store.prune_jobs(Millis(2), "batch", 9).await.unwrap(), 1);
        assert!(store.job(None, &ids[2]).await.is_ok(), "it is not old enough");
        store.close().await;
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_when_they_are_old_or_their_caller_wanted_it() {
    on_each(|place| async move {
        let store = place.open().await;
        let kept = store.put_file(TENANT, "kept", "batch", b"x").await.unwrap();
        let begun = store.begin_file(TENANT, "begun", "batch").await.unwrap();
        let ends = async |at: Millis| {
            let id = store.begin_file(TENANT, "ends", "batch").await.unwrap();
            store.add_to_file(&id, b"y").await.unwrap();
            store.finish_file(&id, Some(at)).await.unwrap();
            id
        };
        let (ended, ends) = (ends(Millis(1)).await, ends(END).await);
        assert!(store.file(TENANT, &ended).await.is_err(), "it cannot be read any more");
        assert_eq!(store.file(TENANT, &ends).await.unwrap().expires_at, Some(END));
        let listed = store.files(TENANT, None, None, 10).await.unwrap();
        assert_eq!(listed.iter().map(|it| &it.id).collect::<Vec<_>>(), [&ends, &kept.id]);
        assert_eq!(store.prune_files(Millis(1), 10).await.unwrap(), 1);
        assert_eq!(store.file_chunk(&ended, 0).await.unwrap(), None);
        assert_eq!(store.file_chunk(&kept.id, 0).await.unwrap().unwrap(), b"x");
        assert_eq!(store.prune_files(END, 1).await.unwrap(), 1, "as many as asked");
        assert_eq!(store.prune_files(END, 10).await.unwrap(), 1);
        store.add_to_file(&begun, b"z").await.expect("it is being written");
        store.close().await;
        place
    })
    .await;
}
