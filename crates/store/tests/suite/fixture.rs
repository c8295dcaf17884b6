//! Things to store.

use policy::{Content, JudgeSettings, Outcome, Policy, PolicyRef, Verdict};
use store::{
    DecisionId, Finding, Millis, NewDecision, NewItem, NewJob, NewReview, Notify, OnDeadline,
    Origin, ReviewId, Sampling,
};

pub(crate) const TENANT: &str = "acme";
/// A text that can be searched for in files.
pub(crate) const TEXT: &str = "zanzibar quokka";
/// Likewise, in the reasoning.
pub(crate) const THOUGHT: &str = "wombat thought";

/// A policy in free text: its rules are V and V0.
pub(crate) const POLICY: &[u8] = b"# Tests\n\nNothing may quote a quokka.\n";

pub(crate) fn policy() -> Policy {
    Policy::parse("tests", POLICY).unwrap()
}

pub(crate) fn policy_ref() -> PolicyRef {
    let policy = policy();
    PolicyRef { name: policy.name, id: policy.id }
}

pub(crate) fn verdict(outcome: Outcome) -> Verdict {
    let is_violation = outcome == Outcome::Violation;
    let mut verdict =
        Verdict::undetermined(policy::Cause::Timeout, THOUGHT, policy_ref(), "builtin");
    verdict.outcome = outcome;
    verdict.label = Some(if is_violation { "V" } else { "V0" }.to_owned());
    verdict.score = Some(0.1 + 0.2);
    verdict.probability = Some(f64::MIN_POSITIVE);
    verdict.reasoning = format!("{THOUGHT}: {TEXT}");
    verdict.rationale = Some(THOUGHT.to_owned());
    verdict.marker = Some("k7".to_owned());
    verdict
}

pub(crate) fn decision(outcome: Outcome) -> NewDecision {
    let now = Millis::now();
    NewDecision {
        id: DecisionId::new(now).unwrap(),
        at: now,
        origin: Origin {
            tenant: TENANT.to_owned(),
            source: "/v1/classify".to_owned(),
            judge: "builtin@1".to_owned(),
            ..Origin::default()
        },
        sampling: Sampling::of(
            &JudgeSettings { seed: Some(u64::MAX), ..JudgeSettings::default() },
            &policy(),
        ),
        verdict: verdict(outcome),
        content: Content::text(TEXT),
        keep_content: true,
    }
}

pub(crate) fn review(decision: &DecisionId, finding: Finding) -> NewReview {
    let now = Millis::now();
    NewReview {
        id: ReviewId::new(now).unwrap(),
        at: now,
        tenant: TENANT.to_owned(),
        decision: decision.clone(),
        reviewer: "ada".to_owned(),
        finding,
        reason: format!("because of {TEXT}"),
    }
}

pub(crate) fn job(n_items: usize) -> NewJob {
    NewJob {
        tenant: TENANT.to_owned(),
        key: None,
        request_key: None,
        kind: "classify".to_owned(),
        priority: 0,
        deadline_at: None,
        on_deadline: OnDeadline::Wait,
        webhook: Some("http://127.0.0.1:9/hook".to_owned()),
        notify: Notify::Items,
        keep_content: false,
        details: "{}".to_owned(),
        items: (0..n_items)
            .map(|n| NewItem {
                custom_id: Some(format!("n{n}")),
                policy: policy_ref(),
                content: Content::text(format!("{TEXT} {n}")),
                details: "{}".to_owned(),
            })
            .collect(),
    }
}
