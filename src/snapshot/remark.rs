//! What others say of the metrics API in logs and texts that are not metrics-server's.

use crate::wording::mentions::Mention;

/// A line of a log or text, and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The file.
    pub file: String,
    /// The line, cut to a bounded length: the last one of those that say the same in this file.
    pub text: String,
    /// What it says.
    pub mention: Mention,
    /// How many lines of the file say so.
    pub times: usize,
}
