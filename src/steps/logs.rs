//! Step `logs` (guide: `kubectl logs`).

use crate::check::Check;

/// The checks of this step.
pub const CHECKS: &[Check] = &[];
