//! Step `apiservice` (guide: "Error from server (`ServiceUnavailable`)", `kubectl describe apiservices`).

mod ca_bundle;
mod condition;
mod front_proxy;
mod other_apis;
mod proxy;

use crate::{catalogue::Cause, check::Check, guide::Step};

/// The checks of this step.
pub const CHECKS: &[Check] = &[
    Check {
        step: Step::Apiservice,
        id: "available",
        question: "Is condition Available of the APIService True, and if not, what does the aggregator say?",
        causes: &[Cause::ApiServiceUnavailable, Cause::NameResolution, Cause::AnotherServerAnswers],
        rule: condition::rule,
    },
    Check {
        step: Step::Apiservice,
        id: "ca_bundle",
        question: "Does the CA bundle of the APIService fit the serving certificate?",
        causes: &[
            Cause::CaBundleMissing,
            Cause::CaBundleExpired,
            Cause::CaBundleMismatch,
            Cause::ServingCertificateInvalid,
        ],
        rule: ca_bundle::rule,
    },
    Check {
        step: Step::Apiservice,
        id: "front_proxy",
        question: "Does metrics-server trust the aggregator's certificate, and so the caller identity that it forwards?",
        causes: &[Cause::FrontProxyUntrusted],
        rule: front_proxy::rule,
    },
    Check {
        step: Step::Apiservice,
        id: "proxy",
        question: "Does kube-apiserver call metrics-server without a proxy in between?",
        causes: &[Cause::ProxyInterferes],
        rule: proxy::rule,
    },
    Check {
        step: Step::Apiservice,
        id: "other_apis",
        question: "Are the custom and external metrics APIs available, where they are registered?",
        causes: &[Cause::OtherMetricsApiUnavailable],
        rule: other_apis::rule,
    },
];

#[cfg(test)]
mod tests;
