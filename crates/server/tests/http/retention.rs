//! How long jobs and files can be read.

use reqwest::blocking::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::batches::upload;
use crate::jobs::{Hand, stored};
use crate::keyed::{As, Shared, on_each_store};
use crate::running::{Running, ads, builtin};

on_each_store!(
    what_has_been_kept_for_long_enough_goes_and_decisions_stay,
    a_file_goes_when_its_caller_wants_it,
);

/// The time in statements, so many days ago.
fn days_ago(n: i64) -> i64 {
    store::Millis::now().0 - n * 24 * 3600 * 1000
}

fn what_has_been_kept_for_long_enough_goes_and_decisions_stay(shared: &Shared) {
    let service = Running::start(stored(shared), builtin(), ads());
    let submit = |service: &Running| {
        service.ask("/v1/classify", &json!({ "items": ["x"], "mode": "async" }))
    };
    let (old, young) = (submit(&service), submit(&service));
    let decision = service.finished(&old)["results"][0]["decision"].clone();
    service.finished(&young);
    let (kept, gone) = (upload(&service, "x"), upload(&service, "y"));
    drop(service);
    let (judge, _hand) = Hand::new();
    let mut slow = stored(shared);
    slow.limits.shutdown_s = 0.1;
    let service = Running::start(slow, judge, ads());
    let open = submit(&service);
    drop(service);

    let id = |of: &Value| of["id"].as_str().unwrap().to_owned();
    shared.tamper(&format!(
        "UPDATE jobs SET finished_at = {old_at} WHERE id = '{}'; \
         UPDATE jobs SET finished_at = {young_at} WHERE id = '{}'; \
         UPDATE jobs SET accepted_at = 1 WHERE id = '{}'; \
         UPDATE files SET created_at = {file_at} WHERE id = '{}'",
        id(&old),
        id(&young),
        id(&open),
        id(&gone),
        old_at = days_ago(91),
        young_at = days_ago(89),
        file_at = days_ago(31),
    ));
    let service = Running::start(stored(shared), builtin(), ads());
    let me = As(&service, "");
    let job = |of: &Value| me.get(&format!("/v1/jobs/{}", id(of))).0;
    while job(&old) == 200 {
        std::thread::yield_now();
    }
    assert_eq!((job(&old), job(&young), job(&open)), (404, 200, 200));
    assert_eq!(service.finished(&open)["n_done"], 1, "what waited is judged");
    let file = |of: &Value| me.get(&format!("/v1/files/{}/content", id(of))).0;
    while file(&gone) == 200 {
        std::thread::yield_now();
    }
    assert_eq!((file(&gone), file(&kept)), (404, 200));
    let decision = format!("/v1/decisions/{}", decision.as_str().unwrap());
    assert_eq!(me.get(&decision).0, 200, "decisions are kept for good");
}

fn a_file_goes_when_its_caller_wants_it(shared: &Shared) {
    let service = Running::start(stored(shared), builtin(), ads());
    let send = |parts: &[(&str, &str)]| {
        let form = Form::new().part("file", Part::bytes(b"x".to_vec()).file_name("in.jsonl"));
        let form = parts.iter().fold(form.text("purpose", "batch"), |form, (name, text)| {
            form.text((*name).to_owned(), (*text).to_owned())
        });
        let request = service.http.post(format!("{}/v1/files", service.url)).multipart(form);
        let response = request.send().unwrap();
        (response.status().as_u16(), response.json::<Value>().unwrap())
    };
    let [anchor, seconds] = ["expires_after[anchor]", "expires_after[seconds]"];
    let (status, file) = send(&[(anchor, "created_at"), (seconds, "3600")]);
    let lasts = file["expires_at"].as_i64().unwrap() - file["created_at"].as_i64().unwrap();
    assert!(status == 200 && (3600..3700).contains(&lasts), "{file}");
    let (_, forever) = send(&[]);
    assert_eq!(forever.get("expires_at"), None);
    for (parts, word) in [
        (&[(seconds, "3600")][..], "anchor"),
        (&[(anchor, "last_active_at"), (seconds, "3600")], "created_at"),
        (&[(anchor, "created_at")], "seconds"),
        (&[(anchor, "created_at"), (seconds, "60")], "3600 to 2592000"),
        (&[(anchor, "created_at"), (seconds, "soon")], "3600 to 2592000"),
        (&[("colour", "red")], "expires_after"),
    ] {
        let (status, error) = send(parts);
        let message = error["error"]["message"].as_str().unwrap();
        assert!(status == 422 && message.contains(word), "{parts:?}: {error}");
    }
    let id = file["id"].as_str().unwrap();
    shared.tamper(&format!("UPDATE files SET expires_at = 1 WHERE id = '{id}'"));
    let me = As(&service, "");
    assert_eq!(me.get(&format!("/v1/files/{id}")).0, 404, "at once, swept or not");
    assert_eq!(me.get("/v1/files").1["data"].as_array().unwrap().len(), 1);
}
