//! Effort routing: the cheapest tier first, and on to a dearer one where its answer is in doubt.
//!
//! The tiers are the caller's: low, medium and high effort, a bigger model. [`Routes::next`] decides at run time
//! from one answer; [`learn`] finds the margins on golden rows, so that F1 stays what the last tier alone reaches,
//! within its interval, at the fewest tokens. Half of the rows choose, the other half confirms: what the report
//! says comes from rows that chose nothing.

use std::fmt;

use policy::eval::{Bootstrap, Confusion, Interval, SplitMix};
use policy::{Cause, Confidence, Outcome, Verdict};
use serde::{Deserialize, Serialize};

use crate::error::CascadeError;

/// A margin that no score reaches: the tier's answer never stands.
const ALWAYS: f64 = 0.6;
/// Margins tried for each tier, at even ranks of those that occur.
const N_MARGINS: usize = 20;
/// The part of the loss allowed that the choice may use up: the cheapest routes that just pass on the rows that
/// chose them would fail on others half of the time.
const CHOOSING_PART: f64 = 0.6;
/// Fewest rows in each half.
const MIN_ROWS: usize = 50;

/// What is known about one tier's answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether it is a violation; `None` where undetermined.
    pub is_violation: Option<bool>,
    /// Probability of a violation, 0 to 1.
    pub score: Option<f64>,
    /// Whether all votes agree; true of one vote.
    pub is_unanimous: bool,
    /// Whether it cites a rule that the policy does not have.
    pub has_unknown_rule: bool,
    /// The model's own word.
    pub confidence: Option<Confidence>,
    /// Tokens that it took, all votes together.
    pub tokens: f64,
}

impl Answer {
    /// What can be told from the votes of one tier; the first stands for all. `None` without votes.
    pub fn of(votes: &[Verdict]) -> Option<Answer> {
        let first = votes.first()?;
        let is_unknown = |vote: &Verdict| vote.outcome == Outcome::Undetermined(Cause::UnknownRule);
        let tokens = |vote: &Verdict| vote.usage.prompt_tokens + vote.usage.generated_tokens;
        Some(Answer {
            is_violation: first.outcome.is_violation(),
            score: first.score,
            is_unanimous: votes.iter().all(|vote| {
                let own = vote.votes.is_none_or(|votes| votes.are_unanimous());
                own && vote.outcome == first.outcome
            }),
            has_unknown_rule: votes.iter().any(is_unknown),
            confidence: first.confidence,
            tokens: votes.iter().map(tokens).sum::<usize>() as f64,
        })
    }
}

/// Why an answer does not stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// The score is too near to 0.5, or there is none where one is asked for.
    Margin,
    /// Votes disagree.
    Votes,
    /// It cites a rule that is not there.
    UnknownRule,
    /// The model says that it is not sure.
    LowConfidence,
    /// There is no decision.
    Undetermined,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Doubt::Margin => "the score is near one half",
            Doubt::Votes => "votes disagree",
            Doubt::UnknownRule => "it cites a rule that is not there",
            Doubt::LowConfidence => "the model is not sure",
            Doubt::Undetermined => "there is no decision",
        })
    }
}

/// Where an item goes after an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The answer stands.
    Done,
    /// To this tier.
    Tier(usize, Vec<Doubt>),
    /// There is no further tier: to a person. The answer is what there is until then.
    Person(Vec<Doubt>),
}

/// Which tier is asked first, and which answers stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Routes {
    /// The first tier asked, from 0.
    pub start: usize,
    /// For each tier, the least distance of the score from 0.5 at which its answer stands. 0 does not look at
    /// scores. The last one's decides what a person sees.
    pub margins: Vec<f64>,
}

impl Routes {
    /// Straight to the last of `n_tiers`, without a look at its score.
    pub fn last_only(n_tiers: usize) -> Routes {
        Routes { start: n_tiers.saturating_sub(1), margins: vec![0.0; n_tiers] }
    }

    /// Where to go after this tier's answer.
    pub fn next(&self, tier: usize, answer: &Answer) -> Next {
        let margin = self.margins.get(tier).copied().unwrap_or(0.0);
        let doubts = doubts(answer, margin);
        if doubts.is_empty() {
            Next::Done
        } else if tier + 1 < self.margins.len() {
            Next::Tier(tier + 1, doubts)
        } else {
            Next::Person(doubts)
        }
    }

    /// The answer that a row ends with, and the tokens of all tiers asked.
    fn follow(&self, row: &RouteRow) -> (Option<bool>, f64) {
        let (mut tier, mut tokens) = (self.start, 0.0);
        loop {
            let answer = &row.tiers[tier];
            tokens += answer.tokens;
            match self.next(tier, answer) {
                Next::Tier(next, _) => tier = next,
                Next::Done | Next::Person(_) => return (answer.is_violation, tokens),
            }
        }
    }
}

fn doubts(answer: &Answer, margin: f64) -> Vec<Doubt> {
    let distance = answer.score.map_or(0.0, |score| (score - 0.5).abs());
    let found = [
        (margin > 0.0 && (distance.is_nan() || distance < margin), Doubt::Margin),
        (!answer.is_unanimous, Doubt::Votes),
        (answer.has_unknown_rule, Doubt::UnknownRule),
        (answer.confidence == Some(Confidence::Low), Doubt::LowConfidence),
        (answer.is_violation.is_none(), Doubt::Undetermined),
    ];
    found.into_iter().filter(|(is_there, _)| *is_there).map(|(_, doubt)| doubt).collect()
}

/// A golden case and what every tier answered, cheapest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteRow {
    /// Whether it is a violation.
    pub truth: bool,
    /// The answers.
    pub tiers: Vec<Answer>,
}

/// What was learned, measured on rows that did not choose it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Learned {
    /// The routes to use.
    pub routes: Routes,
    /// Whether the second half of the rows confirmed the choice; if not, the routes are the last tier alone.
    pub is_confirmed: bool,
    /// F1 of the routes; `None` where it is not defined.
    pub f1: Option<f64>,
    /// F1 of the last tier alone, and its interval.
    pub last_f1: Option<f64>,
    /// Of 95%, paired bootstrap.
    pub last_f1_interval: Option<Interval>,
    /// The routes' F1 less the last tier's, of 95%, paired bootstrap.
    pub difference: Option<Interval>,
    /// Share of the last tier's tokens that is saved, 0 to 1.
    pub saved: f64,
    /// Of 95%, bootstrap over rows.
    pub saved_interval: Option<Interval>,
    /// Share of rows that a tier after the first one saw.
    pub moved_on: f64,
    /// Rows that chose, and rows that confirmed.
    pub n_rows: (usize, usize),
}

/// One row under some routes and under the last tier alone.
#[derive(Clone, Copy)]
struct Outcomes {
    truth: bool,
    routed: Option<bool>,
    last: Option<bool>,
    tokens: f64,
    last_tokens: f64,
    has_moved: bool,
}

/// Finds the start and the margins with the fewest tokens at which F1 is the last tier's within its interval: the
/// loss, at the lower end of its own interval, is no more than what the last tier's F1 may lose by chance. The
/// seed splits the rows and draws the bootstrap.
///
/// # Errors
/// [`CascadeError::Routes`] for fewer than 100 rows, fewer than two tiers, rows with different numbers of tiers,
/// or tokens that are no amount.
pub fn learn(rows: &[RouteRow], seed: u64) -> Result<Learned, CascadeError> {
    let n_tiers = check(rows)?;
    let mut shuffled: Vec<&RouteRow> = rows.iter().collect();
    SplitMix::new(seed).shuffle(&mut shuffled);
    let (choosing, confirming) = shuffled.split_at(rows.len() / 2);
    let last_only = Routes::last_only(n_tiers);
    let quick = Bootstrap { n_resamples: 300, seed, ..Bootstrap::default() };
    let allowed = CHOOSING_PART * loss_by_chance(&play(choosing, &last_only), &quick);
    let chosen = candidates(choosing, n_tiers)
        .into_iter()
        .find(|routes| is_as_good(&play(choosing, routes), allowed, &quick))
        .unwrap_or_else(|| last_only.clone());
    let full = Bootstrap { seed, ..Bootstrap::default() };
    let rows = play(confirming, &chosen);
    let is_confirmed = is_as_good(&rows, loss_by_chance(&rows, &full), &full);
    let routes = if is_confirmed { chosen } else { last_only };
    Ok(report(routes, is_confirmed, confirming, choosing.len(), &full))
}

/// The number of tiers.
fn check(rows: &[RouteRow]) -> Result<usize, CascadeError> {
    let wrong = |problem: String| Err(CascadeError::Routes { problem });
    if rows.len() < 2 * MIN_ROWS {
        let (found, wanted) = (rows.len(), 2 * MIN_ROWS);
        return wrong(format!("{found} golden rows; at least {wanted} are needed"));
    }
    let n_tiers = rows[0].tiers.len();
    if n_tiers < 2 {
        return wrong("there is nothing to route between: rows need two tiers or more".to_owned());
    }
    let is_amount = |answer: &Answer| answer.tokens.is_finite() && answer.tokens >= 0.0;
    let is_bad = |row: &RouteRow| row.tiers.len() != n_tiers || !row.tiers.iter().all(is_amount);
    match rows.iter().position(is_bad) {
        Some(at) => wrong(format!("row {at} has another number of tiers, or tokens below 0")),
        None => Ok(n_tiers),
    }
}

/// All routes tried, those with the fewest tokens first.
fn candidates(rows: &[&RouteRow], n_tiers: usize) -> Vec<Routes> {
    let mut all = vec![];
    for start in 0..n_tiers {
        let mut margins = vec![vec![0.0; n_tiers]];
        for tier in start..n_tiers - 1 {
            let tried = tried_margins(rows, tier);
            margins = margins
                .iter()
                .flat_map(|so_far| {
                    tried.iter().map(|margin| {
                        let mut more = so_far.clone();
                        more[tier] = *margin;
                        more
                    })
                })
                .collect();
        }
        all.extend(margins.into_iter().map(|margins| Routes { start, margins }));
    }
    let tokens = |routes: &Routes| rows.iter().map(|row| routes.follow(row).1).sum::<f64>();
    let mut priced: Vec<(f64, Routes)> = all.into_iter().map(|r| (tokens(&r), r)).collect();
    priced.sort_by(|a, b| a.0.total_cmp(&b.0));
    priced.into_iter().map(|(_, routes)| routes).collect()
}

/// No margin, margins at even ranks of those that occur, and one that nothing reaches.
fn tried_margins(rows: &[&RouteRow], tier: usize) -> Vec<f64> {
    let scores = rows.iter().filter_map(|row| row.tiers[tier].score);
    let mut seen: Vec<f64> = scores.map(|score| (score - 0.5).abs()).collect();
    seen.sort_by(f64::total_cmp);
    let ranks = (1..N_MARGINS).map(|rank| rank * seen.len() / N_MARGINS);
    let mut tried: Vec<f64> = ranks.filter_map(|rank| seen.get(rank).copied()).collect();
    tried.extend([0.0, ALWAYS]);
    tried.sort_by(f64::total_cmp);
    tried.dedup();
    tried
}

fn play(rows: &[&RouteRow], routes: &Routes) -> Vec<Outcomes> {
    let one = |row: &&RouteRow| {
        let (routed, tokens) = routes.follow(row);
        let last = &row.tiers[row.tiers.len() - 1];
        Outcomes {
            truth: row.truth,
            routed,
            last: last.is_violation,
            tokens,
            last_tokens: last.tokens,
            has_moved: routes.next(routes.start, &row.tiers[routes.start]) != Next::Done
                && routes.start + 1 < row.tiers.len(),
        }
    };
    rows.iter().map(one).collect()
}

fn f1<'a>(
    rows: impl Iterator<Item = &'a Outcomes>,
    said: fn(&Outcomes) -> Option<bool>,
) -> Option<f64> {
    rows.map(|row| (row.truth, said(row))).collect::<Confusion>().f1()
}

/// What the last tier's F1 may lose by chance; 0 where it is not defined.
fn loss_by_chance(rows: &[Outcomes], bootstrap: &Bootstrap) -> f64 {
    let last = f1(rows.iter(), |row| row.last);
    let range = last_interval(rows, bootstrap);
    last.zip(range).map_or(0.0, |(last, range)| (last - range.low).max(0.0))
}

/// Whether F1 loses no more than `allowed` against the last tier, at the lower end of the loss's interval. Where
/// that cannot be computed, only the same answers are as good.
fn is_as_good(rows: &[Outcomes], allowed: f64, bootstrap: &Bootstrap) -> bool {
    if rows.iter().all(|row| row.routed == row.last) {
        return true;
    }
    let (routed, last) = (f1(rows.iter(), |row| row.routed), f1(rows.iter(), |row| row.last));
    // What loses more on the rows as they are need not be resampled.
    let may_be = routed.zip(last).is_some_and(|(routed, last)| routed - last >= -allowed);
    may_be && difference(rows, bootstrap).is_some_and(|loss| loss.low >= -allowed)
}

fn last_interval(rows: &[Outcomes], bootstrap: &Bootstrap) -> Option<Interval> {
    let last = |set: &[&Outcomes]| f1(set.iter().copied(), |row| row.last);
    bootstrap.interval(rows, last).map(|resampled| resampled.interval)
}

fn difference(rows: &[Outcomes], bootstrap: &Bootstrap) -> Option<Interval> {
    let between = |set: &[&Outcomes]| {
        let routed = f1(set.iter().copied(), |row| row.routed)?;
        Some(routed - f1(set.iter().copied(), |row| row.last)?)
    };
    bootstrap.interval(rows, between).map(|resampled| resampled.interval)
}

fn report(
    routes: Routes,
    is_confirmed: bool,
    confirming: &[&RouteRow],
    n_choosing: usize,
    bootstrap: &Bootstrap,
) -> Learned {
    let rows = play(confirming, &routes);
    let saved = |set: &[&Outcomes]| {
        let routed: f64 = set.iter().map(|row| row.tokens).sum();
        let last: f64 = set.iter().map(|row| row.last_tokens).sum();
        (last > 0.0).then(|| 1.0 - routed / last)
    };
    let n_moved = rows.iter().filter(|row| row.has_moved).count();
    Learned {
        is_confirmed,
        f1: f1(rows.iter(), |row| row.routed),
        last_f1: f1(rows.iter(), |row| row.last),
        last_f1_interval: last_interval(&rows, bootstrap),
        difference: difference(&rows, bootstrap),
        saved: saved(&rows.iter().collect::<Vec<_>>()).unwrap_or(0.0),
        saved_interval: bootstrap.interval(&rows, saved).map(|resampled| resampled.interval),
        moved_on: n_moved as f64 / rows.len() as f64,
        n_rows: (n_choosing, rows.len()),
        routes,
    }
}
