//! How servers differ: where the policy goes, and whether a reply format can be asked for.

use reqwest::Url;

use super::wire::Listing;

/// A kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// vLLM.
    Vllm,
    /// llama.cpp's llama-server.
    LlamaServer,
    /// Ollama's OpenAI route.
    Ollama,
    /// LM Studio.
    LmStudio,
    /// `OpenRouter`, and hosts like it.
    OpenRouter,
    /// Anything else.
    Generic,
}

impl Server {
    /// By the address and by who owns the models it lists: vLLM says `vllm`, llama-server `llamacpp`,
    /// Ollama `library`, LM Studio `organization_owner`.
    pub(super) fn of(base: &Url, listing: &Listing) -> Server {
        if base.host_str().is_some_and(|host| host.ends_with("openrouter.ai")) {
            return Server::OpenRouter;
        }
        match listing.owner() {
            Some("vllm") => Server::Vllm,
            Some("llamacpp") => Server::LlamaServer,
            Some("library") => Server::Ollama,
            Some("organization_owner") => Server::LmStudio,
            _ => Server::Generic,
        }
    }

    /// Whose message holds the policy. Servers that render harmony themselves turn a leading system
    /// message into the developer message; those that know both roles get the exact one.
    pub(super) fn policy_role(self) -> &'static str {
        match self {
            Server::Vllm | Server::OpenRouter => "developer",
            Server::LlamaServer | Server::Ollama | Server::LmStudio | Server::Generic => "system",
        }
    }

    /// Whether a reply format binds the final channel alone. Where it is applied to the raw stream it
    /// blocks harmony's control tokens and ruins the reply, so it is not asked for there.
    pub(super) fn binds_final(self) -> bool {
        match self {
            Server::Vllm | Server::LlamaServer | Server::OpenRouter => true,
            Server::Ollama | Server::LmStudio | Server::Generic => false,
        }
    }
}
