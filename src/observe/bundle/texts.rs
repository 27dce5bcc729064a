//! Plain text files of a bundle: outputs of kubectl, and logs by their names.

use std::{collections::HashSet, path::Path};

use crate::{
    snapshot::{
        ContainerLog, KubernetesVersion, Retrieval,
        retrieval::{ErrorClass, Outcome, Sample},
    },
    wording::api_error::{classify_kubectl, found_nothing},
};

/// Bytes as text: without a byte order mark, line ends as `\n`, and what is no UTF-8 replaced.
pub(super) fn decode(bytes: Vec<u8>) -> String {
    // Windows' shell redirects as UTF-16.
    let utf16 = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    let text = if let Some(rest) = bytes.strip_prefix(b"\xff\xfe") {
        utf16(rest, u16::from_le_bytes)
    } else if let Some(rest) = bytes.strip_prefix(b"\xfe\xff") {
        utf16(rest, u16::from_be_bytes)
    } else if let Some(rest) = bytes.strip_prefix(b"\xef\xbb\xbf") {
        String::from_utf8_lossy(rest).into_owned()
    } else {
        String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    };
    if text.contains('\r') { text.replace("\r\n", "\n") } else { text }
}

/// Which of the two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Top {
    /// `kubectl top nodes`
    Nodes,
    /// `kubectl top pods`
    Pods,
}

/// Reads what `kubectl top` printed, to either of its outputs; `None` for what says nothing of the metrics API.
pub(super) fn top(text: &str, which: Top) -> Option<Retrieval> {
    let failed = |class, text: &str| {
        Some(Retrieval { outcome: Outcome::Failed { class, text: text.trim().to_owned() }, latency: None })
    };
    let mut lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    // A table of `kubectl get` begins with NAME as well.
    let header = lines.by_ref().find(|line| line.starts_with("NAME") && line.contains("CPU"));
    let Some(header) = header else {
        if found_nothing(text) {
            return match which {
                Top::Nodes => failed(ErrorClass::Empty, text),
                Top::Pods => Some(Retrieval { outcome: Outcome::Samples(Vec::new()), latency: None }),
            };
        }
        return classify_kubectl(text).and_then(|class| failed(class, text));
    };
    let columns: Vec<&str> = header.split_whitespace().collect();
    let has_namespace = columns.first() == Some(&"NAMESPACE");
    let pod_column = columns.iter().position(|&column| column == "POD");
    let mut samples: Vec<Sample> = Vec::new();
    let mut known: HashSet<(String, String)> = HashSet::new();
    for line in lines {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let name = pod_column.unwrap_or(usize::from(has_namespace));
        let Some(&name) = cells.get(name).filter(|_| cells.len() >= 2) else { continue };
        if line.starts_with("error") || line.starts_with("Error") {
            continue;
        }
        let namespace = if has_namespace { cells[0].to_owned() } else { String::new() };
        let unknown = cells.contains(&"<unknown>");
        if known.insert((namespace.clone(), name.to_owned())) {
            samples.push(Sample { namespace, name: name.to_owned(), unknown, ..Sample::default() });
        }
    }
    Some(Retrieval { outcome: Outcome::Samples(samples), latency: None })
}

/// The API server's version in plain text, in the output of `kubectl version`, or in its JSON or YAML.
pub(super) fn server_version(text: &str) -> Option<KubernetesVersion> {
    let server = text.find("Server Version").or_else(|| text.find("serverVersion")).map_or_else(
        || (!text.contains("Client Version") && !text.contains("clientVersion")).then_some(text),
        |start| Some(&text[start..]),
    )?;
    let words = server.split(|character: char| character.is_whitespace() || "\",:=".contains(character));
    words
        .filter(|word| word.starts_with('v') || word.starts_with(|first: char| first.is_ascii_digit()))
        .find_map(KubernetesVersion::parse)
}

/// The log that a file's name tells: `NAMESPACE_POD_CONTAINER.log`, or the folders of `kubectl cluster-info dump`.
pub(super) fn log_of(name: &Path) -> Option<ContainerLog> {
    let stem = name.file_stem()?.to_string_lossy().into_owned();
    if stem == "logs" {
        let pod = name.parent()?.file_name()?.to_string_lossy().into_owned();
        let namespace = name.parent()?.parent()?.file_name()?.to_string_lossy().into_owned();
        return Some(ContainerLog::new(&namespace, &pod, ""));
    }
    let previous = stem.ends_with(".previous") || stem.ends_with("-previous") || stem.ends_with("_previous");
    let stem = ["previous"].iter().fold(stem.as_str(), |stem, end| stem.strip_suffix(end).unwrap_or(stem));
    let stem = if previous { stem.trim_end_matches(['.', '-', '_']) } else { stem };
    let mut parts = stem.splitn(3, '_');
    let (namespace, pod, container) = (parts.next()?, parts.next()?, parts.next()?);
    let container = if previous { format!("{container} (previous)") } else { container.to_owned() };
    Some(ContainerLog { previous, ..ContainerLog::new(namespace, pod, &container) })
}

/// The line by which `kubectl cluster-info dump` begins a container's log.
pub(super) fn log_section(line: &str) -> Option<ContainerLog> {
    let rest = line.strip_prefix("==== START logs for container ")?;
    let (container, rest) = rest.split_once(" of pod ")?;
    let (namespace, pod) = rest.trim_end_matches('=').trim().split_once('/')?;
    Some(ContainerLog::new(namespace, pod, container))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(text: &str, which: Top) -> Vec<(String, String, bool)> {
        match top(text, which).map(|retrieval| retrieval.outcome) {
            Some(Outcome::Samples(samples)) => {
                samples.into_iter().map(|sample| (sample.namespace, sample.name, sample.unknown)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn tables_of_every_form() {
        let nodes = "NAME     CPU(cores)   CPU%   MEMORY(bytes)   MEMORY%\nnode-1   100m         5%     1Gi             20%\nnode-2   <unknown>    <unknown>   <unknown>   <unknown>\n";
        assert_eq!(
            names(nodes, Top::Nodes),
            [(String::new(), "node-1".to_owned(), false), (String::new(), "node-2".to_owned(), true)]
        );
        let all = "NAMESPACE     NAME    CPU(cores)   MEMORY(bytes)\nkube-system   dns-1   1m           10Mi\n";
        assert_eq!(names(all, Top::Pods), [("kube-system".to_owned(), "dns-1".to_owned(), false)]);
        let containers = "NAMESPACE   POD   NAME   CPU(cores)   MEMORY(bytes)\nshop   web-1   web   1m   1Mi\nshop   web-1   sidecar   1m   1Mi\n";
        assert_eq!(names(containers, Top::Pods), [("shop".to_owned(), "web-1".to_owned(), false)]);
    }

    #[test]
    fn what_is_not_the_answer_of_the_metrics_api_says_nothing() {
        for text in [
            "",
            "bash: kubectl: command not found",
            "error: unknown command \"top\" for \"kubectl\"",
            "error: context \"prod\" does not exist",
            "<html><body>Sign in</body></html>",
            "\u{0}\u{1}\u{2}",
            "NAME    READY   STATUS\nweb-1   1/1     Running\n",
        ] {
            assert_eq!(top(text, Top::Nodes), None, "{text}");
        }
        assert!(top("error: Metrics API not available", Top::Nodes).is_some());
    }

    #[test]
    fn versions_of_every_form() {
        let version = |text| server_version(text).map(|version| version.minor);
        assert_eq!(version("v1.29.3-eks-036c24b\n"), Some(29));
        assert_eq!(
            version("Client Version: v1.32.0\nKustomize Version: v5.5.0\nServer Version: v1.14.9-eks-502bfb"),
            Some(14)
        );
        assert_eq!(
            version(
                "{\"clientVersion\": {\"gitVersion\": \"v1.30.0\"}, \"serverVersion\": {\"major\": \"1\", \"minor\": \"28+\", \"gitVersion\": \"v1.28.5-gke\"}}"
            ),
            Some(28)
        );
        assert_eq!(
            version(
                "Client Version: version.Info{Major:\"1\", Minor:\"18\", GitVersion:\"v1.18.0\"}\nServer Version: version.Info{Major:\"1\", Minor:\"14+\", GitVersion:\"v1.14.9-eks-502bfb\", GoVersion:\"go1.12.12\"}"
            ),
            Some(14)
        );
        assert_eq!(version("Client Version: v1.32.0"), None);
    }

    #[test]
    fn logs_are_named_by_their_files_and_sections() {
        let log = log_of(Path::new("logs/kube-system_metrics-server-1_metrics-server.log")).expect("a log");
        assert_eq!(
            (log.metadata.namespace.as_str(), log.metadata.name.as_str(), log.container.as_str(), log.previous),
            ("kube-system", "metrics-server-1", "metrics-server", false)
        );
        assert!(log_of(Path::new("logs/a_b_c.previous.log")).expect("a log").previous);
        assert_eq!(log_of(Path::new("kube-system/ms-1/logs.txt")).expect("a log").metadata.name, "ms-1");
        assert!(log_of(Path::new("notes.log")).is_none());
        let section = log_section("==== START logs for container metrics-server of pod kube-system/ms-1 ====")
            .expect("a section");
        assert_eq!((section.metadata.name.as_str(), section.container.as_str()), ("ms-1", "metrics-server"));
    }

    #[test]
    fn marks_and_line_ends_of_windows_are_taken_off() {
        assert_eq!(decode(b"\xef\xbb\xbfa\r\nb".to_vec()), "a\nb");
        assert_eq!(decode(b"\xff\xfea\0\r\0\n\0b\0".to_vec()), "a\nb");
        assert_eq!(decode(b"\xfe\xff\0a\0\r\0\n\0b".to_vec()), "a\nb");
    }

    proptest! {
        #[test]
        fn no_text_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = decode(bytes);
            let _ = (top(&text, Top::Nodes), top(&text, Top::Pods), server_version(&text), log_section(&text), log_of(Path::new(&text)));
        }
    }
}
