//! The API server is asked who sends a request and whether they may read a path: a `TokenReview`, then a
//! `SubjectAccessReview` for the non-resource URL, as aggregated API servers and controller-runtime's metrics server do it.
//!
//! Answers are kept for a short time, so that a scrape is not three requests; failures to ask never are.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, UserInfo},
    authorization::v1::{NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams};
use ring::digest::{SHA256, digest};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::throttle::Throttle;

/// How long both questions to the API server may take: less than the usual time limit of a scrape.
const LIMIT: Duration = Duration::from_secs(8);
/// Questions at the same time; more wait within [`LIMIT`].
const CONCURRENCY: usize = 8;
/// Answers that are kept at most.
const KEPT: usize = 256;

/// How long answers are kept. A right that is withdrawn ends that much later.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetimes {
    pub(super) allowed: Duration,
    pub(super) refused: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        // The delegating authenticator of k8s.io/apiserver keeps answers to tokens for a minute too.
        Self { allowed: Duration::from_mins(1), refused: Duration::from_secs(10) }
    }
}

/// What somebody identifies themselves with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Credential<'c> {
    Token(&'c str),
    /// A verified certificate: its common name is the user, its organizations are the groups, as in the API server.
    Certificate(&'c CertificateDer<'static>),
}

/// What the API server says about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Allowed,
    /// Known, but without a rule that allows it.
    Denied,
    /// The credentials are not valid.
    Unknown,
}

/// Why the API server was not asked, or gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CouldNotAsk {
    /// The log has told why.
    NoAnswer,
    /// Too many questions on behalf of credentials that nobody knows.
    TooMany,
}

/// How long whoever was let in before is asked about without a limit.
const REMEMBERED: Duration = Duration::from_hours(1);

type Key = ([u8; 32], &'static str);

/// Asks the API server; cheap to clone.
#[derive(Clone)]
pub struct Reviewer(Arc<Inner>);

struct Inner {
    client: Client,
    lifetimes: Lifetimes,
    running: Semaphore,
    /// The same for those who were let in before, so that strangers do not keep them waiting.
    running_for_known: Semaphore,
    throttle: Throttle,
    /// Who was let in, and until when that is remembered.
    known: Mutex<HashMap<Key, Instant>>,
    /// By digest, so that no token is kept.
    kept: Mutex<HashMap<Key, (Instant, Decision)>>,
    /// The last trouble that was logged.
    told: Mutex<Option<String>>,
}

impl std::fmt::Debug for Reviewer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reviewer").finish_non_exhaustive()
    }
}

impl Reviewer {
    /// Asks by means of `client`, which needs `create` on `tokenreviews.authentication.k8s.io` and
    /// `subjectaccessreviews.authorization.k8s.io`.
    pub fn new(client: Client) -> Self {
        Self::with_lifetimes(client, Lifetimes::default())
    }

    pub(super) fn with_lifetimes(client: Client, lifetimes: Lifetimes) -> Self {
        Self(Arc::new(Inner {
            client,
            lifetimes,
            running: Semaphore::new(CONCURRENCY),
            running_for_known: Semaphore::new(CONCURRENCY),
            throttle: Throttle::new(),
            known: Mutex::default(),
            kept: Mutex::default(),
            told: Mutex::default(),
        }))
    }

    /// Whether the holder of the credential may `get` the path.
    pub(super) async fn decide(
        &self,
        credential: Credential<'_>,
        path: &'static str,
        address: IpAddr,
    ) -> Result<Decision, CouldNotAsk> {
        let bytes = match credential {
            Credential::Token(token) => token.as_bytes(),
            Credential::Certificate(certificate) => certificate.as_ref(),
        };
        let mut hashed = [0; 32];
        hashed.copy_from_slice(digest(&SHA256, bytes).as_ref());
        let key = (hashed, path);
        if let Some(decision) = self.0.kept(&key) {
            return Ok(decision);
        }
        let is_known = self.0.is_known(&key);
        if !is_known && !self.0.throttle.admits(address) {
            return Err(CouldNotAsk::TooMany);
        }
        let asked = async {
            // The semaphores are never closed.
            let running = if is_known { &self.0.running_for_known } else { &self.0.running };
            let _running = running.acquire().await;
            // Whoever was ahead may have asked the same.
            match self.0.kept(&key) {
                Some(decision) => Ok(decision),
                None => self.0.ask(credential, path).await,
            }
        };
        let answer = timeout(LIMIT, asked).await;
        match answer.unwrap_or_else(|_| Err(format!("no answer within {} s", LIMIT.as_secs()))) {
            Ok(decision) => {
                self.0.keep(key, decision);
                self.0.tell(None);
                Ok(decision)
            }
            Err(trouble) => {
                self.0.tell(Some(trouble));
                Err(CouldNotAsk::NoAnswer)
            }
        }
    }
}

impl Inner {
    async fn ask(&self, credential: Credential<'_>, path: &str) -> Result<Decision, String> {
        let user = match credential {
            Credential::Token(token) => self.user_of_token(token).await?,
            Credential::Certificate(certificate) => user_of_certificate(certificate),
        };
        let Some(user) = user else { return Ok(Decision::Unknown) };
        let question = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: user.username,
                uid: user.uid,
                groups: user.groups,
                extra: user.extra,
                non_resource_attributes: Some(NonResourceAttributes {
                    path: Some(path.to_owned()),
                    verb: Some("get".to_owned()),
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let answer = api.create(&PostParams::default(), &question).await.map_err(|error| trouble(&error))?;
        let status = answer.status.ok_or("the API server answers a SubjectAccessReview without a status")?;
        Ok(if status.allowed && status.denied != Some(true) { Decision::Allowed } else { Decision::Denied })
    }

    async fn user_of_token(&self, token: &str) -> Result<Option<UserInfo>, String> {
        let spec = TokenReviewSpec { token: token.to_owned(), audiences: None };
        let question = TokenReview { spec, ..TokenReview::default() };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let answer = api.create(&PostParams::default(), &question).await.map_err(|error| trouble(&error))?;
        let status = answer.status.ok_or("the API server answers a TokenReview without a status")?;
        let known = status.authenticated == Some(true);
        Ok(status.user.filter(|user| known && user.username.as_ref().is_some_and(|name| !name.is_empty())))
    }

    fn is_known(&self, key: &Key) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).is_some_and(|until| Instant::now() < *until)
    }

    fn remember(&self, key: Key, decision: Decision) {
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, until| now < *until);
        if decision == Decision::Allowed && (known.len() < KEPT || known.contains_key(&key)) {
            known.insert(key, now + REMEMBERED);
        } else if decision == Decision::Unknown {
            known.remove(&key);
        }
    }

    fn kept(&self, key: &Key) -> Option<Decision> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key).filter(|(until, _)| Instant::now() < *until).map(|(_, decision)| *decision)
    }

    fn keep(&self, key: Key, decision: Decision) {
        self.remember(key, decision);
        let lifetime = if decision == Decision::Allowed { self.lifetimes.allowed } else { self.lifetimes.refused };
        let now = Instant::now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.retain(|_, (until, _)| now < *until);
        }
        if kept.len() >= KEPT {
            // What ends first is missed least: refusals go before whom Prometheus scrapes with.
            let first = kept.iter().min_by_key(|(_, (until, _))| *until).map(|(key, _)| *key);
            first.map(|key| kept.remove(&key));
        }
        kept.insert(key, (now + lifetime, decision));
    }

    /// Logs trouble once, and its end.
    fn tell(&self, trouble: Option<String>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match (&trouble, &*told) {
            (Some(reason), told) if told.as_ref() != Some(reason) => {
                tracing::warn!(reason, "the API server cannot be asked who may read the pages; requests get 503");
            }
            (None, Some(_)) => tracing::info!("the API server can be asked again who may read the pages"),
            _ => {}
        }
        *told = trouble;
    }
}

/// Why a review could not be created, in one line.
fn trouble(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => {
            "403: the doctor itself may not create tokenreviews and subjectaccessreviews".to_owned()
        }
        kube::Error::Api(status) => format!("HTTP status {}", status.code),
        error => crate::observe::cluster::one_line(error),
    }
}

/// `None` where it has no common name.
fn user_of_certificate(certificate: &CertificateDer<'_>) -> Option<UserInfo> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?;
    let groups = subject.iter_organization().filter_map(|group| Some(group.as_str().ok()?.to_owned()));
    // Every user that has a certificate belongs to this group, as the API server's authenticator adds it.
    let groups = groups.chain(["system:authenticated".to_owned()]).collect();
    Some(UserInfo { username: Some(name.to_owned()), groups: Some(groups), ..UserInfo::default() })
}

#[cfg(test)]
mod tests;
