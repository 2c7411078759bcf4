//! The layers of ARCHITECTURE.md: arrows go one way.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// For each module, what it may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("record", &[]),
    ("row", &[]),
    ("retry", &[]),
    ("clock", &[]),
    ("run", &[]),
    ("quarantine", &["record", "retry"]),
    ("change", &[]),
    ("doctype", &[]),
    ("scaffold", &["doctype"]),
    ("reconciled", &[]),
    ("crash", &[]),
    ("breakage", &[]),
    ("watermark", &["record", "breakage"]),
    ("ledger", &["record", "row"]),
    ("mapping", &["record", "row"]),
    ("conflict", &["mapping", "ledger", "record", "row", "breakage"]),
    ("config", &["mapping", "conflict", "retry", "record", "row"]),
    ("source", &["config", "doctype", "mapping", "clock", "record", "watermark", "retry", "breakage"]),
    (
        "store",
        &[
            "config",
            "mapping",
            "conflict",
            "ledger",
            "quarantine",
            "reconciled",
            "record",
            "row",
            "run",
            "watermark",
            "retry",
            "crash",
            "breakage",
        ],
    ),
    (
        "sync",
        &[
            "change",
            "source",
            "store",
            "config",
            "conflict",
            "mapping",
            "clock",
            "ledger",
            "quarantine",
            "reconciled",
            "record",
            "row",
            "run",
            "watermark",
            "retry",
            "crash",
            "breakage",
        ],
    ),
    ("daemon", &["sync", "store", "config", "clock", "reconciled", "run", "record", "retry"]),
    ("demo", &[]),
    (
        "cli",
        &[
            "change",
            "daemon",
            "demo",
            "doctype",
            "scaffold",
            "sync",
            "source",
            "store",
            "config",
            "conflict",
            "mapping",
            "clock",
            "quarantine",
            "reconciled",
            "record",
            "row",
            "run",
            "watermark",
            "retry",
        ],
    ),
    ("lib", &[]),
    ("main", &[]),
];

#[test]
fn no_module_uses_one_to_its_left() {
    let mut wrong = Vec::new();
    for file in sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
        let module = module_of(&file);
        let allowed = ALLOWED.iter().find(|(name, _)| *name == module);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("module {module} is in no layer; see ARCHITECTURE.md"));
        for used in used_by(&fs::read_to_string(&file).unwrap()) {
            if used != module && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{}: {module} must not use {used}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_file_needs_scrolling_to_understand() {
    let long = sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))).into_iter().filter_map(|file| {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        (lines > 500).then(|| format!("{}: {lines} lines", file.display()))
    });
    let long: Vec<String> = long.collect();
    assert!(long.is_empty(), "what is the second thing in each? {long:#?}");
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    files.sort();
    files
}

fn module_of(file: &Path) -> String {
    let within = file.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap();
    let first = within.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The top modules that follow a `crate::`, also within `crate::{…}`.
fn used_by(text: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for rest in line.split("crate::").skip(1) {
            let names = rest.strip_prefix('{').map_or_else(|| vec![rest], |group| group.split(',').collect());
            for name in names {
                let word: String = name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if !word.is_empty() && word.chars().all(|c| c.is_lowercase() || c == '_') {
                    used.insert(word);
                }
            }
        }
    }
    used
}
