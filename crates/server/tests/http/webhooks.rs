//! Webhooks: told at least once, signed, tried again, dead, raised; never where they must not go.

use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use policy::JudgeSettings;
use serde_json::{Value, json};
use server::{Server, Setup};
use sha2::Sha256;

use crate::jobs::stored;
use crate::keyed::{Shared, on_each_store};
use crate::receiver::{Received, Receiver, ok};
use crate::running::{OWN_SECRET, Running, ads, builtin};

on_each_store!(
    outcomes_are_told_signed_as_the_job_has_them,
    what_fails_comes_again_under_its_id_until_it_is_dead_and_can_be_raised,
    a_target_that_became_private_is_told_nothing,
    a_service_may_have_a_webhook_of_its_own_with_a_secret,
);

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn submit(service: &Running, receiver: &Receiver, events: &str) -> Value {
    let webhook = json!({ "url": receiver.url, "secret": SECRET, "events": events });
    let items = json!([{ "id": "a", "text": "Buy now!" }, "hello"]);
    service.ask("/v1/classify", &json!({ "items": items, "mode": "async", "webhook": webhook }))
}

/// As a receiver checks it.
fn check_signature(message: &Received, secret: &str) {
    let base64 = base64::engine::general_purpose::STANDARD;
    let key = base64.decode(secret.trim_start_matches("whsec_")).unwrap();
    let signed =
        format!("{}.{}.{}", message.id(), message.headers["webhook-timestamp"], message.body);
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(signed.as_bytes());
    let signature = base64.encode(mac.finalize().into_bytes());
    assert_eq!(message.headers["webhook-signature"], format!("v1,{signature}"));
}

fn deliveries(service: &Running, query: &str) -> Vec<Value> {
    let page: Value =
        serde_json::from_str(&service.read(&format!("/v1/webhooks/deliveries?{query}"))).unwrap();
    page["deliveries"].as_array().unwrap_or_else(|| panic!("{page}")).clone()
}

fn outcomes_are_told_signed_as_the_job_has_them(shared: &Shared) {
    let service = Running::start(stored(shared), builtin(), ads());
    let receiver = Receiver::start(ok);
    let job = submit(&service, &receiver, "items");
    let messages: Vec<Received> = (0..3).map(|_| receiver.next()).collect();
    messages.iter().for_each(|message| check_signature(message, SECRET));
    let job = service.finished(&job);
    for result in job["results"].as_array().unwrap() {
        let told =
            messages.iter().map(Received::json).find(|it| it["data"]["item"] == result["item"]);
        let told = told.unwrap();
        let mut expected = result.clone();
        expected["job"] = job["id"].clone();
        assert_eq!((&told["type"], &told["data"]), (&json!("item.done"), &expected));
    }
    let ended =
        messages.iter().map(Received::json).find(|it| it["type"] == "job.finished").unwrap();
    assert_eq!((&ended["data"]["id"], &ended["data"]["n_done"]), (&job["id"], &json!(2)));
    let job = submit(&service, &receiver, "end");
    let ended = receiver.next().json();
    assert_eq!((&ended["type"], &ended["data"]["id"]), (&json!("job.finished"), &job["id"]));
    assert!(receiver.next_now().is_none());
}

fn what_fails_comes_again_under_its_id_until_it_is_dead_and_can_be_raised(shared: &Shared) {
    let mut settings = stored(shared);
    (settings.webhooks.first_s, settings.webhooks.longest_s) = (0.01, 0.02);
    settings.webhooks.tries = 3;
    let service = Running::start(settings, builtin(), ads());
    let n = AtomicUsize::new(0);
    let receiver = Receiver::start(move |_| {
        // Three failures kill it; raised, it fails once more and is heard then.
        match n.fetch_add(1, Ordering::SeqCst) {
            0 => "500 Internal Server Error".to_owned(),
            1 => "302 Found\r\nlocation: http://127.0.0.1:9/elsewhere".to_owned(),
            2 | 3 => "410 Gone".to_owned(),
            _ => "200 OK".to_owned(),
        }
    });
    submit(&service, &receiver, "end");
    let ids: Vec<String> = (0..3).map(|_| receiver.next().id().to_owned()).collect();
    let dead = loop {
        if let [dead] = &deliveries(&service, "state=dead")[..] {
            break dead.clone();
        }
    };
    assert!(ids.iter().all(|id| dead["id"] == id.as_str()), "{ids:?} {dead}");
    assert_eq!((&dead["attempts"], &dead["last_error"]), (&json!(3), &json!("HTTP 410")));
    assert!(!dead.to_string().contains("cinnabar"), "queries may hold keys: {dead}");
    let raise = |route: &str| service.http.post(format!("{}{route}", service.url)).send().unwrap();
    assert_eq!(raise(&raise_of(&ids[0])).status(), 202);
    for _ in 0..2 {
        let again = receiver.next();
        assert_eq!(again.id(), ids[0]);
        check_signature(&again, SECRET);
    }
    while deliveries(&service, "state=delivered").is_empty() {}
    assert_eq!(deliveries(&service, "state=dead").len(), 0);
    assert_eq!(raise(&raise_of(&ids[0])).status(), 404, "it is not dead");
    assert_eq!(raise(&raise_of("nonsense")).status(), 404);
    let metrics = service.read("/metrics");
    for line in [
        r#"safeguard_deliveries_total{result="failed"} 3"#,
        r#"safeguard_deliveries_total{result="dead"} 1"#,
        r#"safeguard_deliveries_total{result="delivered"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

fn raise_of(id: &str) -> String {
    format!("/v1/webhooks/deliveries/{id}/redeliver")
}

fn a_target_that_became_private_is_told_nothing(shared: &Shared) {
    let mut settings = stored(shared);
    settings.webhooks.tries = 1;
    let service = Running::start(settings.clone(), builtin(), ads());
    let receiver = Receiver::start(|_| "503 Service Unavailable".to_owned());
    submit(&service, &receiver, "end");
    let first = receiver.next();
    while deliveries(&service, "state=dead").is_empty() {}
    drop(service);
    settings.webhooks.allow_private = false;
    let service = Running::start(settings, builtin(), ads());
    let raise = format!("{}{}", service.url, raise_of(first.id()));
    assert_eq!(service.http.post(raise).send().unwrap().status(), 202);
    loop {
        let dead = deliveries(&service, "state=dead");
        if dead.first().is_some_and(|it| it["attempts"] == 1) {
            assert!(dead[0]["last_error"].as_str().unwrap().contains("allow_private"), "{dead:?}");
            break;
        }
    }
    assert!(receiver.next_now().is_none());
}

fn a_service_may_have_a_webhook_of_its_own_with_a_secret(shared: &Shared) {
    let receiver = Receiver::start(ok);
    let mut settings = stored(shared);
    settings.webhooks.url = Some(receiver.url.clone());
    let service = Running::start(settings.clone(), builtin(), ads());
    let job = service.ask("/v1/classify", &json!({ "items": ["hello"], "mode": "async" }));
    for _ in 0..2 {
        let message = receiver.next();
        check_signature(&message, OWN_SECRET);
        let data = &message.json()["data"];
        assert!([&data["job"], &data["id"]].contains(&&job["id"]), "{data}");
    }
    drop(service);
    let bind = |url: &str, secret: Option<&str>| {
        let mut settings = settings.clone();
        settings.webhooks.url = Some(url.to_owned());
        let bound = Server::bind(Setup {
            settings,
            judge: builtin(),
            judging: JudgeSettings::default(),
            scores_directly: true,
            model: "builtin".to_owned(),
            engine_info: Vec::new(),
            before: None,
            policies: ads(),
            upstream_key: None,
            webhook_secret: secret.map(str::to_owned),
        });
        bound.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(bind(&receiver.url, None).contains("SAFEGUARD_WEBHOOK_SECRET"));
    assert!(bind(&receiver.url, Some("guess")).contains("whsec_"));
    assert!(bind("nowhere", Some(OWN_SECRET)).contains("no URL"));
}
