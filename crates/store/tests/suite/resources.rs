//! Policies, keys, files.

use store::{CHUNK_BYTES, Change, Grants, Millis, NewKey, StoreError};

use crate::fixture::TENANT;
use crate::place::on_each;

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_activated_rolled_back_and_shadowed() {
    on_each(|place| async move {
        let store = place.open().await;
        let mut ids = Vec::new();
        for n in 0..3 {
            let bytes = format!("# P\n\nVersion {n}.\n");
            ids.push(store.add_policy(TENANT, "p", bytes.as_bytes()).await.unwrap().id);
            store.add_policy(TENANT, "p", bytes.as_bytes()).await.unwrap();
        }
        assert_eq!(store.policy_bytes(&ids[1]).await.unwrap(), b"# P\n\nVersion 1.\n");
        let change = |change| {
            let store = store.clone();
            async move { store.change_policy(TENANT, "p", change, "ada").await }
        };
        assert!(matches!(change(Change::RollBack).await.unwrap_err(), StoreError::Conflict { .. }));
        for id in &ids {
            change(Change::Activate(id.clone())).await.unwrap();
        }
        let undone = [1, 0].map(|n: usize| ids[n].clone());
        for expected in undone {
            assert_eq!(change(Change::RollBack).await.unwrap().active, Some(expected));
        }
        assert!(change(Change::RollBack).await.is_err());
        let in_use = change(Change::Shadow(Some(ids[2].clone()))).await.unwrap();
        assert_eq!(
            (in_use.active.as_ref(), in_use.shadow.as_ref()),
            (Some(&ids[0]), Some(&ids[2]))
        );
        assert_eq!(store.policies(TENANT).await.unwrap(), [in_use]);
        let versions = store.policy_versions(TENANT, "p").await.unwrap();
        assert_eq!(versions.iter().filter(|v| v.is_active || v.is_shadow).count(), 2);
        assert_eq!(change(Change::Shadow(None)).await.unwrap().shadow, None);
        let seen = store.last_policy_change().await.unwrap();
        assert_eq!(change(Change::Withdraw).await.unwrap().active, None);
        assert!(store.last_policy_change().await.unwrap() > seen);
        assert!(matches!(change(Change::Withdraw).await.unwrap_err(), StoreError::Unknown { .. }));
        let back = change(Change::RollBack).await.unwrap();
        assert_eq!(back.active.as_ref(), Some(&ids[0]), "a withdrawal is undone like any change");
        let unknown = policy::PolicyId("0".repeat(64));
        assert!(matches!(
            change(Change::Activate(unknown)).await.unwrap_err(),
            StoreError::Unknown { .. }
        ));
        let other = store.change_policy("other", "p", Change::Activate(ids[0].clone()), "x").await;
        assert!(other.is_err(), "another tenant's version");
        store.close().await;
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_open_until_revoked_and_are_stored_as_hashes() {
    on_each(|place| async move {
        let store = place.open().await;
        let new = NewKey {
            tenant: TENANT.to_owned(),
            name: "app".to_owned(),
            grants: Grants { scopes: vec!["classify".to_owned()], ..Grants::default() },
            expires_at: None,
        };
        assert!(!store.has_keys().await.unwrap());
        let (key, secret) = store.create_key(&new).await.unwrap();
        assert_eq!(store.key_of(secret.reveal()).await.unwrap(), Some(key.clone()));
        let mut wrong = secret.reveal().to_owned();
        let last = if wrong.pop() == Some('0') { '1' } else { '0' };
        wrong.push(last);
        for text in [wrong.as_str(), "", "sg_", key.id.as_str()] {
            assert_eq!(store.key_of(text).await.unwrap(), None);
        }
        assert!(store.revoke_key(Some("other"), &key.id).await.is_err());
        store.revoke_key(Some(TENANT), &key.id).await.unwrap();
        assert_eq!(store.key_of(secret.reveal()).await.unwrap(), None);
        assert!(store.keys(Some(TENANT)).await.unwrap()[0].revoked_at.is_some());
        assert!(store.has_keys().await.unwrap(), "one that was revoked counts");
        let ended = NewKey { expires_at: Some(Millis(1)), ..new };
        let (_, ended) = store.create_key(&ended).await.unwrap();
        assert_eq!(store.key_of(ended.reveal()).await.unwrap(), None);
        store.close().await;
        for file in std::fs::read_dir(place.folder.path()).unwrap().flatten() {
            let bytes = std::fs::read(file.path()).unwrap();
            let digits = &secret.reveal()[secret.reveal().len() - 64..];
            assert!(!bytes.windows(64).any(|window| window == digits.as_bytes()));
        }
        place
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_back_byte_for_byte() {
    on_each(|place| async move {
        let store = place.open().await;
        let bytes: Vec<u8> = (0..CHUNK_BYTES + 7).map(|n| n as u8).collect();
        let file = store.put_file(TENANT, "in.jsonl", "batch", &bytes).await.unwrap();
        assert_eq!(file.n_bytes, bytes.len() as i64);
        let mut read = Vec::new();
        while let Some(chunk) =
            store.file_chunk(&file.id, (read.len() / CHUNK_BYTES) as i64).await.unwrap()
        {
            read.extend(chunk);
            if read.len() % CHUNK_BYTES != 0 {
                break;
            }
        }
        assert_eq!(read, bytes);
        assert!(store.file("other", &file.id).await.is_err());
        let begun = store.begin_file(TENANT, "half", "batch").await.unwrap();
        let too_much = store.add_to_file(&begun, &bytes).await.unwrap_err();
        assert!(matches!(too_much, StoreError::TooMuch { .. }));
        assert!(store.add_to_file(&file.id, b"more").await.is_err(), "a finished file");
        assert_eq!(
            store.files(TENANT, Some("batch"), None, 9).await.unwrap(),
            std::slice::from_ref(&file)
        );
        assert_eq!(store.sweep_files(Millis(i64::MAX)).await.unwrap(), 1);
        store.delete_file(TENANT, &file.id).await.unwrap();
        assert_eq!(store.file_chunk(&file.id, 0).await.unwrap(), None);
        store.close().await;
        place
    })
    .await;
}
