//! A service on a port of its own, stopped when it is dropped.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use engine::{Engine, EngineSettings};
use model::Model;
use policy::{Judge, JudgeSettings};
use reasoner::LocalJudge;
use reqwest::blocking::{Client, Response};
use serde_json::Value;
use server::{PolicySource, Server, ServerSettings, Setup, Stopper};

pub(crate) const ADS: &str = "## VIOLATES\n- AD1 advertising\n\n## SAFE\n- AD0.a anything else\n";

/// What a service signs with that tells a webhook of its own.
pub(crate) const OWN_SECRET: &str = "whsec_c2FmZWd1YXJkIHNpZ25zIHdpdGggdGhpcyBpbiB0ZXN0cw==";

pub(crate) struct Running {
    pub(crate) url: String,
    pub(crate) http: Client,
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

/// The built-in model, loaded once for all tests.
pub(crate) fn builtin() -> Arc<dyn Judge> {
    static JUDGE: OnceLock<Arc<LocalJudge>> = OnceLock::new();
    let judge = JUDGE.get_or_init(|| {
        let settings = EngineSettings { kv_bytes: 256 << 20, ..EngineSettings::default() };
        let model = Arc::new(Model::builtin().expect("it is inside"));
        Arc::new(LocalJudge::new(Engine::start(model, settings).expect("the settings hold")))
    });
    Arc::<LocalJudge>::clone(judge)
}

pub(crate) fn ads() -> PolicySource {
    PolicySource::Fixed(vec![("ads".to_owned(), ADS.as_bytes().to_vec())])
}

/// Settings that leave the port to the system.
pub(crate) fn settings() -> ServerSettings {
    ServerSettings { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..ServerSettings::default() }
}

/// How a judge is asked, unless the test says otherwise.
pub(crate) fn judging() -> JudgeSettings {
    JudgeSettings { max_analysis_tokens: Some(24), seed: Some(1), ..JudgeSettings::default() }
}

pub(crate) fn start() -> Running {
    Running::start(settings(), builtin(), ads())
}

/// What a service is made of, unless the test says otherwise.
pub(crate) fn setup(
    settings: ServerSettings,
    judge: Arc<dyn Judge>,
    policies: PolicySource,
    judging: JudgeSettings,
) -> Setup {
    let webhook_secret = settings.webhooks.url.as_ref().map(|_| OWN_SECRET.to_owned());
    Setup {
        settings,
        judge,
        judging,
        scores_directly: true,
        model: "builtin".to_owned(),
        engine_info: Vec::new(),
        before: None,
        policies,
        upstream_key: None,
        webhook_secret,
    }
}

impl Running {
    pub(crate) fn start(
        settings: ServerSettings,
        judge: Arc<dyn Judge>,
        policies: PolicySource,
    ) -> Running {
        Running::start_judging(settings, judge, policies, judging())
    }

    /// With settings of the judge.
    pub(crate) fn start_judging(
        settings: ServerSettings,
        judge: Arc<dyn Judge>,
        policies: PolicySource,
        judging: JudgeSettings,
    ) -> Running {
        Running::start_on(setup(settings, judge, policies, judging))
    }

    /// With everything as the test says.
    pub(crate) fn start_on(setup: Setup) -> Running {
        let server = Server::bind(setup).expect("it binds");
        let (url, stopper) = (server.url(), server.stopper());
        let thread = std::thread::spawn(move || server.run().expect("it runs"));
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().no_proxy().build().expect("a client");
        Running { url, http, stopper, thread: Some(thread) }
    }

    pub(crate) fn post(&self, route: &str, body: &Value) -> Response {
        let url = format!("{}{route}", self.url);
        self.http.post(url).json(body).send().expect("an answer")
    }

    /// The answer to a request that succeeds.
    pub(crate) fn ask(&self, route: &str, body: &Value) -> Value {
        let response = self.post(route, body);
        let status = response.status();
        let text = response.text().expect("a body");
        assert!(status.is_success(), "{route}: {status}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    pub(crate) fn read(&self, route: &str) -> String {
        let response = self.http.get(format!("{}{route}", self.url)).send().expect("an answer");
        response.text().expect("a body")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopper.stop();
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(ended.is_some_and(|it| it.is_ok()), "the service ended well");
        }
    }
}
