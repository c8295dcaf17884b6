//! How servers differ: where the policy goes, and whether a reply format can be asked for.

use super::address::Address;
use super::extras::{Extra, Extras};
use super::listing::{Listing, Served};

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
    pub(super) fn of(address: &Address, listing: &Listing) -> Server {
        if address.is_below("openrouter.ai") {
            return Server::OpenRouter;
        }
        [
            ("vllm", Server::Vllm),
            ("llamacpp", Server::LlamaServer),
            ("library", Server::Ollama),
            ("organization_owner", Server::LmStudio),
        ]
        .into_iter()
        .find(|(owner, _)| listing.is_owned_by(owner))
        .map_or(Server::Generic, |(_, server)| server)
    }

    /// What such a server is asked for at first.
    pub(super) fn extras(self, model: &Served) -> Extras {
        let mut extras = Extras::USUAL;
        if self.knows_developer(model) {
            extras = extras.with(Extra::DeveloperRole);
        }
        if self.binds_final() {
            extras = extras.with(Extra::ResponseFormat);
        }
        if matches!(self, Server::Vllm | Server::LlamaServer) {
            extras = extras.with(Extra::Sides);
        }
        extras
    }

    /// Whether the policy belongs in a developer message. Older vLLM makes a second harmony system message of a
    /// system message, where a policy does not belong. The other servers make the developer message of
    /// it, and templates of other models know no developer and leave that message out.
    fn knows_developer(self, model: &Served) -> bool {
        matches!(self, Server::Vllm | Server::OpenRouter) && model.is_gpt_oss
    }

    /// Whether a reply format binds the final channel alone. Where it is applied to the raw stream it
    /// blocks harmony's control tokens and ruins the reply, so it is not asked for there.
    fn binds_final(self) -> bool {
        match self {
            Server::Vllm | Server::LlamaServer | Server::OpenRouter => true,
            Server::Ollama | Server::LmStudio | Server::Generic => false,
        }
    }
}
