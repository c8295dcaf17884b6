//! `safeguard serve`: settings, policies and judge put together, then the service runs.

mod shipped;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use clap::ValueEnum;
use policy::Policy;
use server::{
    Before, LogFormat, PolicySource, Server, ServerError, ServerSettings, Setup, read_folder,
};

use super::files::read_if_there;
use super::judging::{
    Calibrations, CascadeArgs, Cascaded, JudgeArgs, Lifetime, OpenJudge, Traffic, VotesArgs,
    cascade_page,
};
use super::secret::secret;
use crate::exit::Exit;
use crate::output::{hinted, print_result, report_hint, report_note};

/// Settings that are read where no file is named.
const SETTINGS: &str = "safeguard.toml";
/// The policies that are served where no folder is named.
const POLICIES: &str = "policies";

/// Where decisions are recorded, where nothing is said.
const STORE: &str = "sqlite:safeguard.db";
/// Where the key of a guarded model's server comes from: never from a file or a flag.
const UPSTREAM_KEY: &str = "SAFEGUARD_UPSTREAM_KEY";
/// Likewise, what messages to webhooks are signed with whose request brings no secret.
const WEBHOOK_SECRET: &str = "SAFEGUARD_WEBHOOK_SECRET";

#[cfg(feature = "otel")]
const TRACES_HINT: &str = "the collector's root: endpoint = \"http://127.0.0.1:4318\"";
#[cfg(not(feature = "otel"))]
const TRACES_HINT: &str =
    "`cargo install --path crates/cli --features otel` makes a program that sends traces";

/// Serve verdicts over HTTP, in our shape and in OpenAI's
///
/// Starts with nothing: the built-in model, ./policies or else the policies that come with safeguard, on this
/// machine only. Policies are read again when their files change. Flags go over SAFEGUARD_* in the environment, and
/// these over the table serve of safeguard.toml.
///
/// Exit status: 0 stopped by a signal, 2 could not run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to listen; by default 127.0.0.1:8080
    #[arg(long, value_name = "ADDRESS", env = "SAFEGUARD_LISTEN")]
    listen: Option<SocketAddr>,
    /// The folder of policies: NAME/policy.md or NAME.md; by default ./policies
    #[arg(long, value_name = "DIR", env = "SAFEGUARD_POLICIES")]
    policies: Option<PathBuf>,
    /// The settings; by default ./safeguard.toml, if it is there
    #[arg(long, value_name = "FILE", env = "SAFEGUARD_CONFIG")]
    config: Option<PathBuf>,
    #[arg(
        long,
        value_name = "URL",
        env = "SAFEGUARD_STORE",
        hide_env_values = true,
        help = "Where decisions are recorded: sqlite:FILE or postgres://USER@HOST/DATABASE, or none; by default \
                sqlite:safeguard.db"
    )]
    store: Option<String>,
    /// Serve an address that others can reach without asking for keys
    #[arg(long, env = "SAFEGUARD_OPEN")]
    open: bool,
    /// Keep items, rationale and reasoning in the store too, so that decisions can be replayed
    #[arg(long)]
    keep_content: bool,
    /// How log lines look on stderr
    #[arg(long, value_enum, default_value_t, env = "SAFEGUARD_LOG")]
    log: Log,
    #[command(flatten)]
    cascade: CascadeArgs,
    #[command(flatten)]
    judge: JudgeArgs,
    #[command(flatten)]
    votes: VotesArgs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Log {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

pub(crate) fn run(args: &Args) -> Result<Exit> {
    let settings = settings(args)?;
    let format = match args.log {
        Log::Text => LogFormat::Text,
        Log::Json => LogFormat::Json,
    };
    let _log = server::start_log(format, settings.traces.as_ref()).map_err(advised)?;
    let (source, read) = policies(&settings)?;
    let (open, cascaded) = judge(args, &settings, &read)?;
    let cascaded = cascaded.map(|cascaded| Arc::new(InService(cascaded)));
    let before = cascaded.clone().map(|it| -> Arc<dyn Before> { it });
    let setup = Setup {
        settings,
        engine_info: open.computes_with(),
        scores_directly: open.local.is_some(),
        judge: Arc::from(open.judge),
        judging: args.votes.on(args.judge.settings()),
        model: args.judge.model_name(),
        before,
        policies: source,
        upstream_key: secret(UPSTREAM_KEY)?,
        webhook_secret: secret(WEBHOOK_SECRET)?,
    };
    let server = Server::bind(setup).map_err(advised)?;
    if !(server.address().ip().is_loopback() || server.asks_for_keys()) {
        report_note("whoever reaches this address may use it, until there is a key");
    }
    print_result(&greeting(&server, &args.judge.model_name()))?;
    let ended = server.run().map_err(advised);
    if let Some(cascaded) = cascaded {
        cascaded.0.finish()?;
    }
    ended.map(|()| Exit::Clear)
}

/// Filters, routes and a budget in service.
struct InService(Cascaded);

impl Before for InService {
    fn metrics(&self) -> String {
        cascade_page(&self.0)
    }

    fn tick(&self) -> Result<(), String> {
        self.0.save_if_due().map_err(|error| format!("{error:#}"))
    }
}

fn settings(args: &Args) -> Result<ServerSettings> {
    let file = args.config.as_deref().unwrap_or(Path::new(SETTINGS));
    let text = match (read_if_there(file)?, &args.config) {
        (Some(bytes), _) => String::from_utf8_lossy(&bytes).into_owned(),
        (None, None) => String::new(),
        (None, Some(file)) => anyhow::bail!("{}: there is no such file", file.display()),
    };
    let mut settings = ServerSettings::parse(file, &text)?;
    settings.listen = args.listen.unwrap_or(settings.listen);
    settings.policies = args.policies.clone().or(settings.policies);
    let store = args.store.clone().or(settings.store).unwrap_or_else(|| STORE.to_owned());
    settings.store = Some(store).filter(|store| store != "none");
    settings.open |= args.open;
    settings.keep_content |= args.keep_content;
    Ok(settings)
}

/// A policy with its file, where it has one.
type Read = Vec<(Option<PathBuf>, Policy)>;

fn policies(settings: &ServerSettings) -> Result<(PolicySource, Read)> {
    let usual = PathBuf::from(POLICIES);
    let folder = settings.policies.clone().or_else(|| usual.is_dir().then_some(usual));
    let Some(folder) = folder else {
        report_note("there is no folder of policies: those that come with safeguard are served");
        report_hint("`safeguard policy new` writes one of your own; --policies DIR serves it");
        let shipped = shipped::policies()?;
        let read = shipped.iter().map(|(policy, _)| (None, policy.clone())).collect();
        let files = shipped.into_iter().map(|(policy, bytes)| (policy.name, bytes)).collect();
        return Ok((PolicySource::Fixed(files), read));
    };
    let read = read_folder(&folder).map_err(advised)?;
    let read: Read = read.into_iter().map(|(file, policy)| (Some(file), policy)).collect();
    if read.is_empty() {
        report_note(&format!(
            "{} has no policies yet: requests bring their own until it has",
            folder.display()
        ));
    }
    Ok((PolicySource::Folder(folder), read))
}

fn judge(
    args: &Args,
    settings: &ServerSettings,
    read: &Read,
) -> Result<(OpenJudge, Option<Cascaded>)> {
    let beside =
        read.iter().filter_map(|(file, policy)| file.as_deref().map(|file| (file, policy)));
    let calibrations = Calibrations::beside(beside)?;
    let open = calibrations.over(args.judge.open(Lifetime::Service)?, args.judge.settings().direct);
    let cascade = args.cascade.clone().or(settings.cascade.clone());
    cascade.over(open, read.iter().map(|(_, policy)| policy), Traffic::Live)
}

fn advised(error: ServerError) -> anyhow::Error {
    match &error {
        ServerError::Listen { .. } => hinted(error, "another address: --listen 127.0.0.1:8081"),
        ServerError::Open { .. } => hinted(
            error,
            "`safeguard key create NAME --store URL` makes a key; --open serves without",
        ),
        ServerError::Store(_) => hinted(
            error,
            "a file in this folder: --store sqlite:safeguard.db; nowhere: --store none",
        ),
        ServerError::Traces { .. } => hinted(error, TRACES_HINT),
        ServerError::Folder { .. } => hinted(error, "a folder: --policies DIR"),
        ServerError::Policy(_) => {
            hinted(error, "`safeguard policy lint` says what is wrong with a policy")
        }
        _ => error.into(),
    }
}

/// What is served, and a first request that works.
fn greeting(server: &Server, model: &str) -> String {
    let url = server.url();
    let policies: Vec<String> = server.policies().into_iter().map(|it| it.name).collect();
    let first = policies.first().map_or_else(
        || r##"{"name":"mine","text":"No advertising."}"##.to_owned(),
        |name| format!("\"{name}\""),
    );
    let key = if server.asks_for_keys() { " -H \"authorization: Bearer $KEY\"" } else { "" };
    let insecure = if url.starts_with("https") { " --insecure" } else { "" };
    format!(
        "safeguard serves on {url}\n\
         \x20 judge     {model}\n\
         \x20 policies  {}\n\
         \x20 keys      {}\n\
         \x20 routes    POST /v1/classify, /v1/moderations, /v1/chat/completions; GET /healthz, /readyz, /metrics; all on {url}/docs\n\
         try it:\n\
         \x20 curl{insecure} {url}/v1/classify{key} -H 'content-type: application/json' \\\n\
         \x20   -d '{{\"items\":[\"Buy two, get a five-star review for free!\"],\"policies\":[{first}]}}'\n",
        if policies.is_empty() { "none".to_owned() } else { policies.join(", ") },
        if server.asks_for_keys() { "asked for" } else { "none: whoever reaches it may use it" },
    )
}
