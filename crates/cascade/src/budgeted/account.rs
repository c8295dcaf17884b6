//! What all judges within one budget share: they ask it before every item, and settle what each one took.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use policy::{Cause, Observer, Verdict};

use crate::budget::{
    Budget, BudgetSettings, Decision, Event, Grant, Happening, Item, Standing, Step, Unit,
};
use crate::error::CascadeError;
use crate::judge::locked;

/// What the host spent since it was asked last, in the limit's unit; `None` where it cannot be told now.
pub type HostMeter = Box<dyn FnMut() -> Option<f64> + Send>;

/// Hears of rungs and of a silent host: what is given up item by item is counted instead.
pub type Listener = Box<dyn Fn(&Event) + Send + Sync>;

/// How often each thing was given up, one item at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GivenUp {
    /// Judged with less effort.
    pub effort: u64,
    /// Put off, as nobody waits.
    pub deferred: u64,
    /// Judged with fewer votes.
    pub votes: u64,
    /// Made to wait, as nothing was left.
    pub queued: u64,
    /// Left to the filter, under a threshold above its proven one.
    pub thresholds: u64,
    /// Not judged, as nothing was left.
    pub over_budget: u64,
}

impl GivenUp {
    fn add(&mut self, step: &Step) {
        match step {
            Step::Effort { .. } => self.effort += 1,
            Step::Deferred { .. } => self.deferred += 1,
            Step::Votes { .. } => self.votes += 1,
            Step::Queued => self.queued += 1,
            Step::OverBudget => self.over_budget += 1,
            Step::Threshold { .. } => self.thresholds += 1,
        }
    }

    /// Each with its name.
    pub fn all(&self) -> [(&'static str, u64); 6] {
        [
            ("effort", self.effort),
            ("deferred", self.deferred),
            ("votes", self.votes),
            ("queued", self.queued),
            ("thresholds", self.thresholds),
            ("over_budget", self.over_budget),
        ]
    }
}

/// What a run spent by now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spending {
    /// In all, in the limit's unit.
    pub total: f64,
    /// What is counted.
    pub unit: Unit,
    /// The window that ends now.
    pub standing: Standing,
    /// What was given up.
    pub given_up: GivenUp,
}

/// A budget in use.
pub(super) struct Account {
    unit: Unit,
    started: Instant,
    state: Mutex<State>,
    listener: Listener,
}

struct State {
    budget: Budget,
    host: Option<HostMeter>,
    asked_ms: u64,
    total: f64,
    given_up: GivenUp,
}

/// How long a waiting item goes without a look at whether anybody still waits for it.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);
/// How often the host is asked, at most.
const ASK_HOST_MS: u64 = 250;

impl Account {
    /// # Errors
    /// As [`BudgetSettings::check`].
    pub(super) fn new(
        settings: BudgetSettings,
        host: Option<HostMeter>,
        listener: Listener,
    ) -> Result<Account, CascadeError> {
        let state = State {
            budget: Budget::new(settings, 0)?,
            host,
            asked_ms: 0,
            total: 0.0,
            given_up: GivenUp::default(),
        };
        let unit = settings.limit.unit();
        Ok(Account { unit, started: Instant::now(), state: Mutex::new(state), listener })
    }

    /// Where the budget stands.
    pub(super) fn spending(&self) -> Spending {
        let now_ms = self.now_ms();
        let mut events = Vec::new();
        let mut state = locked(&self.state);
        state.hear_host(now_ms);
        let standing = state.budget.standing(now_ms, &mut |event| events.push(event));
        let spending =
            Spending { total: state.total, unit: self.unit, standing, given_up: state.given_up };
        drop(state);
        self.tell(&events);
        spending
    }

    /// Milliseconds since the budget began.
    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn tell(&self, events: &[Event]) {
        let is_told = |event: &&Event| !matches!(event.what, Happening::GivenUp(_));
        events.iter().filter(is_told).for_each(|event| (self.listener)(event));
    }

    /// Waits until the item is granted, or for why it is not: nothing is left, the time allowed is over, nobody waits
    /// any more, or the filter's word is taken. With it, what was given up, in words.
    pub(super) fn ask(
        &self,
        mut item: Item,
        allowed: Option<Duration>,
        observer: &dyn Observer,
    ) -> (Result<Grant, Refusal>, Vec<String>) {
        let asked = Instant::now();
        let mut words = Vec::new();
        loop {
            let now_ms = self.now_ms();
            let mut events = Vec::new();
            let mut state = locked(&self.state);
            state.hear_host(now_ms);
            let decision = state.budget.decide(&item, now_ms, &mut |event| events.push(event));
            let is_later = matches!(decision, Decision::Later { .. });
            // Told to come back again and again, an item was put off once.
            if !(item.again && is_later) {
                decision.given_up().iter().for_each(|step| state.given_up.add(step));
            }
            drop(state);
            self.tell(&events);
            if item.again && !is_later {
                words.insert(0, format!("put off by {:.1} s", asked.elapsed().as_secs_f64()));
            }
            match decision {
                Decision::Judge(grant) => {
                    words.extend(grant.given_up.iter().map(Step::to_string));
                    return (Ok(grant), words);
                }
                Decision::Later { at_ms, .. } => {
                    item.again = true;
                    let left = allowed.map(|allowed| allowed.saturating_sub(asked.elapsed()));
                    if left.is_some_and(|left| left.is_zero()) {
                        words.push(Step::Queued.to_string());
                        return (Err(Refusal::None(Cause::Timeout)), words);
                    }
                    if observer.is_cancelled() {
                        return (Err(Refusal::None(Cause::Cancelled)), words);
                    }
                    let wait = Duration::from_millis(at_ms.saturating_sub(now_ms).max(1));
                    std::thread::sleep(wait.min(LONGEST_SLEEP).min(left.unwrap_or(LONGEST_SLEEP)));
                }
                Decision::LeaveToFilter { given_up } => {
                    words.extend(given_up.iter().map(Step::to_string));
                    return (Err(Refusal::LeftToFilter), words);
                }
                Decision::OverBudget { .. } => {
                    words.push(Step::OverBudget.to_string());
                    return (Err(Refusal::None(Cause::OverBudget)), words);
                }
            }
        }
    }

    /// Settles what a granted item took.
    pub(super) fn settle(&self, grant: &Grant, verdict: &Verdict) {
        let now_ms = self.now_ms();
        let cost = self.unit.cost(&verdict.usage);
        let mut state = locked(&self.state);
        state.total += cost;
        // What broke off says nothing about what a verdict costs.
        if verdict.outcome.is_violation().is_some() {
            state.budget.returned(grant.ticket, cost, now_ms);
        } else {
            state.budget.abandoned(grant.ticket, cost, now_ms);
        }
    }
}

/// Why an item is not judged.
pub(super) enum Refusal {
    /// There is no verdict, by this cause.
    None(Cause),
    /// The filter's threshold was raised above the item's score.
    LeftToFilter,
}

impl State {
    fn hear_host(&mut self, now_ms: u64) {
        let Some(host) = &mut self.host else { return };
        if now_ms < self.asked_ms + ASK_HOST_MS {
            return;
        }
        self.asked_ms = now_ms;
        if let Some(amount) = host() {
            self.budget.host_spent(amount, now_ms);
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("unit", &self.unit).finish_non_exhaustive()
    }
}
