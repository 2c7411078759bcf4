//! What is wrong with `sync.toml` is said all at once, with file, line, column and the nearest word.

use milkrun::demo::data::MANAGER;

use crate::support::shop::JOBS;
use crate::support::{Kind, Outlet, Shop};

#[test]
fn twenty_wrong_keys_are_twenty_diagnostics_at_their_places_and_nothing_is_contacted() {
    let shop = Shop::empty(Kind::Sqlite);
    let wrong: Vec<String> = (0..20).map(|n| format!("wrong_key_{n:02} = {n}")).collect();
    let head = shop.outlet.config().replace(JOBS, "");
    let before = head.lines().count();
    shop.outlet.write_config(&format!(
        "{head}\n[[job]]\n{}\n{}",
        wrong.join("\n"),
        JOBS.trim_start().trim_start_matches("[[job]]\n")
    ));
    shop.hq.forget_requests();
    let outcome = shop.outlet.run(&["sync"]);
    outcome.expect_code(2);
    for n in 0..20 {
        let line = before + 3 + n;
        let start = format!("sync.toml:{line}:1: ");
        let found = outcome.stderr.lines().find(|text| text.starts_with(&start));
        assert!(
            found.is_some_and(|text| text.contains(&format!("wrong_key_{n:02}"))),
            "no {start}\n{}",
            shop.outlet.told(&outcome)
        );
    }
    assert_eq!(outcome.stderr.lines().count(), 20, "{outcome}");
    assert!(shop.hq.requests().is_empty());
    assert!(!shop.outlet.path("outlet.db").exists());
}

#[test]
fn a_misspelt_rule_gets_the_nearest_word() {
    let outlet = Outlet::new(Kind::Sqlite);
    outlet.configure(
        "http://127.0.0.1:9",
        MANAGER,
        &JOBS.replace("deletes = \"delete\"", "deletes = \"delete\"\nconflict = \"hq_win\""),
    );
    let outcome = outlet.run(&["check", "--offline"]);
    outcome.expect_code(2);
    let line = 1 + outlet.config().lines().position(|line| line.starts_with("conflict")).unwrap();
    assert_eq!(
        outcome.stderr.trim(),
        format!("sync.toml:{line}:12: unknown conflict rule \"hq_win\", did you mean \"hq_wins\"?")
    );
    let json = outlet.run(&["--format", "json", "check", "--offline"]);
    json.expect_code(2);
    assert_eq!(json.json()["problems"][0]["line"], line);
}

#[test]
fn a_missing_file_says_how_to_name_another() {
    let outlet = Outlet::new(Kind::Sqlite);
    let outcome = outlet.run(&["sync"]);
    outcome.expect_code(2);
    assert!(outcome.stderr.contains("sync.toml") && outcome.stderr.contains("--config"), "{outcome}");
}

#[test]
fn the_environment_fills_in_and_overrides() {
    let mut shop = Shop::empty(Kind::Sqlite);
    shop.items(3);
    let config = shop
        .outlet
        .config()
        .replace("\"demo-manager\"", "\"${HQ_API_KEY}\"")
        .replace("\"demo-secret\"", "\"${file:secret.txt}\"");
    shop.outlet.write_config(&config);
    let outcome = shop.outlet.run(&["sync"]);
    outcome.expect_code(2);
    assert!(outcome.stderr.contains("HQ_API_KEY") && outcome.stderr.contains("secret.txt"), "{outcome}");
    shop.outlet.set_env("HQ_API_KEY", "demo-manager");
    std::fs::write(shop.outlet.path("secret.txt"), "demo-secret\n").unwrap();
    shop.outlet.set_env("MILKRUN__LOCAL__URL", "sqlite://elsewhere.db");
    shop.outlet.sync_well(&[]);
    assert!(shop.outlet.path("elsewhere.db").exists());
}

#[test]
fn the_example_of_the_project_checks() {
    let mut outlet = Outlet::new(Kind::Sqlite);
    outlet.set_env("HQ_API_KEY", "k");
    outlet.set_env("HQ_API_SECRET", "s");
    outlet.write_config(include_str!("../sync.toml"));
    outlet.run(&["check", "--offline"]).expect_code(0);
}

#[test]
fn a_failing_example_of_the_mapping_is_told() {
    let outlet = Outlet::new(Kind::Sqlite);
    let test = "[[job.test]]\ngiven = { name = \"ICE-001\", standard_rate = 80 }\nexpect = { item_code = \"ICE-001\", price = \"85.00\" }\n";
    outlet.configure("http://127.0.0.1:9", MANAGER, &format!("{JOBS}{test}"));
    let outcome = outlet.run(&["check", "--offline"]);
    outcome.expect_code(2);
    let line = outlet.config().lines().count();
    assert_eq!(
        outcome.stderr.trim(),
        format!(
            "sync.toml:{line}:43: price is \"80.00\", where the example expects \"85.00\"; mend its mapping, or what the example expects"
        )
    );
}
