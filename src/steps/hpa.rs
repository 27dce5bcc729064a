//! Step `hpa` (guide: `<unknown>` targets).

use crate::check::Check;

/// The checks of this step.
pub const CHECKS: &[Check] = &[];
