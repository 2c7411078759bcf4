//! Fields marked `private`: their values land in their columns and show nowhere else, whatever goes wrong.

use milkrun::demo::{self, DocType, Naming, Server, Site, User};
use serde_json::{Value, json};

use crate::support::canary::LOGIN;
use crate::support::{Kind, Outlet};

on_each_database! {
    the_search_finds_what_is_planted
    a_private_value_lands_in_its_column_and_shows_nowhere_on_the_way
    a_private_value_that_cannot_be_mapped_is_not_quoted
    a_private_value_that_the_database_refuses_is_not_quoted
    a_private_key_that_two_records_share_is_not_quoted
}

const JOB: &str = r#"
[[job]]
name = "people"
doctype = "Person"
schedule = "0 * * * * *"
table = "people"
key = "name"
create_table = true
[job.fields]
name = "name"
town = "town"
phone = { from = "phone", private = true, max_length = 60 }
[[job.children]]
field = "mails"
table = "mails"
parent_key = "person"
[job.children.fields]
address = { from = "address", private = true, max_length = 60 }
kind = "kind"
"#;

/// People with a phone number, and their mail addresses.
fn scene(kind: Kind, job: &str) -> (Site, Server, Outlet) {
    let person = DocType::new("Person")
        .named_by(Naming::Prompt)
        .fields([("phone", "Data"), ("town", "Data")])
        .field(demo::Field::table("mails", "Person Mail"));
    let hq = Site::new(chrono_tz::Asia::Kolkata)
        .doctype(DocType::child("Person Mail").fields([("address", "Data"), ("kind", "Data")]))
        .doctype(person)
        .user(User::system_manager("m@hq.example", LOGIN.0, LOGIN.1));
    let server = demo::serve(&hq, ([127, 0, 0, 1], 0).into()).unwrap();
    let outlet = Outlet::new(kind);
    outlet.configure(&server.url(), LOGIN, job);
    (hq, server, outlet)
}

fn person(name: &str, phone: &str) -> Value {
    json!({"name": name, "phone": phone, "town": "Pune", "mails": [{"address": format!("canary-{name}@x.example"), "kind": "home"}]})
}

/// The sync parks a record, whose private value it does not tell; nor does anything that is asked later.
#[track_caller]
fn assert_parked_discreetly(outlet: &Outlet, said: &str) {
    outlet.run(&["--format", "json", "-vv", "sync", "--dry-run"]).expect_code(3);
    let outcome = outlet.run(&["-vv", "sync"]);
    outcome.expect_code(3);
    assert!(outcome.stderr.contains(said), "{said}: {outcome}");
    ask_around(outlet);
    let shown = outlet.run(&["--format", "json", "quarantine", "list"]);
    assert!(shown.json()[0]["reason"].as_str().unwrap().contains(said), "{shown}");
}

fn ask_around(outlet: &Outlet) {
    for arguments in [&["runs"][..], &["--format", "json", "runs"], &["--format", "json", "status"], &["check"]] {
        outlet.run(arguments);
    }
    for name in ["P", "P0", "P1"] {
        outlet.run(&["quarantine", "show", "people", name]);
    }
    outlet.run(&["quarantine", "retry", "people"]);
}

fn the_search_finds_what_is_planted(kind: Kind) {
    let (hq, _server, outlet) = scene(kind, JOB);
    hq.insert("Person", person("P", "canary-1")).unwrap();
    outlet.sync_well(&[]);
    assert_eq!(outlet.database.canaries(), Vec::<String>::new());
    outlet.database.execute("update milkrun_runs set error = 'x Canary-1 y'");
    assert_eq!(outlet.database.canaries(), ["milkrun_runs.error: x Canary-1 y"]);
    outlet.database.execute("update milkrun_runs set error = null");
}

fn a_private_value_lands_in_its_column_and_shows_nowhere_on_the_way(kind: Kind) {
    let (hq, _server, mut outlet) = scene(kind, JOB);
    // Whatever a library may have to say.
    outlet.set_env("MILKRUN_LOG", "trace");
    hq.load("Person", (0..5).map(|n| person(&format!("P{n}"), &format!("canary-{n}")))).unwrap();
    outlet.sync_well(&[]);
    outlet.run(&["check"]).expect_code(0);
    hq.update("Person", "P3", json!({"phone": "canary-33"})).unwrap();
    outlet.sync_well(&[]);
    let rows = outlet.database.rows("people", &["phone"], "name");
    assert_eq!(rows[3][0].as_deref(), Some("canary-33"));
    let mails = outlet.database.rows("mails", &["address"], "address");
    assert_eq!(mails[0][0].as_deref(), Some("canary-P0@x.example"));
}

fn a_private_value_that_cannot_be_mapped_is_not_quoted(kind: Kind) {
    let phone = "phone = { from = \"phone\", private = true, max_length = 60 }";
    let mail = "address = { from = \"address\", private = true, max_length = 60 }";
    let mapped = "map = { \"1\" = \"one\" }";
    let looked_up = "lookup = { table = \"known\", match = \"id\", take = \"id\" }";
    for (line, instead, said) in [
        (
            phone,
            "phone = { from = \"phone\", private = true, type = \"int\" }".to_owned(),
            "(private) is not an integer",
        ),
        (phone, format!("phone = {{ from = \"phone\", private = true, {mapped} }}"), "(private) is not among"),
        (phone, format!("phone = {{ from = \"phone\", private = true, {looked_up} }}"), "has id = (private)"),
        (phone, "phone = { expr = \"phone + 1\", private = true }".to_owned(), "(private)"),
        (phone, format!("{phone}\narea = {{ from = \"phone\", type = \"date\" }}"), "(private) is not a date"),
        (
            mail,
            "address = { from = \"address\", private = true, type = \"decimal\" }".to_owned(),
            "(private) is not a decimal",
        ),
    ] {
        let (hq, _server, outlet) = scene(kind, &JOB.replace(line, &instead));
        outlet.database.execute("create table known (id varchar(20))");
        hq.insert("Person", person("P", "canary-1")).unwrap();
        assert_parked_discreetly(&outlet, said);
    }
}

fn a_private_value_that_the_database_refuses_is_not_quoted(kind: Kind) {
    let id = if kind == Kind::Postgres { "integer" } else { "int" };
    let raise = match kind {
        Kind::Sqlite => {
            "create trigger no_canary before insert on people when new.phone like 'canary%' \
             begin select raise(abort, 'refused by the till'); end"
        }
        Kind::Postgres => {
            "create function no_canary() returns trigger language plpgsql as $$ begin \
             raise exception 'the till takes no %', upper(new.phone); end $$; \
             create trigger no_canary before insert on people for each row execute function no_canary()"
        }
        Kind::Mysql => {
            "create trigger no_canary before insert on people for each row begin \
             declare said varchar(100) default concat('the till takes no ', upper(new.phone)); \
             signal sqlstate '45000' set message_text = said; end"
        }
    };
    let plain = "create table people (name varchar(140) primary key, town varchar(20), phone varchar(60)";
    let mails = "create table mails (person varchar(140), idx int, address varchar(60), kind varchar(20))";
    let number = format!("create table people (name varchar(140) primary key, town varchar(20), phone {id}");
    for table in [
        format!("{number}); {mails}"),
        format!("{plain}, constraint till check (phone not like 'canary%')); {mails}"),
        format!("{plain}, unique (phone)); {mails}; insert into people values ('OWN', 'Pune', 'canary-1')"),
        format!("{plain}); {mails}; {raise}"),
        format!("{plain}); create table mails (person varchar(140), idx int, address {id}, kind varchar(20))"),
    ] {
        let (hq, _server, outlet) = scene(kind, &JOB.replace("create_table = true\n", ""));
        outlet.database.execute(&table);
        hq.load("Person", [person("P0", "canary-1"), person("P1", "canary-2")]).unwrap();
        let outcome = outlet.run(&["-vv", "sync"]);
        // SQLite's columns take what they are given.
        if outcome.code == 0 {
            assert_eq!(kind, Kind::Sqlite, "{table}: {outcome}");
            continue;
        }
        outcome.expect_code(3);
        ask_around(&outlet);
    }
}

fn a_private_key_that_two_records_share_is_not_quoted(kind: Kind) {
    let job = JOB.replace("key = \"name\"", "key = \"phone\"").replace("town = \"town\"\n", "");
    let (hq, _server, outlet) = scene(kind, &job);
    hq.load("Person", [person("P0", "canary-1"), person("P1", "canary-1")]).unwrap();
    assert_parked_discreetly(&outlet, "both map to the local key");
}

#[test]
fn an_example_of_a_private_field_repeats_no_value() {
    let outlet = Outlet::new(Kind::Sqlite);
    let test = "[[job.test]]\ngiven = { name = \"P\", phone = \"canary-1\" }\nexpect = { phone = \"canary-2\" }\n";
    outlet.configure("http://127.0.0.1:9", LOGIN, &format!("{JOB}{test}"));
    let outcome = outlet.run(&["check", "--offline"]);
    let said = "phone is (private), where the example expects (private)";
    assert!(outcome.expect_code(2).stderr.contains(said), "{outcome}");
    // The line is shown without it, too, which the support looks for.
    let shown = outlet.run(&["--color", "always", "check", "--offline"]);
    assert!(shown.expect_code(2).stderr.contains("phone = **********"), "{shown}");
}

#[test]
fn hqs_own_name_for_a_record_cannot_be_private() {
    let outlet = Outlet::new(Kind::Sqlite);
    outlet.configure(
        "http://127.0.0.1:9",
        LOGIN,
        &JOB.replace("name = \"name\"", "name = { from = \"name\", private = true }"),
    );
    let outcome = outlet.run(&["check", "--offline"]);
    assert!(outcome.expect_code(2).stderr.contains("milkrun shows HQ's name"), "{outcome}");
}
