//! A remedy, taken apart into what is said and the one command that is pasted.

use crate::check::Slot;

/// Programs whose commands remedies name.
const PROGRAMS: [&str; 9] = ["kubectl ", "helm ", "aws ", "eksctl ", "gcloud ", "az ", "oc ", "minikube ", "openssl "];

/// What is said, and one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remedy {
    /// The sentences; without the command where they only introduced it.
    pub(super) words: String,
    /// The first command that can be pasted as it stands; the first of all where each has a blank.
    pub(super) command: Option<String>,
}

impl Remedy {
    pub(super) fn of(text: &str) -> Self {
        // What stands between backquotes is every second part.
        let quoted = text.split('`').skip(1).step_by(2);
        let commands: Vec<&str> =
            quoted.filter(|part| PROGRAMS.iter().any(|program| part.starts_with(program))).collect();
        let ready = commands.iter().find(|command| !has_blank(command)).or_else(|| commands.first());
        let Some(command) = ready else { return Self { words: text.to_owned(), command: None } };
        let mut words = text.to_owned();
        if commands.len() == 1 {
            for introduced in [format!(": `{command}`."), format!(": `{command}`")] {
                if let Some(before) = text.strip_suffix(introduced.as_str()) {
                    words = format!("{before}.");
                }
            }
        }
        Self { words, command: Some((*command).to_owned()) }
    }
}

/// Whether a command still has to be filled in.
fn has_blank(command: &str) -> bool {
    let word = |character: char| !(character.is_ascii_alphanumeric() || matches!(character, '-' | '_'));
    command.split(word).any(|word| Slot::ALL.iter().any(|slot| slot.placeholder() == word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_command_is_told_apart_from_the_words() {
        let remedy = Remedy::of("Set the targetPort: `kubectl edit service -n kube-system metrics-server`.");
        assert_eq!(remedy.words, "Set the targetPort.");
        assert_eq!(remedy.command.as_deref(), Some("kubectl edit service -n kube-system metrics-server"));
        let two =
            Remedy::of("See `kubectl get pods -n NAMESPACE`, then `kubectl get pods -n shop` and `hostNetwork: true`.");
        assert_eq!(two.command.as_deref(), Some("kubectl get pods -n shop"), "the one that is complete");
        assert!(two.words.contains("`kubectl get pods -n shop`"), "words stay where they say more");
        assert_eq!(Remedy::of("Open the port in `hostNetwork: true`.").command, None);
    }
}
