//! `milkrun doctor` finds what is in the way, names what to do, and changes nothing.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use milkrun::demo::{Fault, Hold, When};
use rustls::version::TLS13;
use serde_json::Value;

use crate::support::daemon::{Daemon, free_port, listen};
use crate::support::tls::{Authority, Front, Setup};
use crate::support::{Kind, Outcome, Outlet, Shop};

/// An outlet in good order: its file holds the secrets, so nobody else may read it.
fn sound(kind: Kind) -> Shop {
    let shop = Shop::empty(kind);
    shop.items(5);
    close(&shop.outlet);
    shop.outlet.sync_well(&[]);
    shop
}

fn close(outlet: &Outlet) {
    std::fs::set_permissions(outlet.path("sync.toml"), std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn findings(outcome: &Outcome) -> Vec<(String, String, String)> {
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let json = outcome.json();
    json.as_array()
        .unwrap()
        .iter()
        .map(|found| (text(found, "subject"), text(found, "level"), text(found, "message")))
        .collect()
}

#[track_caller]
fn assert_found(outcome: &Outcome, subject: &str, level: &str, words: &str) {
    let found = findings(outcome);
    let is_there = found.iter().any(|(s, l, m)| s == subject && l == level && m.contains(words));
    assert!(is_there, "no {level} of {subject} with {words:?} in {found:#?}");
}

fn doctor(outlet: &Outlet) -> Outcome {
    outlet.run(&["--format", "json", "doctor"])
}

fn a_sound_outlet_has_no_problem(kind: Kind) {
    let shop = sound(kind);
    let outcome = doctor(&shop.outlet);
    outcome.expect_code(0);
    assert!(findings(&outcome).iter().all(|(_, level, _)| level != "problem"), "{outcome}");
    for (subject, words) in [
        ("clock", "UTC, which is"),
        ("memory", "free"),
        ("sync.toml", "mode 600"),
        ("database", "answers"),
        ("own tables", "up to date"),
        ("leases", "no job is running"),
        ("line", "connect ok"),
        ("hq", "knows us as manager@hq.example"),
        ("hq", "Asia/Kolkata, as hq.time_zone says"),
    ] {
        assert_found(&outcome, subject, "ok", words);
    }
    if kind == Kind::Sqlite {
        assert_found(&outcome, "database", "ok", "the file is sound");
        assert_found(&outcome, "disk", "ok", "free under");
    }
    let text = shop.outlet.run(&["doctor"]);
    assert!(text.stdout.contains("\nok       line         connect ok in "), "{text}");
    assert!(text.stdout.contains("all is well") || text.stdout.contains("no problem, "), "{text}");
}

/// Every file of the outlet's folder, to the byte.
fn folder(outlet: &Outlet) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(outlet.path("")).unwrap().map(|entry| entry.unwrap());
    files
        .map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap()))
        .collect()
}

#[test]
fn it_changes_nothing_before_the_first_run_and_after_it() {
    let shop = Shop::empty(Kind::Sqlite);
    close(&shop.outlet);
    let before = folder(&shop.outlet);
    let outcome = doctor(&shop.outlet);
    assert_found(&outcome, "database", "note", "is not there yet");
    assert_eq!(folder(&shop.outlet), before);
    shop.outlet.sync_well(&[]);
    let before = folder(&shop.outlet);
    doctor(&shop.outlet).expect_code(0);
    assert_eq!(folder(&shop.outlet), before);
}

#[test]
fn who_may_read_the_secrets_is_said_with_the_command_that_ends_it() {
    let shop = sound(Kind::Sqlite);
    std::fs::set_permissions(shop.outlet.path("sync.toml"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let outcome = doctor(&shop.outlet);
    outcome.expect_code(4);
    assert_found(&outcome, "sync.toml", "problem", "holds a secret, and anybody on this machine may read it");
    assert!(outcome.stdout.contains("chmod o-r sync.toml"), "{outcome}");

    // In a file of its own it is that file which counts.
    let (key, secret) = milkrun::demo::data::MANAGER;
    std::fs::write(shop.outlet.path("secret"), secret).unwrap();
    shop.outlet.configure(&shop.url(), (key, "${file:secret}"), crate::support::shop::JOBS);
    std::fs::set_permissions(shop.outlet.path("secret"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let outcome = doctor(&shop.outlet);
    outcome.expect_code(4);
    assert_found(&outcome, "sync.toml", "ok", "mode 644");
    assert_found(&outcome, "secrets", "problem", "anybody on this machine may read");
    std::fs::set_permissions(shop.outlet.path("secret"), std::fs::Permissions::from_mode(0o600)).unwrap();
    doctor(&shop.outlet).expect_code(0);
}

#[test]
fn each_step_of_the_way_to_hq_that_fails_is_named_and_the_rest_is_looked_at_all_the_same() {
    let shop = sound(Kind::Sqlite);
    let good = shop.outlet.config();
    let with_url = |url: &str| {
        shop.outlet.write_config(&good.replacen(&shop.url(), url, 1));
        let outcome = doctor(&shop.outlet);
        assert_found(&outcome, "database", "ok", "answers");
        outcome
    };
    let outcome = with_url("http://hq.invalid");
    outcome.expect_code(1);
    assert_found(&outcome, "line", "problem", "DNS failed: hq.invalid is not found");
    let outcome = with_url(&shop.url().replacen("127.0.0.1", "localhost", 1));
    outcome.expect_code(0);
    assert_found(&outcome, "line", "ok", "DNS ok in ");
    let outcome = with_url(&format!("http://127.0.0.1:{}", free_port()));
    outcome.expect_code(1);
    assert_found(&outcome, "line", "problem", "connect failed: 127.0.0.1");
    let outcome = with_url(&shop.url().replacen("http", "https", 1));
    outcome.expect_code(1);
    assert_found(&outcome, "line", "problem", "https failed: what answers there speaks plain HTTP");
}

#[test]
fn hq_s_certificate_is_held_against_the_same_authorities_as_by_a_run() {
    let shop = sound(Kind::Sqlite);
    let authority = Authority::new();
    let pair = authority.pair("127.0.0.1");
    let front = Front::before(shop.address(), &Setup { pair: &pair, clients: None, version: &TLS13 });
    std::fs::write(shop.outlet.path("ca.pem"), &authority.pem).unwrap();
    let good = shop.outlet.config().replacen(&shop.url(), &front.url("127.0.0.1"), 1);
    shop.outlet.write_config(&good);
    let outcome = doctor(&shop.outlet);
    outcome.expect_code(1);
    assert_found(&outcome, "line", "problem", "UnknownIssuer");
    shop.outlet.write_config(&good.replacen("[local]", "tls = { ca = \"ca.pem\" }\n[local]", 1));
    let outcome = doctor(&shop.outlet);
    outcome.expect_code(0);
    assert_found(&outcome, "line", "ok", "TLS 1.3, with a certificate that the system or hq.tls.ca vouches for");
}

#[test]
fn wrong_credentials_a_wrong_zone_and_a_silent_hq_are_told() {
    let shop = sound(Kind::Sqlite);
    let good = shop.outlet.config();
    let (key, _) = milkrun::demo::data::MANAGER;
    shop.outlet.write_config(&good.replacen(key, "nobody", 1));
    let outcome = doctor(&shop.outlet);
    outcome.expect_code(4);
    assert_found(&outcome, "hq", "problem", "HQ refused the credentials (HTTP 401)");

    shop.outlet.write_config(&good.replacen(
        "time_zone = \"Asia/Kolkata\"\ntimeout",
        "time_zone = \"Europe/Berlin\"\ntimeout",
        1,
    ));
    let outcome = doctor(&shop.outlet);
    outcome.expect_code(4);
    assert_found(
        &outcome,
        "hq",
        "problem",
        "hq.time_zone is \"Europe/Berlin\", but HQ writes its stamps in \"Asia/Kolkata\"",
    );

    shop.outlet.write_config(&good.replacen("timeout = \"20s\"", "timeout = \"1s\"", 1));
    let hold = Hold::new();
    shop.hq.fault_always(When::any(), Fault::Hold(hold.clone()));
    let began = Instant::now();
    let outcome = doctor(&shop.outlet);
    outcome.expect_code(1);
    assert_found(&outcome, "hq", "problem", "HQ did not begin to answer within 1 s");
    assert!(began.elapsed() < Duration::from_secs(30), "one attempt is made, not as many as a run makes");
    hold.release();
}

#[test]
fn a_damaged_file_a_missing_folder_and_a_wrong_configuration_are_told() {
    let shop = sound(Kind::Sqlite);
    let file = shop.outlet.path("outlet.db");
    let sound = std::fs::read(&file).unwrap();
    let mut damaged = sound.clone();
    damaged[4096..].iter_mut().for_each(|byte| *byte ^= 0x55);
    std::fs::write(&file, &damaged).unwrap();
    let outcome = doctor(&shop.outlet);
    outcome.expect_code(4);
    assert_found(&outcome, "database", "problem", "the local database is damaged");
    assert_found(&outcome, "hq", "ok", "knows us as");
    std::fs::write(&file, &sound).unwrap();

    let good = shop.outlet.config();
    shop.outlet
        .write_config(&good.replacen(&shop.outlet.database.url, "sqlite:///no/such/folder/outlet.db", 1));
    let outcome = doctor(&shop.outlet);
    outcome.expect_code(4);
    assert_found(&outcome, "disk", "problem", "the folder /no/such/folder of local.url does not exist");

    shop.outlet.write_config(&good.replacen("time_zone", "time_zoom", 1));
    let outcome = doctor(&shop.outlet);
    outcome.expect_code(2);
    assert_found(&outcome, "config", "problem", "unknown key \"time_zoom\" in [site]");
    assert_found(&outcome, "memory", "ok", "free");
}

fn a_lease_that_a_dead_process_has_left_is_told(kind: Kind) {
    let shop = sound(kind);
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap();
    let holder = format!("{}/{}/{}/999999999/1", machine.trim(), boot.trim(), namespace.display());
    shop.outlet.database.execute(&format!(
        "insert into milkrun_leases (job, holder, expires_at) values ('items', '{holder}', '2027-01-01 00:00:00.000000')"
    ));
    let outcome = doctor(&shop.outlet);
    outcome.expect_code(0);
    assert_found(&outcome, "leases", "note", "process 999999999 on ");
    shop.outlet.sync_well(&[]);
    assert_found(&doctor(&shop.outlet), "leases", "ok", "no job is running");
}

fn tables_of_a_newer_milkrun_are_told(kind: Kind) {
    let shop = sound(kind);
    shop.outlet.database.execute("update milkrun_migrations set version = 9999 where version = 1");
    let outcome = doctor(&shop.outlet);
    outcome.expect_code(4);
    assert_found(&outcome, "own tables", "problem", "of a newer milkrun");
}

on_each_database! {
    a_sound_outlet_has_no_problem
    a_lease_that_a_dead_process_has_left_is_told
    tables_of_a_newer_milkrun_are_told
}

#[test]
fn a_daemon_that_runs_is_told_from_none() {
    let shop = sound(Kind::Sqlite);
    let port = listen(&shop.outlet);
    close(&shop.outlet);
    let outcome = doctor(&shop.outlet);
    assert_found(&outcome, "daemon", "note", &format!("none answers on 127.0.0.1:{port}"));
    let mut daemon = Daemon::start(&shop.outlet, &[]);
    daemon.wait_for(&["daemon started"]);
    let outcome = doctor(&shop.outlet);
    outcome.expect_code(0);
    assert_found(&outcome, "daemon", "ok", &format!("answers on 127.0.0.1:{port}"));
    // The page of another outlet's daemon is not this one's.
    let other = Shop::empty(Kind::Sqlite);
    let config = other.outlet.config();
    other.outlet.write_config(&config.replacen(
        "[local]",
        &format!("[daemon]\nlisten = \"127.0.0.1:{port}\"\n[local]"),
        1,
    ));
    let outcome = doctor(&other.outlet);
    assert_found(&outcome, "daemon", "note", &format!("a milkrun answers on 127.0.0.1:{port}, and none has left word"));
    daemon.signal("-TERM");
    assert_eq!(daemon.end().0, Some(0));
}
