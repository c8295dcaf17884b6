//! Settings of the routes in the shapes of other services: whose policies they ask, and what their words mean.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::guard::WithoutVerdict;

/// `/beta/litellm_basic_guardrail_api`: a guardrail of LiteLLM.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Litellm {
    /// Policies that judge, as in a request's `policies`; empty: all of the folder.
    pub policies: Vec<String>,
    /// What becomes of a message or reply that could not be judged.
    pub on_undetermined: WithoutVerdict,
}

/// `/predict`, as text-embeddings-inference has it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Predict {
    /// Policies that judge, each a label of the reply; empty: all of the folder.
    pub policies: Vec<String>,
}

/// `/v1alpha1/comments:analyze`, as Perspective had it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Perspective {
    /// From an attribute (`TOXICITY`) to the policies (`harassment`) or labels of policies (`harassment.HA4`) that
    /// it asks; its score is their highest. By default, the attributes that policies which come with safeguard
    /// stand for.
    pub attributes: BTreeMap<String, Vec<String>>,
    /// Languages that requests may name; empty: all.
    pub languages: Vec<String>,
}

impl Default for Perspective {
    fn default() -> Perspective {
        let attributes = [
            ("IDENTITY_ATTACK", vec!["hate"]),
            ("INSULT", vec!["harassment.HA1"]),
            ("SEVERE_TOXICITY", vec!["harassment.HA4", "hate.HS3", "hate.HS4"]),
            ("SPAM", vec!["spam"]),
            ("THREAT", vec!["harassment.HA4", "hate.HS4"]),
            ("TOXICITY", vec!["harassment", "hate"]),
        ];
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        let attributes = attributes.map(|(attribute, names)| (attribute.to_owned(), owned(names)));
        Perspective { attributes: attributes.into(), languages: Vec::new() }
    }
}
