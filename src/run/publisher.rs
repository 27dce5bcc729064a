//! From a snapshot to what the server shows.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::sync::watch;

use super::{Failure, process};
use crate::{
    facts::Facts,
    health::{CertificateState, ObserverHealth, RequestClass},
    history::History,
    http::{Content, Site, Tls},
    render::{HpaSeries, View, html::html, metrics::Page},
    report::{Links, Report},
    snapshot::Snapshot,
    verdict::VerdictName,
};

/// After a page that took a second to make, so many seconds pass before the next: at most a tenth of a core judges.
const REST: u32 = 9;
/// The longest of these rests, so that a page is never much older than its making takes.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// What one page is made of.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// What was seen.
    pub(super) snapshot: Arc<Snapshot>,
    /// How the observer is doing; `None` where there is no cluster to watch.
    pub(super) health: Option<Arc<ObserverHealth>>,
    /// How many requests of each class were sent to the API server.
    pub(super) requests: Vec<(RequestClass, u64)>,
}

impl Look {
    /// A look without an observer behind it.
    pub(super) fn of(snapshot: impl Into<Arc<Snapshot>>) -> Self {
        Self { snapshot: snapshot.into(), ..Self::default() }
    }
}

/// Renders snapshots, remembers since when the verdict holds, and logs every change of it.
pub(super) struct Publisher {
    site: Site,
    links: Links,
    verdict: Option<(VerdictName, Timestamp)>,
    told: Option<VerdictName>,
    out_of_reach: bool,
    certificate: Option<watch::Receiver<CertificateState>>,
    history: History,
    hpa_series: HpaSeries,
    judged_in: Option<Duration>,
    /// What tests do before a look is judged, such as to hold it up.
    #[cfg(test)]
    pub(super) before: Option<Box<dyn FnMut() + Send>>,
}

impl Publisher {
    /// Pages of a server with this certificate.
    pub(super) fn new(links: Links, hpa_series: HpaSeries, tls: Option<&Tls>) -> Self {
        Self {
            site: Site::default(),
            links,
            verdict: None,
            told: None,
            out_of_reach: false,
            certificate: tls.map(Tls::state),
            history: History::default(),
            hpa_series,
            judged_in: None,
            #[cfg(test)]
            before: None,
        }
    }

    /// Waits until there is something new to publish about the certificate.
    pub(super) async fn certificate_changed(&mut self) {
        if let Some(certificate) = &mut self.certificate {
            // The server holds the sender for as long as pages are published.
            if certificate.changed().await.is_ok() {
                return;
            }
        }
        std::future::pending::<()>().await;
    }

    pub(super) fn site(&self) -> Site {
        self.site.clone()
    }

    /// Publishes on a thread of the blocking pool, where nobody waits for an answer. There is one publication at a time,
    /// and whatever changes meanwhile is part of the next one.
    pub(super) async fn publish_aside(mut self, look: Look) -> Result<Self, Failure> {
        let publishing = tokio::task::spawn_blocking(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| self.publish(&look)));
            (self, outcome)
        });
        match publishing.await {
            Ok((publisher, Ok(outcome))) => outcome.map(|()| publisher),
            Ok((publisher, Err(_))) => {
                // The page shows how old it is, and the next look may be without whatever this was.
                tracing::error!(
                    "a look could not be judged, which is a defect of the doctor; the page stays as it was"
                );
                Ok(publisher)
            }
            Err(error) => Err(Failure::Defect(error.to_string())),
        }
    }

    /// How long to wait until the next page is made.
    pub(super) fn rest(&self) -> Duration {
        self.judged_in.unwrap_or_default().saturating_mul(REST).min(LONGEST_REST)
    }

    /// Publishes at once.
    pub(super) fn publish(&mut self, look: &Look) -> Result<(), Failure> {
        let begin = Instant::now();
        #[cfg(test)]
        if let Some(before) = &mut self.before {
            before();
        }
        let Look { snapshot, health, requests } = look;
        let health = health.as_deref();
        self.tell_reach(health);
        let facts = Facts::new(snapshot);
        let mut report = Report::of(&facts);
        let ready = health.is_none_or(|health| health.first_complete_look);
        let verdict_since = self.since(&report, ready);
        report.held_since = Some(verdict_since);
        let certificate = self.certificate.as_mut().map(|certificate| *certificate.borrow_and_update());
        self.history.advance(&facts);
        let view = View {
            verdict_since,
            health,
            requests,
            certificate,
            history: Some(&self.history),
            process: process::usage(),
            judged_in: self.judged_in,
            hpa_series: self.hpa_series,
            ..View::new(&facts, &report)
        };
        let page = Page::of(&view).to_open_metrics().map_err(|error| Failure::Defect(error.to_string()))?;
        let mut json = serde_json::to_string_pretty(&report.to_json(&self.links))
            .map_err(|error| Failure::Defect(error.to_string()))?;
        json.push('\n');
        let status_page = html(&report, verdict_since, &self.links);
        self.site.replace(Content::new(page, json, status_page, ready));
        self.judged_in = Some(begin.elapsed());
        Ok(())
    }

    /// Logs at once when the API server does not answer, and when it does again.
    fn tell_reach(&mut self, health: Option<&ObserverHealth>) {
        let Some(health) = health else { return };
        let out_of_reach = health.is_out_of_reach();
        if out_of_reach == self.out_of_reach {
            return;
        }
        self.out_of_reach = out_of_reach;
        if out_of_reach {
            let trouble = health.trouble_of_all().unwrap_or_default();
            tracing::warn!(trouble, "the API server does not answer: every check is unknown");
        } else {
            tracing::info!("the API server answers");
        }
    }

    fn since(&mut self, report: &Report, ready: bool) -> Timestamp {
        let verdict = report.judgement.verdict.name();
        // Before the first complete look nothing can be told yet, which is no news.
        if ready && self.told != Some(verdict) {
            self.told = Some(verdict);
            let (step, cause, summary) = (verdict.step_id(), verdict.id(), report.summary());
            match verdict {
                VerdictName::Healthy => tracing::info!(step, cause, summary, "verdict"),
                VerdictName::Undetermined | VerdictName::Fault(_) => tracing::warn!(step, cause, summary, "verdict"),
            }
        }
        match self.verdict {
            Some((known, since)) if known == verdict => since,
            _ => {
                self.verdict = Some((verdict, report.observed_at));
                report.observed_at
            }
        }
    }
}

#[cfg(test)]
mod tests;
