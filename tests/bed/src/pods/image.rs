//! Which program stands for an image of metrics-server.

use crate::components::{self, Component};

/// What comes of pulling an image.
pub(super) enum Image {
    /// This program runs. Where a version cannot be built, its objects are served by the nearest that can.
    Program(Component),
    /// It was built for another processor.
    OtherArchitecture,
    /// It is not to be had, with what the registry says.
    Missing(String),
}

/// Whether the image is metrics-server's, by the last part of its name.
pub(super) fn is_metrics_server(image: &str) -> bool {
    ["metrics-server", "metrics-server-amd64", "metrics-server-arm64"].contains(&name_and_tag(image).0)
}

fn name_and_tag(image: &str) -> (&str, &str) {
    let last = image.rsplit('/').next().unwrap_or(image);
    let last = last.split('@').next().unwrap_or(last);
    last.split_once(':').unwrap_or((last, ""))
}

impl Image {
    pub(super) fn of(image: &str) -> Self {
        let (name, tag) = name_and_tag(image);
        if name.ends_with("-arm64") {
            return Self::OtherArchitecture;
        }
        let minor = tag.trim_start_matches('v').strip_prefix("0.").and_then(|rest| rest.split('.').next());
        let minor = minor.and_then(|minor| minor.parse::<u32>().ok());
        match minor {
            Some(3..=7) => Self::Program(components::METRICS_SERVER_0_7),
            Some(8..=9) => Self::Program(components::METRICS_SERVER_0_9),
            _ => Self::Missing(format!("failed to resolve reference \"{image}\": {image}: not found")),
        }
    }
}
