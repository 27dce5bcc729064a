//! Is every identity in aws-auth mapped so that it works?

use crate::{
    catalogue::Cause,
    check::{Docket, Finding, Impact, Slot},
    facts::{
        Facts,
        aws_auth::{self, AwsAuth, Place},
    },
    snapshot::{
        Named, NotSeen, ObjectReference,
        certificate_signing_request::KUBELET_SERVING,
        log::ContainerLog,
        retrieval::{self, ErrorClass},
    },
};

/// The causes of this check.
pub(super) const CAUSES: &[Cause] = &[
    Cause::AwsAuthUsernameMissing,
    Cause::AwsAuthUnparsable,
    Cause::AwsAuthConflictingUsernames,
    Cause::AwsAuthArnWithPath,
];

pub(super) fn rule(facts: &Facts<'_>, docket: &mut Docket) -> Result<(), NotSeen> {
    let read = match AwsAuth::of(facts.snapshot) {
        Ok(Some(read)) => read,
        Ok(None) => {
            docket.not_applicable("There is no aws-auth: the cluster uses access entries, or is not on EKS.");
            return Ok(());
        }
        Err(_) if aws_auth::is_elsewhere(facts.snapshot) => {
            docket.not_applicable("No node is one of Amazon EKS, and no aws-auth was seen.");
            return Ok(());
        }
        Err(reason) => return Err(reason),
    };
    let told = told(&read);
    let refused = |class: ErrorClass| {
        [&facts.snapshot.top_nodes, &facts.snapshot.top_pods].into_iter().any(|call| {
            matches!(call.seen().map(|call| &call.outcome), Some(retrieval::Outcome::Failed { class: own, .. }) if *own == class)
        })
    };
    // Whom it hurts shows in 401 alone; everybody else is served.
    let unauthorized = refused(ErrorClass::Unauthorized);
    let mut confirm = |cause: Cause, hurts: bool, summary: String, places: &[Place]| {
        let object = ObjectReference::new("ConfigMap", "kube-system", "aws-auth");
        let mut finding = Finding::partial(cause, object, summary).evidence(told.clone());
        if !hurts {
            finding.impact = Impact::Latent;
        }
        if let Some(first) = places.first() {
            finding = finding.slot(Slot::Key, first.key).slot(Slot::Entry, first.entry.to_string());
        }
        docket.confirm(finding);
    };
    for unparsable in &read.unparsable {
        let line = unparsable.line.map_or(String::new(), |line| format!(" at line {line}"));
        let summary = format!(
            "Key {} of aws-auth is not valid YAML{line} ({}): callers that are mapped only there are refused.",
            unparsable.key, unparsable.error
        );
        let place = Place { key: unparsable.key, entry: 0 };
        confirm(Cause::AwsAuthUnparsable, unauthorized, summary, &[place]);
    }
    if !read.without_username.is_empty() {
        let (count, have, get) = match read.without_username.len() {
            1 => ("1 entry".to_owned(), "has", "it gets"),
            count => (format!("{count} entries"), "have", "they get"),
        };
        let summary = format!(
            "{count} of aws-auth {have} no username ({}): {get} 401 from the metrics API.",
            list(&read.without_username)
        );
        confirm(Cause::AwsAuthUsernameMissing, unauthorized, summary, &read.without_username);
    }
    if !read.conflicting.is_empty() {
        let places: Vec<Place> = read.conflicting.iter().flat_map(|conflict| conflict.places.iter().copied()).collect();
        let arns =
            if read.conflicting.len() == 1 { "1 ARN".to_owned() } else { format!("{} ARNs", read.conflicting.len()) };
        let of_nodes = read.conflicting.iter().any(|conflict| conflict.of_nodes);
        let nodes = if of_nodes {
            " It is the role of nodes: kubelets may ask for serving certificates under a name that no signer approves."
        } else {
            ""
        };
        let summary =
            format!("aws-auth maps {arns} to several usernames, of which one wins ({}).{nodes}", list(&places));
        let no_certificate = facts.snapshot.logs.iter().flat_map(ContainerLog::lines).any(|line| {
            line.read.failed_scrapes().iter().any(|failed| failed.cause == Some(Cause::KubeletCertificateMissing))
        });
        // A kubelet that asks under a name that is no node's is never given a certificate.
        let nameless = facts.snapshot.certificate_signing_requests.iter().find(|request| {
            request.spec.signer_name == KUBELET_SERVING && request.node().is_none() && !request.is("Approved")
        });
        let hurts = of_nodes && (no_certificate || nameless.is_some()) || refused(ErrorClass::Forbidden);
        let summary = match nameless {
            Some(request) => format!("{summary} CertificateSigningRequest {} does so.", request.name()),
            None => summary,
        };
        confirm(Cause::AwsAuthConflictingUsernames, hurts, summary, &places);
    }
    if !read.arn_with_path.is_empty() {
        let (count, never) = match read.arn_with_path.len() {
            1 => ("1 role ARN of aws-auth has a path".to_owned(), "it never matches"),
            count => (format!("{count} role ARNs of aws-auth have a path"), "they never match"),
        };
        let summary = format!("{count} ({}): {never}.", list(&read.arn_with_path));
        confirm(Cause::AwsAuthArnWithPath, unauthorized, summary, &read.arn_with_path);
    }
    if !docket.has_findings() {
        docket.note(told);
    }
    // What cannot be read may hold anything.
    if read.unparsable.is_empty() {
        docket.exclude_rest("Every entry of aws-auth has one username, and no ARN has a path.");
    }
    Ok(())
}

fn list(places: &[Place]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = places.iter().take(SHOWN).map(Place::to_string).collect();
    match places.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn told(read: &AwsAuth) -> String {
    let entries = if read.entries == 1 { "1 entry".to_owned() } else { format!("{} entries", read.entries) };
    format!(
        "ConfigMap kube-system/aws-auth: {entries}, {} without username, {} with a path in the role ARN, {} mapped to several usernames, {} unreadable",
        read.without_username.len(),
        read.arn_with_path.len(),
        read.conflicting.len(),
        match read.unparsable.len() {
            1 => "1 key".to_owned(),
            count => format!("{count} keys"),
        }
    )
}
