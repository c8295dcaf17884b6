//! What keys may do, and which route needs what: the one table of both.

use std::fmt;
use std::str::FromStr;

use axum::http::Method;

/// Something that a key may do within its tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Have items judged, and appeal.
    Judge,
    /// Read policies and decisions.
    Read,
    /// See the review queue with its reasons, confirm and overturn.
    Review,
    /// Store, activate, shadow and withdraw policies.
    Policies,
    /// All of these.
    Admin,
    /// Read the numbers of the whole service, over all tenants.
    Metrics,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Scope; 6] =
        [Scope::Judge, Scope::Read, Scope::Review, Scope::Policies, Scope::Admin, Scope::Metrics];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Judge => "judge",
            Scope::Read => "read",
            Scope::Review => "review",
            Scope::Policies => "policies",
            Scope::Admin => "admin",
            Scope::Metrics => "metrics",
        }
    }

    /// What a request to this route needs, any of these; none: not even a key. A route that is not named here has
    /// something judged.
    pub(crate) fn needed(method: &Method, path: &str) -> &'static [Scope] {
        let reads = method == Method::GET || method == Method::HEAD;
        match path {
            "/healthz" | "/readyz" | "/openapi.json" | "/docs" | "/$discovery/rest" => &[],
            "/metrics" => &[Scope::Metrics],
            "/v1/decisions/{id}/reviews" if reads => &[Scope::Review],
            // Whoever has items judged may appeal; the handler asks for more where a review is more.
            "/v1/decisions/{id}/reviews" => &[Scope::Judge, Scope::Review],
            _ if path.starts_with("/v1/reviews") => &[Scope::Review],
            _ if path.starts_with("/v1/decisions") => &[Scope::Read],
            _ if path.starts_with("/v1/policies") && reads => &[Scope::Read],
            _ if path.starts_with("/v1/policies") => &[Scope::Policies],
            _ => &[Scope::Judge],
        }
    }

    /// Whether these words grant it.
    pub(super) fn is_in(self, words: &[String]) -> bool {
        let has = |scope: Scope| words.iter().any(|word| word == scope.name());
        match self {
            Scope::Metrics => has(Scope::Metrics),
            scope => has(scope) || has(Scope::Admin),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(word: &str) -> Result<Scope, String> {
        Scope::ALL.into_iter().find(|scope| scope.name() == word).ok_or_else(|| {
            let known = Scope::ALL.map(Scope::name).join(", ");
            format!("there is no scope of that name; there are {known}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_ask_for_what_they_give() {
        let (get, post, put) = (Method::GET, Method::POST, Method::PUT);
        for (method, path, scope) in [
            (&get, "/healthz", &[][..]),
            (&get, "/$discovery/rest", &[]),
            (&get, "/metrics", &[Scope::Metrics]),
            (&post, "/v1/classify", &[Scope::Judge]),
            (&get, "/v1/decisions/{id}", &[Scope::Read]),
            (&post, "/v1/decisions/{id}/reviews", &[Scope::Judge, Scope::Review]),
            (&get, "/v1/decisions/{id}/reviews", &[Scope::Review]),
            (&get, "/v1/reviews/golden", &[Scope::Review]),
            (&get, "/v1/policies/{name}", &[Scope::Read]),
            (&put, "/v1/policies/{name}", &[Scope::Policies]),
            // Jobs and files hold content, which `read` does not give.
            (&get, "/v1/jobs/{id}", &[Scope::Judge]),
            (&get, "/v1/files/{id}/content", &[Scope::Judge]),
            (&post, "/v1/unheard-of", &[Scope::Judge]),
        ] {
            assert_eq!(Scope::needed(method, path), scope, "{method} {path}");
        }
        let admin = ["admin".to_owned()];
        assert!(Scope::Policies.is_in(&admin) && !Scope::Metrics.is_in(&admin));
        assert!(!Scope::Judge.is_in(&["read".to_owned(), "unheard-of".to_owned()]));
    }
}
