//! The controller: what may be spent on this item, now.
//!
//! The books are kept in slots, [`N_SLOTS`] to a window. What an item is expected to cost is booked the moment it
//! is granted, in the slot in the middle of the time that it is expected to take; when the verdict comes back the
//! true cost takes its place, in the middle of the time that it took.

use std::collections::BTreeMap;

use policy::Effort;
use policy::eval::SplitMix;

use super::demand::Demand;
use super::estimate::{Estimates, N_KINDS, kind};
use super::host::Allowance;
use super::item::{Decision, Grant, Item, Ticket, Wait};
use super::ladder::{N_RUNGS, Plan, Rung};
use super::ledger::Ledger;
use super::settings::{BudgetSettings, PerEffort, Unit, WhenSpent};
use super::step::{Event, Happening, Step};
use crate::error::CascadeError;

/// Slots in a window. A window cuts one slot in two, which is counted whole: up to a slot's share of the budget,
/// 0.4%, stays unspent.
const N_SLOTS: u64 = 240;
/// Over how many slots the forecast looks, and within how many a spare amount may be spent: an eighth.
const N_AHEAD: u64 = N_SLOTS / 8;
/// The part of a window's allowance by which verdicts of the last resort may exceed it, so that items which come
/// together need not be refused: a third of a point where the share is 16 %.
const OVERDRAFT: f64 = 0.02;
/// How many standard deviations of all that is under way are set aside beyond its mean. More keeps the upper side by
/// a wider margin than it needs and leaves the lower one: tried with 0.5, 0.7 and 1 (`--seeds` of the example).
const DEVIATIONS: f64 = 0.5;
/// Work that takes longer than so many times the mean is not waited for when costs are learned.
const PATIENCE: f64 = 4.0;
/// How many rungs are taken back in a slot at most; a rung in a twenty-fourth of a window.
const RECOVERY: f64 = 0.1;

/// Keeps safety compute within its share. Start with [`Budget::decide`].
#[derive(Clone, Debug)]
pub struct Budget {
    settings: BudgetSettings,
    slot_ms: u64,
    started_slot: u64,
    now_ms: u64,
    slot: u64,
    allowance: Allowance,
    /// What may be spent in the window that ends with each slot from this one on.
    allowed: Vec<f64>,
    books: Ledger,
    under_way: BTreeMap<Ticket, UnderWay>,
    /// Sum of the variances of what is under way.
    variance: f64,
    next_ticket: u64,
    estimates: Estimates,
    /// Cost and milliseconds of verdicts that came back before others of their kind granted earlier.
    unlearned: BTreeMap<(usize, Ticket), (f64, f64)>,
    demand: Demand,
    /// Place on the ladder; between two rungs, some items get the lower one.
    level: f64,
    /// What this slot may still spend on deferred work.
    spare: f64,
    /// The rung last told, and for how many slots it has been lower.
    told: Rung,
    n_lower: u64,
    is_silent: bool,
    random: SplitMix,
}

/// What was granted and has not come back.
#[derive(Clone, Copy, Debug)]
struct UnderWay {
    kind: usize,
    votes: f64,
    known_cost: f64,
    granted_ms: u64,
    booked_in: u64,
    reserved: f64,
    variance: f64,
}

/// Where the budget stands, for metrics. Amounts are in the limit's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Spent or set aside in the window that ends now.
    pub spent: f64,
    /// What that window may hold.
    pub allowed: f64,
    /// Of what is set aside, how much has not come back.
    pub under_way: f64,
    /// Grants that have not come back.
    pub n_under_way: usize,
    /// Place on the ladder: 0 gives nothing up, 1.5 means that half of the items are at low and half at medium
    /// effort at most.
    pub level: f64,
    /// What is asked for a second, if nothing were given up.
    pub demand: f64,
    /// What one verdict with reasoning costs.
    pub cost: PerEffort,
}

impl Budget {
    /// A budget of which nothing is spent, at a moment in milliseconds.
    ///
    /// # Errors
    /// As [`BudgetSettings::check`].
    pub fn new(settings: BudgetSettings, now_ms: u64) -> Result<Budget, CascadeError> {
        settings.check()?;
        let slot_ms = settings.window_ms.div_ceil(N_SLOTS);
        let slot = now_ms / slot_ms;
        let mut budget = Budget {
            settings,
            slot_ms,
            started_slot: slot,
            now_ms,
            slot,
            allowance: Allowance::new(settings.limit, slot_ms, N_SLOTS, now_ms),
            allowed: Vec::new(),
            books: Ledger::new(slot.saturating_sub(N_SLOTS)),
            under_way: BTreeMap::new(),
            variance: 0.0,
            next_ticket: 0,
            estimates: Estimates::new(&settings.first_guess),
            unlearned: BTreeMap::new(),
            demand: Demand::new(slot_ms as f64 / 1000.0, N_AHEAD as f64),
            level: 0.0,
            spare: 0.0,
            told: Rung::Full,
            n_lower: 0,
            is_silent: false,
            random: SplitMix::new(0),
        };
        budget.refresh();
        Ok(budget)
    }

    /// The host spent this much, in the limit's unit, since it last reported or since the start. Matters to
    /// [`super::Limit::Share`] only. What is no amount is taken for 0.
    pub fn host_spent(&mut self, amount: f64, now_ms: u64) {
        let amount = if amount.is_finite() { amount.max(0.0) } else { 0.0 };
        self.now_ms = self.now_ms.max(now_ms);
        self.allowance.report(amount, self.now_ms);
        self.refresh();
    }

    /// Decides on an item, and tells what is worth a log line.
    pub fn decide(&mut self, item: &Item, now_ms: u64, hear: &mut dyn FnMut(Event)) -> Decision {
        self.advance(now_ms, hear);
        if !item.again || self.has_come_due(item) {
            let costs = Rung::ALL.map(|rung| self.cost(item, rung));
            self.demand.arrive(&costs);
        }
        let decision = self.descend(item);
        if !(item.again && matches!(decision, Decision::Later { .. })) {
            for step in decision.given_up() {
                hear(Event { at_ms: self.now_ms, what: Happening::GivenUp(*step) });
            }
        }
        decision
    }

    /// The verdict (or all votes) came back and cost this much in the limit's unit; costs are learned from it. A
    /// cost that is no amount is taken for what was set aside; a ticket given back before is ignored.
    pub fn returned(&mut self, ticket: Ticket, cost: f64, now_ms: u64) {
        if let Some((work, cost)) = self.settle(ticket, cost, now_ms) {
            let took_ms = self.now_ms.saturating_sub(work.granted_ms) as f64;
            let cost = (cost / work.votes - work.known_cost).max(0.0);
            self.unlearned.insert((work.kind, ticket), (cost, took_ms));
        }
    }

    /// The work was given up after this much was spent; nothing is learned from it.
    pub fn abandoned(&mut self, ticket: Ticket, cost: f64, now_ms: u64) {
        self.settle(ticket, cost, now_ms);
    }

    /// Where the budget stands.
    pub fn standing(&mut self, now_ms: u64, hear: &mut dyn FnMut(Event)) -> Standing {
        self.advance(now_ms, hear);
        Standing {
            spent: self.books.sum((self.slot + 1).saturating_sub(N_SLOTS), self.slot),
            allowed: self.allowed[0],
            under_way: self.under_way.values().map(|work| work.reserved).sum(),
            n_under_way: self.under_way.len(),
            level: self.level,
            demand: self.demand.rate(0),
            cost: self.estimates.means(),
        }
    }

    /// Gives up as much as the level says, and more where the item does not fit otherwise.
    fn descend(&mut self, item: &Item) -> Decision {
        let (start, raise) = self.rung();
        if let Wait::Until(until_ms) = item.wait
            && item.again
            && self.now_ms < until_ms
        {
            return self.take_up(item, until_ms);
        }
        for rung in &Rung::ALL[start..=self.last_rung()] {
            let raise = if *rung as usize == start { raise } else { 1.0 };
            let plan = Plan::of(item, *rung, raise, self.now_ms);
            let given_up = plan.given_up(item);
            match plan {
                Plan::Judge(effort, votes) => {
                    let kept =
                        if *rung < Rung::OneVote { self.cushion() } else { -self.overdraft() };
                    if let Some(grant) = self.grant(item, effort, votes, kept, given_up) {
                        return Decision::Judge(grant);
                    }
                }
                Plan::Defer(until_ms) => return self.defer(until_ms, given_up),
                Plan::Filter(_) => return Decision::LeaveToFilter { given_up },
            }
        }
        match self.settings.when_spent {
            WhenSpent::Undetermined => Decision::OverBudget { given_up: vec![Step::OverBudget] },
            WhenSpent::Queue => {
                let at_ms = (self.slot + 1) * self.slot_ms;
                Decision::Later { at_ms, given_up: vec![Step::Queued] }
            }
        }
    }

    /// Whether deferred work has become urgent just now, which is as if it arrived.
    fn has_come_due(&self, item: &Item) -> bool {
        matches!(item.wait, Wait::Until(at_ms) if (at_ms..at_ms.saturating_add(self.slot_ms)).contains(&self.now_ms))
    }

    /// Deferred work is taken up from what the work that comes in now does not need, and as it was asked for.
    fn take_up(&mut self, item: &Item, until_ms: u64) -> Decision {
        let votes = item.votes.max(1);
        if self.spare >= self.cost(item, Rung::Full)
            && let Some(grant) = self.grant(item, item.effort, votes, 0.0, Vec::new())
        {
            self.spare -= grant.reserved;
            return Decision::Judge(grant);
        }
        self.defer(until_ms, vec![Step::Deferred { until_ms }])
    }

    fn defer(&self, until_ms: u64, given_up: Vec<Step>) -> Decision {
        let at_ms = (self.slot + N_AHEAD) * self.slot_ms;
        Decision::Later { at_ms: at_ms.min(until_ms), given_up }
    }

    /// Sets aside what a verdict is expected to cost, if every window has room for it and for what is kept.
    fn grant(
        &mut self,
        item: &Item,
        effort: Effort,
        votes: u32,
        kept: f64,
        given_up: Vec<Step>,
    ) -> Option<Grant> {
        let kind = kind(effort, item.direct);
        let estimate = *self.estimates.of(kind);
        let votes_f = f64::from(votes);
        let reserved = votes_f * (estimate.mean + known_cost(item));
        let variance = votes_f * estimate.variance;
        let booked_in = self.middle(self.now_ms, estimate.duration_ms);
        if self.headroom(booked_in, 0.0) < reserved + kept {
            return None;
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.books.add(booked_in, reserved);
        self.variance += variance;
        let work = UnderWay {
            kind,
            votes: votes_f,
            known_cost: known_cost(item),
            granted_ms: self.now_ms,
            booked_in,
            reserved,
            variance,
        };
        self.under_way.insert(ticket, work);
        Some(Grant { ticket, effort, votes, reserved, given_up })
    }

    /// Puts what was spent in the place of what was set aside.
    fn settle(&mut self, ticket: Ticket, cost: f64, now_ms: u64) -> Option<(UnderWay, f64)> {
        let work = self.under_way.remove(&ticket)?;
        self.now_ms = self.now_ms.max(now_ms);
        let cost = if cost.is_finite() && cost >= 0.0 { cost } else { work.reserved };
        self.variance -= work.variance;
        self.books.add(work.booked_in, -work.reserved);
        let took_ms = self.now_ms.saturating_sub(work.granted_ms) as f64;
        self.books.add(self.middle(work.granted_ms, took_ms), cost);
        Some((work, cost))
    }

    /// What can still be spent in every window that ends with slot `from` or later, up to one window ahead, if
    /// `rate` a second is spent besides from now on. Windows that began before the start are not looked at.
    fn headroom(&self, from: u64, rate: f64) -> f64 {
        let from = from.max(self.started_slot + N_SLOTS);
        let slot_s = self.slot_ms as f64 / 1000.0;
        let mut held = self.books.sum(self.slot.saturating_sub(N_SLOTS), self.slot);
        let mut least = f64::INFINITY;
        for (n_ahead, allowed) in self.allowed.iter().enumerate() {
            let end = self.slot + n_ahead as u64;
            if end >= from {
                least = least.min(allowed - held - rate * n_ahead as f64 * slot_s);
            }
            held += self.books.at(end + 1);
            held -= end.checked_sub(N_SLOTS).map_or(0.0, |left| self.books.at(left));
        }
        least
    }

    /// Moves on to the slot of `now_ms`; time does not go back.
    fn advance(&mut self, now_ms: u64, hear: &mut dyn FnMut(Event)) {
        self.now_ms = self.now_ms.max(now_ms);
        let slot = self.now_ms / self.slot_ms;
        if slot == self.slot {
            return;
        }
        self.demand.next_slot(slot - self.slot - 1);
        let n_slots = slot - self.slot;
        self.slot = slot;
        self.learn();
        self.rebook();
        self.books.forget_before(slot.saturating_sub(N_SLOTS));
        self.refresh();
        self.level = self.next_level(n_slots);
        let spare = self.headroom(slot, self.demand.rate(0)) - self.cushion();
        self.spare = spare / N_AHEAD as f64;
        self.tell(n_slots, hear);
    }

    /// Learns from verdicts in the order of their grants. Cheap ones come back first: learned in the order of
    /// their return, costs would look low whenever much work is begun at once. Only work that is
    /// [`PATIENCE`] times overdue is not waited for.
    fn learn(&mut self) {
        let mut oldest = [Ticket(self.next_ticket); N_KINDS];
        for (ticket, work) in self.under_way.iter().rev() {
            let took_ms = self.now_ms.saturating_sub(work.granted_ms) as f64;
            if took_ms <= PATIENCE * self.estimates.of(work.kind).duration_ms {
                oldest[work.kind] = *ticket;
            }
        }
        let estimates = &mut self.estimates;
        self.unlearned.retain(|(kind, ticket), (cost, took_ms)| {
            let is_early = *ticket > oldest[*kind];
            if !is_early {
                estimates.learn(*kind, *cost, *took_ms);
            }
            is_early
        });
    }

    /// Work that takes longer than expected is moved along, and what is counted in seconds has cost those that
    /// went by. Work not heard of for two windows is forgotten.
    fn rebook(&mut self) {
        let (now_ms, unit) = (self.now_ms, self.settings.limit.unit());
        let forgotten_ms = 2 * N_SLOTS * self.slot_ms;
        let Budget { under_way, books, variance, slot_ms, .. } = self;
        under_way.retain(|_, work| {
            let took_ms = now_ms.saturating_sub(work.granted_ms);
            let middle = (work.granted_ms + took_ms / 2) / *slot_ms;
            let at_least = match unit {
                Unit::Seconds => work.votes * took_ms as f64 / 1000.0,
                Unit::Tokens => 0.0,
            };
            if middle > work.booked_in || at_least > work.reserved {
                books.add(work.booked_in, -work.reserved);
                work.booked_in = work.booked_in.max(middle);
                work.reserved = work.reserved.max(at_least);
                books.add(work.booked_in, work.reserved);
            }
            let is_known = took_ms <= forgotten_ms;
            if !is_known {
                *variance -= work.variance;
            }
            is_known
        });
    }

    fn refresh(&mut self) {
        self.allowed = self.allowance.windows(self.slot, self.slot + N_SLOTS, self.now_ms);
    }

    /// The least level at which what is spare lasts: what the last rung needs is kept for a whole window, the
    /// rest may be spent within [`N_AHEAD`] slots. What leaves the window all at once is not spent all at once
    /// again but evenly, or every burst would come back as an echo. Steps are taken at once and taken back slowly.
    fn next_level(&self, n_slots: u64) -> f64 {
        let last = self.last_rung();
        let least = self.demand.rate(last);
        let spare = self.headroom(self.slot + N_AHEAD, least) - self.cushion();
        let ahead_s = (N_AHEAD * self.slot_ms) as f64 / 1000.0;
        let even = self.allowed[N_AHEAD as usize] / self.window_s();
        let unspent = self.headroom(self.slot, 0.0) - self.cushion();
        let spend = (least + spare / ahead_s).min(even + 4.0 * unspent / ahead_s);
        let target = self.demand.level(spend, last);
        target.max(self.level - RECOVERY * n_slots as f64)
    }

    /// Tells of a lower rung at once, of a higher one when it has held for [`N_AHEAD`] slots.
    fn tell(&mut self, n_slots: u64, hear: &mut dyn FnMut(Event)) {
        let mut say = |what| hear(Event { at_ms: self.now_ms, what });
        let is_silent = self.allowance.is_silent(self.now_ms);
        if is_silent && !self.is_silent {
            say(Happening::HostSilent);
        }
        self.is_silent = is_silent;
        let rung = Rung::ALL[self.level.ceil() as usize];
        self.n_lower = if rung < self.told { self.n_lower + n_slots } else { 0 };
        if rung > self.told || self.n_lower >= N_AHEAD {
            say(Happening::Rung { from: self.told, to: rung });
            (self.told, self.n_lower) = (rung, 0);
        }
    }

    /// The rung for the next item, by chance where the level lies between two, and how far thresholds are raised.
    fn rung(&mut self) -> (usize, f64) {
        let raise = self.level - Rung::OneVote as usize as f64;
        if raise > 0.0 {
            return (Rung::RaiseThreshold as usize, raise);
        }
        let is_lower = self.random.share() < self.level.fract();
        (self.level as usize + usize::from(is_lower), 1.0)
    }

    fn last_rung(&self) -> usize {
        if self.settings.may_raise_threshold { N_RUNGS - 1 } else { Rung::OneVote as usize }
    }

    /// What an item is expected to cost on a rung.
    fn cost(&self, item: &Item, rung: Rung) -> f64 {
        match Plan::of(item, rung, 1.0, self.now_ms) {
            Plan::Judge(effort, votes) => {
                let estimate = self.estimates.of(kind(effort, item.direct));
                f64::from(votes) * (estimate.mean + known_cost(item))
            }
            Plan::Defer(_) | Plan::Filter(_) => 0.0,
        }
    }

    /// What is left alone but for verdicts of the last resort, which are cheap: what all that is under way may cost
    /// more than its mean.
    fn cushion(&self) -> f64 {
        DEVIATIONS * self.variance.max(0.0).sqrt()
    }

    /// What verdicts of the last resort may spend beyond the allowance.
    fn overdraft(&self) -> f64 {
        OVERDRAFT * self.allowed.iter().copied().fold(0.0, f64::max)
    }

    fn window_s(&self) -> f64 {
        (N_SLOTS * self.slot_ms) as f64 / 1000.0
    }

    /// The slot in the middle of some work, at most half a window from its beginning.
    fn middle(&self, from_ms: u64, took_ms: f64) -> u64 {
        let half_window_ms = N_SLOTS * self.slot_ms / 2;
        (from_ms + ((took_ms / 2.0) as u64).min(half_window_ms)) / self.slot_ms
    }
}

/// What is no amount is taken for 0.
fn known_cost(item: &Item) -> f64 {
    if item.known_cost.is_finite() { item.known_cost.max(0.0) } else { 0.0 }
}
