//! Asks the API server whether metrics-server's `ServiceAccount` may do what its version needs: it knows every
//! authorizer, where the RBAC objects tell of one.

use std::sync::Arc;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::{Api, Client, api::PostParams};
use tokio::sync::{mpsc, watch};

use super::{backoff::jitter, heard::Message, options::Timings, trouble::Trouble};
use crate::{
    facts::Facts,
    facts::rbac::{Attributes, Decision, User},
    facts::rights,
    snapshot::{AccessReview, NotSeen, Observed, Snapshot},
};

/// Asks for ever: now and then, and at once when the account, its version or the RBAC objects' own answer changes.
pub(super) async fn run(
    client: Client,
    timings: Timings,
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    messages: mpsc::Sender<Message>,
) {
    loop {
        let known = cues(&snapshots.borrow_and_update());
        if let Some((user, permissions)) = &known {
            let attributes = permissions.iter().map(|(attributes, _)| *attributes);
            let answer = review(&client, user, attributes).await;
            if messages.send(Message::Reviewed(answer)).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(jitter(timings.access_interval)) => {}
            changed = snapshots.wait_for(|snapshot| cues(snapshot) != known) => if changed.is_err() { return },
        }
    }
}

/// Whom and what to ask about, with what the RBAC objects answer.
type Cues = Option<(User, Vec<(Attributes<'static>, Decision)>)>;

fn cues(snapshot: &Snapshot) -> Cues {
    rights::questions(&Facts::new(snapshot))
}

/// The answers to all questions, or why there are none.
pub(super) async fn review(
    client: &Client,
    user: &User,
    questions: impl Iterator<Item = Attributes<'static>>,
) -> Observed<Vec<AccessReview>> {
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    let mut answers = Vec::new();
    for asked in questions {
        match api.create(&PostParams::default(), &question(user, &asked)).await {
            Ok(answer) => answers.push(AccessReview {
                user: user.name.clone(),
                verb: asked.verb.to_owned(),
                group: asked.group.to_owned(),
                resource: asked.resource.to_owned(),
                name: asked.name.to_owned(),
                namespace: asked.namespace.to_owned(),
                allowed: answer.status.is_some_and(|status| status.allowed),
            }),
            Err(error) => {
                return Observed::NotSeen(match Trouble::of(&error) {
                    Trouble::Forbidden => NotSeen::Forbidden { verb: "create", resource: "subjectaccessreviews" },
                    Trouble::NotFound | Trouble::Gone => {
                        NotSeen::Unreachable("the API server has no SubjectAccessReview".to_owned())
                    }
                    Trouble::Unreachable(text) => NotSeen::Unreachable(text),
                });
            }
        }
    }
    Observed::Present(answers)
}

fn question(user: &User, asked: &Attributes<'_>) -> SubjectAccessReview {
    let (resource, subresource) = match asked.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (asked.resource, None),
    };
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let attributes = ResourceAttributes {
        verb: Some(asked.verb.to_owned()),
        group: Some(asked.group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource,
        name: some(asked.name),
        namespace: some(asked.namespace),
        ..ResourceAttributes::default()
    };
    SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(user.name.clone()),
            groups: Some(user.groups.clone()),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::healthy;

    #[test]
    fn the_account_is_asked_about_with_its_groups_and_the_subresource_apart() {
        let (user, permissions) = cues(&healthy()).expect("questions");
        assert_eq!(user.name, "system:serviceaccount:kube-system:metrics-server");
        let asked = permissions.iter().find(|(asked, _)| asked.resource == "nodes/metrics").expect("nodes/metrics").0;
        let spec = question(&user, &asked).spec;
        let attributes = spec.resource_attributes.expect("attributes");
        assert_eq!(
            (attributes.resource.as_deref(), attributes.subresource.as_deref()),
            (Some("nodes"), Some("metrics"))
        );
        assert!(spec.groups.is_some_and(|groups| groups.contains(&"system:serviceaccounts:kube-system".to_owned())));
    }
}
