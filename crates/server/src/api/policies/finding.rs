//! What the linter finds, as our routes write it.

use policy::lint::Finding;
use serde::Serialize;
use utoipa::ToSchema;

/// One thing that is wrong with a policy.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct FindingBody {
    /// What was looked for, such as `P001`.
    code: &'static str,
    /// `error` or `warning`.
    severity: String,
    /// From 1.
    line: usize,
    /// From 1, in characters.
    column: usize,
    /// What is wrong here.
    message: String,
    /// Why that matters.
    reason: &'static str,
    /// What to do.
    help: String,
}

impl FindingBody {
    pub(super) fn new(finding: &Finding) -> FindingBody {
        FindingBody {
            code: finding.code.id(),
            severity: finding.severity.to_string(),
            line: finding.start.line,
            column: finding.start.column,
            message: finding.message.clone(),
            reason: finding.reason,
            help: finding.help.clone(),
        }
    }
}
