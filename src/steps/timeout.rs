//! Step `timeout` (guide: "Client.Timeout exceeded while awaiting headers", security groups, network ACL).

use crate::check::Check;

/// The checks of this step.
pub const CHECKS: &[Check] = &[];
