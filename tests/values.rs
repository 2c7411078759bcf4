//! Every field type of Frappe lands exactly, in all three databases.

use milkrun::demo::{self, DocType, Field, Naming, Server, Site, User};
use serde_json::{Value, json};

use crate::support::{Kind, Outlet};

on_each_database! {
    every_field_type_lands_exactly
    null_and_empty_text_stay_apart
    money_keeps_its_digits
    tables_of_the_outlets_own_making_are_filled
    a_lookup_takes_the_local_id
}

const FIELDS: [(&str, &str); 13] = [
    ("label", "Data"),
    ("story", "Text Editor"),
    ("amount", "Currency"),
    ("weight", "Float"),
    ("share", "Percent"),
    ("stars", "Rating"),
    ("pieces", "Int"),
    ("is_on", "Check"),
    ("day", "Date"),
    ("at", "Datetime"),
    ("opens", "Time"),
    ("lasts", "Duration"),
    ("extra", "JSON"),
];

const JOB: &str = r#"
[[job]]
name = "things"
doctype = "Thing"
schedule = "0 * * * * *"
table = "things"
key = "name"
create_table = true
[job.fields]
name = "name"
label = "label"
story = "story"
amount = { from = "amount", type = "decimal", scale = 9 }
cents = { from = "amount", type = "decimal", scale = 2 }
weight = { from = "weight", type = "float" }
share = { from = "share", type = "float" }
stars = { from = "stars", type = "float" }
pieces = { from = "pieces", type = "int" }
is_on = { from = "is_on", type = "bool" }
day = { from = "day", type = "date" }
at_utc = { from = "at", type = "datetime" }
opens = { from = "opens", type = "time" }
lasts = { from = "lasts", type = "duration" }
extra = { from = "extra", type = "json" }
"#;

fn scene(kind: Kind, job: &str) -> (Site, Server, Outlet) {
    let thing = FIELDS.iter().fold(DocType::new("Thing").named_by(Naming::Prompt), |thing, (name, fieldtype)| {
        thing.field(Field::new(name, fieldtype))
    });
    let hq = Site::new(chrono_tz::Asia::Kolkata)
        .doctype(thing)
        .user(User::system_manager("m@hq.example", "k", "s"));
    let server = demo::serve(&hq, ([127, 0, 0, 1], 0).into()).unwrap();
    let outlet = Outlet::new(kind);
    outlet.configure(&server.url(), ("k", "s"), job);
    (hq, server, outlet)
}

fn load(hq: &Site, rows: Vec<Value>) {
    hq.load("Thing", rows).unwrap();
}

fn column(outlet: &Outlet, column: &str) -> Vec<Option<String>> {
    outlet.database.rows("things", &[column], "name").into_iter().map(|mut row| row.remove(0)).collect()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn every_field_type_lands_exactly(kind: Kind) {
    let (hq, _server, outlet) = scene(kind, JOB);
    let story = "<p>naïve “quotes” 'x' \\ % 漢字 😀</p>\n".repeat(3_000);
    load(
        &hq,
        vec![json!({
            "name": "a", "label": "  two  spaces ", "story": story, "amount": 123_456_789_012.25, "weight": 0.1,
            "share": 33.333_333_333, "stars": 0.8, "pieces": -2_147_483_648, "is_on": 1, "day": "2024-02-29",
            "at": "2024-05-05 10:00:00.000001", "opens": "7:05:09", "lasts": 90_061.5,
            "extra": "{\n \"a\": [1, 2.50, null]\n}",
        })],
    );
    outlet.sync_well(&[]);
    let get = |name: &str| column(&outlet, name).remove(0);
    assert_eq!(get("label"), some("  two  spaces "));
    assert_eq!(get("story").map(|found| found == story), Some(true), "a text of {} bytes", story.len());
    assert_eq!(get("amount"), some("123456789012.250000000"));
    assert_eq!(get("cents"), some("123456789012.25"));
    assert_eq!(get("weight"), some("0.1"));
    assert_eq!(get("share"), some("33.333333333"));
    assert_eq!(get("stars"), some("0.8"));
    assert_eq!(get("pieces"), some("-2147483648"));
    assert_eq!(get("is_on"), some(if kind == Kind::Postgres { "true" } else { "1" }));
    assert_eq!(get("day"), some("2024-02-29"));
    let at = if kind == Kind::Postgres { "2024-05-05 04:30:00.000001+00" } else { "2024-05-05 04:30:00.000001" };
    assert_eq!(get("at_utc"), some(at));
    assert_eq!(get("opens"), some(if kind == Kind::Mysql { "07:05:09.000000" } else { "07:05:09" }));
    assert_eq!(get("lasts"), some("90061.5"));
    let extra: Value = serde_json::from_str(&get("extra").unwrap()).unwrap();
    assert_eq!(extra, json!({"a": [1, 2.5, null]}));
    let again = outlet.sync_well(&["--full"]);
    assert_eq!(again[0]["counts"]["unchanged"], 1, "what was written must read back as the same");
}

fn null_and_empty_text_stay_apart(kind: Kind) {
    let (hq, _server, outlet) = scene(kind, JOB);
    load(&hq, vec![json!({"name": "a", "label": ""}), json!({"name": "b", "label": null, "day": null, "at": null})]);
    outlet.sync_well(&[]);
    assert_eq!(column(&outlet, "label"), [some(""), None]);
    assert_eq!(column(&outlet, "day")[1], None);
    assert_eq!(column(&outlet, "at_utc")[1], None);
    let again = outlet.sync_well(&["--full"]);
    assert_eq!(again[0]["counts"]["unchanged"], 2);
}

fn money_keeps_its_digits(kind: Kind) {
    let (hq, _server, outlet) = scene(kind, JOB);
    let amounts = [0.1, 0.07, 1.1, 2.675, 1e12, 999_999_999_999.99, -0.01, 0.0, 19.99, 1e-9];
    load(
        &hq,
        amounts
            .iter()
            .enumerate()
            .map(|(n, amount)| json!({"name": format!("{n}"), "amount": amount}))
            .collect(),
    );
    outlet.sync_well(&[]);
    let cents: Vec<String> = column(&outlet, "cents").into_iter().flatten().collect();
    let want =
        ["0.10", "0.07", "1.10", "2.68", "1000000000000.00", "999999999999.99", "-0.01", "0.00", "19.99", "0.00"];
    assert_eq!(cents, want);
    assert_eq!(column(&outlet, "amount")[9], some("0.000000001"));
}

/// The outlet has tables of its own, with types that milkrun would not choose.
fn tables_of_the_outlets_own_making_are_filled(kind: Kind) {
    let job = r#"
[[job]]
name = "things"
doctype = "Thing"
schedule = "0 * * * * *"
table = "things"
key = "name"
[job.fields]
name = "name"
label = "label"
amount = { from = "amount", type = "decimal", scale = 2 }
pieces = { from = "pieces", type = "int" }
is_on = { from = "is_on", type = "bool" }
day = { from = "day", type = "date" }
"#;
    let (hq, _server, outlet) = scene(kind, job);
    let id = match kind {
        Kind::Sqlite => "id integer primary key autoincrement",
        Kind::Postgres => "id bigserial primary key",
        Kind::Mysql => "id bigint auto_increment primary key",
    };
    let missing = outlet.run(&["sync"]);
    missing.expect_code(4);
    assert!(missing.stdout.contains("things"), "{missing}");
    outlet.database.execute(&format!(
        "create table things ({id}, name varchar(140) not null unique, label varchar(20), amount numeric(12,2), \
         pieces smallint, is_on smallint, day varchar(10), own varchar(10) default 'ours')"
    ));
    load(&hq, (0..120).map(|n| json!({"name": format!("{n:03}"), "label": "x", "amount": 1.5, "pieces": n, "is_on": 1, "day": "2024-02-29"})).collect());
    outlet.sync_well(&[]);
    let row = outlet.database.rows("things", &["label", "pieces", "is_on", "day", "own"], "name").remove(7);
    assert_eq!(row, [some("x"), some("7"), some("1"), some("2024-02-29"), some("ours")]);
    let again = outlet.sync_well(&["--full"]);
    assert_eq!(again[0]["counts"]["unchanged"], 120);
    hq.update("Thing", "003", json!({"label": "longer than twenty characters"})).unwrap();
    outlet.run(&["sync"]).expect_code(3);
    assert_eq!(outlet.database.rows("things", &["label"], "name")[3], [some("x")]);
}

fn a_lookup_takes_the_local_id(kind: Kind) {
    let job = JOB.replace("label = \"label\"\n", "group_id = { from = \"label\", type = \"int\", lookup = { table = \"groups_here\", match = \"name\", take = \"id\" } }\n");
    let (hq, _server, outlet) = scene(kind, &job);
    outlet.database.execute("create table groups_here (id integer primary key, name varchar(140))");
    outlet.database.execute("insert into groups_here values (7, 'Cones'), (8, 'O''Neil')");
    load(
        &hq,
        vec![
            json!({"name": "a", "label": "Cones"}),
            json!({"name": "b", "label": "O'Neil"}),
            json!({"name": "c", "label": null}),
        ],
    );
    outlet.sync_well(&[]);
    assert_eq!(column(&outlet, "group_id"), [some("7"), some("8"), None]);
    hq.update("Thing", "a", json!({"label": "Cups"})).unwrap();
    outlet.run(&["sync"]).expect_code(3);
    let shown = outlet.run(&["quarantine", "show", "things", "a"]);
    assert!(shown.stdout.contains("groups_here") && shown.stdout.contains("Cups"), "{shown}");
    outlet.database.execute("insert into groups_here values (9, 'Cups')");
    outlet.sync_well(&[]);
    assert_eq!(column(&outlet, "group_id")[0], some("9"));
}
