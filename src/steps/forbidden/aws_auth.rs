//! The `ConfigMap` `kube-system/aws-auth` of Amazon EKS: counts only, never what stands in it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::object;
use crate::{
    catalogue::Cause,
    check::{Finding, Impact},
    facts::Facts as Context,
    snapshot::{
        NotSeen, Snapshot,
        retrieval::{self, ErrorClass},
    },
    steps::bridge::Outcome,
};

/// A longer text than any cluster has is not parsed.
const LONGEST: usize = 1 << 20;

/// How many entries of aws-auth are malformed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AwsAuth {
    /// Entries of mapRoles and mapUsers.
    pub entries: usize,
    /// Entries without a username: they get 401 from every aggregated API.
    pub without_username: usize,
    /// Roles whose ARN has a path: they never match.
    pub arn_with_path: usize,
    /// ARNs that are mapped to several usernames.
    pub conflicting: usize,
    /// Keys whose text is not YAML: they map nobody.
    pub unparsable: usize,
}

/// An entry with its keys in lower case: aws-iam-authenticator reads them by Go's JSON package, to which case is the same.
#[derive(Default)]
struct Entry {
    arn: String,
    username: String,
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut entry = Self::default();
        for (key, value) in BTreeMap::<String, serde_json::Value>::deserialize(deserializer)? {
            // A bare {{SessionName}} is a mapping in YAML and not a text: as good as no username.
            let text = value.as_str().unwrap_or("").to_owned();
            match key.to_ascii_lowercase().as_str() {
                "rolearn" | "userarn" if !text.is_empty() => entry.arn = text,
                "username" => entry.username = text,
                _ => {}
            }
        }
        Ok(entry)
    }
}

impl AwsAuth {
    /// Reads the `ConfigMap`; `None` when it does not exist, which is fine: access entries replace it.
    pub fn of(snapshot: &Snapshot) -> Result<Option<Self>, NotSeen> {
        let Some(config_map) = snapshot.config_maps.get("kube-system", "aws-auth").known()? else { return Ok(None) };
        let mut counts = Self::default();
        let mut usernames: BTreeMap<String, String> = BTreeMap::new();
        for key in ["mapRoles", "mapUsers"] {
            let text = config_map.data.get(key).map_or("", String::as_str);
            let empty = text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
            if empty || matches!(text.trim(), "null" | "~" | "---") {
                continue;
            }
            let parsed = if text.len() > LONGEST { None } else { serde_saphyr::from_str::<Vec<Entry>>(text).ok() };
            let Some(entries) = parsed else {
                counts.unparsable += 1;
                continue;
            };
            for entry in entries {
                counts.count(&entry, &mut usernames);
            }
        }
        Ok(Some(counts))
    }

    fn count(&mut self, entry: &Entry, usernames: &mut BTreeMap<String, String>) {
        self.entries += 1;
        let username = &entry.username;
        if username.is_empty() {
            self.without_username += 1;
        }
        let role = entry.arn.split_once(":role/").map_or("", |(_, role)| role);
        if role.contains('/') {
            self.arn_with_path += 1;
        }
        let before = usernames.insert(entry.arn.clone(), username.clone());
        if before.is_some_and(|before| before != *username) {
            self.conflicting += 1;
        }
    }
}

/// Every entry has a username.
pub(super) fn evaluate(context: &Context<'_>) -> Result<Outcome, NotSeen> {
    let Some(counts) = AwsAuth::of(context.snapshot)? else {
        return Ok(Outcome::skipped("There is no aws-auth: the cluster uses access entries, or is not on EKS."));
    };
    let config_map = object("ConfigMap", "kube-system", "aws-auth");
    let told = format!(
        "aws-auth: {} entries, {} without username, {} with a path in the role ARN, {} mapped twice, {} unparsable keys",
        counts.entries, counts.without_username, counts.arn_with_path, counts.conflicting, counts.unparsable
    );
    // Whom it hurts shows in 401 alone; everybody else is served.
    let hurts = [&context.snapshot.top_nodes, &context.snapshot.top_pods].into_iter().any(|retrieval| {
        retrieval.seen().is_some_and(|retrieval| {
            matches!(retrieval.outcome, retrieval::Outcome::Failed { class: ErrorClass::Unauthorized, .. })
        })
    });
    let finding = |cause: Cause, summary: String| Finding {
        impact: if hurts { Impact::Partial } else { Impact::Latent },
        ..Finding::partial(cause, config_map.clone(), summary).evidence(told.clone())
    };
    if counts.unparsable > 0 {
        let summary = "The YAML inside of aws-auth cannot be read, so it maps nobody.";
        return Ok(Outcome::fail(finding(Cause::AwsAuthUnparsable, summary.to_owned())));
    }
    if counts.without_username > 0 {
        let summary = format!(
            "{} entries of aws-auth have no username: they get 401 from the metrics API.",
            counts.without_username
        );
        return Ok(Outcome::fail(finding(Cause::AwsAuthUsernameMissing, summary)));
    }
    Ok(Outcome::pass("Every entry of aws-auth has a username.").evidence(told))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        snapshot::{Collection, ConfigMap},
        testing::{healthy, object},
    };

    fn counts(roles: &str) -> AwsAuth {
        let config_map: ConfigMap =
            object(json!({"metadata": {"namespace": "kube-system", "name": "aws-auth"}, "data": {"mapRoles": roles}}));
        let snapshot = Snapshot { config_maps: Collection::complete([config_map]), ..healthy() };
        AwsAuth::of(&snapshot).expect("seen").expect("there")
    }

    #[test]
    fn malformed_entries_are_counted() {
        let good = "- rolearn: arn:aws:iam::1:role/node\n  username: system:node:{{EC2PrivateDNSName}}\n  groups: [system:nodes]\n";
        assert_eq!(counts(good), AwsAuth { entries: 1, ..AwsAuth::default() });
        assert_eq!(counts("- rolearn: arn:aws:iam::1:role/admin\n  groups: [system:masters]\n").without_username, 1);
        assert_eq!(counts("- rolearn: arn:aws:iam::1:role/path/admin\n  username: a\n").arn_with_path, 1);
        assert_eq!(counts(&format!("{good}- rolearn: arn:aws:iam::1:role/node\n  username: other\n")).conflicting, 1);
        assert_eq!(counts("- rolearn: [unclosed\n").unparsable, 1);
        assert_eq!(counts(""), AwsAuth::default());
        for empty in ["[]\n", "null", "# nobody yet\n", "\n\n"] {
            assert_eq!(counts(empty), AwsAuth::default(), "{empty}");
        }
        let odd = "- {\"roleARN\": \"arn:aws:iam::1:role/a\", \"userName\": \"admin:{{SessionName}}\", \"groups\": null, \"note\": 5}\n";
        assert_eq!(counts(odd), AwsAuth { entries: 1, ..AwsAuth::default() });
    }

    #[test]
    fn without_aws_auth_nothing_is_wrong() {
        assert_eq!(AwsAuth::of(&healthy()), Ok(None));
    }
}
