//! Pods under an autoscaler's selector, found without looking at every pod of the cluster for each autoscaler.

use std::collections::{HashMap, HashSet};

use crate::snapshot::{
    HorizontalPodAutoscaler, Named, NotSeen, Pod, Snapshot,
    retrieval::Outcome,
    workload::{LabelSelector, LabelSelectorRequirement},
};

/// Pods of one autoscaler that are looked at: enough to name the container without a request, however many autoscalers
/// select the same pods.
pub const LOOKED_AT: usize = 200;

/// Pods by namespace and by label, and the pods that have samples by namespace.
#[derive(Debug, Default)]
pub(super) struct Pods<'s> {
    by_namespace: HashMap<&'s str, Vec<&'s Pod>>,
    by_label: HashMap<(&'s str, &'s str, &'s str), Vec<&'s Pod>>,
    sampled: HashMap<&'s str, HashSet<&'s str>>,
}

/// The pods under one selector.
#[derive(Debug)]
pub(super) struct Selected<'s> {
    /// The selector.
    pub(super) selector: LabelSelector,
    /// Those that were seen, at most [`LOOKED_AT`].
    pub(super) pods: Vec<&'s Pod>,
    /// Why they are only some of all.
    pub(super) sample: Option<String>,
}

impl<'s> Pods<'s> {
    pub(super) fn of(snapshot: &'s Snapshot) -> Self {
        let mut pods = Self::default();
        for pod in snapshot.pods.iter() {
            pods.by_namespace.entry(pod.namespace()).or_default().push(pod);
            for (key, value) in &pod.metadata.labels {
                pods.by_label.entry((pod.namespace(), key, value)).or_default().push(pod);
            }
        }
        if let Some(Outcome::Samples(samples)) = snapshot.top_pods.seen().map(|retrieval| &retrieval.outcome) {
            for sample in samples.iter().filter(|sample| !sample.unknown) {
                pods.sampled.entry(&sample.namespace).or_default().insert(&sample.name);
            }
        }
        pods
    }

    /// The pods under an autoscaler's selector; `None` where the selector was not seen.
    pub(super) fn selected(
        &self,
        snapshot: &Snapshot,
        autoscaler: &HorizontalPodAutoscaler,
        limit: usize,
    ) -> Option<Selected<'s>> {
        let selector = selector(snapshot, autoscaler)?;
        let namespace = autoscaler.namespace();
        let mut pods: Vec<&Pod> = self.under(namespace, &selector).take(limit + 1).collect();
        let is_cut = pods.len() > limit;
        pods.truncate(limit);
        let sample = match snapshot.pods.gap_of_labelled(namespace, &selector.match_labels) {
            _ if is_cut => Some(format!("Only the first {limit} pods under the selector were looked at")),
            Some(NotSeen::Unclear(why)) => Some(why.clone()),
            _ => None,
        };
        Some(Selected { selector, pods, sample })
    }

    /// The pods of that namespace that were seen and that the selector matches; an empty selector counts as none.
    pub(super) fn under<'q>(
        &'q self,
        namespace: &'q str,
        selector: &'q LabelSelector,
    ) -> impl Iterator<Item = &'s Pod> + 'q {
        // The rarest requirement leaves the fewest pods to look at.
        let equal = selector.match_labels.iter().map(|(key, value)| vec![self.labelled(namespace, key, value)]);
        let listed = selector.match_expressions.iter().filter(|expression| expression.operator == "In");
        let listed = listed.map(|expression| {
            let values: HashSet<&String> = expression.values.iter().collect();
            values.into_iter().map(|value| self.labelled(namespace, &expression.key, value)).collect()
        });
        let few =
            equal.chain(listed).min_by_key(|pods: &Vec<&[&Pod]>| pods.iter().map(|pods| pods.len()).sum::<usize>());
        let few = few.or_else(|| Some(vec![self.by_namespace.get(namespace)?.as_slice()])).unwrap_or_default();
        let few = if selector.is_empty() { Vec::new() } else { few };
        few.into_iter().flatten().copied().filter(|pod| selector.matches(&pod.metadata.labels))
    }

    fn labelled<'q>(&'q self, namespace: &'q str, key: &'q str, value: &'q str) -> &'q [&'s Pod] {
        self.by_label.get(&(namespace, key, value)).map_or(&[], Vec::as_slice)
    }

    /// The names of the pods of that namespace that have samples.
    pub(super) fn sampled(&self, namespace: &str) -> Option<&HashSet<&'s str>> {
        self.sampled.get(namespace)
    }
}

/// The selector of the scale subresource where it was asked for, else of the workload itself.
pub(super) fn selector(snapshot: &Snapshot, autoscaler: &HorizontalPodAutoscaler) -> Option<LabelSelector> {
    let target = &autoscaler.spec.scale_target_ref;
    let namespace = autoscaler.namespace();
    if let Some(scale) = snapshot.scales.get_of_kind(Some(&target.kind), namespace, &target.name).seen() {
        return parse(&scale.status.selector);
    }
    let workload = snapshot.workloads.get_of_kind(Some(&target.kind), namespace, &target.name);
    workload.seen().map(|workload| workload.spec.selector.clone())
}

/// Reads the string form of a label selector (kubernetes/apimachinery `pkg/labels/selector.go`).
pub(super) fn parse(text: &str) -> Option<LabelSelector> {
    let mut selector = LabelSelector::default();
    let mut rest = text.trim();
    while !rest.is_empty() {
        // A comma inside of parentheses separates values and not requirements.
        let mut depth = 0;
        let end = rest
            .char_indices()
            .find(|&(_, character)| {
                depth += match character {
                    '(' => 1,
                    ')' => -1,
                    _ => 0,
                };
                character == ',' && depth == 0
            })
            .map_or(rest.len(), |(index, _)| index);
        let requirement = rest[..end].trim();
        rest = rest.get(end + 1..).unwrap_or("");
        parse_requirement(requirement, &mut selector)?;
    }
    Some(selector)
}

fn parse_requirement(text: &str, selector: &mut LabelSelector) -> Option<()> {
    let mut expression = |key: &str, operator: &str, values: Vec<String>| {
        selector.match_expressions.push(LabelSelectorRequirement {
            key: key.trim().to_owned(),
            operator: operator.to_owned(),
            values,
        });
    };
    if let Some((key, value)) = text.split_once("!=") {
        expression(key, "NotIn", vec![value.trim().to_owned()]);
    } else if let Some((head, values)) = text.split_once('(') {
        let values = values.trim_end().strip_suffix(')')?.split(',').map(|value| value.trim().to_owned()).collect();
        let (key, operator) = head.trim().rsplit_once(' ')?;
        expression(key, if operator == "notin" { "NotIn" } else { "In" }, values);
    } else if let Some((key, value)) = text.split_once('=') {
        selector.match_labels.insert(key.trim().to_owned(), value.trim_start_matches('=').trim().to_owned());
    } else if let Some(key) = text.strip_prefix('!') {
        expression(key, "DoesNotExist", Vec::new());
    } else {
        expression(text, "Exists", Vec::new());
    }
    Some(())
}

/// The string form of a selector, for people.
pub fn shown(selector: &LabelSelector) -> String {
    let labels = selector.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
    let expressions = selector.match_expressions.iter().map(|expression| {
        let (key, values) = (&expression.key, expression.values.join(","));
        match expression.operator.as_str() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.clone(),
        }
    });
    labels.chain(expressions).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{snapshot::Collection, testing::object};

    #[test]
    fn selectors_in_string_form() {
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned()), ("tier".to_owned(), "front".to_owned())]);
        for (text, matches) in [
            ("app=web", true),
            ("app==web,tier=front", true),
            ("app=web,tier in (back,front)", true),
            ("app=web,tier notin (front)", false),
            ("app,!canary", true),
            ("tier!=front", false),
            ("canary", false),
        ] {
            let selector = parse(text).expect("a selector");
            assert_eq!(selector.matches(&labels), matches, "{text}");
            assert_eq!(parse(&shown(&selector)), Some(selector), "{text}");
        }
        assert!(parse("").is_some_and(|selector| selector.is_empty()));
    }

    #[test]
    fn the_index_finds_what_the_selector_matches_and_nothing_of_other_namespaces() {
        let pod = |namespace: &str, name: &str, app: &str, tier: &str| -> Pod {
            object(json!({"metadata": {"namespace": namespace, "name": name, "labels": {"app": app, "tier": tier}}}))
        };
        let snapshot = Snapshot {
            pods: Collection::complete([
                pod("shop", "a", "web", "front"),
                pod("shop", "b", "web", "back"),
                pod("other", "c", "web", "front"),
            ]),
            ..Snapshot::default()
        };
        let pods = Pods::of(&snapshot);
        for (selector, names) in [
            ("app=web", vec!["a", "b"]),
            ("app=web,tier=front", vec!["a"]),
            ("tier in (back)", vec!["b"]),
            ("tier in (back,back,other)", vec!["b"]),
            ("tier", vec!["a", "b"]),
            ("app=gone", vec![]),
            ("", vec![]),
        ] {
            let selector = parse(selector).expect("a selector");
            let found = pods.under("shop", &selector);
            assert_eq!(found.map(Named::name).collect::<Vec<_>>(), names, "{selector:?}");
        }
    }

    proptest! {
        #[test]
        fn no_selector_panics(text in ".*") {
            let _ = parse(&text);
        }
    }
}
