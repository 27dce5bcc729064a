//! Step `forbidden` (guide: "Error from server (Forbidden)").

use crate::check::Check;

/// The checks of this step.
pub const CHECKS: &[Check] = &[];
