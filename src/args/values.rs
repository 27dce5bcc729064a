//! Values of flags, and what is said about wrong ones.

use std::{fmt, time::Duration};

use crate::{
    guide::Step,
    observe::demo,
    runbooks::{self, INDEX},
};

/// The autoscaler that is to be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Autoscaler {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Autoscaler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// What `runbook` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// The page or its section.
    pub text: &'static str,
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text);
    match number.parse::<f64>() {
        Ok(seconds) if (0.1..=86_400.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("expected a number of seconds between 0.1 and 86400".to_owned()),
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a duration such as 90s, 2m or 1h30m, at most a day".to_owned();
    let duration: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    let duration = Duration::try_from(duration).map_err(|_| wrong())?;
    let fits = (Duration::from_millis(100)..=Duration::from_hours(24)).contains(&duration);
    fits.then_some(duration).ok_or_else(wrong)
}

pub(super) fn autoscaler(text: &str) -> Result<Autoscaler, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(Autoscaler { namespace: namespace.to_owned(), name: name.to_owned() })
        }
        _ => Err("expected NAMESPACE/NAME, such as shop/web".to_owned()),
    }
}

/// An address without the slash at its end.
pub(super) fn external_url(text: &str) -> Result<String, String> {
    let wrong = |what: &str| {
        format!(
            "{what}: expected http:// or https:// with a host and, where there is one, port and path, such as https://doctor.example.org/east or http://[fd00::1]:19102"
        )
    };
    let address: hyper::Uri = text.parse().map_err(|error| wrong(&format!("{error}")))?;
    if !matches!(address.scheme_str(), Some("http" | "https")) {
        return Err(wrong("no http:// or https://"));
    }
    let authority = address.authority().map(hyper::http::uri::Authority::as_str).unwrap_or_default();
    if authority.contains('@') {
        return Err(wrong("credentials do not belong into links"));
    }
    let host = address.host().filter(|host| !host.is_empty()).ok_or_else(|| wrong("no host"))?;
    // The port of a Uri is read late: any text may stand behind the colon.
    let port = authority.strip_prefix(host).unwrap_or_default();
    if !port.is_empty() && port.strip_prefix(':').is_none_or(|port| port.parse::<u16>().is_err()) {
        return Err(wrong("no port"));
    }
    if text.contains(['?', '#']) {
        return Err(wrong("links have a path and an anchor of their own"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// A page by the id of its step, or its section; what links and reports name is understood too.
pub(super) fn runbook(text: &str) -> Result<Page, String> {
    let named = text.strip_prefix("runbooks/").unwrap_or(text);
    let (step, cause) = named.split_once(['/', '#']).map_or((named, None), |(step, cause)| (step, Some(cause)));
    let page = runbooks::page(step)
        .filter(|page| !page.id.starts_with(INDEX))
        .ok_or_else(|| format!("there are {}", runbooks::all().map(|page| page.id).collect::<Vec<_>>().join(", ")))?;
    let Some(cause) = cause else { return Ok(Page { text: page.markdown }) };
    let section = page.section(cause).ok_or_else(|| match page.anchors().collect::<Vec<_>>() {
        causes if causes.is_empty() => format!("{step} has no causes of its own"),
        causes => format!("{step} has the causes {}", causes.join(", ")),
    })?;
    Ok(Page { text: section })
}

pub(super) fn step(text: &str) -> Result<Step, String> {
    let known = Step::ALL.into_iter().find(|step| step.id() == text);
    known.ok_or_else(|| format!("there are {}", Step::ALL.map(Step::id).join(", ")))
}

pub(super) fn scene(text: &str) -> Result<String, String> {
    let mut known: Vec<String> = demo::scenes().into_iter().map(|scene| scene.verdict).collect();
    if known.iter().any(|verdict| verdict == text) {
        return Ok(text.to_owned());
    }
    known.sort();
    known.dedup();
    Err(format!("there are {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_external_address_may_have_a_path_a_slash_and_an_ipv6_host() {
        for (given, kept) in [
            ("https://doctor.example.org", "https://doctor.example.org"),
            ("https://doctor.example.org/", "https://doctor.example.org"),
            ("https://doctor.example.org/fleet/east/", "https://doctor.example.org/fleet/east"),
            ("http://[fd00::1]:19102", "http://[fd00::1]:19102"),
            ("http://[::1]/a", "http://[::1]/a"),
            ("http://localhost:19102", "http://localhost:19102"),
        ] {
            assert_eq!(external_url(given).as_deref(), Ok(kept));
        }
        for wrong in [
            "",
            "doctor.example.org",
            "/runbooks",
            "ftp://doctor.example.org",
            "https://",
            "https:///path",
            "https://doctor.example.org:port",
            "https://doctor.example.org:",
            "http://fd00::1:19102",
            "https://user:secret@doctor.example.org",
            "https://doctor.example.org/?a=b",
            "https://doctor.example.org/#a",
            "https://doctor example.org",
        ] {
            let error = external_url(wrong).expect_err(wrong);
            assert!(error.contains("https://doctor.example.org/east"), "{wrong}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_runbook_is_found_as_reports_and_links_name_it() {
        for name in ["timeout/no_route", "timeout#no_route", "runbooks/timeout#no_route"] {
            assert!(runbook(name).is_ok_and(|page| page.text.starts_with("### `no_route`")), "{name}");
        }
        assert!(runbook("timeout").is_ok_and(|page| page.text.starts_with("# Timeout")));
        assert!(runbook("weather").is_err_and(|error| error.contains("there are") && error.contains("timeout")));
        assert!(runbook("timeout/rain").is_err_and(|error| error.contains("no_route")));
        assert!(runbook("README").is_err());
    }
}
