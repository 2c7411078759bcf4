//! What the documents say of the program is what the program says. With `MILKRUN_TEST_BLESS=1` the pages that are made from it are
//! made anew.

use std::path::PathBuf;

use crate::support::{Kind, Outlet, Shop};

fn document(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

#[test]
fn the_page_of_commands_is_what_the_program_knows() {
    let outlet = Outlet::new(Kind::Sqlite);
    let outcome = outlet.run(&["man", "--markdown"]);
    outcome.expect_code(0);
    let path = document("commands.md");
    if std::env::var_os("MILKRUN_TEST_BLESS").is_some() {
        std::fs::write(&path, &outcome.stdout).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == outcome.stdout,
        "docs/commands.md is out of date: MILKRUN_TEST_BLESS=1 cargo test --test main the_page_of_commands\n{}",
        outcome.stdout
    );
}

#[test]
fn every_command_has_a_manual_page_and_the_program_s_tells_of_exit_codes_files_and_variables() {
    let outlet = Outlet::new(Kind::Sqlite);
    let folder = outlet.path("man");
    std::fs::create_dir(&folder).unwrap();
    outlet.run(&["man", folder.to_str().unwrap()]).expect_code(0);
    let page = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let program = page("milkrun.1");
    for title in ["EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"] {
        assert!(
            program.contains(&format!(".SH \"{title}\"")) || program.contains(&format!(".SH {title}")),
            "{program}"
        );
    }
    let configuration = page("sync.toml.5");
    assert!(configuration.contains("budget_share") && configuration.contains(".SH"), "{configuration}");
    assert!(page("milkrun-sync.1").contains("dry\\-run"));
    assert!(
        page("milkrun-quarantine-retry.1").contains("milkrun(1)") || page("milkrun-quarantine-retry.1").contains("(1")
    );
    assert!(!folder.join("milkrun-man.1").exists(), "a command that is hidden has no page");
}

/// The sentences of a file's `#[error("…")]`s, each cut to its longest stretch without a value.
fn sentences(file: &str) -> Vec<String> {
    let text = source(file);
    let attributes = text.split("#[error(").skip(1).filter(|rest| rest.trim_start().starts_with('"'));
    attributes
        .filter_map(|rest| literals(rest).into_iter().next())
        .map(|text| longest_stretch(&text))
        .collect()
}

fn source(file: &str) -> String {
    std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src").join(file)).unwrap()
}

/// The text literals of a piece of code.
fn literals(code: &str) -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), None::<String>);
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        match (open.as_mut(), c) {
            (None, '"') => open = Some(String::new()),
            (Some(_), '"') => found.extend(open.take()),
            // A backslash at a line's end joins the lines.
            (Some(text), '\\') => match chars.next() {
                Some('\n') => while chars.next_if(|c| c.is_whitespace()).is_some() {},
                escaped => text.extend(escaped),
            },
            (Some(text), c) => text.push(c),
            (None, _) => {}
        }
    }
    found
}

fn longest_stretch(sentence: &str) -> String {
    let mut stretches = vec![String::new()];
    let mut depth = 0;
    for c in sentence.chars() {
        match c {
            '{' => {
                depth += 1;
                stretches.push(String::new());
            }
            '}' => depth -= 1,
            c if depth == 0 => stretches.last_mut().unwrap().push(c),
            _ => {}
        }
    }
    let longest = stretches.into_iter().max_by_key(String::len).unwrap();
    longest.trim().trim_end_matches([':', '(', ',']).trim().to_owned()
}

/// The remedies of a file: what the function `remedy` holds in quotes, cut like the sentences.
fn remedies(file: &str) -> Vec<String> {
    let text = source(file);
    let body = text.split("pub fn remedy(&self").nth(1).unwrap().split("\n    }\n").next().unwrap();
    // Single words are what the match looks at.
    literals(body).iter().filter(|text| text.contains(' ')).map(|text| longest_stretch(text)).collect()
}

/// Words on one line, without the marks of Markdown.
fn plain(text: &str) -> String {
    text.replace(['`', '\\', '*'], "").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_catalogue_of_errors_has_every_sentence_and_every_remedy() {
    let catalogue = plain(&std::fs::read_to_string(document("errors.md")).unwrap());
    let files = [
        "source/error.rs",
        "store/error.rs",
        "sync/error.rs",
        "sync/instance.rs",
        "sync/restored.rs",
        "record/page.rs",
    ];
    let said = files.iter().flat_map(|file| sentences(file));
    let remedies = ["source/error.rs", "store/error.rs", "sync/error.rs"].into_iter().flat_map(remedies);
    let missing: Vec<String> =
        said.chain(remedies).filter(|text| !catalogue.contains(plain(text).trim_end_matches('.'))).collect();
    assert!(missing.is_empty(), "docs/errors.md does not have: {missing:#?}");
}

#[test]
fn the_catalogue_of_errors_has_every_kind_of_mistake_in_the_configuration() {
    let catalogue = std::fs::read_to_string(document("errors.md")).unwrap();
    let text = source("config/said.rs");
    let body = text.split("pub enum Code {").nth(1).unwrap().split('}').next().unwrap();
    let variants = body.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("///"));
    let codes: Vec<String> = variants.map(|variant| snake(variant.trim_end_matches(','))).collect();
    assert!(codes.len() > 10, "{codes:?}");
    let missing: Vec<&String> = codes.iter().filter(|code| !catalogue.contains(&format!("| `{code}` |"))).collect();
    assert!(missing.is_empty(), "docs/errors.md does not have: {missing:?}");
}

/// `UnknownKey` as JSON spells it.
fn snake(name: &str) -> String {
    let mut spelled = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !spelled.is_empty() {
            spelled.push('_');
        }
        spelled.extend(c.to_lowercase());
    }
    spelled
}

#[test]
fn the_example_of_coming_from_event_streaming_syncs_as_it_stands() {
    let page = std::fs::read_to_string(document("migrating-from-event-streaming.md")).unwrap();
    let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let shop = Shop::with_jobs(Kind::Sqlite, example);
    shop.items(3);
    shop.outlet.run(&["check"]).expect_code(0);
    shop.outlet.sync_well(&[]);
    let rows = shop.outlet.database.rows("article", &["article_code", "origin"], "article_code");
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0], [Some("ICE-0000".to_owned()), Some("HQ".to_owned())]);
    assert_eq!(shop.outlet.database.count("codes"), 3);
}
