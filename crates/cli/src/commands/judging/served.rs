//! A chat server as the judge: its flags, its key, and advice when it cannot be reached.

use anyhow::Result;
use clap::ValueEnum;
use reasoner::remote::{RemoteError, RemoteJudge, RemoteSettings, Server};

use crate::commands::secret::secret;
use crate::output::hinted;

/// Where the key of a server comes from: never from a flag, which every user of the machine can read.
const KEY_VAR: &str = "SAFEGUARD_API_KEY";
/// The same for the bigger model behind the usual one: each server gets its own key and no other.
const BIGGER_KEY_VAR: &str = "SAFEGUARD_BIGGER_API_KEY";

/// What is to be known about a chat server.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ServerArgs {
    /// With a URL: which of the server's models judges; by default its only one
    #[arg(long, value_name = "NAME")]
    served_model: Option<String>,
    // Help is plain text, so a name in it needs no marks.
    #[arg(
        long,
        value_enum,
        value_name = "KIND",
        help = "With a URL: what the server is, where it is not recognised; its key comes from SAFEGUARD_API_KEY"
    )]
    server: Option<Kind>,
    /// Which variable has the key.
    #[arg(skip = KEY_VAR)]
    key_variable: &'static str,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// vLLM
    Vllm,
    /// llama.cpp's llama-server
    LlamaServer,
    /// Ollama
    Ollama,
    /// LM Studio
    LmStudio,
    /// OpenRouter, or a host like it
    #[value(name = "openrouter")]
    OpenRouter,
    /// Anything else
    Generic,
}

impl ServerArgs {
    /// Of the bigger model: as with `--served-model` alone, and with a key of its own.
    pub(super) fn of_bigger(served_model: Option<String>) -> ServerArgs {
        ServerArgs { served_model, server: None, key_variable: BIGGER_KEY_VAR }
    }

    /// Whether any of the flags was given.
    pub(super) fn is_given(&self) -> bool {
        self.served_model.is_some() || self.server.is_some()
    }

    /// Reaches the server.
    pub(super) fn connect(&self, url: &str) -> Result<RemoteJudge> {
        let settings = RemoteSettings {
            api_key: secret(self.key_variable)?,
            model: self.served_model.clone(),
            server: self.server.map(Kind::server),
            ..RemoteSettings::default()
        };
        RemoteJudge::connect(url, &settings).map_err(|error| {
            let has_key = settings.api_key.is_some();
            match hint(&error, has_key) {
                Some(hint) => hinted(error, hint.replace(KEY_VAR, self.key_variable)),
                None => error.into(),
            }
        })
    }
}

impl Kind {
    fn server(self) -> Server {
        match self {
            Kind::Vllm => Server::Vllm,
            Kind::LlamaServer => Server::LlamaServer,
            Kind::Ollama => Server::Ollama,
            Kind::LmStudio => Server::LmStudio,
            Kind::OpenRouter => Server::OpenRouter,
            Kind::Generic => Server::Generic,
        }
    }
}

fn hint(error: &RemoteError, has_key: bool) -> Option<&'static str> {
    Some(match error {
        RemoteError::Url { .. } => {
            "write it like http://127.0.0.1:8000; a key belongs in SAFEGUARD_API_KEY"
        }
        RemoteError::Key => "look at SAFEGUARD_API_KEY",
        RemoteError::Tls { .. } => "are the system's certificates (ca-certificates) installed?",
        RemoteError::Unreachable { .. } => "is the server started, and is the port right?",
        RemoteError::Unauthorised { .. } if has_key => "is the key in SAFEGUARD_API_KEY right?",
        RemoteError::Unauthorised { .. } => "put the server's key into SAFEGUARD_API_KEY",
        RemoteError::UnknownModel { .. } | RemoteError::WhichModel { .. } => {
            "name one of them with --served-model"
        }
        RemoteError::NoModels { .. } => {
            "load a model into the server first, such as gpt-oss-safeguard-20b"
        }
        RemoteError::Status { status: 300..400, .. } => "give the address that it redirects to",
        RemoteError::Status { status: 404 | 405, .. } | RemoteError::Form { .. } => {
            "is it the address of an OpenAI-compatible server? A path before /v1 belongs to it, such as \
             https://openrouter.ai/api"
        }
        RemoteError::Busy { .. } | RemoteError::Status { .. } | RemoteError::Timeout => {
            "the server has trouble, or still loads its model; try again later"
        }
        _ => return None,
    })
}
