//! What the operator sees: what changed, how the jobs stand, how a run went, how far it has come.

use std::collections::BTreeMap;
use std::time::Duration;

use milkrun::demo::{Fault, Hold, When};
use serde_json::{Value, json};

use crate::support::shop::JOBS;
use crate::support::terminal::plain;
use crate::support::{Kind, Outlet, Shop, Terminal};

on_each_database! {
    what_a_night_changed_is_listed_row_by_row
    a_row_that_moves_is_a_new_key_and_one_that_is_no_more
    what_is_repaired_or_let_go_by_a_reconcile_is_listed
    what_leaves_quarantine_is_listed
    changes_are_read_in_pages
}

const PATIENCE: Duration = Duration::from_secs(60);

/// `milkrun changes --format json …`.
fn changes(outlet: &Outlet, more: &[&str]) -> Value {
    let outcome = outlet.run(&[&["--format", "json", "changes"], more].concat());
    outcome.expect_code(0).json()
}

/// The action of each listed record.
fn actions(document: &Value) -> BTreeMap<String, String> {
    let changes = document["changes"].as_array().unwrap();
    let word = |change: &Value, key: &str| change[key].as_str().unwrap().to_owned();
    let actions: BTreeMap<_, _> = changes.iter().map(|change| (word(change, "key"), word(change, "action"))).collect();
    assert_eq!(actions.len(), changes.len(), "a key is listed twice\n{document:#}");
    actions
}

fn expected(actions: &[(&str, &str)]) -> BTreeMap<String, String> {
    actions.iter().map(|(key, action)| ((*key).to_owned(), (*action).to_owned())).collect()
}

fn what_a_night_changed_is_listed_row_by_row(kind: Kind) {
    let shop = Shop::empty(kind);
    shop.items(30);
    shop.outlet.sync_well(&[]);
    let first = changes(&shop.outlet, &[]);
    assert_eq!(first["changes"], json!([]), "a first load is not listed row by row\n{first:#}");
    let loads: Vec<(&Value, &Value)> =
        first["first_loads"].as_array().unwrap().iter().map(|load| (&load["job"], &load["rows"])).collect();
    assert_eq!(loads, [(&json!("item_groups"), &json!(1)), (&json!("items"), &json!(30))], "{first:#}");

    shop.hq.update("Item", "ICE-0001", json!({"standard_rate": 7})).unwrap();
    shop.hq
        .update("Item", "ICE-0002", json!({"barcodes": [{"barcode": "1"}, {"barcode": "2"}]}))
        .unwrap();
    shop.hq.delete("Item", "ICE-0003").unwrap();
    shop.hq.update("Item", "ICE-0004", json!({"is_sales_item": 0})).unwrap();
    // Saved at HQ, and nothing of what is kept here has changed but the stamp, which is mapped in this scene.
    shop.item("NEW", json!({"item_name": "Say \"cheese\", please"}));
    let run = shop.outlet.sync_well(&["items"])[0]["id"].clone();
    let night = changes(&shop.outlet, &["--job", "items"]);
    let want = expected(&[
        ("ICE-0001", "update"),
        ("ICE-0002", "update"),
        ("ICE-0003", "delete"),
        ("ICE-0004", "delete"),
        ("NEW", "insert"),
    ]);
    assert_eq!(actions(&night), want, "{night:#}");
    let changed = night["changes"].as_array().unwrap();
    let of = |name: &str| changed.iter().find(|change| change["name"] == name).unwrap();
    assert_eq!(of("ICE-0001")["columns"]["price"], "7.00");
    assert!(of("ICE-0001")["columns"].get("phone").is_none(), "private values are left out");
    assert!(changed.iter().all(|change| change["run"] == run && change["at"].is_string()), "{night:#}");
    assert_eq!(actions(&changes(&shop.outlet, &["--run", &run.to_string()])), want);

    // Nothing new, a dry run, and all read again with nothing changed: the list stays.
    shop.outlet.sync_well(&[]);
    shop.outlet.run(&["sync", "--full", "--dry-run"]).expect_code(0);
    shop.outlet.sync_well(&["--full"]);
    assert_eq!(actions(&changes(&shop.outlet, &["--job", "items"])), want);

    // New and changed since is still new to who did not look meanwhile; who did is told of the change.
    shop.hq.update("Item", "NEW", json!({"standard_rate": 8})).unwrap();
    let later = shop.outlet.sync_well(&["items"])[0]["id"].clone();
    assert_eq!(actions(&changes(&shop.outlet, &["--job", "items"]))["NEW"], "insert");
    assert_eq!(actions(&changes(&shop.outlet, &["--run", &later.to_string()])), expected(&[("NEW", "update")]));

    let csv = shop.outlet.run(&["changes", "--job", "items", "--csv"]);
    let lines: Vec<&str> = csv.expect_code(0).stdout.lines().collect();
    assert_eq!(
        lines[0],
        "milkrun_action,milkrun_at,milkrun_run,milkrun_name,milkrun_moved_to,item_code,title,price,unit,active,changed,shelf"
    );
    assert_eq!(lines.len(), 6, "{csv}");
    assert!(lines.iter().any(|line| line.contains(",NEW,,NEW,\"Say \"\"cheese\"\", please\",8.00,each,")), "{csv}");
    let gone = lines.iter().find(|line| line.starts_with("delete,") && line.contains("ICE-0003")).unwrap();
    assert!(gone.ends_with(",ICE-0003,,ICE-0003,,,,,,"), "of a row that went the key is left\n{csv}");
    shop.outlet.run(&["changes", "--csv"]).expect_code(2);

    let text = shop.outlet.run(&["changes"]);
    for line in ["items: 1 new, 2 changed, 2 gone\n", "\n  ~ ICE-0001  ", "price: 7.00"] {
        assert!(text.stdout.contains(line), "{line}\n{text}");
    }
    assert!(text.stdout.contains("first load of 30 rows in run "), "{text}");
    assert!(shop.outlet.run(&["changes", "--since", "soon"]).expect_code(2).stderr.contains("yesterday"));
    assert!(shop.outlet.run(&["changes", "--run", "999"]).expect_code(2).stderr.contains("the newest are"));
    let none = changes(&shop.outlet, &["--since", "0s"]);
    assert_eq!((&none["changes"], &none["first_loads"]), (&json!([]), &json!([])));

    // Gone and made again within the night: a new row, and no key that is missing.
    shop.item("ICE-0003", json!({}));
    shop.outlet.sync_well(&[]);
    assert_eq!(actions(&changes(&shop.outlet, &["--job", "items"]))["ICE-0003"], "insert");
    shop.assert_in_step();
}

fn a_row_that_moves_is_a_new_key_and_one_that_is_no_more(kind: Kind) {
    let shop = Shop::empty(kind);
    shop.items(20);
    shop.outlet.sync_well(&[]);
    shop.hq.rename("Item", "ICE-0005", "ICE-NEW").unwrap();
    shop.hq.merge("Item", "ICE-0006", "ICE-0007").unwrap();
    shop.outlet.run(&["reconcile", "items"]).expect_code(0);
    shop.assert_in_step();
    let night = changes(&shop.outlet, &["--job", "items"]);
    let actions = actions(&night);
    assert_eq!(actions["ICE-0005"], "move", "{night:#}");
    assert_eq!(actions["ICE-NEW"], "update", "{night:#}");
    assert_eq!(actions["ICE-0006"], "delete", "{night:#}");
    assert!(actions.len() <= 4, "{night:#}");
    let moved = night["changes"].as_array().unwrap().iter().find(|change| change["action"] == "move").unwrap();
    assert_eq!((&moved["name"], &moved["moved_to"]), (&json!("ICE-NEW"), &json!("ICE-NEW")));
}

fn what_is_repaired_or_let_go_by_a_reconcile_is_listed(kind: Kind) {
    let shop = Shop::empty(kind);
    shop.items(20);
    shop.outlet.sync_well(&[]);
    shop.outlet.database.execute("update items set title = 'wrong' where item_code = 'ICE-0001'");
    shop.outlet.database.execute("delete from items where item_code = 'ICE-0002'");
    shop.hq.delete_without_trace("Item", "ICE-0003").unwrap();
    shop.hq.update_silently("Item", "ICE-0004", json!({"standard_rate": 1})).unwrap();
    shop.outlet.run(&["reconcile", "items", "--values"]).expect_code(0);
    shop.assert_in_step();
    let want =
        expected(&[("ICE-0001", "update"), ("ICE-0002", "insert"), ("ICE-0003", "delete"), ("ICE-0004", "update")]);
    let night = changes(&shop.outlet, &["--job", "items"]);
    assert_eq!(actions(&night), want, "{night:#}");
}

fn what_leaves_quarantine_is_listed(kind: Kind) {
    let jobs = JOBS.replace("unit = {", "weight = { from = \"description\", type = \"decimal\" }\nunit = {");
    let shop = Shop::with_jobs(kind, &jobs);
    shop.items(5);
    shop.item("BAD", json!({"description": "heavy"}));
    let parking = shop.outlet.sync(&["items"])[0]["id"].clone();
    let shown = shop.outlet.run(&["--format", "json", "runs", "show", &parking.to_string()]).json();
    assert_eq!((&shown["status"], &shown["parked"][0]["name"]), (&json!("quarantine"), &json!("BAD")), "{shown:#}");
    assert_eq!(shown["next"], "milkrun quarantine list items");
    let text = shop.outlet.run(&["runs", "show", &parking.to_string()]);
    for told in ["items: quarantine\n", "1 record, 1 of them in quarantine still\n    BAD: ", "a first load", "next: "]
    {
        assert!(text.stdout.contains(told), "{told}\n{text}");
    }
    shop.hq.update("Item", "BAD", json!({"description": "1.5"})).unwrap();
    shop.outlet.run(&["quarantine", "retry", "items"]).expect_code(0);
    assert_eq!(actions(&changes(&shop.outlet, &["--job", "items"])), expected(&[("BAD", "insert")]));
}

fn changes_are_read_in_pages(kind: Kind) {
    let shop = Shop::with_jobs(kind, &JOBS.replace("rows = 20", "rows = 2000"));
    shop.items(1_300);
    shop.outlet.sync_well(&[]);
    let half: Vec<String> = (0..1_300).filter(|n| n % 2 == 0).map(|n| format!("ICE-{n:04}")).collect();
    for name in &half {
        shop.hq.delete("Item", name).unwrap();
    }
    shop.hq.bulk_stamp("Item", |_| true, json!({"standard_rate": 3})).unwrap();
    shop.outlet.sync_well(&["items"]);
    let night = changes(&shop.outlet, &["--job", "items"]);
    let actions = actions(&night);
    let of = |word: &str| actions.values().filter(|action| *action == word).count();
    assert_eq!((of("delete"), of("update"), actions.len()), (650, 650, 1_300));
    let text = shop.outlet.run(&["changes", "--job", "items"]);
    assert!(text.stdout.contains("items: 0 new, 650 changed, 650 gone\n"), "{text}");
    assert!(text.stdout.contains("… and 1260 more"), "{text}");
}

#[test]
fn a_stamp_that_moves_alone_is_no_change() {
    let shop = Shop::with_jobs(Kind::Sqlite, &JOBS.replace("changed = {", "#"));
    shop.items(40);
    shop.outlet.sync_well(&[]);
    shop.hq.bulk_stamp("Item", |_| true, json!({"disabled": 0})).unwrap();
    shop.hq.update("Item", "ICE-0001", json!({"standard_rate": 7})).unwrap();
    shop.outlet.sync_well(&["items"]);
    assert_eq!(actions(&changes(&shop.outlet, &[])), expected(&[("ICE-0001", "update")]));
}

#[test]
fn a_run_is_shown_with_all_that_is_known_of_it() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(10);
    shop.outlet.sync_well(&[]);
    shop.hq.update("Item", "ICE-0001", json!({"standard_rate": 7})).unwrap();
    let run = shop.outlet.sync_well(&["items"])[0].clone();
    let id = run["id"].to_string();
    let shown = shop.outlet.run(&["--format", "json", "runs", "show", &id]).json();
    for key in ["id", "trigger", "counts", "watermark_before", "watermark_after"] {
        assert_eq!(shown[key], run[key], "{key}");
    }
    assert_eq!(
        (&shown["is_first_load"], &shown["next"]),
        (&json!(false), &json!(format!("milkrun changes --run {id}")))
    );
    let text = shop.outlet.run(&["runs", "show", &id]);
    for told in ["run 3 of items: ok\n", "trigger     sync\n", "0 inserted, 1 updated, 0 unchanged, 0 deleted\n", " → "]
    {
        assert!(text.stdout.contains(told), "{told}\n{text}");
    }
    shop.hq.fault_always(When::doctype("Item"), Fault::Proxy(503));
    let failed = shop.outlet.sync(&["items"])[0]["id"].to_string();
    let text = shop.outlet.run(&["runs", "show", &failed]);
    for told in [
        "items: failed\n",
        "\n  error       ",
        "\n  do          ",
        ", 2 of them repeated\n",
        ", as before\n",
        "next: milkrun sync items",
    ] {
        assert!(text.stdout.contains(told), "{told}\n{text}");
    }
    let unknown = shop.outlet.run(&["runs", "show", "77"]);
    assert!(unknown.expect_code(2).stderr.contains("no run 77: the newest are 4, 3, 2"), "{unknown}");
    // The log as it was, and only of late.
    let all = shop.outlet.run(&["--format", "json", "runs", "items"]).json();
    assert_eq!(all.as_array().unwrap().len(), 3);
    let late = shop.outlet.run(&["--format", "json", "runs", "--since", "1h", "--failed"]).json();
    assert_eq!(late.as_array().unwrap().len(), 1);
    let none = shop.outlet.run(&["runs", "--since", "0s"]);
    assert!(none.stdout.contains("no such runs"), "{none}");
}

#[test]
fn the_first_line_of_the_status_says_whether_the_shop_can_be_opened() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(3);
    let before = shop.outlet.run(&["status"]);
    assert!(before.expect_code(0).stdout.starts_with("outlet-042: nothing has run here yet\n"), "{before}");
    assert!(!shop.outlet.path("outlet.db").exists(), "a look makes no database");
    shop.outlet.sync_well(&[]);
    let well = shop.outlet.run(&["status"]);
    assert!(well.expect_code(0).stdout.starts_with("outlet-042: all 2 jobs are up to date (as of "), "{well}");
    assert!(well.stdout.contains("HQ last answered "), "{well}");
    assert!(!well.stdout.contains('\u{1b}'), "no colours where no terminal is\n{well}");
    let probed = shop.outlet.run(&["status", "--probe"]);
    assert!(probed.expect_code(0).stdout.contains("HQ answers now and knows us as manager@hq.example ("), "{probed}");
    shop.hq.fault_always(When::any(), Fault::Proxy(502));
    shop.outlet.run(&["sync", "items"]).expect_code(1);
    let bad = shop.outlet.run(&["status", "--probe"]);
    assert!(bad.expect_code(1).stdout.starts_with("outlet-042: 1 of 2 jobs is not up to date: items\n"), "{bad}");
    assert!(bad.stdout.contains("HQ does not answer: ") && bad.stdout.contains("  do: "), "{bad}");
    assert!(bad.stdout.lines().any(|line| line.contains(" items ") && line.trim_end().ends_with("failed")), "{bad}");
    let json = shop.outlet.run(&["--format", "json", "status"]).json();
    assert_eq!(
        (&json["answer"], &json["site"]),
        (&json!("1 of 2 jobs is not up to date: items"), &json!("outlet-042"))
    );
    assert!(json["hq_answered_at"].is_string() && json.get("probe").is_none(), "{json:#}");
}

#[test]
fn a_watched_status_is_redrawn_in_place_until_q() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(3);
    let mut terminal = Terminal::start(&shop.outlet, "status --watch 1");
    terminal.wait_for("outlet-042: nothing has run here yet");
    shop.outlet.sync_well(&[]);
    terminal.wait_for("all 2 jobs are up to date");
    terminal.press(b"q");
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("\u{1b}[?1049h") && screen.contains("\u{1b}[H"), "{screen:?}");
    let last = screen.rsplit("\u{1b}[?1049l").next().unwrap();
    assert!(plain(last).contains("all 2 jobs are up to date"), "what was seen last stays\n{last}");
    assert!(last.contains("\u{1b}["), "in colours\n{last}");
}

#[test]
fn a_watched_status_outlives_a_database_that_cannot_be_read_for_a_moment() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(3);
    std::fs::write(shop.outlet.path("outlet.db"), "this is no database, and no run has made it".repeat(50)).unwrap();
    let mut terminal = Terminal::start(&shop.outlet, "status --watch 1");
    terminal.wait_for("no newer look: opening the local database");
    std::fs::remove_file(shop.outlet.path("outlet.db")).unwrap();
    shop.outlet.sync_well(&[]);
    terminal.wait_for("all 2 jobs are up to date");
    terminal.press(b"q");
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn a_piped_watch_prints_one_look_after_the_other() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(3);
    shop.outlet.sync_well(&[]);
    let mut child = shop.outlet.start(&["status", "--watch", "1"]);
    let mut seen = String::new();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap());
    while seen.matches("all 2 jobs are up to date").count() < 2 {
        assert!(std::io::BufRead::read_line(&mut lines, &mut seen).unwrap() > 0, "{seen}");
    }
    assert!(!seen.contains('\u{1b}'), "{seen}");
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_first_load_shows_a_bar_with_what_hq_counted() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(1_200);
    let hold = Hold::new();
    shop.hq.fault_when(When::doctype("Item Barcode").nth(2), Fault::Hold(hold.clone()));
    let mut terminal = Terminal::start(&shop.outlet, "sync items");
    assert!(hold.wait_until_reached(PATIENCE));
    terminal.wait_for(" of 1,200 (");
    hold.release();
    let (code, screen) = terminal.end();
    assert_eq!(code, Some(0), "{screen}");
    let plain = plain(&screen);
    assert!(plain.contains("items") && plain.contains(" left"), "{plain}");
    let last = plain.trim_end().lines().last().unwrap();
    assert!(last.contains("items") && last.contains("ok") && last.contains("1200 inserted"), "{last:?}\n{screen:?}");
    let counts = || shop.hq.requests().iter().filter(|request| request.path.contains("get_count")).count();
    assert_eq!(counts(), 1, "asked once, for the first load");
    // An idle poll shows no bar to fill, and nobody is asked for a count; nor where nobody looks.
    let (code, _) = Terminal::start(&shop.outlet, "sync items").end();
    assert_eq!((code, counts()), (Some(0), 1));
    shop.outlet.sync_well(&["--full"]);
    assert_eq!(counts(), 1);
}

#[test]
fn hq_that_does_not_count_leaves_a_bar_without_an_end() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(300);
    shop.hq.fault_always(When::path("get_count"), Fault::Proxy(403));
    let (code, screen) = Terminal::start(&shop.outlet, "sync items").end();
    assert_eq!(code, Some(0), "{screen}");
    assert!(plain(&screen).contains("300 inserted"), "{screen}");
}

#[test]
fn the_journal_is_given_priorities_and_no_times() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(3);
    shop.hq.fault_always(When::doctype("Item"), Fault::Proxy(502));
    let log = shop.outlet.run_in_journal(&["-v", "sync"]);
    assert!(!log.is_empty());
    for line in log.lines() {
        assert!(["<3>", "<4>", "<6>"].iter().any(|priority| line.starts_with(priority)), "{line}\nin\n{log}");
        assert!(!line.contains('\u{1b}') && !line.contains("T0") && !line.contains("INFO"), "{line}");
    }
    assert!(log.contains("<6>run ended well job=\"item_groups\""), "{log}");
}
