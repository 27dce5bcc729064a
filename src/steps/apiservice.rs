//! Step `apiservice` (guide: "Error from server (`ServiceUnavailable`)", `kubectl describe apiservices`).

use crate::check::Check;

/// The checks of this step.
pub const CHECKS: &[Check] = &[];
