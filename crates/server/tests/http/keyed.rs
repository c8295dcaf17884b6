//! A service over a store, and keys to it.

use policy::{Content, Judge, JudgeSettings, Observer, Outcome, Policy, Side, Verdict};
use reqwest::Method;
use reqwest::blocking::Response;
use serde_json::{Value, json};
use server::{PolicySource, ServerSettings};
use store::{Grants, KeyId, NewKey, Store};
use tokio::runtime::Runtime;

use crate::place::Place;
use crate::running::{Running, settings};

/// Finds a violation where the policy's text has the word `strict`, and nothing elsewhere; undetermined for items
/// that say so.
pub(crate) struct ByTheText;

impl Judge for ByTheText {
    fn identity(&self) -> String {
        "by the text".to_owned()
    }

    fn judge(
        &self,
        policy: &Policy,
        content: &Content,
        _: &JudgeSettings,
        _: &mut dyn Observer,
    ) -> Verdict {
        let cause = policy::Cause::Truncated;
        let none = Verdict::undetermined(cause, "", policy.reference(), "by the text");
        if content.texts().iter().any(|text| text.contains("undetermined")) {
            return none;
        }
        let side = if policy.body.contains("strict") { Side::Violating } else { Side::Safe };
        let label = policy.labels().find(|it| it.1 == side).map(|it| it.0.to_owned());
        let outcome = if side == Side::Violating { Outcome::Violation } else { Outcome::Clear };
        Verdict { outcome, label, ..none }
    }
}

/// A store that a service and a test both open; gone when it is dropped.
pub(crate) struct Shared {
    place: Place,
    runtime: Runtime,
}

/// Makes a test of each case on SQLite, and one on PostgreSQL, which passes where there is none.
macro_rules! on_each_store {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $case() {
                super::$case(&crate::keyed::Shared::new());
            })*
        }

        mod postgres {
            $(#[test]
            fn $case() {
                if let Some(shared) = crate::keyed::Shared::postgres() {
                    super::$case(&shared);
                }
            })*
        }
    };
}
pub(crate) use on_each_store;

impl Shared {
    /// In an SQLite file.
    pub(crate) fn new() -> Shared {
        let runtime = Runtime::new().unwrap();
        Shared { place: runtime.block_on(Place::sqlite()), runtime }
    }

    /// In a database of its own.
    pub(crate) fn postgres() -> Option<Shared> {
        let runtime = Runtime::new().unwrap();
        let place = runtime.block_on(Place::postgres())?;
        Some(Shared { place, runtime })
    }

    pub(crate) fn url(&self) -> String {
        self.place.url.clone()
    }

    pub(crate) fn settings(&self) -> ServerSettings {
        ServerSettings { store: Some(self.url()), ..settings() }
    }

    pub(crate) fn start(&self, policies: PolicySource) -> Running {
        Running::start(self.settings(), std::sync::Arc::new(ByTheText), policies)
    }

    /// Runs statements behind the service's back.
    pub(crate) fn tamper(&self, statements: &str) {
        self.runtime.block_on(self.place.tamper(statements));
    }

    /// A key of a tenant: its id and its secret.
    pub(crate) fn key(&self, tenant: &str, scopes: &[&str], more: Grants) -> (KeyId, String) {
        let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        let new = NewKey {
            tenant: tenant.to_owned(),
            name: "test".to_owned(),
            grants: Grants { scopes, ..more },
            expires_at: None,
        };
        self.runtime.block_on(async {
            let store = Store::open(&self.url()).await.unwrap();
            let (key, secret) = store.create_key(&new).await.unwrap();
            store.close().await;
            (key.id, secret.reveal().to_owned())
        })
    }

    pub(crate) fn secret(&self, tenant: &str, scopes: &[&str]) -> String {
        self.key(tenant, scopes, Grants::default()).1
    }

    pub(crate) fn revoke(&self, id: &KeyId) {
        self.runtime.block_on(async {
            let store = Store::open(&self.url()).await.unwrap();
            store.revoke_key(None, id).await.unwrap();
            store.close().await;
        });
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.runtime.block_on(self.place.remove());
    }
}

/// Somebody with a key, or without.
pub(crate) struct As<'a>(pub(crate) &'a Running, pub(crate) &'a str);

impl As<'_> {
    pub(crate) fn send(&self, method: Method, route: &str, body: Option<&Value>) -> Response {
        let request = self.0.http.request(method, format!("{}{route}", self.0.url));
        let request = if self.1.is_empty() { request } else { request.bearer_auth(self.1) };
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        request.send().unwrap()
    }

    /// Status and body.
    pub(crate) fn ask(&self, method: Method, route: &str, body: Option<&Value>) -> (u16, Value) {
        let response = self.send(method, route, body);
        let status = response.status().as_u16();
        let text = response.text().unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub(crate) fn get(&self, route: &str) -> (u16, Value) {
        self.ask(Method::GET, route, None)
    }

    pub(crate) fn post(&self, route: &str, body: &Value) -> (u16, Value) {
        self.ask(Method::POST, route, Some(body))
    }

    pub(crate) fn delete(&self, route: &str) -> (u16, Value) {
        self.ask(Method::DELETE, route, None)
    }

    pub(crate) fn classify(&self, items: &[&str], policies: &[&str]) -> (u16, Value) {
        self.post("/v1/classify", &json!({ "items": items, "policies": policies }))
    }

    /// Stores a version that the linter has nothing against; its id.
    pub(crate) fn store(&self, name: &str, text: &str) -> Value {
        let (status, stored) = self.put(name, text);
        assert_eq!(status, 200, "{stored}");
        stored["id"].clone()
    }

    /// Stores a version; status and body.
    pub(crate) fn put(&self, name: &str, text: &str) -> (u16, Value) {
        let request = self.0.http.put(format!("{}/v1/policies/{name}", self.0.url));
        let request = if self.1.is_empty() { request } else { request.bearer_auth(self.1) };
        let request = request.header("content-type", "text/markdown").body(text.to_owned());
        let response = request.send().unwrap();
        (response.status().as_u16(), response.json().unwrap())
    }
}
