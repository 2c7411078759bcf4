//! The corpus `tests/broken`: each `NAME.toml` holds a mistake that people make, `NAME.stderr` beside it what a terminal is
//! told of it, to the letter.
//!
//! `MILKRUN_TEST_BLESS=1` writes what is said now into the `.stderr` files; read each change before it is committed: does it
//! name the right line and the right remedy?

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use milkrun::config::{self, Environment};
use serde_json::Value;

use crate::support::canary;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/broken");

/// What the files may read from the environment.
const VARIABLES: [(&str, &str); 2] = [("HQ_API_KEY", "canary-key"), ("HQ_API_SECRET", "canary-secret")];

#[test]
fn each_broken_file_is_told_what_is_wrong_and_what_to_do() {
    let names = names("toml");
    assert!(names.len() >= 100, "{}", names.len());
    let strangers: Vec<_> = self::names("stderr").into_iter().filter(|name| !names.contains(name)).collect();
    assert!(strangers.is_empty(), "of no file: {strangers:?}");
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let parts = names.chunks(names.len().div_ceil(threads));
        let running: Vec<_> =
            parts.map(|part| scope.spawn(|| part.iter().filter_map(|name| wrong(name)).collect())).collect();
        running
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|_| vec!["a panic".to_owned()]))
            .collect()
    });
    assert!(wrong.is_empty(), "{}\nMILKRUN_TEST_BLESS=1 accepts what is said now", wrong.join("\n"));
}

#[test]
fn a_program_gets_the_same_problems_as_json_and_as_lines() {
    for name in names("toml").iter().step_by(7) {
        let lines = told(name, &[]);
        let json: Value = serde_json::from_str(&told(name, &["--format", "json"])).unwrap();
        let problems = json["problems"].as_array().unwrap();
        let said: Vec<String> = problems.iter().map(line_of).collect();
        assert_eq!(said.join("\n"), lines.trim_end(), "{name}");
        for problem in problems {
            assert_eq!(problem["severity"], "error");
            assert!(problem["code"].as_str().is_some_and(|code| !code.is_empty()), "{problem}");
            let place = |line: &str, column: &str| Some((problem[line].as_u64()?, problem[column].as_u64()?));
            assert_eq!(place("line", "column").is_some(), place("end_line", "end_column").is_some(), "{problem}");
            assert!(place("line", "column") <= place("end_line", "end_column"), "{problem}");
        }
    }
}

#[test]
fn the_line_ends_of_windows_and_a_byte_order_mark_change_no_word() {
    let mut wrong = Vec::new();
    for name in names("toml") {
        let text = text(&name);
        let windows = text.replace('\n', "\r\n");
        let expected = shown(&name, &text);
        for (kind, text) in [
            ("line ends", windows.clone()),
            ("mark", format!("\u{feff}{text}")),
            ("mark and line ends", format!("\u{feff}{windows}")),
        ] {
            let told = shown(&name, &text);
            if told != expected {
                wrong.push(format!("--- {name}: {kind}\n{}", difference(&expected, &told)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_files_that_the_broken_ones_were_made_of_are_right() {
    for name in ["good/short", "good/long"] {
        assert_eq!(told_with_code(name, &[], 0), "", "{name}");
    }
}

/// What of the file's diagnostics is not as expected.
fn wrong(name: &str) -> Option<String> {
    let colored = told(name, &["--color", "always"]);
    assert!(colored.contains("\u{1b}["), "{name}: no colour");
    let told = console::strip_ansi_codes(&colored).into_owned();
    let path = Path::new(FOLDER).join(format!("{name}.stderr"));
    if std::env::var_os("MILKRUN_TEST_BLESS").is_some() {
        std::fs::write(&path, &told).unwrap();
        return None;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    (told != expected).then(|| format!("--- {name}.stderr\n{}", difference(&expected, &told)))
}

/// All that is known of the problems of that text, in the place of the file's.
fn shown(name: &str, text: &str) -> String {
    let file = format!("{name}.toml");
    format!("{:#?}", told_of(config::parse(&file, text, Path::new(FOLDER), &variables(name))))
}

/// What `check --offline` tells: what is wrong, or else what looks wrong.
fn told_of(read: Result<config::Config, config::Problems>) -> config::Problems {
    match read {
        Ok(config) => config.doubts().expect("a doubt"),
        Err(problems) => problems,
    }
}

/// The lines between the common beginning and the common end.
fn difference(expected: &str, told: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), told.lines().collect());
    let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[same..], &new[same..]);
    let end = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    let mut text = String::new();
    for (sign, lines) in [("-", &old[..old.len() - end]), ("+", &new[..new.len() - end])] {
        for line in lines {
            writeln!(text, "{sign}{line}").unwrap();
        }
    }
    text
}

fn line_of(problem: &Value) -> String {
    let text = |key: &str| problem[key].as_str().unwrap_or_default().to_owned();
    match problem["line"].as_u64() {
        Some(line) => format!("{}:{line}:{}: {}", text("file"), problem["column"], text("message")),
        None => format!("{}: {}", text("file"), text("message")),
    }
}

/// What the binary says of the file; it must be refused as a wrong configuration and show no secret.
fn told(name: &str, arguments: &[&str]) -> String {
    told_with_code(name, arguments, 2)
}

fn told_with_code(name: &str, arguments: &[&str], code: i32) -> String {
    let file = format!("{name}.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_milkrun"));
    command.args(arguments).args(["--config", &file, "check", "--offline"]).current_dir(FOLDER);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MILKRUN") || name.contains("COLOR")) {
        command.env_remove(name);
    }
    let output = command.envs(variables(name)).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(code), "{name}\n{stdout}\n{stderr}");
    canary::assert_absent("stdout", &stdout);
    canary::assert_absent("stderr", &stderr);
    if arguments.contains(&"json") { stdout } else { stderr }
}

/// The environment of a file: the usual, and what its `# environment: NAME=value` lines say.
fn variables(name: &str) -> Environment {
    let text = text(name);
    let own = text.lines().filter_map(|line| line.strip_prefix("# environment: ")?.split_once('='));
    VARIABLES.into_iter().chain(own).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The text of a file of the corpus.
pub(crate) fn text(name: &str) -> String {
    std::fs::read_to_string(Path::new(FOLDER).join(format!("{name}.toml"))).unwrap()
}

/// The problems of a file of the corpus.
pub(crate) fn problems(name: &str) -> config::Problems {
    let file = format!("{name}.toml");
    told_of(config::parse(&file, &text(name), Path::new(FOLDER), &variables(name)))
}

/// The names of the files of that kind, without the ending.
pub(crate) fn names(ending: &str) -> Vec<String> {
    let files = std::fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path());
    let is_one = |path: &PathBuf| path.extension().is_some_and(|found| found == ending);
    let mut names: Vec<String> =
        files.filter(is_one).filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    names
}
