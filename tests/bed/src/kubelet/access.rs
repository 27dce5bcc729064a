//! Who may read metrics: asked as a kubelet with webhook authentication and authorization asks.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use hyper::StatusCode;
use k8s_openapi::api::{
    authentication::v1::{TokenReview, UserInfo},
    authorization::v1::SubjectAccessReview,
};
use kube::{Api, Client, api::PostParams};
use serde_json::json;

/// A refusal must show with the next scrape, and many nodes must not cost a question each.
const KEPT: Duration = Duration::from_secs(2);

type Refused = (StatusCode, String);
type Answer = Result<(), Refused>;

pub(super) struct Access {
    client: Client,
    answers: Mutex<HashMap<String, (Instant, Answer)>>,
    statistics: AtomicBool,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Access").finish_non_exhaustive()
    }
}

impl Access {
    pub(super) fn new(client: Client) -> Self {
        Self { client, answers: Mutex::default(), statistics: AtomicBool::new(false) }
    }

    /// Whether `nodes/stats`, the right that metrics-server needed up to 0.5, is enough too.
    pub(super) fn accept_statistics_right(&self, accept: bool) {
        self.statistics.store(accept, Ordering::Relaxed);
    }

    /// Whether the bearer may `get` `nodes/metrics`, which is what a kubelet asks for `/metrics/resource`.
    pub(super) async fn may_read_metrics(&self, token: Option<&str>) -> Answer {
        let Some(token) = token else { return Err((StatusCode::UNAUTHORIZED, "Unauthorized".to_owned())) };
        if let Some(known) = self.known(token) {
            return known;
        }
        let answer = match self.ask(token).await {
            Ok(answer) => answer,
            // Nothing that lasts: the API server may be just restarting.
            Err(error) => return Err((StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))),
        };
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.insert(token.to_owned(), (Instant::now(), answer.clone()));
        answer
    }

    fn known(&self, token: &str) -> Option<Answer> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(token).filter(|(asked, _)| asked.elapsed() < KEPT).map(|(_, answer)| answer.clone())
    }

    async fn ask(&self, token: &str) -> Result<Answer> {
        let review: TokenReview = serde_json::from_value(json!({ "spec": { "token": token } }))?;
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let status = reviews.create(&PostParams::default(), &review).await?.status.context("no status")?;
        let Some(user) = status.user.filter(|_| status.authenticated == Some(true)) else {
            return Ok(Err((StatusCode::UNAUTHORIZED, "Unauthorized".to_owned())));
        };
        let name = user.username.clone().unwrap_or_default();
        let mut rights = vec!["metrics"];
        if self.statistics.load(Ordering::Relaxed) {
            rights.push("stats");
        }
        for right in rights {
            if self.is_allowed(&user, right).await? {
                return Ok(Ok(()));
            }
        }
        let body = format!("Forbidden (user={name}, verb=get, resource=nodes, subresource(s)=[metrics])");
        Ok(Err((StatusCode::FORBIDDEN, body)))
    }

    async fn is_allowed(&self, user: &UserInfo, subresource: &str) -> Result<bool> {
        let review: SubjectAccessReview = serde_json::from_value(json!({ "spec": {
            "user": user.username,
            "groups": user.groups,
            "resourceAttributes": { "verb": "get", "resource": "nodes", "subresource": subresource },
        }}))?;
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let status = reviews.create(&PostParams::default(), &review).await?.status.context("no status")?;
        Ok(status.allowed)
    }
}
