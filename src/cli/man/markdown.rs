//! `docs/commands.md`.

use clap::{Arg, Command};

use super::sections::{ENVIRONMENT, EXIT, FILES};

const HEAD: &str = "# Commands and options

<!-- Made from the program by `milkrun man --markdown`; tests/handbook.rs makes it anew where
MILKRUN_TEST_BLESS is set. -->

`milkrun COMMAND --help` says the same at the terminal, `man milkrun` where the package is installed. Results go to stdout,
logs to stderr. What the commands are for, by situation: [operating.md](operating.md).
";

/// The page.
pub(super) fn page(program: &Command) -> String {
    let mut text = HEAD.to_owned();
    text.push_str("\n| command | what it does |\n| --- | --- |\n");
    for command in shown(program) {
        let name = full_name(command);
        text.push_str(&format!("| [`{name}`](#{}) | {} |\n", anchor(&name), about(command)));
    }
    text.push_str("\n## Options of every command\n\n");
    text.push_str(&options(program.get_arguments().collect()));
    for command in shown(program) {
        section(command, 2, &mut text);
    }
    for (title, head, entries) in [
        ("Exit codes", "exit code", &EXIT[..]),
        ("Environment", "variable", &ENVIRONMENT[..]),
        ("Files", "file", &FILES[..]),
    ] {
        text.push_str(&format!("\n## {title}\n\n| {head} | meaning |\n| --- | --- |\n"));
        for (name, meaning) in entries {
            text.push_str(&format!("| `{name}` | {} |\n", cell(meaning)));
        }
    }
    text
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| !command.is_hide_set())
}

fn section(command: &Command, depth: usize, text: &mut String) {
    let name = full_name(command);
    let about_it = about(command);
    let stop = if about_it.ends_with(['.', '?']) { "" } else { "." };
    text.push_str(&format!("\n{} {name}\n\n{about_it}{stop}\n\n", "#".repeat(depth)));
    if let Some(more) = command.get_long_about() {
        let more = more.to_string();
        let rest = more.strip_prefix(&about(command)).unwrap_or(&more).trim_start_matches('.').trim();
        if !rest.is_empty() {
            text.push_str(&format!("{rest}\n\n"));
        }
    }
    let usage = command.clone().render_usage().to_string();
    // Of several lines, those after the first are set in as far as the word before the first.
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).replace("\n       ", "\n");
    text.push_str(&format!("```\n{usage}\n```\n"));
    let own: Vec<&Arg> = command.get_arguments().filter(|arg| !arg.is_global_set()).collect();
    let table = options(own);
    if !table.is_empty() {
        text.push_str(&format!("\n{table}"));
    }
    for inner in shown(command) {
        section(inner, depth + 1, text);
    }
}

fn options(arguments: Vec<&Arg>) -> String {
    let is_told = |arg: &&Arg| !arg.is_hide_set() && !matches!(arg.get_id().as_str(), "help" | "version");
    let lines: Vec<String> = arguments.into_iter().filter(is_told).map(option).collect();
    if lines.is_empty() {
        return String::new();
    }
    format!("| option | meaning |\n| --- | --- |\n{}", lines.concat())
}

fn option(arg: &Arg) -> String {
    let mut meaning = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let values: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| value.get_name().to_owned())
        .collect();
    let takes_values = arg.get_action().takes_values();
    if takes_values && !values.is_empty() {
        meaning.push_str(&format!("; one of {}", values.join(", ")));
    }
    let defaults: Vec<String> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    if takes_values && !defaults.is_empty() {
        meaning.push_str(&format!("; `{}` unless told", defaults.join(" ")));
    }
    if let Some(variable) = arg.get_env() {
        meaning.push_str(&format!("; or by `{}`", variable.to_string_lossy()));
    }
    format!("| `{}` | {} |\n", cell(&spelled(arg)), cell(&meaning))
}

/// `-v, --verbose`, `--limit <N>`, `JOB…`.
fn spelled(arg: &Arg) -> String {
    let value = arg
        .get_value_names()
        .map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    let value = value.unwrap_or_else(|| arg.get_id().to_string().to_uppercase());
    let many = if arg.get_num_args().is_some_and(|range| range.max_values() > 1) { "…" } else { "" };
    if arg.is_positional() {
        return if arg.is_required_set() { format!("{value}{many}") } else { format!("[{value}{many}]") };
    }
    let names: Vec<String> =
        [arg.get_short().map(|short| format!("-{short}")), arg.get_long().map(|long| format!("--{long}"))]
            .into_iter()
            .flatten()
            .collect();
    let names = names.join(", ");
    if arg.get_action().takes_values() { format!("{names} {value}{many}") } else { names }
}

fn full_name(command: &Command) -> String {
    command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn anchor(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
