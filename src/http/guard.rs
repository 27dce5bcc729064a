//! Who may read the pages. Probes are open to all.

use std::net::IpAddr;

use hyper::{
    HeaderMap, StatusCode,
    header::{self, HeaderValue},
};
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::{
    review::{CouldNotAsk, Credential, Decision, Reviewer},
    site::{Answer, plain},
};

/// Who may read the pages.
#[derive(Debug, Clone, Default)]
pub enum Guard {
    /// Everybody.
    #[default]
    Open,
    /// Who has a certificate of one of the authorities that the server knows.
    Certificate,
    /// Who the API server knows, by token or certificate, and lets `get` the path.
    Review(Reviewer),
}

impl Guard {
    /// Lets a request for `path` pass, or gives the answer that refuses it.
    ///
    /// `certificate` was verified during the handshake.
    pub(super) async fn admit(
        &self,
        path: &'static str,
        headers: &HeaderMap,
        certificate: Option<&CertificateDer<'static>>,
        address: IpAddr,
    ) -> Result<(), Answer> {
        let reviewer = match self {
            Self::Open => return Ok(()),
            Self::Certificate if certificate.is_some() => return Ok(()),
            Self::Certificate => return Err(plain(StatusCode::FORBIDDEN, "a client certificate is needed\n")),
            Self::Review(reviewer) => reviewer,
        };
        let credential = match (certificate, bearer_token(headers)) {
            (Some(certificate), _) => Credential::Certificate(certificate),
            (None, Some(token)) => Credential::Token(token),
            (None, None) => return Err(unauthorized("a bearer token is needed\n")),
        };
        // The stock role `system:discovery` lets every account get /api/*, and so the report.
        let path = if path == "/api/v1/report" { "/metrics" } else { path };
        match reviewer.decide(credential, path, address).await {
            Ok(Decision::Allowed) => Ok(()),
            Ok(Decision::Unknown) => Err(unauthorized("the API server does not know these credentials\n")),
            Ok(Decision::Denied) => {
                Err(plain(StatusCode::FORBIDDEN, "a rule for `get` on this path under nonResourceURLs is needed\n"))
            }
            Err(CouldNotAsk::TooMany) => {
                let mut answer = plain(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too many requests of this address with credentials that are not known\n",
                );
                answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
                Err(answer)
            }
            Err(CouldNotAsk::NoAnswer) => Err(plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "the API server cannot be asked who may read this; the log says why\n",
            )),
        }
    }
}

fn unauthorized(text: &'static str) -> Answer {
    let mut answer = plain(StatusCode::UNAUTHORIZED, text);
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    answer
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_read_as_the_api_server_reads_it() {
        for (value, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Basic abc", None),
            ("Bearer", None),
            ("Bearer  ", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
            assert_eq!(bearer_token(&headers), token, "{value}");
        }
        assert_eq!(bearer_token(&HeaderMap::new()), None);
    }

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn where_certificates_guard_the_pages_none_means_forbidden() {
        let refused = Guard::Certificate.admit("/metrics", &HeaderMap::new(), None, HERE).await.expect_err("refused");
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        let certificate = CertificateDer::from(vec![1]);
        assert!(Guard::Certificate.admit("/metrics", &HeaderMap::new(), Some(&certificate), HERE).await.is_ok());
        assert!(Guard::Open.admit("/metrics", &HeaderMap::new(), None, HERE).await.is_ok());
    }
}
