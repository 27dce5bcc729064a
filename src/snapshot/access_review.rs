//! What the API server answered to the question whether somebody may do something (`SubjectAccessReview`).

/// One answer. It sees every authorizer, not only RBAC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessReview {
    /// Who was asked about: `system:serviceaccount:NAMESPACE:NAME`.
    pub user: String,
    /// The verb.
    pub verb: String,
    /// The API group, empty for the core group.
    pub group: String,
    /// The resource, with its subresource as `nodes/metrics`.
    pub resource: String,
    /// The object's name, empty for all.
    pub name: String,
    /// The namespace, empty for the whole cluster.
    pub namespace: String,
    /// `status.allowed`.
    pub allowed: bool,
}
