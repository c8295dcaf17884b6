//! The service's life: bound, run, stopped.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum_server::Handle;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::RustlsConfig;
use policy::{Judge, JudgeSettings, PolicyRef};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::api::{self, App};
use crate::door::Door;
use crate::error::ServerError;
use crate::guard::Guard;
use crate::jobs::{Crew, Jobs, Phase};
use crate::metrics::Metrics;
use crate::pool::Pool;
use crate::recorder::Recorder;
use crate::settings::{ServerSettings, Tls, duration};
use crate::shadow::Shadows;
use crate::shelf::{PolicySource, Shelf};
use crate::signals;
use crate::stored::StoredPolicies;
use crate::webhooks::Webhooks;

/// How often policies and keys are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Time for tasks that are left when the service ends.
const LAST_TASKS: Duration = Duration::from_secs(1);

/// What a service is made of.
pub struct Setup {
    /// How it runs.
    pub settings: ServerSettings,
    /// Who judges.
    pub judge: Arc<dyn Judge>,
    /// How, unless a request says otherwise.
    pub judging: JudgeSettings,
    /// Whether it can score without reasoning: a model in this process can, one behind a chat server cannot.
    pub scores_directly: bool,
    /// The judge's model, by the name that people know.
    pub model: String,
    /// What it computes with, by label, for `/metrics`; nothing where another server does.
    pub engine_info: Vec<(&'static str, String)>,
    /// What stands before it.
    pub before: Option<Arc<dyn Before>>,
    /// By what.
    pub policies: PolicySource,
    /// The key of the guarded model's server; unset: callers bring their own.
    pub upstream_key: Option<String>,
    /// What messages to webhooks are signed with whose request brings no secret: `whsec_…`.
    pub webhook_secret: Option<String>,
}

/// What stands before the judge, as far as the service has to do with it.
pub trait Before: Send + Sync {
    /// Its metrics, as Prometheus' text.
    fn metrics(&self) -> String;

    /// Called every second on a thread that may block: time to save what must be kept. The error is for the log.
    ///
    /// # Errors
    /// What could not be saved, and why.
    fn tick(&self) -> Result<(), String>;
}

/// A service that has its address and is not running yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    app: Arc<App>,
    runtime: Runtime,
    stop: watch::Sender<bool>,
}

/// Stops a running service from elsewhere.
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// As a signal does: what is under way may finish.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Server {
    /// Reads the policies, starts the judges' threads and takes the address. A signal that comes from now on stops
    /// [`Server::run`].
    ///
    /// # Errors
    /// [`ServerError`] for whatever of these cannot be done; [`ServerError::Open`] where others could reach a
    /// service without keys, unless the settings want that.
    pub fn bind(setup: Setup) -> Result<Server, ServerError> {
        let Setup { settings, judge, judging, scores_directly, .. } = setup;
        let Setup { model, engine_info, before, policies, .. } = setup;
        settings.check()?;
        let metrics = Arc::new(Metrics::new(engine_info));
        let shelf = Shelf::open(policies)?;
        metrics.set_policies(shelf.folder().policies.len(), 0);
        let limits = &settings.limits;
        let identity = judge.identity();
        let pool = Pool::start(judge, Arc::clone(&metrics), limits.queue, limits.in_flight)?;
        let pool = Arc::new(pool);
        let listening = |source| ServerError::Listen { address: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).map_err(listening)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let guard = settings.guard.clone().map(|it| Guard::new(it, setup.upstream_key.as_deref()));
        let guard = guard.transpose()?.map(Arc::new);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let stop = watch::Sender::new(false);
        signals::listen(&runtime, &stop)?;
        let store = settings.store.as_deref();
        let store = store.map(|url| runtime.block_on(store::Store::open(url))).transpose()?;
        let door = runtime.block_on(Door::open(store.clone()))?;
        if !(door.is_locked() || settings.open || address.ip().is_loopback()) {
            return Err(ServerError::Open { address });
        }
        let stored = Arc::new(StoredPolicies::new(store.clone()));
        let recorder = store.map(|it| Arc::new(Recorder::new(it, settings.keep_content, identity)));
        let shadows = recorder.as_ref().map(|recorder| {
            let (stored, pool) = (Arc::clone(&stored), Arc::clone(&pool));
            let (recorder, metrics) = (Arc::clone(recorder), Arc::clone(&metrics));
            Arc::new(Shadows::new(settings.shadow, stored, pool, recorder, metrics))
        });
        let jobs = Jobs::new(Webhooks::new(settings.webhooks.clone(), setup.webhook_secret)?);
        let is_stopping = AtomicBool::new(false);
        let app = Arc::new(App {
            settings,
            judging,
            scores_directly,
            model,
            door,
            shelf,
            stored,
            pool,
            metrics,
            guard,
            before,
            recorder,
            jobs,
            shadows,
            is_stopping,
        });
        Ok(Server { listener, address, app, runtime, stop })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its root, as clients write it.
    pub fn url(&self) -> String {
        let scheme = if self.app.settings.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Whether callers need a key.
    pub fn asks_for_keys(&self) -> bool {
        self.app.door.is_locked()
    }

    /// The policies in service.
    pub fn policies(&self) -> Vec<PolicyRef> {
        self.app.shelf.folder().policies.values().map(|policy| policy.reference()).collect()
    }

    /// Stops it from elsewhere.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.stop.clone())
    }

    /// Serves until SIGINT, SIGTERM or a [`Stopper`]; then takes no more connections, and gives requests under
    /// way their time. A second signal ends it at once.
    ///
    /// # Errors
    /// [`ServerError::Tls`], [`ServerError::Origin`], [`ServerError::Run`].
    pub fn run(self) -> Result<(), ServerError> {
        let Server { listener, app, stop, runtime, .. } = self;
        let ended = run_on(&runtime, listener, Arc::clone(&app), stop);
        if let Some(recorder) = &app.recorder {
            runtime.block_on(recorder.store.close());
        }
        runtime.shutdown_timeout(LAST_TASKS);
        ended
    }
}

fn run_on(
    runtime: &Runtime,
    listener: TcpListener,
    app: Arc<App>,
    stop: watch::Sender<bool>,
) -> Result<(), ServerError> {
    let router = api::router(Arc::clone(&app))?.into_make_service();
    let patience = duration(app.settings.limits.read_s);
    let handle = Handle::new();
    runtime.block_on(async {
        let (phase, phases) = watch::channel(Phase::Open);
        let crew = Crew::start(&app, &phases);
        tokio::spawn(follow(Arc::clone(&app)));
        tokio::spawn(end_gently(Arc::clone(&app), stop, phase, handle.clone()));
        // A piece of a reply leaves at once, not when its reader has said that the piece before it came.
        let at_once = NoDelayAcceptor::new();
        match &app.settings.tls {
            None => {
                let server = axum_server::from_tcp(listener)?.acceptor(at_once).handle(handle);
                server.first_request_timeout(patience).serve(router).await?;
            }
            Some(tls) => {
                let config = certificate(tls).await?;
                let server = axum_server::from_tcp_rustls(listener, config)?.handle(handle);
                let server = server.map(|acceptor| acceptor.acceptor(at_once));
                server.first_request_timeout(patience).serve(router).await?;
            }
        }
        crew.finish().await;
        app.pool.close();
        Ok(())
    })
}

async fn certificate(tls: &Tls) -> Result<RustlsConfig, ServerError> {
    // Another part of this program may have chosen the same provider before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    RustlsConfig::from_pem_file(&tls.cert, &tls.key).await.map_err(|source| ServerError::Tls {
        cert: tls.cert.clone(),
        key: tls.key.clone(),
        source,
    })
}

/// Looks at the folder of policies, the store's and the keys again and again.
async fn follow(app: Arc<App>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let reading = Arc::clone(&app);
        let look = tokio::task::spawn_blocking(move || {
            if let Some(Err(problem)) = reading.before.as_ref().map(|before| before.tick()) {
                tracing::error!("an audit cannot be saved: {problem}");
            }
            reading.shelf.look_again()
        });
        app.door.look_again().await;
        app.stored.look_again().await;
        // A look that panicked changed nothing; the next one tells.
        let Ok(changes) = look.await else { continue };
        for policy in &changes.loaded {
            tracing::info!(policy = policy.name, version = &policy.id.0[..12], "policy in service");
        }
        for name in &changes.removed {
            tracing::warn!(policy = name, "policy out of service: its file is gone");
        }
        for fault in &changes.faults {
            let kept = fault.is_served;
            tracing::error!(last_good_version_kept = kept, "policy cannot be served: {fault}");
        }
        let served = app.shelf.folder();
        app.metrics.set_policies(served.policies.len(), served.faults.len());
    }
}

async fn end_gently(
    app: Arc<App>,
    stop: watch::Sender<bool>,
    phase: watch::Sender<Phase>,
    handle: Handle<SocketAddr>,
) {
    asked_to_stop(&stop).await;
    app.is_stopping.store(true, Ordering::Relaxed);
    phase.send_replace(Phase::Finishing);
    tracing::info!("stopping: requests under way may finish");
    handle.graceful_shutdown(Some(duration(app.settings.limits.shutdown_s)));
    stop.send_replace(false);
    asked_to_stop(&stop).await;
    phase.send_replace(Phase::Ending);
    handle.shutdown();
}

/// Waits for a signal or a [`Stopper`].
async fn asked_to_stop(stop: &watch::Sender<bool>) {
    // The sender is there as long as its borrow.
    let _ = stop.subscribe().wait_for(|&stops| stops).await;
}
