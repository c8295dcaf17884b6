//! `GET /v1/models`: which models a server has, and what that says about the server.

use serde::Deserialize;

use super::error::RemoteError;

/// Most names that a message shows.
const MAX_SHOWN: usize = 8;
/// Most characters of a name that a message shows.
const MAX_NAME: usize = 80;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Listing {
    /// Ollama says `null` when it has none.
    data: Option<Vec<Listed>>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    id: String,
    owned_by: Option<String>,
    /// vLLM: where the weights come from, whatever name they are served under.
    root: Option<String>,
}

/// The model that judges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Served {
    /// Its name on the server.
    pub(super) name: String,
    /// Whether it is a gpt-oss model, as far as names tell.
    pub(super) is_gpt_oss: bool,
}

impl Served {
    /// A model that no listing tells about.
    pub(super) fn named(name: &str) -> Served {
        Served { name: name.to_owned(), is_gpt_oss: is_gpt_oss(name) }
    }

    fn listed(listed: &Listed) -> Served {
        let is_gpt_oss = is_gpt_oss(&listed.id) || listed.root.as_deref().is_some_and(is_gpt_oss);
        Served { name: listed.id.clone(), is_gpt_oss }
    }
}

impl Listing {
    /// The model asked for; else the only one, or the only gpt-oss-safeguard.
    pub(super) fn choose(&self, asked: Option<&str>, host: &str) -> Result<Served, RemoteError> {
        let host = host.to_owned();
        if let Some(asked) = asked {
            let found = self.models().iter().find(|listed| is_meant(&listed.id, asked));
            return match found {
                // A variant keeps the name that was asked for.
                Some(listed) => Ok(Served { name: asked.to_owned(), ..Served::listed(listed) }),
                None => Err(RemoteError::UnknownModel {
                    host,
                    model: shown(asked),
                    known: self.known(),
                }),
            };
        }
        let mut guards =
            self.models().iter().filter(|listed| listed.id.contains("gpt-oss-safeguard"));
        match (self.models(), guards.next(), guards.next()) {
            ([], ..) => Err(RemoteError::NoModels { host }),
            ([only], ..) | (_, Some(only), None) => Ok(Served::listed(only)),
            _ => Err(RemoteError::WhichModel { host, known: self.known() }),
        }
    }

    pub(super) fn is_owned_by(&self, owner: &str) -> bool {
        self.models().iter().any(|listed| listed.owned_by.as_deref() == Some(owner))
    }

    fn models(&self) -> &[Listed] {
        self.data.as_deref().unwrap_or_default()
    }

    /// The first names, for a message.
    fn known(&self) -> String {
        let names: Vec<String> =
            self.models().iter().take(MAX_SHOWN).map(|listed| shown(&listed.id)).collect();
        match self.models().len().checked_sub(MAX_SHOWN) {
            _ if names.is_empty() => "none".to_owned(),
            None | Some(0) => names.join(", "),
            Some(n_more) => format!("{} and {n_more} more", names.join(", ")),
        }
    }
}

/// `gpt-oss-safeguard` is `gpt-oss-safeguard:latest` on Ollama; `openai/x:nitro` is a variant of `openai/x` on
/// `OpenRouter`.
fn is_meant(listed: &str, asked: &str) -> bool {
    let base = |name: &str| name.split(':').next().map(str::to_owned);
    listed == asked
        || listed.strip_suffix(":latest") == Some(asked)
        || (!listed.contains(':') && base(asked).as_deref() == Some(listed))
}

fn is_gpt_oss(name: &str) -> bool {
    name.to_ascii_lowercase().contains("gpt-oss")
}

/// A name without what could move a terminal's cursor.
fn shown(name: &str) -> String {
    name.chars().filter(|letter| !letter.is_control()).take(MAX_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(ids: &[&str]) -> Listing {
        let data: Vec<_> = ids.iter().map(|id| serde_json::json!({ "id": id })).collect();
        serde_json::from_value(serde_json::json!({ "data": data })).unwrap()
    }

    fn chosen(ids: &[&str], asked: Option<&str>) -> Result<String, RemoteError> {
        listing(ids).choose(asked, "h").map(|served| served.name)
    }

    #[test]
    fn the_model_is_the_one_that_is_meant() {
        let guard = "gpt-oss-safeguard:20b";
        for (ids, asked, expected) in [
            (&["m"][..], None, "m"),
            (&["bge-m3", guard, "qwen3:8b"], None, guard),
            (&["a", "b"], Some("b"), "b"),
            (&["x:latest"], Some("x"), "x"),
            (&["openai/x"], Some("openai/x:nitro"), "openai/x:nitro"),
        ] {
            assert_eq!(chosen(ids, asked).unwrap(), expected, "{ids:?} {asked:?}");
        }
    }

    #[test]
    fn no_model_is_taken_by_chance() {
        let many: Vec<String> = (0..10).map(|at| format!("m{at}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for (ids, asked, expected) in [
            (&[][..], None, "h lists no models"),
            (&[], Some("m"), "h has no model \"m\"; it has none"),
            (&["a", "b"], None, "h has many models (a, b); one must be named"),
            (&["gpt-oss-safeguard-20b", "gpt-oss-safeguard-120b"], None, "one must be named"),
            (&["x:8b"], Some("x:4b"), "h has no model \"x:4b\"; it has x:8b"),
            (
                &many,
                Some("\u{1b}x"),
                "no model \"x\"; it has m0, m1, m2, m3, m4, m5, m6, m7 and 2 more",
            ),
        ] {
            let error = chosen(ids, asked).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
        let none: Listing = serde_json::from_str(r#"{"object":"list","data":null}"#).unwrap();
        assert!(matches!(none.choose(None, "h"), Err(RemoteError::NoModels { .. })));
    }

    #[test]
    fn a_served_name_does_not_hide_the_weights() {
        let text =
            r#"{"data":[{"id":"m","owned_by":"vllm","root":"openai/gpt-oss-safeguard-20b"}]}"#;
        let listing: Listing = serde_json::from_str(text).unwrap();
        assert!(listing.choose(None, "h").unwrap().is_gpt_oss && listing.is_owned_by("vllm"));
        assert!(!Served::named("qwen3").is_gpt_oss && Served::named("GPT-OSS").is_gpt_oss);
    }
}
