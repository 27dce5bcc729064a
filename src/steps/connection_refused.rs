//! Step `connection_refused` (guide: port, image, command).

use crate::check::Check;

/// The checks of this step.
pub const CHECKS: &[Check] = &[];
