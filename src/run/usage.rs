//! The command line, and what is said about a wrong one.

use std::{collections::BTreeSet, env, path::Path};

use clap::{
    Command, CommandFactory, Error, FromArgMatches,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::args::Arguments;

const VARIABLES: &str = "METRICS_SERVER_DOCTOR_";

/// The arguments, or an error that clap has worded; the second text names the environment variable that is to blame.
pub(super) fn parse() -> Result<Arguments, (Error, Option<String>)> {
    let mut command = named_as_called(Arguments::command(), env::args_os().next().as_deref().map(Path::new));
    let parsed = command
        .try_get_matches_from_mut(env::args_os())
        .and_then(|matches| Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut command)));
    parsed.map_err(|error| {
        let typed: Vec<String> = env::args().collect();
        let blamed = variable_to_blame(&error, &Arguments::command(), &typed, |name| env::var(name).ok());
        (error, blamed)
    })
}

/// kubectl finds plugins by the name of their file; help then shows what was typed.
fn named_as_called(command: Command, program: Option<&Path>) -> Command {
    let name = program.and_then(Path::file_name).unwrap_or_default();
    if name.to_string_lossy().starts_with("kubectl-") {
        return command.bin_name("kubectl metrics-server-doctor");
    }
    command
}

/// Whether an error is what was asked for, such as help.
pub(super) fn was_asked_for(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
}

/// The variable that a wrong value came from: clap names the flag alone.
fn variable_to_blame(
    error: &Error,
    command: &Command,
    typed: &[String],
    value_of: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let ContextValue::String(argument) = error.get(ContextKind::InvalidArg)? else { return None };
    let flag = argument.split([' ', '=']).next()?;
    let on_the_command_line = typed.iter().any(|word| word.split('=').next() == Some(flag));
    let variable = flag_variables(command).find(|(long, _)| *long == flag).map(|(_, variable)| variable)?;
    let value = value_of(&variable).filter(|_| !on_the_command_line)?;
    let wrong = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(wrong)) => wrong.clone(),
        _ => String::new(),
    };
    value.contains(&wrong).then_some(variable)
}

/// Every flag with its environment variable.
fn flag_variables(command: &Command) -> impl Iterator<Item = (String, String)> {
    let commands = std::iter::once(command).chain(command.get_subcommands());
    commands
        .flat_map(Command::get_arguments)
        .filter_map(|argument| Some((format!("--{}", argument.get_long()?), argument.get_env()?.to_str()?.to_owned())))
}

/// Environment variables that look like flags and are none, most likely misspelt.
pub(super) fn unknown_variables() -> Vec<String> {
    let names: Vec<String> = env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    unknown_among(&names)
}

fn unknown_among(names: &[String]) -> Vec<String> {
    let known: BTreeSet<String> = flag_variables(&Arguments::command()).map(|(_, variable)| variable).collect();
    // Kubernetes sets these in every pod of a namespace that has a Service called metrics-server-doctor.
    let of_a_service = |name: &str| {
        ["SERVICE_HOST", "SERVICE_PORT", "PORT"]
            .iter()
            .any(|part| name.strip_prefix(VARIABLES).is_some_and(|rest| rest.starts_with(part)))
    };
    let unknown = names.iter().filter(|name| {
        name.starts_with(VARIABLES) && !known.contains(*name) && !of_a_service(name) && !name.contains("_BUILD_")
    });
    unknown.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blamed(typed: &[&str], variable: &str, value: &str) -> Option<String> {
        // What clap would read from the environment stands on the command line here: the error is the same.
        let command = Arguments::command();
        let flag = flag_variables(&command).find(|(_, name)| name == variable).expect("a flag").0;
        let mut words: Vec<String> = typed.iter().map(|word| (*word).to_owned()).collect();
        let given = words.clone();
        if !words.contains(&flag) {
            words.extend([flag, value.to_owned()]);
        }
        let error = Arguments::command().try_get_matches_from(words).expect_err("an error");
        variable_to_blame(&error, &command, &given, |name| (name == variable).then(|| value.to_owned()))
    }

    #[test]
    fn a_wrong_value_is_put_down_to_where_it_came_from() {
        let output = "METRICS_SERVER_DOCTOR_OUTPUT";
        assert_eq!(blamed(&["doctor", "check"], output, "yaml").as_deref(), Some(output));
        assert_eq!(
            blamed(&["doctor", "check", "--output", "toml"], output, "text"),
            None,
            "the command line comes first"
        );
        let without = "METRICS_SERVER_DOCTOR_WITHOUT";
        assert_eq!(
            blamed(&["doctor", "check"], without, "logs,pods").as_deref(),
            Some(without),
            "one of several values"
        );
    }

    #[test]
    fn help_of_a_plugin_shows_what_was_typed() {
        for (program, usage) in [
            ("/usr/bin/metrics-server-doctor", "Usage: metrics-server-doctor"),
            ("/home/a/.krew/bin/kubectl-metrics_server_doctor", "Usage: kubectl metrics-server-doctor"),
        ] {
            let mut command = named_as_called(Arguments::command(), Some(Path::new(program)));
            let error = command.try_get_matches_from_mut([program, "--help"]).expect_err("help");
            assert!(error.to_string().contains(usage), "{error}");
        }
    }

    #[test]
    fn misspelt_variables_are_told_apart_from_flags_and_from_what_kubernetes_sets() {
        let names = ["LISTEN_ADRESS", "LISTEN_ADDRESS", "SERVICE_HOST", "SERVICE_PORT_METRICS", "PORT_19102_TCP_ADDR"]
            .map(|name| format!("{VARIABLES}{name}"));
        assert_eq!(unknown_among(&names), [format!("{VARIABLES}LISTEN_ADRESS")]);
    }
}
