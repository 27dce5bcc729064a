//! Step `retrieve` (guide: `kubectl top nodes`, `kubectl top pods`).

use crate::check::Check;

/// The checks of this step.
pub const CHECKS: &[Check] = &[];
