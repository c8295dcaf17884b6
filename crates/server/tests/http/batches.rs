//! Files and batches in OpenAI's shape; its own client is in the tests of the program.

use reqwest::blocking::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::jobs::stored;
use crate::keyed::{Shared, on_each_store};
use crate::running::{Running, ads, builtin};

on_each_store!(
    each_route_answers_in_a_batch_as_it_does_at_once,
    a_file_of_the_wrong_form_fails_its_batch_with_line_and_reason,
    a_cancelled_batch_says_of_each_request_that_it_was,
    what_has_no_verdict_when_the_window_closes_is_expired,
    files_come_in_pieces_and_go_and_what_is_no_file_is_refused,
);

pub(crate) fn upload(service: &Running, bytes: impl Into<Vec<u8>>) -> Value {
    let form = Form::new().text("purpose", "batch");
    let form = form.part("file", Part::bytes(bytes.into()).file_name("in.jsonl"));
    let response = service.http.post(format!("{}/v1/files", service.url)).multipart(form).send();
    response.unwrap().json().unwrap()
}

pub(crate) fn line(id: &str, url: &str, body: &Value) -> String {
    json!({ "custom_id": id, "method": "POST", "url": url, "body": body }).to_string() + "\n"
}

pub(crate) fn create(service: &Running, file: &Value, endpoint: &str) -> Value {
    let body =
        json!({ "input_file_id": file["id"], "endpoint": endpoint, "completion_window": "24h" });
    service.ask("/v1/batches", &body)
}

/// The batch once it is over; OpenAI's clients poll too.
pub(crate) fn ended(service: &Running, batch: &Value) -> Value {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let batch: Value =
            serde_json::from_str(&service.read(&format!("/v1/batches/{}", id(batch)))).unwrap();
        if !["in_progress", "finalizing", "cancelling"].contains(&batch["status"].as_str().unwrap())
        {
            return batch;
        }
        assert!(std::time::Instant::now() < end, "{batch}");
        std::thread::yield_now();
    }
}

fn id(object: &Value) -> &str {
    object["id"].as_str().unwrap_or_else(|| panic!("{object}"))
}

/// Lines of a file by `custom_id`.
pub(crate) fn lines(service: &Running, file: &Value) -> std::collections::BTreeMap<String, Value> {
    let text = service.read(&format!("/v1/files/{}/content", file.as_str().unwrap()));
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| (line["custom_id"].as_str().unwrap().to_owned(), line)).collect()
}

fn each_route_answers_in_a_batch_as_it_does_at_once(shared: &Shared) {
    let service = Running::start(stored(shared), builtin(), ads());
    let chat = |text: &str| json!({ "model": "safeguard/ads", "messages": [{ "role": "user", "content": text }] });
    let cases = [
        ("/v1/moderations", json!({ "input": ["Buy now!", "hello"] }), json!({ "input": [] })),
        (
            "/v1/classify",
            json!({ "items": [{ "id": 1, "text": "Buy now!" }, "hello"], "reasoning": true }),
            json!({ "items": ["x"], "policies": ["none"] }),
        ),
        ("/v1/chat/completions", chat("Buy now!"), json!({ "model": "other", "messages": [] })),
    ];
    for (endpoint, good, bad) in cases {
        let text = line("good", endpoint, &good) + "\n" + &line("bad", endpoint, &bad);
        let batch = create(&service, &upload(&service, text), endpoint);
        let batch = ended(&service, &batch);
        assert_eq!(batch["status"], "completed", "{batch}");
        assert_eq!(batch["request_counts"], json!({ "total": 2, "completed": 1, "failed": 1 }));
        let output = lines(&service, &batch["output_file_id"]);
        let response = &output["good"]["response"];
        assert_eq!(
            (&response["status_code"], &output["good"]["error"]),
            (&json!(200), &Value::Null)
        );
        let (mut later, mut now) = (response["body"].clone(), service.ask(endpoint, &good));
        for body in [&mut later, &mut now] {
            forget_the_moment(body);
        }
        assert_eq!(later, now, "{endpoint}");
        let errors = lines(&service, &batch["error_file_id"]);
        let direct = service.post(endpoint, &bad);
        if endpoint != "/v1/classify" {
            assert_eq!(errors["bad"]["response"]["status_code"], direct.status().as_u16());
            assert_eq!(errors["bad"]["response"]["body"], direct.json::<Value>().unwrap());
        }
        assert!(errors["bad"]["response"]["body"]["error"]["message"].is_string());
    }
    let listed: Value = serde_json::from_str(&service.read("/v1/batches?limit=2")).unwrap();
    assert_eq!((listed["data"].as_array().unwrap().len(), &listed["has_more"]), (2, &json!(true)));
    let after = format!("/v1/batches?after={}", listed["last_id"].as_str().unwrap());
    let listed: Value = serde_json::from_str(&service.read(&after)).unwrap();
    assert_eq!((listed["data"].as_array().unwrap().len(), &listed["has_more"]), (1, &json!(false)));
}

/// Takes out what differs between two answers to the same question.
fn forget_the_moment(body: &mut Value) {
    match body {
        Value::Object(fields) => {
            for field in ["id", "created", "decision", "usage"] {
                // An item's own id is a number here.
                if fields.get(field).is_some_and(|it| !(field == "id" && it.is_number())) {
                    fields.remove(field);
                }
            }
            fields.values_mut().for_each(forget_the_moment);
        }
        Value::Array(values) => values.iter_mut().for_each(forget_the_moment),
        _ => {}
    }
}

fn a_file_of_the_wrong_form_fails_its_batch_with_line_and_reason(shared: &Shared) {
    let service = Running::start(stored(shared), builtin(), ads());
    let url = "/v1/moderations";
    let good = line("a", url, &json!({ "input": "x" }));
    let many: String =
        (0..102).map(|n| line(&n.to_string(), url, &json!({ "input": [] }))).collect();
    for (text, code, at) in [
        (String::new(), "empty_file", Value::Null),
        (format!("{good}cinnabar\n"), "invalid_json_line", json!(2)),
        (format!("{good}{good}"), "duplicate_custom_id", json!(2)),
        (line("", url, &json!({})), "invalid_custom_id", json!(1)),
        (line("a\u{0}", url, &json!({})), "invalid_custom_id", json!(1)),
        (line("a", "/v1/embeddings", &json!({})), "mismatched_url", json!(1)),
        (good.replace("POST", "GET"), "invalid_method", json!(1)),
        (many, "too_many_faults", json!(101)),
        ("\u{feff}[1]".to_owned(), "invalid_json_line", json!(1)),
    ] {
        let batch = create(&service, &upload(&service, text), url);
        assert_eq!(batch["status"], "failed", "{batch}");
        let error = &batch["errors"]["data"][0];
        assert_eq!((&error["code"], &error["line"]), (&json!(code), &at), "{batch}");
        assert!(!batch.to_string().contains("cinnabar"), "{batch}");
        assert_eq!(ended(&service, &batch)["status"], "failed");
    }
}

fn a_cancelled_batch_says_of_each_request_that_it_was(shared: &Shared) {
    let mut settings = stored(shared);
    // A worker that comes too late: what is cancelled first is never judged.
    settings.jobs.in_flight = 1;
    let service = Running::start(settings, builtin(), ads());
    let url = "/v1/moderations";
    let text: String =
        (0..50).map(|n| line(&n.to_string(), url, &json!({ "input": "x" }))).collect();
    let batch = create(&service, &upload(&service, text), url);
    let cancel = format!("{}/v1/batches/{}/cancel", service.url, id(&batch));
    let refused =
        service.http.post(&cancel).header("origin", "https://evil.example").send().unwrap();
    assert_eq!(refused.status(), 403);
    let cancelling: Value = service.http.post(&cancel).send().unwrap().json().unwrap();
    assert!(["cancelling", "cancelled"].contains(&cancelling["status"].as_str().unwrap()));
    let batch = ended(&service, &batch);
    assert_eq!(batch["status"], "cancelled");
    let counts = &batch["request_counts"];
    assert_eq!(counts["completed"].as_u64().unwrap() + counts["failed"].as_u64().unwrap(), 50);
    let errors = lines(&service, &batch["error_file_id"]);
    let last = &errors["49"];
    assert_eq!(
        (&last["error"]["code"], &last["response"]),
        (&json!("batch_cancelled"), &Value::Null)
    );
}

fn what_has_no_verdict_when_the_window_closes_is_expired(shared: &Shared) {
    let settings = stored(shared);
    let url = settings.store.clone().unwrap();
    let service = Running::start(settings, builtin(), ads());
    // A day ago nobody was there to judge it.
    let batch = json!({ "endpoint": "/v1/moderations", "input_file": "file-x", "window": "24h", "n_lines": 1 });
    let policy = policy::Policy::parse("ads", crate::running::ADS.as_bytes()).unwrap();
    let details =
        json!({ "index": 0, "sampling": store::Sampling::default(), "line": "moderation" });
    let item = store::NewItem {
        custom_id: Some("late".to_owned()),
        policy: policy.reference(),
        content: policy::Content::text("x"),
        details: details.to_string(),
    };
    let job = store::NewJob {
        tenant: "default".to_owned(),
        key: None,
        request_key: None,
        kind: "batch".to_owned(),
        priority: 0,
        deadline_at: Some(store::Millis(1)),
        on_deadline: store::OnDeadline::GiveUp,
        webhook: None,
        notify: store::Notify::End,
        keep_content: false,
        details: json!({ "source": "/v1/batches", "batch": batch }).to_string(),
        items: vec![item],
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let accepted = runtime.block_on(async {
        let store = store::Store::open(&url).await.unwrap();
        let accepted = store.accept(&job).await.unwrap().0;
        store.close().await;
        accepted
    });
    let name = json!({ "id": accepted.as_str().replace("job_", "batch_") });
    let batch = ended(&service, &name);
    assert_eq!(
        (&batch["status"], &batch["request_counts"]["failed"]),
        (&json!("expired"), &json!(1))
    );
    let errors = lines(&service, &batch["error_file_id"]);
    assert_eq!(errors["late"]["error"]["code"], "batch_expired");
}

fn files_come_in_pieces_and_go_and_what_is_no_file_is_refused(shared: &Shared) {
    let mut settings = stored(shared);
    // Files have a limit of their own.
    settings.jobs.file_bytes = 1 << 20;
    settings.limits.body_bytes = 1 << 10;
    let service = Running::start(settings, builtin(), ads());
    let bytes: Vec<u8> = (0..700_000u32).map(|n| (n % 251) as u8).collect();
    let file = upload(&service, bytes.clone());
    assert_eq!((&file["bytes"], &file["filename"]), (&json!(700_000), &json!("in.jsonl")));
    let route = format!("{}/v1/files/{}", service.url, id(&file));
    let content = service.http.get(format!("{route}/content")).send().unwrap().bytes().unwrap();
    assert!(content == bytes);
    let deleted: Value = service.http.delete(&route).send().unwrap().json().unwrap();
    assert_eq!(deleted["deleted"], true);
    assert_eq!(service.http.get(&route).send().unwrap().status(), 404);
    let send = |form: Form| {
        let request = service.http.post(format!("{}/v1/files", service.url)).multipart(form);
        request.send().unwrap().status().as_u16()
    };
    let part = |n: usize| Part::bytes(vec![b'x'; n]).file_name("x");
    assert_eq!(send(Form::new().part("file", part(1)).text("purpose", "batch")), 200, "any order");
    assert_eq!(send(Form::new().text("purpose", "vision").part("file", part(1))), 422);
    assert_eq!(send(Form::new().part("file", part(1))), 422);
    assert_eq!(send(Form::new().text("purpose", "batch")), 422);
    assert_eq!(send(Form::new().text("other", "x")), 422);
    let long = Part::bytes(vec![b'x']).file_name("x".repeat(201));
    assert_eq!(send(Form::new().text("purpose", "batch").part("file", long)), 422);
    assert_eq!(send(Form::new().text("purpose", "batch").part("file", part((1 << 20) + 1))), 413);
    assert_eq!(service.post("/v1/files", &json!({})).status(), 415);
    let form = Form::new().text("purpose", "batch").part("file", part(1));
    let request = service.http.post(format!("{}/v1/files", service.url)).multipart(form);
    assert_eq!(request.header("origin", "https://evil.example").send().unwrap().status(), 403);
    let list: Value = serde_json::from_str(&service.read("/v1/files?purpose=batch")).unwrap();
    assert_eq!(list["data"].as_array().unwrap().len(), 1, "what was refused is not there: {list}");
    for (body, word) in [
        (
            json!({ "input_file_id": "file-x", "endpoint": "/v1/moderations", "completion_window": "24h" }),
            "file",
        ),
        (
            json!({ "input_file_id": "x", "endpoint": "/v1/embeddings", "completion_window": "24h" }),
            "endpoint",
        ),
        (
            json!({ "input_file_id": "x", "endpoint": "/v1/moderations", "completion_window": "1h" }),
            "24h",
        ),
    ] {
        let response = service.post("/v1/batches", &body);
        assert!(response.status().is_client_error());
        assert!(response.text().unwrap().contains(word));
    }
}
