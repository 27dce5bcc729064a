//! *Present*, *absent* and *not seen* as three different things.

use std::fmt;

/// Why something was not seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum NotSeen {
    /// Nobody looked: this kind of look is not part of this way to run.
    #[default]
    NotLooked,
    /// The first complete list has not arrived yet.
    NotSynced,
    /// The API server refuses the look.
    Forbidden {
        /// `list`, `watch`, `get` or `create`.
        verb: &'static str,
        /// The plural, with the subresource: `pods/log`.
        resource: &'static str,
    },
    /// The API server or the endpoint does not answer.
    Unreachable(String),
    /// The bundle holds this file or object, and it could not be read.
    Damaged(String),
    /// The bundle does not hold it.
    NotInBundle(&'static str),
    /// It was seen, but so soon after a start or a change that it proves nothing.
    TooEarly(String),
    /// What was seen contradicts itself, or may be of another moment.
    Unclear(String),
    /// The doctor itself failed while it judged: a defect to report.
    Defect,
}

impl fmt::Display for NotSeen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLooked => write!(formatter, "not looked at"),
            Self::NotSynced => write!(formatter, "the first list has not arrived yet"),
            Self::Forbidden { verb, resource } => write!(formatter, "not permitted to {verb} {resource}"),
            Self::Unreachable(reason) => write!(formatter, "unreachable: {reason}"),
            Self::Damaged(what) => write!(formatter, "{what} could not be read"),
            Self::NotInBundle(what) => write!(formatter, "{what} not in the bundle"),
            Self::Unclear(why) => write!(formatter, "{why}"),
            Self::Defect => write!(formatter, "the doctor has a defect here; please report it"),
            Self::TooEarly(why) => write!(formatter, "too early to tell: {why}"),
        }
    }
}

/// Something that was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed<T> {
    /// Nobody could look.
    NotSeen(NotSeen),
    /// It was looked for, in full, and is not there.
    Absent,
    /// It is there.
    Present(T),
}

impl<T> Default for Observed<T> {
    fn default() -> Self {
        Self::NotSeen(NotSeen::NotLooked)
    }
}

impl<T> Observed<T> {
    /// The value, `None` when it is absent, and why it was not seen as the error: `?` is the only way to the value.
    pub fn known(self) -> Result<Option<T>, NotSeen> {
        match self {
            Self::Present(value) => Ok(Some(value)),
            Self::Absent => Ok(None),
            Self::NotSeen(reason) => Err(reason),
        }
    }

    /// The value where it was seen; absent and not seen alike give `None`. For evidence, not for judgement.
    pub fn seen(&self) -> Option<&T> {
        match self {
            Self::Present(value) => Some(value),
            Self::Absent | Self::NotSeen(_) => None,
        }
    }

    /// A borrowed view.
    pub fn as_ref(&self) -> Observed<&T> {
        match self {
            Self::Present(value) => Observed::Present(value),
            Self::Absent => Observed::Absent,
            Self::NotSeen(reason) => Observed::NotSeen(reason.clone()),
        }
    }

    /// Whether it was looked for in full and is not there.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Applies `function` to a present value.
    pub fn map<U>(self, function: impl FnOnce(T) -> U) -> Observed<U> {
        match self {
            Self::Present(value) => Observed::Present(function(value)),
            Self::Absent => Observed::Absent,
            Self::NotSeen(reason) => Observed::NotSeen(reason),
        }
    }

    /// Follows a reference from a present value to something that is observed by itself.
    pub fn and_then<U>(self, function: impl FnOnce(T) -> Observed<U>) -> Observed<U> {
        match self {
            Self::Present(value) => function(value),
            Self::Absent => Observed::Absent,
            Self::NotSeen(reason) => Observed::NotSeen(reason),
        }
    }
}
