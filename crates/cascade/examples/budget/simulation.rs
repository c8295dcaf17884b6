//! A simulated host, traffic and reasoner around the budget, in steps of a tenth of a second.
//!
//! What the reasoner burns is known here to the step; the budget hears of it only when a verdict comes back.
//! Used by the example, which draws it, and by the tests, which hold it to the promises.

use std::collections::VecDeque;

use cascade::{
    Budget, BudgetSettings, Decision, Event, Happening, Item, Limit, PerEffort, Ticket, Unit, Wait,
    WhenSpent,
};
use policy::{Cause, Effort, Outcome};
use policy::{PassedOn, eval::SplitMix};

/// A step, in milliseconds.
const STEP_MS: u64 = 100;
/// Tokens of a verdict on average, by effort: of the size that gpt-oss models take, only their ratio matters.
pub(crate) const TOKENS: PerEffort = PerEffort { low: 150.0, medium: 450.0, high: 1350.0 };
/// Tokens a second that the host spends at factor 1.
const HOST_RATE: f64 = 300_000.0;
/// The same where the window is five times as long.
const SLOW_HOST_RATE: f64 = 60_000.0;
/// Tokens a second of one verdict in the making.
const SPEED: f64 = 450.0;
/// The share that the scenarios promise.
pub(crate) const SHARE: f64 = 0.16;

/// A factor over time in seconds.
pub(crate) type Course = fn(f64) -> f64;

/// What happens.
#[derive(Clone)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) minutes: u64,
    pub(crate) settings: BudgetSettings,
    /// Wanted spending of the traffic at factor 1, as a part of what the limit allows.
    pub(crate) load: f64,
    /// Factor of the traffic.
    pub(crate) traffic: Course,
    /// Tokens a second that the host spends at factor 1, and its factor.
    pub(crate) host_rate: f64,
    pub(crate) host: Course,
    /// Factor of what an item costs.
    pub(crate) cost: Course,
    /// Factor of the reasoner's speed.
    pub(crate) speed: Course,
    /// The share of items that nobody waits for, and how long they may wait, in seconds.
    pub(crate) deferrable: (f64, u64),
    /// Whether filters may be raised, for items with scores from 0 to 1 above a bound of 0.
    pub(crate) has_filter: bool,
    pub(crate) seed: u64,
}

impl Scenario {
    /// A quiet hour of a quarter: traffic at nine tenths of the limit.
    pub(crate) fn new(name: &'static str, title: &'static str) -> Scenario {
        let limit = Limit::Share { share: SHARE, unit: Unit::Tokens, host_at_start: HOST_RATE };
        Scenario {
            name,
            title,
            minutes: 15,
            settings: BudgetSettings {
                limit,
                window_ms: 60_000,
                first_guess: TOKENS,
                when_spent: WhenSpent::Undetermined,
                may_raise_threshold: false,
            },
            load: 0.9,
            traffic: |_| 1.0,
            host_rate: HOST_RATE,
            host: |_| 1.0,
            cost: |_| 1.0,
            speed: |_| 1.0,
            deferrable: (0.3, 600),
            has_filter: false,
            seed: 1,
        }
    }

    /// Those that are drawn.
    pub(crate) fn all() -> Vec<Scenario> {
        vec![
            Scenario::new("quiet", "Traffic at nine tenths of the share"),
            Scenario {
                load: 0.4,
                traffic: |t| if t % 180.0 >= 60.0 && t % 180.0 < 80.0 { 10.0 } else { 1.0 },
                ..Scenario::new("bursts", "Bursts ×10 for 20 s, every 3 minutes")
            },
            Scenario {
                cost: |t| 1.0 + 3.0 * ((t - 180.0) / 360.0).clamp(0.0, 1.0),
                ..Scenario::new("drift", "Items grow four times as dear from minute 3 to 9")
            },
            Scenario {
                minutes: 40,
                host_rate: SLOW_HOST_RATE,
                settings: BudgetSettings {
                    limit: Limit::Share {
                        share: SHARE,
                        unit: Unit::Tokens,
                        host_at_start: SLOW_HOST_RATE,
                    },
                    window_ms: 300_000,
                    ..Scenario::new("", "").settings
                },
                load: 1.5,
                speed: |t| if (900.0..1500.0).contains(&t) { 0.2 } else { 1.0 },
                ..Scenario::new("slow", "A reasoner five times as slow from minute 15 to 25")
            },
            Scenario {
                load: 1.2,
                host: |t| if t < 300.0 { 1.0 } else { 1.0 - 0.7 * ((t - 300.0) / 120.0).min(1.0) },
                ..Scenario::new("host", "The host's own compute falls to a third")
            },
            Scenario {
                load: 1.0,
                traffic: |t| if (180.0..540.0).contains(&t) { 10.0 } else { 1.0 },
                ..Scenario::new("flood", "Traffic ×10 for 6 minutes: too much at any effort")
            },
        ]
    }
}

/// What there was to see at the end of a second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Second {
    /// From the start.
    pub(crate) at_s: u64,
    /// Burnt over the last window as a share of all compute, or of the allowance where the limit is a rate.
    pub(crate) spent: f64,
    /// The same had everything been judged as asked for at once.
    pub(crate) wanted: f64,
    /// The same over the last sixth of the window.
    pub(crate) wanted_now: f64,
    /// Place on the ladder.
    pub(crate) level: f64,
    /// In this second.
    pub(crate) n_items: usize,
    pub(crate) n_over_budget: usize,
    /// Granted with less than was asked for.
    pub(crate) n_degraded: usize,
    /// Deferred or queued.
    pub(crate) n_waiting: usize,
}

/// What came of it.
pub(crate) struct Run {
    pub(crate) seconds: Vec<Second>,
    /// Cleared without a verdict.
    pub(crate) n_clear_unjudged: usize,
    pub(crate) n_over_budget: usize,
    pub(crate) n_items: usize,
    pub(crate) n_judged: usize,
    pub(crate) n_degraded: usize,
    pub(crate) events: Vec<Event>,
}

impl Run {
    /// Most spent over any full window.
    pub(crate) fn most_spent(&self, window_s: u64) -> f64 {
        let full = self.seconds.iter().filter(|second| second.at_s >= window_s);
        full.map(|second| second.spent).fold(0.0, f64::max)
    }

    /// What was spent over every window in whose every sixth part a quarter more was wanted than the share: there
    /// was enough to spend it on.
    pub(crate) fn spent_when_wanted(&self, window_s: u64) -> Vec<f64> {
        let mut n_wanted = 0;
        let mut spent = Vec::new();
        for second in &self.seconds {
            n_wanted = if second.wanted_now >= 1.25 * SHARE { n_wanted + 1 } else { 0 };
            if n_wanted >= window_s {
                spent.push(second.spent);
            }
        }
        spent
    }

    /// How often the ladder was gone down or up.
    pub(crate) fn n_rung_changes(&self) -> usize {
        self.events.iter().filter(|event| matches!(event.what, Happening::Rung { .. })).count()
    }
}

struct Job {
    ticket: Ticket,
    left: f64,
    spent: f64,
}

/// An item and how dear it is beside others of its effort.
#[derive(Clone, Copy)]
struct Arrived {
    item: Item,
    size: f64,
}

struct World<'a> {
    scenario: &'a Scenario,
    budget: Budget,
    random: SplitMix,
    jobs: Vec<Job>,
    waiting: Vec<(u64, Arrived)>,
    /// Burnt, wanted and the host's, for each second of the window.
    window: VecDeque<[f64; 3]>,
    now: [f64; 3],
    second: Second,
    run: Run,
}

/// Plays a scenario from beginning to end.
pub(crate) fn play(scenario: &Scenario) -> Run {
    let run = Run {
        seconds: Vec::new(),
        n_clear_unjudged: 0,
        n_over_budget: 0,
        n_items: 0,
        n_judged: 0,
        n_degraded: 0,
        events: Vec::new(),
    };
    let mut world = World {
        scenario,
        budget: Budget::new(scenario.settings, 0).expect("the settings of scenarios make sense"),
        random: SplitMix::new(scenario.seed),
        jobs: Vec::new(),
        waiting: Vec::new(),
        window: VecDeque::new(),
        now: [0.0; 3],
        second: Second::default(),
        run,
    };
    for step in 1..=scenario.minutes * 60_000 / STEP_MS {
        world.step(step * STEP_MS);
    }
    world.run
}

impl World<'_> {
    fn step(&mut self, now_ms: u64) {
        let at_s = now_ms as f64 / 1000.0;
        let step_s = STEP_MS as f64 / 1000.0;
        self.now[2] += self.scenario.host_rate * (self.scenario.host)(at_s) * step_s;
        self.burn(now_ms);
        for (due_ms, arrived) in std::mem::take(&mut self.waiting) {
            if due_ms <= now_ms {
                self.offer(arrived, now_ms);
            } else {
                self.waiting.push((due_ms, arrived));
            }
        }
        let rate = self.items_a_second() * (self.scenario.traffic)(at_s);
        for _ in 0..self.poisson(rate * step_s) {
            let arrived = self.arrive(now_ms);
            self.offer(arrived, now_ms);
        }
        if now_ms.is_multiple_of(1000) {
            self.close_second(now_ms);
        }
    }

    /// Every verdict in the making burns its tokens; those that are ready come back.
    fn burn(&mut self, now_ms: u64) {
        let at_s = now_ms as f64 / 1000.0;
        let tokens = SPEED * (self.scenario.speed)(at_s) * STEP_MS as f64 / 1000.0;
        for job in &mut self.jobs {
            let burnt = job.left.min(tokens);
            job.left -= burnt;
            job.spent += burnt;
            self.now[0] += burnt;
        }
        let (budget, n_judged) = (&mut self.budget, &mut self.run.n_judged);
        self.jobs.retain(|job| {
            if job.left <= 0.0 {
                budget.returned(job.ticket, job.spent, now_ms);
                *n_judged += 1;
            }
            job.left > 0.0
        });
    }

    /// Half high, three tenths medium, the rest low; one in ten with three votes.
    fn arrive(&mut self, now_ms: u64) -> Arrived {
        let effort = match self.random.share() {
            part if part < 0.5 => Effort::High,
            part if part < 0.8 => Effort::Medium,
            _ => Effort::Low,
        };
        let votes = if self.random.share() < 0.1 { 3 } else { 1 };
        let (share, longest_s) = self.scenario.deferrable;
        let is_deferrable = self.random.share() < share;
        let wait = if is_deferrable { Wait::Until(now_ms + longest_s * 1000) } else { Wait::No };
        let score = self.random.share();
        let passed = PassedOn { score, proven: 0.0, highest: 0.5 };
        // The sum of two exponentials, of mean 1: half of the verdicts cost less than 0.84 of the mean.
        let size = -(self.random_open().ln() + self.random_open().ln()) / 2.0;
        let passed = self.scenario.has_filter.then_some(passed);
        let item = Item { votes, wait, passed, ..Item::new(effort) };
        let arrived = Arrived { item, size: size * (self.scenario.cost)(now_ms as f64 / 1000.0) };
        self.now[1] += f64::from(votes) * arrived.size * TOKENS.of(effort);
        self.second.n_items += 1;
        arrived
    }

    fn offer(&mut self, arrived: Arrived, now_ms: u64) {
        let events = &mut self.run.events;
        let decision = self.budget.decide(&arrived.item, now_ms, &mut |event| events.push(event));
        let outcome = match &decision {
            Decision::Judge(grant) => {
                let tokens = f64::from(grant.votes) * arrived.size * TOKENS.of(grant.effort);
                self.jobs.push(Job { ticket: grant.ticket, left: tokens, spent: 0.0 });
                self.second.n_degraded += usize::from(!grant.given_up.is_empty());
                return;
            }
            Decision::Later { at_ms, .. } => {
                self.second.n_waiting += usize::from(!arrived.item.again);
                let item = Item { again: true, ..arrived.item };
                self.waiting.push((*at_ms, Arrived { item, ..arrived }));
                return;
            }
            Decision::LeaveToFilter { .. } => Outcome::Clear,
            Decision::OverBudget { .. } => Outcome::Undetermined(Cause::OverBudget),
        };
        assert!(!decision.given_up().is_empty(), "what an item was not given is named");
        match outcome {
            Outcome::Undetermined(_) => self.second.n_over_budget += 1,
            _ => self.run.n_clear_unjudged += 1,
        }
    }

    fn close_second(&mut self, now_ms: u64) {
        self.budget.host_spent(self.now[2], now_ms);
        self.window.push_back(std::mem::take(&mut self.now));
        let n_seconds = (self.scenario.settings.window_ms / 1000) as usize;
        if self.window.len() > n_seconds {
            self.window.pop_front();
        }
        let [spent, wanted] = self.parts(n_seconds);
        let [_, wanted_now] = self.parts(n_seconds / 6);
        let standing = self.budget.standing(now_ms, &mut |_| {});
        let second = std::mem::take(&mut self.second);
        self.run.n_items += second.n_items;
        self.run.n_over_budget += second.n_over_budget;
        self.run.n_degraded += second.n_degraded;
        let (at_s, level) = (now_ms / 1000, standing.level);
        self.run.seconds.push(Second { at_s, spent, wanted, wanted_now, level, ..second });
    }

    /// What was burnt and what was wanted over the last seconds.
    fn parts(&self, n_seconds: usize) -> [f64; 2] {
        let seconds = self.window.iter().rev().take(n_seconds);
        let [burnt, wanted, host] = seconds.clone().fold([0.0; 3], |sums, second| {
            [sums[0] + second[0], sums[1] + second[1], sums[2] + second[2]]
        });
        let part = |tokens: f64| match self.scenario.settings.limit {
            Limit::Share { .. } => tokens / (tokens + host),
            Limit::TokensPerSecond(rate) => tokens / (rate * seconds.len() as f64),
            Limit::ReasonerSecondsPerHour(_) => unreachable!("no scenario counts seconds"),
        };
        [part(burnt), part(wanted)]
    }

    /// So many that they want `load` of what the limit allows.
    fn items_a_second(&self) -> f64 {
        let allowed = match self.scenario.settings.limit {
            Limit::Share { share, .. } => self.scenario.host_rate * share / (1.0 - share),
            Limit::TokensPerSecond(rate) => rate,
            Limit::ReasonerSecondsPerHour(_) => unreachable!("no scenario counts seconds"),
        };
        let one = 0.5 * TOKENS.high + 0.3 * TOKENS.medium + 0.2 * TOKENS.low;
        self.scenario.load * allowed / (one * 1.2)
    }

    /// Knuth's product of uniform numbers, for small means.
    fn poisson(&mut self, mean: f64) -> usize {
        let floor = (-mean).exp();
        let mut product = self.random_open();
        let mut n = 0;
        while product > floor {
            product *= self.random_open();
            n += 1;
        }
        n
    }

    /// From 0 to 1, 0 excluded.
    fn random_open(&mut self) -> f64 {
        1.0 - self.random.share()
    }
}
