//! From a snapshot to what the server shows.

use jiff::Timestamp;
use tokio::sync::watch;

use super::{Failure, process};
use crate::{
    health::{CertificateState, ObserverHealth, RequestClass},
    history::History,
    http::{Content, Site, Tls},
    render::{HpaSeries, View, html::html, metrics::Page},
    report::{Links, Report},
    snapshot::Snapshot,
    verdict::VerdictName,
};

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

    pub(super) fn publish(
        &mut self,
        snapshot: &Snapshot,
        health: Option<&ObserverHealth>,
        requests: &[(RequestClass, u64)],
    ) -> Result<(), Failure> {
        self.tell_reach(health);
        let mut report = Report::new(snapshot);
        let ready = health.is_none_or(|health| health.first_complete_look);
        let verdict_since = self.since(&report, ready);
        report.held_since = Some(verdict_since);
        let certificate = self.certificate.as_mut().map(|certificate| *certificate.borrow_and_update());
        self.history.advance(snapshot);
        let view = View {
            verdict_since,
            health,
            requests,
            certificate,
            history: Some(&self.history),
            process: process::usage(),
            hpa_series: self.hpa_series,
            ..View::new(snapshot, &report)
        };
        let page = Page::of(&view).to_open_metrics().map_err(|error| Failure::Defect(error.to_string()))?;
        let mut json = serde_json::to_string_pretty(&report.to_json(&self.links))
            .map_err(|error| Failure::Defect(error.to_string()))?;
        json.push('\n');
        let status_page = html(&report, verdict_since, &self.links);
        self.site.replace(Content::new(page, json, status_page, ready));
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
