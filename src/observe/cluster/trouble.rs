//! What went wrong with a request, in the few classes that the observer acts on.

use std::error::Error;

use kube::runtime::watcher;

use crate::{snapshot::NotSeen, wording::secrets::masked};

/// The longest text of an error that is kept: one that quotes the address of a log, which has long names, ends with what
/// went wrong.
const KEPT_CHARACTERS: usize = 600;

/// Why a request did not give what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// 403.
    Forbidden,
    /// 404: the group, version or resource is not there.
    NotFound,
    /// 410, or a place to go on from that the server does not know.
    Gone,
    /// Everything else, as one line.
    Unreachable(String),
}

impl Trouble {
    /// The class of a client's error. Compares codes: `Status::is_not_found` and its sisters fail on bodies that are not
    /// JSON, such as the aggregator's.
    pub(super) fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(status),
            error => Self::Unreachable(one_line(error)),
        }
    }

    fn of_status(status: &kube::core::Status) -> Self {
        match status.code {
            403 => Self::Forbidden,
            404 => Self::NotFound,
            410 => Self::Gone,
            401 => Self::Unreachable("401: the API server does not accept the credentials".to_owned()),
            // What is not a Status was a body of unknown origin: its text is not repeated.
            code if status.reason == "Failed to parse error data" => {
                Self::Unreachable(format!("HTTP status {code} without a Kubernetes Status"))
            }
            code => Self::Unreachable(shorten(&format!("HTTP status {code}: {}", status.message))),
        }
    }

    /// Why something was not seen; `resource` as RBAC names it.
    pub(super) fn not_seen(self, verb: &'static str, resource: &'static str) -> NotSeen {
        match self {
            Self::Forbidden => NotSeen::Forbidden { verb, resource },
            Self::NotFound => NotSeen::Unreachable(format!("the API server does not serve {resource}")),
            Self::Gone => NotSeen::Unreachable("the list must be read again".to_owned()),
            Self::Unreachable(text) => NotSeen::Unreachable(text),
        }
    }

    /// The class of a watcher's error, and the verb of the request that failed.
    pub(super) fn of_watch(error: &watcher::Error) -> (Self, &'static str) {
        match error {
            watcher::Error::InitialListFailed(error) => (Self::of(error), "list"),
            watcher::Error::WatchError(status) => (Self::of_status(status), "watch"),
            // An event was lost: only a new list makes up for it.
            watcher::Error::WatchFailed(kube::Error::SerdeError(_)) | watcher::Error::NoResourceVersion => {
                (Self::Gone, "watch")
            }
            watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => (Self::of(error), "watch"),
        }
    }
}

/// An error with all that stands behind it, in one line: kube's own words stop at "client error (Connect)".
pub(crate) fn one_line(error: &(dyn Error + 'static)) -> String {
    // serde_json quotes the value that it could not read.
    if let Some(kube::Error::SerdeError(error)) = error.downcast_ref() {
        return format!("the answer cannot be read: {:?} error", error.classify());
    }
    let error = match error.downcast_ref() {
        Some(kube::Error::Service(inner)) => inner.as_ref(),
        _ => error,
    };
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    shorten(&text)
}

/// The first line of a text, cut where it is long.
pub(super) fn shorten(text: &str) -> String {
    let line = text.trim().replace(['\n', '\r'], " ");
    let line = masked(&line).unwrap_or(line);
    match line.char_indices().nth(KEPT_CHARACTERS) {
        None => line,
        Some((end, _)) => format!("{}…", &line[..end]),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn codes_decide_even_where_the_body_is_plain_text() {
        for (code, expected) in [(403, Trouble::Forbidden), (404, Trouble::NotFound), (410, Trouble::Gone)] {
            let status = Status::failure("404 page not found", "Failed to parse error data").with_code(code);
            assert_eq!(Trouble::of(&kube::Error::Api(status.boxed())), expected);
        }
        let status = Status::failure("<html>secret</html>", "Failed to parse error data").with_code(502);
        let Trouble::Unreachable(text) = Trouble::of(&kube::Error::Api(status.boxed())) else {
            panic!("not reachable")
        };
        assert_eq!(text, "HTTP status 502 without a Kubernetes Status");
    }

    #[test]
    fn a_long_error_becomes_one_short_line() {
        let text = shorten(&"ä\n".repeat(1000));
        assert!(text.chars().count() == KEPT_CHARACTERS + 1 && !text.contains('\n'));
    }
}
