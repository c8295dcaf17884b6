//! Who may call from a web page, and how long a caller may take.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use reqwest::Method;
use server::{Cors, Limits, ServerSettings};

use crate::keyed::{As, ByTheText, Shared};
use crate::running::{Running, ads, builtin, settings};

const PAGE: &str = "https://example.org";

/// What a browser asks before a page may call; the allowed origin, if any.
fn preflight(service: &Running, origin: &str) -> Option<String> {
    let request = service.http.request(Method::OPTIONS, format!("{}/v1/policies/a", service.url));
    let request = request.header("origin", origin).header("access-control-request-method", "PUT");
    let request = request.header("access-control-request-headers", "authorization,content-type");
    let answer = request.send().unwrap();
    let allowed = answer.headers().get("access-control-allow-origin");
    allowed.map(|origin| origin.to_str().unwrap().to_owned())
}

#[test]
fn web_pages_may_call_where_the_settings_name_them_and_with_a_key() {
    let shared = Shared::new();
    shared.secret("default", &["judge"]);
    let cors = Cors { origins: vec![PAGE.to_owned()] };
    let named = ServerSettings { cors, ..shared.settings() };
    let service = Running::start(named, Arc::new(ByTheText), ads());
    assert_eq!(preflight(&service, PAGE).as_deref(), Some(PAGE), "a preflight has no key");
    assert_eq!(preflight(&service, "https://example.com"), None);
    assert_eq!(As(&service, "").classify(&["x"], &["ads"]).0, 401, "the call itself needs one");
    let closed = shared.start(ads());
    assert_eq!(preflight(&closed, PAGE), None, "by default no page may");
}

#[test]
fn who_sends_nothing_for_too_long_is_let_go() {
    let limits = Limits { read_s: 0.3, ..Limits::default() };
    let service = Running::start(ServerSettings { limits, ..settings() }, builtin(), ads());
    let host = service.url.strip_prefix("http://").unwrap();
    let body = "POST /v1/classify HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    for (begun, answer) in [("POST /v1/cl", ""), (body, "HTTP/1.1 400")] {
        let mut connection = TcpStream::connect(host).unwrap();
        connection.write_all(begun.as_bytes()).unwrap();
        let mut read = Vec::new();
        // It ends because the service ends it; without that this test would not.
        let _ = connection.read_to_end(&mut read);
        assert!(String::from_utf8_lossy(&read).starts_with(answer), "{begun}");
    }
    assert_eq!(service.read("/healthz"), r#"{"status":"ok"}"#);
}
