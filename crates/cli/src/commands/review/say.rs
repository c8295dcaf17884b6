//! `safeguard review confirm | overturn | appeal`: what a person says of a decision.

use anyhow::Result;
use clap::ValueEnum;
use policy::GoldenOutcome;
use store::{DecisionId, Finding, Millis, NewReview, ReviewId};

use crate::commands::storing::{StoreArgs, TENANT};
use crate::exit::Exit;
use crate::output::{print_result, report_hint};

/// Say that a decision is right
///
/// Exit status: 0 done, 2 could not be done.
#[derive(Debug, clap::Args)]
pub(crate) struct Confirm {
    #[command(flatten)]
    about: About,
    /// Why, if there is something to say
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

/// Say that a decision is wrong, and what is right
///
/// `safeguard audit export --format golden` writes overturned decisions as golden cases, where their content is
/// kept.
///
/// Exit status: 0 done, 2 could not be done.
#[derive(Debug, clap::Args)]
pub(crate) struct Overturn {
    #[command(flatten)]
    about: About,
    /// What is right
    #[arg(long, value_enum)]
    outcome: Right,
    /// The right rule of the policy
    #[arg(long, value_name = "CODE")]
    rule: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Ask for a second look, for whoever wrote the content
///
/// Exit status: 0 done, 2 could not be done.
#[derive(Debug, clap::Args)]
pub(crate) struct Appeal {
    #[command(flatten)]
    about: About,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Which decision, and who speaks.
#[derive(Debug, clap::Args)]
struct About {
    /// The decision
    id: DecisionId,
    #[command(flatten)]
    store: StoreArgs,
    /// The decision's tenant
    #[arg(long, value_name = "NAME", default_value = TENANT)]
    tenant: String,
    /// Who says so
    #[arg(long, value_name = "NAME", env = "SAFEGUARD_REVIEWER")]
    reviewer: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Right {
    /// A rule is violated
    Violation,
    /// None is
    Clear,
}

impl Confirm {
    pub(super) fn run(&self) -> Result<Exit> {
        self.about.say(Finding::Confirm, &self.reason)
    }
}

impl Overturn {
    pub(super) fn run(&self) -> Result<Exit> {
        let outcome = match self.outcome {
            Right::Violation => GoldenOutcome::Violation,
            Right::Clear => GoldenOutcome::Clear,
        };
        let exit =
            self.about.say(Finding::Overturn { outcome, rule: self.rule.clone() }, &self.reason)?;
        report_hint("`safeguard audit export --format golden` writes it as a golden case");
        Ok(exit)
    }
}

impl Appeal {
    pub(super) fn run(&self) -> Result<Exit> {
        self.about.say(Finding::Appeal, &self.reason)
    }
}

impl About {
    fn say(&self, finding: Finding, reason: &str) -> Result<Exit> {
        let open = self.store.open()?;
        let at = Millis::now();
        let review = NewReview {
            id: ReviewId::new(at)?,
            at,
            tenant: self.tenant.clone(),
            decision: self.id.clone(),
            reviewer: self.reviewer.clone(),
            finding,
            reason: reason.to_owned(),
        };
        let review = open.wait(open.store.review(review))?;
        print_result(&format!("{}\n", review.id))?;
        Ok(Exit::Clear)
    }
}
