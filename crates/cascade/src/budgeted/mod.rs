//! The judge that asks a budget before every item, and reports what each one took.
//!
//! An item gets the effort that the budget grants. Told to come back, it waits on its own thread. What
//! finds no room is `undetermined: over budget`. Whatever was given up stands in the verdict.

mod account;

use std::sync::Arc;
use std::time::{Duration, Instant};

use policy::{
    Cause, Content, Judge, JudgeSettings, Observer, Outcome, PassedOn, Policy, ScoreMethod, Stage,
    Verdict,
};

use crate::budget::{BudgetSettings, Item, Wait};
use crate::error::CascadeError;
use account::{Account, Refusal};
pub use account::{GivenUp, HostMeter, Listener, Spending};

/// A judge within a budget.
#[derive(Debug)]
pub struct BudgetedJudge<J> {
    next: J,
    account: Arc<Account>,
    /// How long an item may be put off where nobody waits for it.
    may_wait: Option<Duration>,
}

impl<J: Judge> BudgetedJudge<J> {
    /// `host` is asked a few times a second where the limit is a share.
    ///
    /// # Errors
    /// As [`BudgetSettings::check`].
    pub fn new(
        next: J,
        settings: BudgetSettings,
        may_wait: Option<Duration>,
        host: Option<HostMeter>,
        listener: Listener,
    ) -> Result<BudgetedJudge<J>, CascadeError> {
        let account = Arc::new(Account::new(settings, host, listener)?);
        Ok(BudgetedJudge { next, account, may_wait })
    }

    /// Another judge that spends from the same budget.
    pub fn beside<K: Judge>(&self, next: K) -> BudgetedJudge<K> {
        BudgetedJudge { next, account: Arc::clone(&self.account), may_wait: self.may_wait }
    }

    /// Where the budget stands.
    pub fn spending(&self) -> Spending {
        self.account.spending()
    }
}

impl Refusal {
    fn verdict(&self, policy: &Policy, passed_on: Option<PassedOn>) -> Verdict {
        let cause = match (self, passed_on) {
            (Refusal::LeftToFilter, Some(passed_on)) => return left(policy, passed_on),
            (Refusal::LeftToFilter, None) => Cause::OverBudget,
            (Refusal::None(cause), _) => *cause,
        };
        let why = match cause {
            Cause::OverBudget => "no compute was left for it in the budget",
            Cause::Timeout => "the time allowed ran out before the budget had compute for it",
            _ => "nobody waited for it any more while the budget had no compute for it",
        };
        Verdict::undetermined(cause, why, policy.reference(), "")
    }
}

/// The filter's word in the place of the judge's, where compute is short and the policy's owner allows it.
fn left(policy: &Policy, passed_on: PassedOn) -> Verdict {
    let rationale = format!(
        "The filter found little: its score, {:.4}, is above the threshold of {:.4} with the proven recall, but compute \
         was short. No recall is promised for this.",
        passed_on.score, passed_on.proven
    );
    Verdict {
        outcome: Outcome::Clear,
        score: Some(passed_on.score),
        score_method: ScoreMethod::Filter,
        rationale: Some(rationale),
        detail: None,
        stage: Stage::Filter,
        ..Verdict::undetermined(Cause::OverBudget, "", policy.reference(), "filter")
    }
}

impl<J: Judge> Judge for BudgetedJudge<J> {
    fn identity(&self) -> String {
        format!("{} within a budget", self.next.identity())
    }

    fn judge(
        &self,
        policy: &Policy,
        content: &Content,
        settings: &JudgeSettings,
        observer: &mut dyn Observer,
    ) -> Verdict {
        let until = |wait: Duration| self.account.now_ms().saturating_add(wait.as_millis() as u64);
        let wait = self.may_wait.map_or(Wait::No, |wait| Wait::Until(until(wait)));
        let item = Item {
            direct: settings.direct,
            wait,
            votes: settings.votes,
            passed: settings.passed_on,
            ..Item::new(settings.effort_for(policy))
        };
        let asked = Instant::now();
        let (grant, given_up) = self.account.ask(item, settings.timeout, observer);
        let grant = match grant {
            Ok(grant) => grant,
            Err(refusal) => {
                return Verdict { given_up, ..refusal.verdict(policy, settings.passed_on) };
            }
        };
        // What was waited for is part of the time allowed.
        let left = settings.after(asked.elapsed());
        let settings = JudgeSettings { effort: Some(grant.effort), votes: grant.votes, ..left };
        let mut verdict = self.next.judge(policy, content, &settings, observer);
        self.account.settle(&grant, &verdict);
        verdict.given_up.splice(0..0, given_up);
        verdict
    }
}
