//! The certificates in an `APIService`'s `caBundle`.

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use x509_parser::pem::Pem;

use crate::snapshot::ApiService;

/// What an `APIService` says of its server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verification {
    /// `insecureSkipTLSVerify: true`: it is not looked at.
    Skipped,
    /// It has to be verified, and nothing is given to verify it with. The system's roots remain, and no public authority
    /// signs names that end in `.svc`.
    WithoutBundle,
    /// The bundle holds no certificate that can be read.
    Unreadable,
    /// It is verified with these.
    Bundle {
        /// How many certificates there are.
        count: usize,
        /// When the first of them expires.
        earliest: Timestamp,
        /// When the last of them expires.
        latest: Timestamp,
    },
}

impl Verification {
    /// Reads an `APIService`.
    pub fn of(api_service: &ApiService) -> Self {
        let bundle = api_service.spec.ca_bundle.as_deref().unwrap_or("");
        if api_service.spec.insecure_skip_tls_verify == Some(true) {
            return Self::Skipped;
        }
        if bundle.is_empty() {
            return Self::WithoutBundle;
        }
        let ends = ends(bundle).unwrap_or_default();
        let moment = |seconds: Option<&i64>| Timestamp::from_second(*seconds?).ok();
        match (moment(ends.iter().min()), moment(ends.iter().max())) {
            (Some(earliest), Some(latest)) => Self::Bundle { count: ends.len(), earliest, latest },
            _ => Self::Unreadable,
        }
    }
}

/// The ends of validity of the certificates in a bundle, in seconds of the epoch.
fn ends(bundle: &str) -> Option<Vec<i64>> {
    let bytes = BASE64_STANDARD.decode(bundle.split_whitespace().collect::<String>()).ok()?;
    let mut ends = Vec::new();
    for pem in Pem::iter_from_buffer(&bytes) {
        let pem = pem.ok()?;
        let certificate = pem.parse_x509().ok()?;
        ends.push(certificate.validity().not_after.timestamp());
    }
    Some(ends)
}

/// When the first certificate of an `APIService`'s bundle expires; `None` without a bundle that can be read.
pub fn earliest_expiry(api_service: &ApiService) -> Option<Timestamp> {
    let ends = ends(api_service.spec.ca_bundle.as_deref()?)?;
    Timestamp::from_second(*ends.iter().min()?).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::testing::object;

    /// A bundle of one certificate that is valid from 2020 to a day.
    pub(crate) fn bundle(not_after: (i32, u8, u8)) -> String {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(not_after.0, not_after.1, not_after.2);
        let key = rcgen::KeyPair::generate().expect("a key");
        BASE64_STANDARD.encode(parameters.self_signed(&key).expect("a certificate").pem())
    }

    #[test]
    fn what_the_certificate_is_verified_with_is_read() {
        let of = |spec: serde_json::Value| Verification::of(&object(serde_json::json!({"spec": spec})));
        assert_eq!(of(serde_json::json!({"insecureSkipTLSVerify": true})), Verification::Skipped);
        assert_eq!(of(serde_json::json!({"insecureSkipTLSVerify": false})), Verification::WithoutBundle);
        assert_eq!(of(serde_json::json!({"caBundle": ""})), Verification::WithoutBundle);
        assert_eq!(of(serde_json::json!({"caBundle": "not base64!"})), Verification::Unreadable);
        let Verification::Bundle { count, earliest, latest } =
            of(serde_json::json!({"caBundle": bundle((2030, 1, 1))}))
        else {
            panic!("a bundle")
        };
        assert_eq!((count, earliest.to_string().as_str(), latest), (1, "2030-01-01T00:00:00Z", earliest));
    }
}
