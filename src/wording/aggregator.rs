//! What the aggregator says in condition Available of an `APIService`, in the wordings of Kubernetes 1.8 to 1.37
//! (kubernetes/kube-aggregator `pkg/controllers/status/*available_controller.go`).

pub use super::failure::MessageClass;
use super::{
    failure::Failure,
    table::{Table, between},
};

/// The reasons of condition Available, with `other` and `not_registered`: a closed set
/// (kubernetes/kube-aggregator `pkg/controllers/status`, unchanged from 1.11 to 1.37).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// `Passed`
    Passed,
    /// `Local`
    Local,
    /// `ServiceNotFound`
    ServiceNotFound,
    /// `ServiceAccessError`
    ServiceAccessError,
    /// `ServicePortError`
    ServicePortError,
    /// `EndpointsNotFound`
    EndpointsNotFound,
    /// `EndpointsAccessError`
    EndpointsAccessError,
    /// `MissingEndpoints`
    MissingEndpoints,
    /// `FailedDiscoveryCheck`
    FailedDiscoveryCheck,
    /// A reason that is not known, or no condition yet.
    Other,
    /// There is no such `APIService`.
    NotRegistered,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 11] = [
        Self::Passed,
        Self::Local,
        Self::ServiceNotFound,
        Self::ServiceAccessError,
        Self::ServicePortError,
        Self::EndpointsNotFound,
        Self::EndpointsAccessError,
        Self::MissingEndpoints,
        Self::FailedDiscoveryCheck,
        Self::Other,
        Self::NotRegistered,
    ];

    /// As Kubernetes writes it; the last two in the project's own words.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Passed => "Passed",
            Self::Local => "Local",
            Self::ServiceNotFound => "ServiceNotFound",
            Self::ServiceAccessError => "ServiceAccessError",
            Self::ServicePortError => "ServicePortError",
            Self::EndpointsNotFound => "EndpointsNotFound",
            Self::EndpointsAccessError => "EndpointsAccessError",
            Self::MissingEndpoints => "MissingEndpoints",
            Self::FailedDiscoveryCheck => "FailedDiscoveryCheck",
            Self::Other => "other",
            Self::NotRegistered => "not_registered",
        }
    }

    /// Reads the reason of a condition; what is not known is `Other`.
    pub fn of(reason: &str) -> Self {
        Self::ALL.into_iter().take(9).find(|known| known.label() == reason).unwrap_or(Self::Other)
    }
}

/// What the aggregator says of the Service behind an `APIService`, which it looks at before it dials: rows 2 to 7 of its
/// checks, and what its resolver refuses (kubernetes/kube-aggregator `pkg/controllers/status/remote`,
/// kubernetes/apiserver `pkg/util/proxy/proxy.go`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceTrouble {
    /// There is no such Service.
    NotFound,
    /// The Service has no port of this number; of Services that are not of type `ClusterIP` the resolver says so.
    NoSuchPort(Option<u16>),
    /// There is no `EndpointSlice` (up to 1.33 no Endpoints object) of it.
    NoEndpointsObject,
    /// No ready address carries the Service port's name.
    NoReadyAddress {
        /// That name: empty for a port without one, `None` where the message does not tell (up to 1.14).
        port_name: Option<String>,
    },
    /// The Service has no address to dial: `ExternalName` with endpoint routing, or headless without.
    NotRoutable,
}

impl ServiceTrouble {
    /// Reads a message.
    pub fn of(message: &str) -> Option<Self> {
        #[derive(Clone, Copy)]
        enum Text {
            NotFound,
            Listening,
            NoServicePort,
            NoEndpointsObject,
            NoReadyAddress,
            NotRoutable,
        }
        static TEXTS: Table<Text> = Table::new(&[
            ("is not listening on port", Text::Listening),
            ("no service port", Text::NoServicePort),
            ("cannot find endpoints", Text::NoEndpointsObject),
            ("have no addresses", Text::NoReadyAddress),
            ("no endpoints available for service", Text::NoReadyAddress),
            ("unsupported service type", Text::NotRoutable),
            ("cannot route to service with ClusterIP", Text::NotRoutable),
            (" is not present", Text::NotFound),
        ]);
        let number = |mark: &str| {
            let (_, behind) = message.split_once(mark)?;
            behind.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
        };
        let Some(text) = TEXTS.first(message) else {
            let service = between(message, "services \"", "\" not found");
            return service.map(|_| Self::NotFound);
        };
        Some(match text {
            Text::NotFound => Self::NotFound,
            Text::Listening => Self::NoSuchPort(number("is not listening on port ")),
            Text::NoServicePort => Self::NoSuchPort(number("no service port ")),
            Text::NoEndpointsObject => Self::NoEndpointsObject,
            Text::NoReadyAddress => {
                Self::NoReadyAddress { port_name: between(message, "with port name \"", "\"").map(str::to_owned) }
            }
            Text::NotRoutable => Self::NotRoutable,
        })
    }
}

/// The aggregator's word on one `APIService`, parsed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The reason of the condition.
    pub reason: Reason,
    /// What is wrong with the Service, where it is that.
    pub service: Option<ServiceTrouble>,
    /// What came of dialling, as far as the message tells: meaningful for [`Reason::FailedDiscoveryCheck`].
    pub failure: Failure,
}

impl Complaint {
    /// Reads a condition's reason and message.
    pub fn of(reason: &str, message: &str) -> Self {
        Self { reason: Reason::of(reason), service: ServiceTrouble::of(message), failure: Failure::of(message) }
    }

    /// The class of the message.
    pub fn class(&self) -> MessageClass {
        self.failure.class
    }

    /// Whether the dialled server refuses whoever asks: 401, 403, or its end of the TLS handshake.
    pub fn refuses_the_aggregator(&self) -> bool {
        matches!(self.class(), MessageClass::BadStatus401 | MessageClass::BadStatus403 | MessageClass::Tls)
    }

    /// Whether the message names this address.
    pub fn dials(&self, address: &str) -> bool {
        let Some(dialled) = &self.failure.dialled else { return false };
        match (dialled.ip(), address.parse::<core::net::IpAddr>()) {
            (Some(dialled), Ok(address)) => dialled == address,
            _ => dialled.host == address,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_aggregators_checks_is_read() {
        for (reason, message, trouble) in [
            (
                "ServiceNotFound",
                "service/metrics-server in \"kube-system\" is not present",
                Some(ServiceTrouble::NotFound),
            ),
            (
                "ServicePortError",
                "service/metrics-server in \"kube-system\" is not listening on port 443",
                Some(ServiceTrouble::NoSuchPort(Some(443))),
            ),
            (
                "EndpointsNotFound",
                "cannot find endpoints for service/metrics-server in \"kube-system\"",
                Some(ServiceTrouble::NoEndpointsObject),
            ),
            (
                "EndpointsNotFound",
                "cannot find endpointslices for service/metrics-server in \"kube-system\"",
                Some(ServiceTrouble::NoEndpointsObject),
            ),
            (
                "MissingEndpoints",
                "endpoints for service/metrics-server in \"kube-system\" have no addresses",
                Some(ServiceTrouble::NoReadyAddress { port_name: None }),
            ),
            (
                "MissingEndpoints",
                "endpointslices for service/metrics-server in \"kube-system\" have no addresses with port name \"https\"",
                Some(ServiceTrouble::NoReadyAddress { port_name: Some("https".to_owned()) }),
            ),
            (
                "FailedDiscoveryCheck",
                "no service port 443 found for service \"metrics-server\"",
                Some(ServiceTrouble::NoSuchPort(Some(443))),
            ),
            (
                "FailedDiscoveryCheck",
                "no endpoints available for service \"metrics-server\"",
                Some(ServiceTrouble::NoReadyAddress { port_name: None }),
            ),
            (
                "FailedDiscoveryCheck",
                "cannot route to service with ClusterIP \"None\"",
                Some(ServiceTrouble::NotRoutable),
            ),
            ("FailedDiscoveryCheck", "services \"metrics-server\" not found", Some(ServiceTrouble::NotFound)),
            ("Passed", "all checks passed", None),
            ("Local", "Local APIServices are always available", None),
        ] {
            let complaint = Complaint::of(reason, message);
            assert_eq!(complaint.service, trouble, "{message}");
            assert_eq!(complaint.reason.label(), reason);
        }
        assert_eq!(Complaint::of("Brand New", "").reason, Reason::Other);
    }

    #[test]
    fn addresses_are_compared_as_addresses() {
        let complaint = Complaint::of(
            "FailedDiscoveryCheck",
            "failing or missing response from https://10.0.1.21:10250/apis/metrics.k8s.io/v1beta1: EOF",
        );
        assert!(complaint.dials("10.0.1.21"));
        assert!(!complaint.dials("10.0.1.2"), "one address is the start of the other");
        let six = Complaint::of("FailedDiscoveryCheck", "no response from https://[fd00::1]:443: EOF");
        assert!(six.dials("fd00:0:0:0:0:0:0:1"));
        assert!(!Complaint::of("Passed", "all checks passed").dials("10.0.1.21"));
    }
}
