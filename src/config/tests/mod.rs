//! The whole way from a text to problems or a configuration.

mod filters;
mod jobs;
mod mutations;
mod overrides;
mod positions;
mod secrets;
mod sections;

use std::path::Path;

use super::{Config, Environment, Look, Problem, Problems, parse};

/// Everything but jobs.
const HEAD: &str = r#"[site]
name = "outlet-042"
time_zone = "Asia/Kolkata"
[hq]
url = "https://hq.example.com"
auth = { kind = "token", api_key = "k", api_secret = "s" }
time_zone = "Asia/Kolkata"
[local]
url = "sqlite://outlet.db"
"#;

/// The least a job needs, after its header.
const JOB: &str = r#"name = "items"
doctype = "Item"
schedule = "0 */5 * * * *"
table = "items"
key = "item_code"
"#;

const FIELDS: &str = "[job.fields]\nitem_code = \"name\"\n";

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn read(text: &str) -> Result<Config, Problems> {
    read_with(text, &[])
}

fn read_with(text: &str, pairs: &[(&str, &str)]) -> Result<Config, Problems> {
    parse("sync.toml", text, Path::new("/etc/milkrun"), &environment(pairs))
}

/// As a terminal shows it.
fn shown(problems: &Problems) -> String {
    problems.report(Look { has_color: false, width: 120 })
}

/// What is wrong, one line each.
fn wrong(text: &str) -> String {
    wrong_with(text, &[])
}

fn wrong_with(text: &str, pairs: &[(&str, &str)]) -> String {
    match read_with(text, pairs) {
        Ok(_) => "nothing".to_owned(),
        Err(problems) => problems.to_string(),
    }
}

/// A file with one job whose keys are [`JOB`] and `keys`, whose fields are [`FIELDS`] and `fields`.
fn with_job(keys: &str, fields: &str) -> String {
    format!("{HEAD}[[job]]\n{JOB}{keys}\n{FIELDS}{fields}\n")
}

/// `with_job` with one of the lines of [`JOB`] replaced.
fn with_line(start: &str, line: &str) -> String {
    let text = with_job("", "");
    let old = text.lines().rfind(|old| old.starts_with(start)).unwrap().to_owned();
    text.replace(&format!("{old}\n"), &format!("{line}\n"))
}

/// Asserts that the only problem of `text` stands at `token`'s first place after `[[job]]` and says `message`; of a
/// token `before|at`, at the second part.
#[track_caller]
fn assert_wrong(text: &str, token: &str, message: &str) {
    let job = text.find("[[job]]").unwrap_or(0);
    let (before, _) = token.split_once('|').unwrap_or_default();
    let token = token.replace('|', "");
    let place = text.match_indices(&token).find(|(place, _)| *place > job).expect("a token of the text").0;
    let until = text.get(..place + before.len()).unwrap();
    let line = until.matches('\n').count() + 1;
    let column = until.rsplit('\n').next().unwrap().chars().count() + 1;
    assert_eq!(wrong(text), format!("sync.toml:{line}:{column}: {message}"), "{text}");
}
