//! Step `other_reasons` (guide: `ServiceNotFound` to `MissingEndpoints`).

use crate::check::Check;

/// The checks of this step.
pub const CHECKS: &[Check] = &[];
