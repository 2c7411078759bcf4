//! Files that are of another language as a whole: one sentence is said of them, and nothing is mended line by line.

use std::ops::Range;

use super::header;
use super::scan;
use crate::config::said::{Code, Said};

/// So many texts without quotes, and none with, are no slip.
const MOST_BARE: usize = 5;

/// What is said of a file that is no TOML at all, and of which line.
pub(super) fn language(text: &str) -> Option<(Range<usize>, Said)> {
    if let Some(found) = no_text(text) {
        return Some(found);
    }
    let lines = lines(text);
    let (at, first) = lines.first()?;
    let at = at.clone();
    let lower = first.to_lowercase();
    let is_list =
        ["[{", "[[{", "[\"", "['"].iter().any(|start| lower.starts_with(start)) && header::name(first).is_none();
    let goes_on = lines.get(1).is_some_and(|(_, next)| next.starts_with(['{', '[', '"']));
    if lower.starts_with('{') || is_list || (lower == "[" && goes_on) {
        return Some((at, other("JSON")));
    }
    if lower == "---" || is_yaml(&lines) {
        return Some((at, other("YAML")));
    }
    if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
        let what = "this is a page of a web site, not a sync.toml";
        return Some((at, Said::new(Code::Syntax, what).help("see what was downloaded in its place")));
    }
    if lower.starts_with("<?xml") {
        return Some((at, other("XML")));
    }
    if lower.starts_with("-----begin") {
        let what = "this is a certificate or a key, not a sync.toml";
        return Some((at, Said::new(Code::Syntax, what).help("the file of the configuration is named by --config")));
    }
    if is_environment(&lines) {
        let what = "this is a list of environment variables, not a sync.toml";
        let help = "the file of the configuration is named by --config; it reads a variable as \"${NAME}\"";
        return Some((at, Said::new(Code::Syntax, what).help(help)));
    }
    ini(&lines).map(|at| {
        let what = "this is written as an INI file; sync.toml is written in TOML";
        let help = "put texts in quotes, as in name = \"outlet-042\", and begin a comment with \"#\"";
        (at, Said::new(Code::Syntax, what).help(help))
    })
}

fn other(language: &str) -> Said {
    Said::new(Code::Syntax, format!("this is {language}; sync.toml is written in TOML"))
        .help("a section is [site], a line in it name = \"outlet-042\"")
}

/// What no editor shows as lines of text.
fn no_text(text: &str) -> Option<(Range<usize>, Said)> {
    if let Some(at) = text.find('\0') {
        let said = if text.starts_with("SQLite format 3") {
            let what = "this is a SQLite database, not a sync.toml";
            Said::new(Code::Syntax, what).help("the file of the configuration is named by --config")
        } else if text.matches('\0').count() * 3 > text.len() {
            Said::new(Code::Syntax, "this file is UTF-16, and sync.toml is UTF-8").help("save it as UTF-8")
        } else {
            let what = "this is no text: it holds a byte that is zero";
            Said::new(Code::Syntax, what).help("delete it, or take the file from where it was whole")
        };
        return Some((at..at + 1, said));
    }
    if text.contains('\r') && !text.contains('\n') {
        let said = Said::new(Code::Syntax, "the lines of this file end with a carriage return alone");
        return Some((0..text.find('\r')?, said.help("save it with the line ends of Unix or Windows")));
    }
    None
}

/// The lines that say something, without white space at their ends.
fn lines(text: &str) -> Vec<(Range<usize>, &str)> {
    let mut start = 0;
    let mut found = Vec::new();
    for line in text.split_inclusive('\n') {
        let inner = line.trim();
        if !inner.is_empty() && !inner.starts_with('#') {
            let at = start + line.len() - line.trim_start().len();
            found.push((at..at + inner.len(), inner));
        }
        start += line.len();
    }
    found
}

/// `site:`, `  name: x`, `- a`, and not one line of TOML.
fn is_yaml(lines: &[(Range<usize>, &str)]) -> bool {
    let is_pair = |line: &str| {
        let bare = line.strip_prefix("- ").unwrap_or(line);
        let rest = bare.get(scan::key(bare)..).unwrap_or_default();
        scan::key(bare) > 0 && (rest == ":" || rest.starts_with(": "))
    };
    let is_toml = |line: &str| header::name(line).is_some() || scan::is_start(line);
    let pairs = lines.iter().filter(|(_, line)| is_pair(line)).count();
    pairs > 1 && pairs * 2 > lines.len() && !lines.iter().any(|(_, line)| is_toml(line))
}

/// `HQ_URL=https://…`, each line.
fn is_environment(lines: &[(Range<usize>, &str)]) -> bool {
    lines.iter().all(|(_, line)| {
        let line = line.strip_prefix("export ").unwrap_or(line);
        let name = line.split('=').next().unwrap_or_default();
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        line.contains('=') && !name.is_empty() && name.chars().all(is_name)
    })
}

/// The first text without quotes, where no text has any.
fn ini(lines: &[(Range<usize>, &str)]) -> Option<Range<usize>> {
    let is_bare = |line: &str| {
        let value = line.split_once('=').map_or("", |(_, value)| value).trim();
        header::name(line).is_none() && value.starts_with(char::is_alphabetic) && !["true", "false"].contains(&value)
    };
    let has_quotes = lines.iter().any(|(_, line)| line.contains(['"', '\'', '“', '”']));
    let bare: Vec<_> = lines.iter().filter(|(_, line)| is_bare(line)).collect();
    let has_header = lines.iter().any(|(_, line)| header::name(line).is_some());
    let is_ini = has_header && !has_quotes && bare.len() >= MOST_BARE;
    bare.first().filter(|_| is_ini).map(|(at, _)| at.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        language(text).map_or_else(|| "TOML".to_owned(), |(_, said)| said.what)
    }

    #[test]
    fn a_file_of_another_language_is_known() {
        for (text, expected) in [
            ("{\n  \"site\": {}\n}\n", "this is JSON"),
            ("{\"site\": {\"name\": \"a\"}}", "this is JSON"),
            ("[\n  {\"name\": 1}\n]", "this is JSON"),
            ("[{\"name\": 1}]", "this is JSON"),
            ("---\nsite:\n", "this is YAML"),
            ("# ours\nsite:\n  name: outlet\n  time_zone: Asia/Kolkata\njobs:\n  - name: items\n", "this is YAML"),
            ("HQ_URL=https://hq\nexport HQ_API_KEY=\"x\"\n", "this is a list of environment variables"),
            ("[site]\n; ours\nname = a\nzone = b\n[hq]\nurl = c\nx = d\ny = e\n", "this is written as an INI file"),
            ("<!DOCTYPE html>\n<html>", "this is a page of a web site"),
            ("-----BEGIN CERTIFICATE-----\nx\n", "this is a certificate"),
            ("[\0s\0i\0t\0e\0]\0", "this file is UTF-16"),
            ("a\rb", "the lines of this file"),
        ] {
            assert!(said(text).starts_with(expected), "{text}: {}", said(text));
        }
        for text in
            ["", "#\n", "[site]\nname: \"a\"\nzone: \"b\"\n", "[[job]]\n", "[site]\nname = a\n", "x = 1\n", "name: a\n"]
        {
            assert_eq!(said(text), "TOML", "{text}");
        }
    }
}
