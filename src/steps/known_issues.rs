//! Step `known_issues` (guide: "check GitHub for common issues").

use crate::check::Check;

/// The checks of this step.
pub const CHECKS: &[Check] = &[];
