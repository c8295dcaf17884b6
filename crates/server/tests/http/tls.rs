//! https with a certificate of one's own.

use std::fs;

use server::Tls;

use crate::running::{Running, ads, builtin, settings};

#[test]
fn https_is_spoken_and_http_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut settings = settings();
    settings.tls = Some(Tls { cert: cert.clone(), key });
    let service = Running::start(settings, builtin(), ads());
    assert!(service.url.starts_with("https://"));
    let root = reqwest::Certificate::from_pem(&fs::read(&cert).unwrap()).unwrap();
    let client = reqwest::blocking::Client::builder().no_proxy().tls_certs_only([root]);
    let client = client.build().unwrap();
    let answer = client.get(format!("{}/healthz", service.url)).send().unwrap();
    assert!(answer.status().is_success());
    let plain = service.url.replace("https", "http");
    assert!(client.get(format!("{plain}/healthz")).send().is_err());
}
