//! What the doctor's own dials of metrics-server's endpoints got.

use std::time::Duration;

use jiff::Timestamp;

/// How a dial of one endpoint ended: a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DialOutcome {
    /// A TLS server answered the request for `/livez`, whatever its code.
    Answered,
    /// The connection was made, but neither a handshake nor an answer came in time.
    Silent,
    /// The connection was not made in time: packets are dropped.
    Timeout,
    /// Nothing listens there, or a firewall rejects.
    Refused,
    /// No route to the address.
    NoRoute,
    /// The connection was made and broke off.
    Reset,
    /// What listens there does not speak TLS.
    NotTls,
    /// Anything else.
    Other,
}

impl DialOutcome {
    /// Whether something accepted the connection.
    pub const fn is_connected(self) -> bool {
        matches!(self, Self::Answered | Self::Silent | Self::Reset | Self::NotTls)
    }

    /// All outcomes.
    pub const ALL: [Self; 8] = [
        Self::Answered,
        Self::Silent,
        Self::Timeout,
        Self::Refused,
        Self::NoRoute,
        Self::Reset,
        Self::NotTls,
        Self::Other,
    ];

    /// As in labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Silent => "silent",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::NoRoute => "no_route",
            Self::Reset => "reset",
            Self::NotTls => "not_tls",
            Self::Other => "other",
        }
    }
}

/// One dial: TCP, TLS (whatever the certificate) and `GET /livez`, from where the doctor runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial {
    /// The endpoint's address.
    pub address: String,
    /// The endpoint's port.
    pub port: u16,
    /// When it ended.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub outcome: DialOutcome,
    /// The answer's code or the error's text, for evidence.
    pub detail: String,
}

impl Dial {
    /// The dial in one line, for evidence.
    pub fn told(&self) -> String {
        let Self { address, port, outcome, detail, .. } = self;
        let shown = if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") };
        format!("direct dial of {shown}: {} ({detail})", outcome.label())
    }
}

/// How the dials since `since` ended, which as a `metav1.Time` has whole seconds; all of them without it.
pub fn outcomes_since(dials: &[Dial], since: Option<Timestamp>) -> impl Iterator<Item = DialOutcome> {
    dials.iter().filter(move |dial| since.is_none_or(|since| dial.at >= since)).map(|dial| dial.outcome)
}

/// Whether every dial since `since` ended alike; `None` where there was none or they differ.
pub fn common_outcome(dials: &[Dial], since: Option<Timestamp>) -> Option<DialOutcome> {
    let mut fresh = outcomes_since(dials, since);
    let first = fresh.next()?;
    fresh.all(|outcome| outcome == first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    fn dial(seconds: i64, outcome: DialOutcome) -> Dial {
        Dial {
            address: "10.0.1.10".to_owned(),
            port: 10250,
            at: at(seconds).parse().expect("a timestamp"),
            took: Duration::from_millis(3),
            outcome,
            detail: "200".to_owned(),
        }
    }

    #[test]
    fn only_fresh_dials_that_agree_count() {
        let dials = [dial(-60, DialOutcome::Answered), dial(-5, DialOutcome::Timeout)];
        let since = |seconds| at(seconds).parse().ok();
        assert_eq!(common_outcome(&dials, None), None);
        assert_eq!(common_outcome(&dials, since(-10)), Some(DialOutcome::Timeout));
        assert_eq!(common_outcome(&dials, since(0)), None);
        assert_eq!(common_outcome(&[], None), None);
    }

    #[test]
    fn an_ipv6_address_is_told_in_brackets() {
        let told = Dial { address: "fd00::1".to_owned(), ..dial(0, DialOutcome::Answered) }.told();
        assert_eq!(told, "direct dial of [fd00::1]:10250: answered (200)");
    }
}
