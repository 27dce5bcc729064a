//! Step `installed` (guide: "Metrics Server is not installed by default").

use crate::check::Check;

/// The checks of this step.
pub const CHECKS: &[Check] = &[];
