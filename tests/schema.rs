//! What editors are told of `sync.toml` is what milkrun itself says.

use std::path::Path;
use std::process::Command;

use jsonschema::Validator;
use milkrun::config::Code;
use serde_json::Value;

use crate::broken_files;
use crate::support::{Kind, Outlet};

/// The project's own files that hold a whole `sync.toml`.
const WHOLE: [&str; 1] = ["sync.toml"];

fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn schema() -> Value {
    // Not by an `Outlet`, which would take the zone Atlantic/Canary for a secret.
    let output = Command::new(env!("CARGO_BIN_EXE_milkrun")).arg("schema").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn json(toml: &str) -> Option<Value> {
    serde_json::to_value(toml::from_str::<toml::Table>(toml).ok()?).ok()
}

/// What the schema has against a text, one line each.
fn against(validator: &Validator, toml: &str) -> String {
    let value = json(toml).expect("TOML");
    validator.iter_errors(&value).map(|error| format!("{}: {error}\n", error.instance_path())).collect()
}

/// The blocks of TOML in a page of Markdown; a `sync.toml` is one itself.
fn samples(name: &str) -> Vec<String> {
    let text = file(name);
    if name.ends_with(".toml") {
        return vec![text];
    }
    text.split("```toml\n")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("```")?.0.to_owned()))
        .collect()
}

#[test]
fn every_whole_file_of_the_project_passes() {
    let validator = jsonschema::draft7::new(&schema()).unwrap();
    let mut texts: Vec<String> =
        WHOLE.iter().flat_map(|name| samples(name)).filter(|text| text.contains("[site]")).collect();
    assert!(texts.len() >= WHOLE.len());
    texts.extend(["good/short", "good/long"].map(broken_files::text));
    for text in texts {
        assert_eq!(against(&validator, &text), "", "{text}");
    }
}

#[test]
fn every_key_in_the_samples_of_the_documentation_is_known() {
    let mut schema = schema();
    demand_nothing(&mut schema);
    let validator = jsonschema::draft7::new(&schema).unwrap();
    let mut seen = 0;
    for name in ["README.md", "docs/configuration.md", "docs/operating.md"] {
        for sample in samples(name) {
            let is_of_job = sample.contains("[job.") || sample.contains("[[job.");
            let text = if is_of_job && !sample.contains("[[job]]") { format!("[[job]]\n{sample}") } else { sample };
            // Lines that belong below a header which the sample leaves out say nothing to the schema.
            if text.trim_start().starts_with('[') {
                assert_eq!(against(&validator, &text), "", "{name}\n{text}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 4, "{seen}");
}

/// Parts of a file lack what only the whole must have.
fn demand_nothing(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("required").is_some_and(Value::is_array) {
                map.remove("required");
            }
            map.values_mut().for_each(demand_nothing);
        }
        Value::Array(list) => list.iter_mut().for_each(demand_nothing),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn an_unknown_key_is_refused_in_every_section() {
    let validator = jsonschema::draft7::new(&schema()).unwrap();
    let good = broken_files::text("good/long");
    let headers: Vec<&str> = good.lines().filter(|line| line.starts_with('[')).collect();
    // Among the fields a new name is a column.
    for header in headers.into_iter().filter(|header| !header.contains("fields")) {
        let text = good.replacen(&format!("{header}\n"), &format!("{header}\nnonsense = 1\n"), 1);
        assert!(against(&validator, &text).contains("nonsense"), "{header}");
    }
    for table in ["auth = {", "delete_limit = {", "title = {", "lookup = {"] {
        let text = good.replacen(table, &format!("{table} nonsense = 1,"), 1);
        assert_ne!(against(&validator, &text), "", "{table}");
    }
}

#[test]
fn what_milkrun_calls_an_unknown_key_or_a_wrong_type_the_schema_refuses_too() {
    let validator = jsonschema::draft7::new(&schema()).unwrap();
    let mut seen = 0;
    for name in broken_files::names("toml") {
        let Some(value) = json(&broken_files::text(&name)) else { continue };
        let problems = broken_files::problems(&name);
        // Of filters, tests and the values of a table the schema only knows that they are there.
        let is_known = |key: &str| !["filters", "given"].iter().any(|free| key.contains(free));
        let mut codes = problems.iter().filter(|problem| is_known(&problem.key)).map(|problem| problem.code);
        if codes.any(|code| matches!(code, Code::UnknownKey | Code::WrongType)) {
            assert!(!validator.is_valid(&value), "{name}: {problems}");
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
}

#[test]
fn the_reference_is_the_page_that_milkrun_prints() {
    let outcome = Outlet::new(Kind::Sqlite).run(&["schema", "--markdown"]);
    let printed = &outcome.expect_code(0).stdout;
    if std::env::var_os("MILKRUN_TEST_BLESS").is_some() {
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md"), printed).unwrap();
    }
    assert_eq!(
        file("docs/reference.md").trim_end(),
        printed.trim_end(),
        "docs/reference.md is out of date: MILKRUN_TEST_BLESS=1 writes it anew"
    );
}
