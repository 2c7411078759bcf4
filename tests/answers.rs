//! What a command answers is about what was asked, is true, and says what comes next.

use std::time::{Duration, Instant};

use milkrun::demo::data::MANAGER;
use milkrun::demo::{Fault, When};
use serde_json::{Value, json};

use crate::support::daemon::{Daemon, free_port, listen};
use crate::support::shop::JOBS;
use crate::support::terminal::plain;
use crate::support::tls::{Authority, Front, Setup};
use crate::support::{Kind, Shop, Terminal};

on_each_database! {
    a_retry_of_one_record_tells_of_that_one_alone
    a_long_list_is_a_screenful_on_a_terminal_and_whole_everywhere_else
}

/// The usual jobs with a column that takes numbers only.
fn numbers() -> String {
    JOBS.replace("unit = {", "weight = { from = \"description\", type = \"decimal\" }\nunit = {")
}

fn heavy(shop: &Shop, names: impl IntoIterator<Item = String>) {
    for name in names {
        shop.item(&name, json!({"description": "heavy"}));
    }
}

fn a_retry_of_one_record_tells_of_that_one_alone(kind: Kind) {
    let shop = Shop::with_jobs(kind, &numbers());
    heavy(&shop, ["A", "B", "C", "D"].map(str::to_owned));
    shop.outlet.run(&["sync"]).expect_code(3);
    shop.hq.update_silently("Item", "A", json!({"description": "1"})).unwrap();
    shop.hq.update_silently("Item", "C", json!({"is_sales_item": 0})).unwrap();

    let taken = shop.outlet.run(&["quarantine", "retry", "items", "A"]);
    assert!(taken.expect_code(0).stdout.starts_with("A: taken; it has left the quarantine\n"), "{taken}");
    let left = shop.outlet.run(&["quarantine", "retry", "items", "C"]);
    assert!(left.expect_code(0).stdout.starts_with("C: has left the quarantine without a row"), "{left}");
    let parked = shop.outlet.run(&["quarantine", "retry", "items", "B"]);
    assert!(parked.expect_code(3).stdout.starts_with("B: still in quarantine: weight "), "{parked}");
    assert!(
        !parked.stdout.contains("D:") && parked.stdout.contains("1 record tried: 1 still in quarantine"),
        "{parked}"
    );
    let both = shop.outlet.run(&["--format", "json", "quarantine", "retry", "items"]);
    let records = &both.expect_code(3).json()[0]["records"];
    assert_eq!(records.as_array().unwrap().len(), 2, "{both}");
    assert_eq!((&records[0]["name"], &records[0]["state"]), (&json!("B"), &json!("parked")), "{both}");

    // While HQ is away nothing is known of the records, and nothing is promised.
    shop.hq.fault_always(When::any(), Fault::Proxy(503));
    let away = shop.outlet.run(&["quarantine", "retry", "items", "B"]);
    assert!(away.expect_code(1).stdout.contains("do: run the command again in a while"), "{away}");
    shop.hq.heal();

    let given = shop.outlet.run(&["quarantine", "discard", "items", "B"]);
    assert!(given.expect_code(0).stdout.starts_with("B of job items is given up: it left the quarantine"), "{given}");
    let names = |shop: &Shop| {
        let listed = shop.outlet.run(&["--format", "json", "quarantine", "list"]).json();
        listed
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    shop.outlet.run(&["sync"]).expect_code(3);
    assert_eq!(names(&shop), ["D"]);
    // As it says: what reads everything again tries it again, too.
    shop.outlet.run(&["sync", "items", "--full"]).expect_code(3);
    assert_eq!(names(&shop), ["B", "D"]);
}

fn a_long_list_is_a_screenful_on_a_terminal_and_whole_everywhere_else(kind: Kind) {
    let shop = Shop::with_jobs(kind, &numbers());
    heavy(&shop, (0..620).map(|n| format!("BAD-{n:03}")));
    let parking = shop.outlet.run(&["sync"]);
    assert_eq!(parking.expect_code(3).stderr.matches("record parked in quarantine").count(), 5, "{parking}");
    let rest = parking.stderr.lines().find(|line| line.contains("more were parked in quarantine")).unwrap();
    assert!(rest.contains("WARN") && rest.contains("records=615"), "{rest}");
    let json = shop.outlet.run(&["--format", "json", "quarantine", "list", "items"]).json();
    let names: Vec<&str> = json.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, (0..620).map(|n| format!("BAD-{n:03}")).collect::<Vec<_>>());
    let piped = shop.outlet.run(&["quarantine", "list"]);
    assert_eq!(piped.stdout.matches("BAD-").count(), 620);
    assert_eq!(piped.stdout.matches("NEXT TRY").count(), 1, "{piped}");
    assert!(piped.stdout.ends_with("times are those of Asia/Kolkata (site.time_zone)\n"), "{piped}");
    let on_terminal = |command: &str| plain(&Terminal::start(&shop.outlet, command).end().1);
    let screen = on_terminal("quarantine list");
    assert!(screen.contains("BAD-049") && !screen.contains("BAD-050"), "{screen}");
    assert!(screen.contains("… and 570 more; --all shows them"), "{screen}");
    assert!(on_terminal("quarantine list --all").contains("BAD-619"));
}

#[test]
fn conflicts_are_listed_whole_but_for_a_terminal() {
    let shop = Shop::with_jobs(Kind::Sqlite, &JOBS.replace("overlap =", "conflict = \"manual\"\noverlap ="));
    shop.items(530);
    shop.outlet.sync_well(&[]);
    shop.outlet.database.execute("update items set price = '1.23'");
    shop.hq.bulk_stamp("Item", |_| true, json!({"standard_rate": 9})).unwrap();
    shop.outlet.run(&["sync", "items"]).expect_code(3);
    let json = shop.outlet.run(&["--format", "json", "conflicts", "list"]).json();
    assert_eq!(json.as_array().unwrap().len(), 530);
    let screen = plain(&Terminal::start(&shop.outlet, "conflicts list items").end().1);
    assert!(screen.contains("… and 480 more; --all shows them"), "{screen}");
    assert_eq!(shop.outlet.run(&["conflicts", "list", "--all"]).stdout.matches("waits for a decision").count(), 530);
}

#[test]
fn what_is_not_kept_of_the_version_last_taken_is_explained() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(1);
    shop.outlet.sync_well(&[]);
    let why = shop.outlet.run(&["why", "items", "ICE-0000"]);
    assert!(why.stdout.contains("- under LAST TAKEN: of the version last taken a fingerprint is kept"), "{why}");
}

#[test]
fn a_database_that_is_not_there_is_told_with_the_statement_that_makes_it() {
    for (kind, statement) in [
        (Kind::Postgres, "CREATE DATABASE \"no such\";"),
        (Kind::Mysql, "CREATE DATABASE `no such` CHARACTER SET utf8mb4;"),
    ] {
        let shop = Shop::empty(kind);
        let url = &shop.outlet.database.url;
        let (server, _) = url.rsplit_once('/').unwrap();
        // A user of MariaDB's that may see no other database is not told whether there is one.
        let server = if kind == Kind::Mysql { crate::support::databases::server(kind) } else { server.to_owned() };
        shop.outlet
            .write_config(&shop.outlet.config().replace(url.as_str(), &format!("{server}/no%20such")));
        let sync = shop.outlet.run(&["sync"]);
        assert!(sync.expect_code(4).stderr.contains("the local database does not exist: "), "{sync}");
        assert!(sync.stderr.contains(&format!("do: Make it first, empty: {statement}")), "{sync}");
        assert!(!sync.stderr.contains("at line"), "{sync}");
        let check = shop.outlet.run(&["check"]);
        assert!(check.stdout.contains(statement), "{check}");
    }
}

#[test]
fn a_version_that_only_this_shell_cannot_read_is_in_force_and_not_refused() {
    let mut shop = Shop::empty(Kind::Sqlite);
    shop.items(3);
    shop.outlet.configure(&shop.url(), (MANAGER.0, "${HQ_SECRET_OF_THE_DAEMON}"), JOBS);
    shop.outlet.set_env("HQ_SECRET_OF_THE_DAEMON", MANAGER.1);
    let mut daemon = Daemon::start(&shop.outlet, &["-v"]);
    daemon.wait_for(&["run ended well", "job=\"items\""]);
    let lacking = |arguments: &[&str]| shop.outlet.run_without("HQ_SECRET_OF_THE_DAEMON", arguments);
    let in_force = "cannot be read by this shell, which lacks what it names:";
    for at_work in [true, false] {
        let status = lacking(&["status"]);
        assert!(status.expect_code(0).stdout.contains(in_force), "{status}");
        assert!(!status.stdout.contains("refused"), "{status}");
        let runs = lacking(&["runs"]);
        assert!(runs.expect_code(0).stdout.contains("items") && runs.stderr.contains(in_force), "{runs}");
        lacking(&["quarantine", "list"]).expect_code(0);
        let changes = lacking(&["changes"]);
        assert!(changes.expect_code(2).stderr.contains(in_force), "{changes}");
        assert_eq!(changes.stderr.matches("HQ_SECRET_OF_THE_DAEMON is not set").count(), 1, "{changes}");
        if at_work {
            assert!(status.stdout.contains("the version of sync.toml that is in force cannot"), "{status}");
            daemon.signal("-TERM");
            daemon.wait_for(&["daemon stopped"]);
            while shop.outlet.run(&["--format", "json", "status"]).json()["version"]["daemon"]["state"] != "stopped" {}
        }
    }
}

#[test]
fn a_file_that_is_gone_is_said_once_and_the_daemon_goes_on() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(3);
    let config = shop.outlet.config().replace("0 */5 * * * *", "* * * * * *");
    shop.outlet.write_config(&config);
    let mut daemon = Daemon::start(&shop.outlet, &["-v"]);
    daemon.wait_for(&["run ended well", "job=\"items\""]);
    std::fs::remove_file(shop.outlet.path("sync.toml")).unwrap();
    daemon.wait_for(&["ERROR", "the file is gone or cannot be read; the daemon goes on by the version in force"]);
    shop.item("LATER", json!({}));
    daemon.wait_for(&["run ended well", "inserted=1"]);
    loop {
        let status = shop.outlet.run(&["status"]);
        let told = "sync.toml is gone or cannot be read; the daemon goes on by the version in force:";
        if status.expect_code(0).stdout.contains(told) {
            break;
        }
    }
    // Where no database lies beside it, nothing says where to look.
    let lost = shop.outlet.run(&["--config", "/nowhere/sync.toml", "status"]);
    assert!(lost.expect_code(2).stderr.contains("a daemon that has read the file goes on by what it read"), "{lost}");
    shop.outlet.write_config(&config);
    daemon.wait_for(&["the file is again as it is in force"]);
    daemon.signal("-TERM");
    let (_, log) = daemon.end();
    assert_eq!(log.matches("the file is gone").count(), 1, "{log}");
}

#[test]
fn a_second_daemon_names_the_first_and_what_to_do() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(3);
    let port = listen(&shop.outlet);
    let mut first = Daemon::start(&shop.outlet, &["-v"]);
    first.wait_for(&["run ended well", "job=\"items\""]);
    let second = shop.outlet.run(&["run"]);
    let pid = first.pid();
    assert!(
        second
            .expect_code(1)
            .stderr
            .contains(&format!("the daemon of this outlet runs already (process {pid} on ")),
        "{second}"
    );
    assert!(second.stderr.contains("milkrun reload") && second.stderr.contains(&format!("kill {pid}")), "{second}");

    // Nor without the address in the way: its word would hide that of the first.
    let config = shop.outlet.config().replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{}", free_port()));
    shop.outlet.write_config(&config);
    let beside = shop.outlet.run(&["run"]);
    beside.expect_code(1);
    assert!(beside.stderr.contains(&format!("runs already (process {pid} on ")), "{beside}");
    assert!(beside.stderr.contains(&format!("kill {pid}")), "{beside}");
    let status = shop.outlet.run(&["--format", "json", "status"]).json();
    assert_eq!(status["version"]["daemon"]["state"], "runs", "{status:#}");
    first.signal("-TERM");
    first.end();

    // And where it is not milkrun that has the address.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let now = config.lines().find(|line| line.starts_with("listen = ")).unwrap().to_owned();
    shop.outlet.write_config(&config.replace(&now, &format!("listen = \"{address}\"")));
    let kept = shop.outlet.run(&["run"]);
    assert!(kept.expect_code(1).stderr.contains(&format!("process {} (", std::process::id())), "{kept}");
    assert!(kept.stderr.contains(&format!("has the address of the status page, {address}; end it")), "{kept}");
}

#[test]
fn https_to_a_port_of_plain_http_is_recognised_within_seconds_and_so_is_the_reverse() {
    let shop = Shop::empty(Kind::Sqlite);
    let began = Instant::now();
    let configure = |url: &str| shop.outlet.configure(url, MANAGER, JOBS);
    configure(&shop.url().replace("http://", "https://"));
    let check = shop.outlet.run(&["check"]);
    assert!(check.expect_code(4).stdout.contains("does not speak https; it speaks plain HTTP: "), "{check}");
    assert!(check.stdout.contains("begin hq.url with http://"), "{check}");
    let doctor = shop.outlet.run(&["doctor"]);
    assert!(doctor.stdout.contains("https failed: what answers there speaks plain HTTP"), "{doctor}");
    let authority = Authority::new();
    let pair = authority.pair("127.0.0.1");
    let front = Front::before(shop.address(), &Setup { pair: &pair, clients: None, version: &rustls::version::TLS13 });
    configure(&front.url("127.0.0.1").replace("https://", "http://"));
    let check = shop.outlet.run(&["check"]);
    assert!(
        check
            .expect_code(4)
            .stdout
            .contains("does not speak plain http; it speaks TLS: begin hq.url with https://"),
        "{check}"
    );
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[test]
fn a_child_table_as_a_job_is_told_with_the_parent_that_has_it() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(3);
    let jobs = "[[job]]\nname = \"codes\"\ndoctype = \"Item Barcode\"\nschedule = \"@daily\"\ntable = \"codes\"\nkey = \"name\"\n\
                create_table = true\n[job.fields]\nname = \"name\"\nbarcode = \"barcode\"\n";
    shop.outlet.configure(&shop.url(), MANAGER, jobs);
    let sync = shop.outlet.run(&["sync"]);
    assert!(sync.expect_code(4).stdout.contains("Item Barcode is a child table"), "{sync}");
    assert!(sync.stdout.contains("give the job of Item a [[job.children]] with field = \"barcodes\""), "{sync}");
}

#[test]
fn a_table_that_is_not_there_does_not_fit_yet() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(1);
    let before = shop.outlet.run(&["check"]);
    assert!(
        before.expect_code(0).stdout.contains("table item_groups is not there yet: the next run makes"),
        "{before}"
    );
    assert!(!before.stdout.contains("fits"), "{before}");
    shop.outlet.sync_well(&[]);
    let after = shop.outlet.run(&["check"]);
    assert!(after.stdout.contains("table items fits"), "{after}");
}

#[test]
fn what_a_mapping_and_a_filter_both_lack_is_said_once() {
    let shop = Shop::empty(Kind::Sqlite);
    let config = shop
        .outlet
        .config()
        .replace("is_sales_item", "is_sale_item")
        .replace("\"item_name\"", "\"is_sale_item\"");
    shop.outlet.write_config(&config);
    let check = shop.outlet.run(&["check"]);
    assert_eq!(check.expect_code(4).stdout.matches("has no field \"is_sale_item\"").count(), 1, "{check}");
}

#[test]
fn a_missing_permission_comes_before_the_fields_that_it_hides() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.as_reader(&JOBS.replace("doctype = \"Item\"", "doctype = \"DocType\""));
    let check = shop.outlet.run(&["check"]);
    let problems: Vec<&str> = check.expect_code(4).stdout.lines().filter(|line| line.starts_with("problem")).collect();
    assert!(problems[0].contains("the user at HQ may not read DocType"), "{check}");
    assert!(problems[1].contains("HQ's DocType has no field"), "{check}");
}

#[test]
fn a_doctor_on_a_terminal_groups_what_he_found() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(1);
    let screen = plain(&Terminal::start(&shop.outlet, "doctor").end().1);
    for told in ["hq\r\n  ✓ answers in ", "✗ ", "    do: `chmod o-r sync.toml`"] {
        assert!(screen.contains(told), "{told:?}\n{screen}");
    }
}

#[test]
fn a_doctor_tells_until_when_hqs_certificate_is_good() {
    let shop = Shop::empty(Kind::Sqlite);
    let authority = Authority::new();
    let pair = authority.pair("127.0.0.1");
    let front = Front::before(shop.address(), &Setup { pair: &pair, clients: None, version: &rustls::version::TLS13 });
    std::fs::write(shop.outlet.path("ca.pem"), &authority.pem).unwrap();
    shop.outlet.configure(&front.url("127.0.0.1"), MANAGER, JOBS);
    shop.outlet
        .write_config(&shop.outlet.config().replacen("[local]", "tls = { ca = \"ca.pem\" }\n[local]", 1));
    let doctor = shop.outlet.run(&["doctor"]);
    assert!(doctor.stdout.contains("the system or hq.tls.ca vouches for, good until "), "{doctor}");
}

#[test]
fn a_reload_says_what_is_unchanged_and_what_the_edit_blocks() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(3);
    let mut daemon = Daemon::start(&shop.outlet, &["-v"]);
    daemon.wait_for(&["run ended well", "job=\"items\""]);
    let first = shop.outlet.run(&["--format", "json", "status"]).json()["version"]["in_force"].clone();
    let same = shop.outlet.run(&["--format", "json", "reload"]);
    let answer: Value = same.expect_code(0).json();
    assert_eq!((&answer["is_unchanged"], &answer["version"]["in_force"]), (&json!(true), &first), "{same}");
    let same = shop.outlet.run(&["reload"]);
    assert!(same.stdout.starts_with("sync.toml is unchanged: version "), "{same}");
    assert!(same.stdout.ends_with(" Asia/Kolkata\n"), "{same}");

    let edited = shop.outlet.config().replace("shelf = {", "colour = { const = \"\", owner = \"once\" }\nshelf = {");
    shop.outlet.write_config(&edited);
    let blocking = shop.outlet.run(&["reload"]);
    blocking.expect_code(4);
    assert!(blocking.stdout.contains("\n  but it blocks items: Table items has no column colour"), "{blocking}");
    shop.outlet.database.execute("alter table items add column colour text");
    let mended = shop.outlet.run(&["reload"]);
    assert!(mended.expect_code(0).stdout.starts_with("sync.toml is unchanged: "), "{mended}");
}

#[test]
fn files_that_are_read_again_leave_the_version_in_force_since_it_was() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(3);
    std::fs::write(shop.outlet.path("secret"), MANAGER.1).unwrap();
    shop.outlet.configure(&shop.url(), (MANAGER.0, "${file:secret}"), JOBS);
    let mut daemon = Daemon::start(&shop.outlet, &["-v"]);
    daemon.wait_for(&["run ended well", "job=\"items\""]);
    let first = shop.outlet.run(&["--format", "json", "status"]).json()["version"]["in_force"].clone();
    let again = shop.outlet.run(&["--format", "json", "reload"]);
    assert_eq!(again.expect_code(0).json()["version"]["in_force"], first, "{again}");
    daemon.wait_for(&["the edited file is in force"]);
}

#[test]
fn a_plan_lists_a_removed_job_until_the_version_without_it_is_in_force() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(3);
    let mut daemon = Daemon::start(&shop.outlet, &["-v"]);
    daemon.wait_for(&["run ended well", "job=\"items\""]);
    let config = shop.outlet.config();
    let (alone, _) = config.split_once("[[job]]\nname = \"items\"").unwrap();
    let removed = || {
        let plans = shop.outlet.run(&["--format", "json", "plan"]).json();
        plans.as_array().unwrap().iter().filter(|plan| plan["what"] == "removed").count()
    };
    let copy = shop.outlet.path("sync.toml.new");
    std::fs::write(&copy, alone).unwrap();
    let planned = shop.outlet.run(&["--config", copy.to_str().unwrap(), "--format", "json", "plan"]);
    assert!(planned.stdout.contains("\"removed\""), "{planned}");
    shop.outlet.write_config(alone);
    shop.outlet.run(&["reload"]).expect_code(0);
    assert_eq!(removed(), 0);
}

#[test]
fn a_line_without_tls_is_said_once_a_command_and_with_what_to_do() {
    let shop = Shop::empty(Kind::Sqlite);
    // No address of this machine's own counts as one on the way; nobody is there.
    shop.outlet.configure("http://192.0.2.1:8000", MANAGER, JOBS);
    let config = shop.outlet.config().replace("timeout = \"20s\"", "timeout = \"1s\"");
    shop.outlet.write_config(&config);
    for command in ["check", "doctor", "sync"] {
        let outcome = shop.outlet.run(&[command]);
        let said = outcome.stdout.matches("go over the line in clear").count()
            + outcome.stderr.matches("go over the line in clear").count();
        assert_eq!(said, 1, "{outcome}");
        assert!(format!("{outcome}").contains("bench setup lets-encrypt"), "{outcome}");
    }
}
