//! Step `forbidden`: metrics-server's own permissions, and aws-auth.

use super::{Family, Page};
use crate::{
    facts::{
        aws_auth::AwsAuth,
        rbac::Decision,
        rights::{Source, granted},
    },
    render::View,
};

const GRANTED: Family = Family::gauge(
    "metrics_server_doctor_rbac_permission_granted",
    &["permission"],
    "1 when metrics-server's ServiceAccount has a permission that its version needs, 0 when not",
)
.absent_where("neither the API server answers for it nor RBAC objects were seen")
.series(1, &["permission"]);
const SOURCE: Family = Family::gauge(
    "metrics_server_doctor_rbac_permission_source",
    &["permission", "source"],
    "1 for who answered for a permission: the API server (SubjectAccessReview), or the evaluated RBAC objects; 0 for the other",
)
.absent_where("neither the API server answers for it nor RBAC objects were seen")
.series(2, &["permission"]);
const AWS_AUTH_ENTRIES: Family = Family::gauge(
    "metrics_server_doctor_aws_auth_entries",
    &[],
    "Entries of mapRoles and mapUsers in ConfigMap kube-system/aws-auth",
)
.absent_where("there is no ConfigMap kube-system/aws-auth, or it was not seen")
.series(1, &[]);
const AWS_AUTH_MALFORMED: Family = Family::gauge(
    "metrics_server_doctor_aws_auth_malformed_entries",
    &["problem"],
    "Entries of ConfigMap kube-system/aws-auth that map nobody, by what is wrong with them",
)
.absent_where("there is no ConfigMap kube-system/aws-auth, or it was not seen")
.series(4, &[]);

/// The families of this module.
pub(super) const FAMILIES: &[Family] = &[GRANTED, SOURCE, AWS_AUTH_ENTRIES, AWS_AUTH_MALFORMED];

pub(super) fn write(view: &View<'_>, page: &mut Page) {
    for (permission, decision, source) in granted(view.facts) {
        let sources = Source::ALL.map(Source::label);
        match &decision {
            Decision::NotSeen(_) => {}
            _ => page.set_one_of(&SOURCE, &[permission.label()], sources, source.label()),
        }
        match decision {
            Decision::Allowed(_) => page.set(&GRANTED, [permission.label()], true),
            Decision::Denied => page.set(&GRANTED, [permission.label()], false),
            Decision::NotSeen(_) => {}
        }
    }
    if let Ok(Some(aws_auth)) = AwsAuth::of(view.facts.snapshot) {
        page.set_single(&AWS_AUTH_ENTRIES, aws_auth.entries);
        for (problem, count) in [
            ("without_username", aws_auth.without_username.len()),
            ("arn_with_path", aws_auth.arn_with_path.len()),
            ("conflicting_username", aws_auth.conflicting.len()),
            ("unparsable", aws_auth.unparsable.len()),
        ] {
            page.set(&AWS_AUTH_MALFORMED, [problem], count);
        }
    }
}
