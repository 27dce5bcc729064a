//! What the API server, kubectl and clients of the metrics API say when a call failed
//! (kubernetes/apimachinery `pkg/api/errors`, `pkg/util/proxy`; kubernetes/kube-aggregator `pkg/apiserver/handler_proxy.go`;
//! kubernetes/kubectl `pkg/cmd/top`, `pkg/cmd/util`, 1.8 to 1.37).

use super::{
    failure::{Failure, MessageClass},
    table::{Table, between, unescaped},
};

/// The error classes of a call through the aggregator: a closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorClass {
    /// The caller has no right.
    Forbidden,
    /// The caller has no identity.
    Unauthorized,
    /// The aggregator answers 503 by itself.
    ServiceUnavailable,
    /// No answer in time.
    Timeout,
    /// Nothing listens.
    ConnectionRefused,
    /// The group, version or resource is not there.
    NotFound,
    /// 500, as without auth-delegator.
    InternalError,
    /// A certificate is not accepted.
    Tls,
    /// Too many requests.
    Throttled,
    /// kube-apiserver itself does not answer.
    ApiserverUnreachable,
    /// The list is empty although the call succeeded.
    Empty,
    /// Anything else.
    Other,
}

impl ErrorClass {
    /// All classes.
    pub const ALL: [Self; 12] = [
        Self::Forbidden,
        Self::Unauthorized,
        Self::ServiceUnavailable,
        Self::Timeout,
        Self::ConnectionRefused,
        Self::NotFound,
        Self::InternalError,
        Self::Tls,
        Self::Throttled,
        Self::ApiserverUnreachable,
        Self::Empty,
        Self::Other,
    ];

    /// As in labels.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Unauthorized => "unauthorized",
            Self::ServiceUnavailable => "service_unavailable",
            Self::Timeout => "timeout",
            Self::ConnectionRefused => "connection_refused",
            Self::NotFound => "not_found",
            Self::InternalError => "internal_error",
            Self::Tls => "tls",
            Self::Throttled => "throttled",
            Self::ApiserverUnreachable => "apiserver_unreachable",
            Self::Empty => "empty",
            Self::Other => "other",
        }
    }

    /// The class of a call that the aggregator passed on and that did not arrive.
    fn of_failure(class: MessageClass) -> Self {
        match class {
            MessageClass::Timeout => Self::Timeout,
            MessageClass::ConnectionRefused => Self::ConnectionRefused,
            MessageClass::Tls | MessageClass::PlainHttp => Self::Tls,
            _ => Self::ServiceUnavailable,
        }
    }
}

/// Who a refusal names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Identity {
    /// `system:anonymous`: whoever refuses does not know who asks.
    Anonymous,
    /// A `ServiceAccount`.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Any other name: a person, a component, or the certificate of the aggregator itself.
    Other(String),
}

impl Identity {
    /// Reads a user's name.
    pub fn of(user: &str) -> Self {
        if user == "system:anonymous" {
            return Self::Anonymous;
        }
        let account = user.strip_prefix("system:serviceaccount:").and_then(|account| account.split_once(':'));
        account.map_or_else(
            || Self::Other(user.to_owned()),
            |(namespace, name)| Self::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() },
        )
    }

    /// Whether it is a name that certificates of aggregators bear (kubeadm, `OpenShift`, k3s, kops, the guide "Configure the
    /// aggregation layer"): a server that refuses it does not take over the caller's name from it.
    pub fn is_aggregator(&self) -> bool {
        const NAMES: [&str; 9] = [
            "front-proxy-client",
            "front-proxy",
            "aggregator",
            "aggregator-client",
            "kube-aggregator",
            "system:kube-aggregator",
            "system:openshift-aggregator",
            "system:auth-proxy",
            "proxy-client",
        ];
        matches!(self, Self::Other(name) if NAMES.contains(&name.as_str()))
    }

    /// The user's name, as refusals write it.
    pub fn user(&self) -> String {
        match self {
            Self::Anonymous => "system:anonymous".to_owned(),
            Self::ServiceAccount { namespace, name } => format!("system:serviceaccount:{namespace}:{name}"),
            Self::Other(user) => user.clone(),
        }
    }

    /// Whether it is this `ServiceAccount`.
    pub fn is_account(&self, namespace: &str, name: &str) -> bool {
        matches!(self, Self::ServiceAccount { namespace: of, name: called } if of == namespace && called == name)
    }
}

/// `X is forbidden: User "U" cannot VERB resource "R" in API group "G" in the namespace "N"`, up to Kubernetes 1.11
/// `User "U" cannot VERB R.G in the namespace "N"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forbidden {
    /// Who was refused.
    pub user: Identity,
    /// What was refused: `list`, `get`, `create`.
    pub verb: String,
    /// The plural, with the subresource: `nodes`, `nodes/metrics`.
    pub resource: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// The namespace; `None` at the scope of the cluster.
    pub namespace: Option<String>,
}

impl Forbidden {
    /// Reads a text; quotes in it may be escaped.
    pub fn of(text: &str) -> Option<Self> {
        let text = unescaped(text);
        let (_, behind) = text.split_once("User \"")?;
        let (user, behind) = behind.split_once("\" cannot ")?;
        let mut words = behind.split([' ', '"', '\n', '.']).filter(|word| !word.is_empty());
        let verb = words.next()?.to_owned();
        let old = words.next()?;
        let (resource, group) = if old == "resource" {
            let group = between(behind, "in API group \"", "\"").unwrap_or("");
            (between(behind, "resource \"", "\"")?, group)
        } else {
            let word = behind.split_whitespace().nth(1)?;
            word.split_once('.').unwrap_or((word, ""))
        };
        Some(Self {
            user: Identity::of(user),
            verb,
            resource: resource.to_owned(),
            group: group.trim_end_matches(['.', ':', ',']).to_owned(),
            namespace: between(behind, "in the namespace \"", "\"").map(str::to_owned),
        })
    }
}

/// What an error tells beyond its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detail {
    /// Somebody lacks a right.
    Forbidden(Forbidden),
    /// metrics-server may not ask the API server who is allowed what: it lacks `system:auth-delegator`.
    ReviewsForbidden {
        /// Its account, where the text names it.
        account: Option<Identity>,
    },
    /// The server behind the aggregator asked the API server for something that this version does not serve: `could not
    /// find the requested resource` inside of a 500.
    ResourceGone,
    /// The API server refuses the token of the server behind the aggregator: `Unauthorized` inside of a 500.
    TokenRefused,
    /// The aggregator did not get through to the server behind it.
    NotReached(Failure),
    /// kubectl found no `metrics.k8s.io` in discovery, or a stale one.
    NotDiscovered,
    /// kubectl up to 1.19 found no `metrics.k8s.io` in discovery and asked for Heapster instead.
    Heapster,
    /// kubectl: the list is empty, and the pod is older than two minutes.
    PodWithoutSample {
        /// The pod's namespace.
        namespace: String,
        /// The pod's name.
        name: String,
    },
    /// kubectl: the list is empty.
    NoSamplesYet,
    /// One object is not there: `podmetrics.metrics.k8s.io "shop/web-1" not found`.
    ObjectNotFound {
        /// Its plural and group.
        resource: String,
        /// Its name, of pods with their namespace.
        name: String,
    },
    /// Nothing more.
    Plain,
}

/// A call of the metrics API that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// Its class.
    pub class: ErrorClass,
    /// What it tells beyond that.
    pub detail: Detail,
}

impl ApiError {
    /// What kubectl printed, or another client logged; `None` where the text shows no error.
    pub fn of_text(text: &str) -> Option<Self> {
        let class = classify_kubectl(text)?;
        Some(Self { class, detail: Detail::of(class, text) })
    }

    /// An answer with an error code.
    pub fn of_response(code: u16, body: &str) -> Self {
        let class = classify_response(code, body);
        Self { class, detail: Detail::of(class, body) }
    }
}

impl Detail {
    /// What a text of this class tells.
    pub fn of(class: ErrorClass, text: &str) -> Self {
        let text = unescaped(text);
        let text = text.as_ref();
        if let Some(failure) = not_reached(text) {
            return Self::NotReached(failure);
        }
        if ["subjectaccessreviews", "tokenreviews"].iter().any(|reviews| text.contains(reviews))
            && text.contains("is forbidden")
        {
            return Self::ReviewsForbidden { account: Forbidden::of(text).map(|forbidden| forbidden.user) };
        }
        if text.contains("is forbidden")
            && let Some(forbidden) = Forbidden::of(text)
        {
            return Self::Forbidden(forbidden);
        }
        match class {
            ErrorClass::InternalError if text.contains("could not find the requested resource") => Self::ResourceGone,
            ErrorClass::InternalError if text.contains(": Unauthorized") => Self::TokenRefused,
            ErrorClass::ServiceUnavailable
                if text.contains("Metrics API not available") || text.contains("stale GroupVersion discovery") =>
            {
                Self::NotDiscovered
            }
            ErrorClass::NotFound if text.contains("services http:heapster:") => Self::Heapster,
            ErrorClass::NotFound => object_not_found(text).unwrap_or(Self::Plain),
            ErrorClass::Empty => pod_without_sample(text).unwrap_or(Self::NoSamplesYet),
            _ => Self::Plain,
        }
    }
}

/// Whether a call, as the doctor writes it, asked for the pods of this namespace.
pub fn names_namespace(text: &str, namespace: &str) -> bool {
    text.contains(&format!("/namespaces/{namespace}/pods"))
}

/// What the aggregator says only in the body: since Kubernetes 1.19 `error trying to reach service: CAUSE`, before that
/// with the cause in quotes, and `Error: 'CAUSE'` above `Trying to reach: 'URL'` for some clients.
fn not_reached(text: &str) -> Option<Failure> {
    let lower = text.to_ascii_lowercase();
    if let Some(start) = lower.find("error trying to reach service: ") {
        return Some(Failure::of(&text[start..]));
    }
    lower.contains("trying to reach: '").then(|| Failure::of(text))
}

fn object_not_found(text: &str) -> Option<Detail> {
    let (head, _) = text.split_once("\" not found")?;
    let (head, name) = head.rsplit_once('"')?;
    let resource = head.split_whitespace().next_back()?;
    Some(Detail::ObjectNotFound { resource: resource.to_owned(), name: name.to_owned() })
}

fn pod_without_sample(text: &str) -> Option<Detail> {
    let (_, behind) = text.split_once("etrics not available for pod ")?;
    let (namespace, name) = behind.split([',', ' ', '\n']).next()?.split_once('/')?;
    Some(Detail::PodWithoutSample { namespace: namespace.to_owned(), name: name.to_owned() })
}

/// The class of an answer with an error code. The body decides beside the code, because the aggregator says only there
/// why it could not reach the server behind it (503 since Kubernetes 1.19, 500 before). The body may be a Status or plain
/// text.
pub fn classify_response(code: u16, body: &str) -> ErrorClass {
    match code {
        401 => ErrorClass::Unauthorized,
        403 => ErrorClass::Forbidden,
        404 => ErrorClass::NotFound,
        429 => ErrorClass::Throttled,
        408 | 504 => ErrorClass::Timeout,
        _ => match (not_reached(body), code) {
            (Some(failure), _) => ErrorClass::of_failure(failure.class),
            (None, 503) => ErrorClass::ServiceUnavailable,
            (None, 500) => ErrorClass::InternalError,
            (None, _) => ErrorClass::Other,
        },
    }
}

/// Whether kubectl says that a list is empty: `No resources found`, with or without a namespace.
pub fn found_nothing(text: &str) -> bool {
    text.contains("No resources found")
}

/// The error class of what kubectl printed; `None` where it says of no error. Generic sentences are the client's own
/// (`NewGenericServerResponse`), which keeps the body of a 500 alone.
pub fn classify_kubectl(text: &str) -> Option<ErrorClass> {
    static TEXTS: Table<ErrorClass> = Table::new(&[
        ("The connection to the server", ErrorClass::ApiserverUnreachable),
        ("Unable to connect to the server", ErrorClass::ApiserverUnreachable),
        ("You must be logged in to the server", ErrorClass::Unauthorized),
        ("(Unauthorized)", ErrorClass::Unauthorized),
        ("(Forbidden)", ErrorClass::Forbidden),
        ("Internal Server Error", ErrorClass::InternalError),
        ("(InternalError)", ErrorClass::InternalError),
        ("an error on the server", ErrorClass::InternalError),
        ("is forbidden:", ErrorClass::Forbidden),
        ("x509:", ErrorClass::Tls),
        ("tls:", ErrorClass::Tls),
        ("connection refused", ErrorClass::ConnectionRefused),
        ("Client.Timeout", ErrorClass::Timeout),
        ("context deadline exceeded", ErrorClass::Timeout),
        ("i/o timeout", ErrorClass::Timeout),
        ("(Timeout)", ErrorClass::Timeout),
        ("unable to return a response in the time allotted", ErrorClass::Timeout),
        ("Metrics API not available", ErrorClass::ServiceUnavailable),
        ("stale GroupVersion discovery", ErrorClass::ServiceUnavailable),
        ("(ServiceUnavailable)", ErrorClass::ServiceUnavailable),
        ("currently unable to handle the request", ErrorClass::ServiceUnavailable),
        ("(TooManyRequests)", ErrorClass::Throttled),
        ("too many requests", ErrorClass::Throttled),
        ("metrics not available yet", ErrorClass::Empty),
        ("Metrics not available for pod", ErrorClass::Empty),
        ("(NotFound)", ErrorClass::NotFound),
        ("could not find the requested resource", ErrorClass::NotFound),
        ("get services http:heapster:", ErrorClass::NotFound),
    ]);
    if let Some(failure) = not_reached(text) {
        return Some(ErrorClass::of_failure(failure.class));
    }
    // `error: ` alone is what kubectl says of its own flags, files and plugins.
    let error = || text.lines().any(|line| line.starts_with("Error from server"));
    TEXTS.first(text).or_else(|| error().then_some(ErrorClass::Other))
}

#[cfg(test)]
mod tests;
