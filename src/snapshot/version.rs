//! Versions of Kubernetes and metrics-server.

use std::fmt;

/// `major.minor` of an API server, as `gitVersion` has it (`v1.29.3-eks-1234`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KubernetesVersion {
    /// 1.
    pub major: u32,
    /// The minor.
    pub minor: u32,
}

impl KubernetesVersion {
    /// Reads `v1.29.3-eks-1234`, `1.29` and `1.29+`.
    pub fn parse(text: &str) -> Option<Self> {
        let version = Version::parse(text)?;
        Some(Self { major: version.major, minor: version.minor })
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

/// `major.minor.patch` of an image tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Major.
    pub major: u32,
    /// Minor.
    pub minor: u32,
    /// Patch, 0 where it is not given.
    pub patch: u32,
}

impl Version {
    /// A version.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// Reads the numbers at the front: `v0.7.2-eksbuild.1` is 0.7.2. `None` for `latest` and digests.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut parts = text.splitn(3, '.').map(|part| {
            let end = part.find(|character: char| !character.is_ascii_digit()).unwrap_or(part.len());
            part[..end].parse::<u32>().ok()
        });
        let (major, minor) = (parts.next()??, parts.next()??);
        Some(Self { major, minor, patch: parts.next().flatten().unwrap_or(0) })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_every_packaging_are_read() {
        for (tag, expected) in [
            ("v0.3.6", Some(Version::new(0, 3, 6))),
            ("0.7.2-debian-12-r1", Some(Version::new(0, 7, 2))),
            ("v0.8.0-eksbuild.2", Some(Version::new(0, 8, 0))),
            ("v0.9", Some(Version::new(0, 9, 0))),
            ("latest", None),
            ("", None),
            ("v1", None),
        ] {
            assert_eq!(Version::parse(tag), expected, "{tag}");
        }
        assert_eq!(KubernetesVersion::parse("v1.29.3-eks-1234"), Some(KubernetesVersion { major: 1, minor: 29 }));
        assert_eq!(KubernetesVersion::parse("1.14+"), Some(KubernetesVersion { major: 1, minor: 14 }));
    }
}
