//! `milkrun init`: what it writes from HQ's field lists checks and syncs as it is, and nobody's file is spoilt.

use std::collections::BTreeMap;

use milkrun::demo::{self, DocType, Field, Naming, Server, Site, User, data};
use serde_json::{Value, json};

use crate::support::{Kind, Outcome, Outlet, canary};

/// A plain user of the outlet, who may read no field of a higher level.
const OUTLET: (&str, &str) = ("canary-outlet", "canary-outlet-secret");

/// An HQ with a DocType of every kind of field, and an outlet without a sync.toml.
struct Scene {
    hq: Site,
    server: Server,
    outlet: Outlet,
}

fn product() -> DocType {
    DocType::new("Product")
        .named_by(Naming::Field("product_code".into()))
        .field(Field::new("product_code", "Data").required().unique())
        .field(Field::new("details", "Section Break"))
        .field(Field::new("title", "Data").labelled("Shelf label: \"big\"\nprint"))
        .field(Field::link("product_group", "Product Group"))
        .field(Field::link("substitute", "Product"))
        .field(Field::new("rate", "Currency"))
        .field(Field::new("cost", "Currency").permlevel(1))
        .field(Field::new("weight", "Float").precision(3))
        .field(Field::new("stock", "Int"))
        .field(Field::new("disabled", "Check"))
        .field(Field::new("kind", "Select").options("\nA\nB"))
        .field(Field::new("launched_on", "Date"))
        .field(Field::new("counted_at", "Datetime"))
        .field(Field::new("opens_at", "Time"))
        .field(Field::new("lead_time", "Duration"))
        .field(Field::new("extra", "JSON"))
        .field(Field::new("description", "Text Editor"))
        .field(Field::new("short", "Data").length(12))
        .field(Field::new("order", "Int"))
        .field(Field::new("group", "Data"))
        .field(Field::new("größe", "Data"))
        .field(Field::new("pin", "Password"))
        .field(Field::new("computed", "Data").computed())
        .field(Field::new("photo", "Image"))
        .field(Field::new("hologram", "Hologram"))
        .field(Field::table("codes", "Product Code"))
        .field(Field::table("groups", "Product Group Link"))
}

fn site() -> Site {
    let may_read = ["UOM", "Product", "Product Group", "Voucher", "Ticket", "Ping", "Pong"];
    let (key, secret) = canary::LOGIN;
    let site = data::shop()
        .doctype(
            DocType::new("Product Group")
                .named_by(Naming::Field("group_name".into()))
                .tree()
                .field(Field::new("group_name", "Data"))
                .field(Field::link("parent_product_group", "Product Group"))
                .fields([("lft", "Int"), ("rgt", "Int")])
                .field(Field::link("old_parent", "Product Group")),
        )
        .doctype(
            DocType::child("Product Code")
                .fields([("code", "Data"), ("since", "Date")])
                .field(Field::link("uom", "UOM"))
                .field(Field::new("margin", "Percent").permlevel(1)),
        )
        .doctype(DocType::child("Product Group Link").field(Field::link("product_group", "Product Group")))
        .doctype(product())
        .doctype(DocType::new("Voucher").submittable().fields([("amount", "Currency"), ("posted_on", "Date")]))
        .doctype(DocType::new("Ticket").named_by(Naming::Autoincrement).field(Field::link("product", "Product")))
        .doctype(DocType::new("Ping").field(Field::link("pong", "Pong")))
        .doctype(DocType::new("Pong").field(Field::link("ping", "Ping")))
        .doctype(DocType::new("Shop Settings").single().field(Field::new("vat", "Percent")))
        .doctype(DocType::new("Till Secret").field(Field::new("code", "Data")))
        .user(User::system_manager("boss@hq.example", key, secret))
        .user(
            may_read
                .iter()
                .fold(User::new("till@hq.example", OUTLET.0, OUTLET.1), |user, doctype| user.may_read(doctype)),
        );
    for uom in ["Nos", "Kg"] {
        site.insert("UOM", json!({"uom_name": uom})).unwrap();
    }
    for (group, parent) in [("All", Value::Null), ("Ice & Co", json!("All")), ("日本", json!("All"))] {
        site.insert("Product Group", json!({"group_name": group, "parent_product_group": parent, "lft": 1}))
            .unwrap();
    }
    for number in 0..25 {
        site.insert("Product", record(number)).unwrap();
    }
    site.insert("Voucher", json!({"amount": 12.5, "posted_on": "2024-02-29", "docstatus": 1})).unwrap();
    site.insert("Ticket", json!({"product": "P-1"})).unwrap();
    site
}

fn record(number: usize) -> Value {
    let text = ["", " spaced ", "a\tb\r\nc", "Café \"au\" lait", "O'Neil \\", "😀"][number % 6];
    let codes: Vec<Value> = (0..number % 3)
        .map(|at| json!({"code": format!("{number}-{at}"), "uom": "Kg", "since": "2024-01-01", "margin": 5.5}))
        .collect();
    json!({
        "product_code": format!("P-{number}"), "title": text, "product_group": (["All", "Ice & Co", "日本"][number % 3]),
        "rate": ([0.0, 80.5, 1.005, 0.000_000_001, -5.0, 123_456_789_012.123_46][number % 6]), "cost": 3.25,
        "weight": 0.123_456_789, "stock": ([0, 1, 2_147_483_647, -7][number % 4]), "disabled": number % 2,
        "kind": (["", "A", "B"][number % 3]), "launched_on": "2024-02-29", "counted_at": "2024-05-05 10:00:00.000001",
        "opens_at": "7:05:09", "lead_time": 3661.5, "extra": "{\n \"a\": 1\n}", "description": format!("<p>{text}</p>"),
        "short": "123456789012", "order": number, "group": "x", "größe": "XL", "pin": "****", "codes": codes,
        "groups": if number.is_multiple_of(5) { json!([{"product_group": "All"}]) } else { json!([]) },
    })
}

impl Scene {
    fn new(kind: Kind) -> Self {
        Self::of(kind, site(), canary::LOGIN)
    }

    fn of(kind: Kind, hq: Site, (key, secret): (&str, &str)) -> Self {
        let server = demo::serve(&hq, ([127, 0, 0, 1], 0).into()).unwrap();
        let mut outlet = Outlet::new(kind);
        outlet.set_env("HQ_API_KEY", key);
        outlet.set_env("HQ_API_SECRET", secret);
        outlet.set_env("LOCAL_PASSWORD", canary::PASSWORD);
        Self { hq, server, outlet }
    }

    /// `milkrun init --hq … DOCTYPE…`, as JSON.
    fn init(&self, doctypes: &[&str]) -> Outcome {
        let url = self.server.url();
        let head = ["--format", "json", "init", "--hq", &url, "--local", &self.outlet.database.url];
        self.outlet.run(&[&head, doctypes].concat())
    }

    /// What a new sync.toml for these holds.
    #[track_caller]
    fn written(&self, doctypes: &[&str]) -> String {
        self.init(doctypes).expect_code(0);
        let text = self.outlet.config();
        canary::assert_absent("sync.toml", &text);
        text
    }
}

/// Columns of the table of products with the kind of value in each.
const COLUMNS: [(&str, &str); 16] = [
    ("name", "text"),
    ("title", "text"),
    ("product_group", "text"),
    ("rate", "number"),
    ("weight", "number"),
    ("stock", "number"),
    ("disabled", "check"),
    ("kind", "text"),
    ("launched_on", "text"),
    ("opens_at", "time"),
    ("lead_time", "number"),
    ("extra", "text"),
    ("description", "text"),
    ("short", "text"),
    ("order", "number"),
    ("group", "text"),
];

/// A value as both sides agree on it.
fn plain(kind: &str, value: &str) -> String {
    match (kind, value) {
        ("check", "true") => "1".to_owned(),
        ("check", "false") => "0".to_owned(),
        ("number", text) => format!("{:?}", text.parse::<f64>().unwrap()),
        ("time", text) => text.trim_start_matches('0').split('.').next().unwrap().to_owned(),
        (_, text) => text.to_owned(),
    }
}

#[track_caller]
fn assert_products_are_hqs(scene: &Scene) {
    let quote = if scene.outlet.database.kind == Kind::Mysql { '`' } else { '"' };
    let quoted: Vec<String> = COLUMNS.iter().map(|(name, _)| format!("{quote}{name}{quote}")).collect();
    let columns: Vec<&str> = quoted.iter().map(String::as_str).collect();
    let rows = scene.outlet.database.rows("products", &columns, "1");
    let have: BTreeMap<String, Vec<Option<String>>> = rows
        .into_iter()
        .map(|row| {
            let values =
                row.iter().zip(COLUMNS).map(|(value, (_, kind))| value.as_deref().map(|value| plain(kind, value)));
            (row[0].clone().unwrap(), values.collect())
        })
        .collect();
    let want: BTreeMap<String, Vec<Option<String>>> = scene
        .hq
        .dump("Product")
        .iter()
        .map(|record| {
            let value = |(field, kind): (&str, &str)| match &record[field] {
                Value::Null => None,
                Value::String(text) => Some(plain(kind, text)),
                Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                    Some(plain(kind, &record[field].to_string()))
                }
            };
            (record["name"].as_str().unwrap().to_owned(), COLUMNS.map(value).to_vec())
        })
        .collect();
    assert_eq!(have, want);
    let codes: usize = scene.hq.dump("Product").iter().map(|record| record["codes"].as_array().unwrap().len()).sum();
    assert_eq!(scene.outlet.database.count("product_codes"), codes);
    let groups = if scene.outlet.config().contains("table = \"product_groups_2\"") {
        "product_groups_2"
    } else {
        "product_groups"
    };
    assert_eq!(scene.outlet.database.count(groups), 5, "the Table MultiSelect");
}

on_each_database! {
    what_is_written_checks_and_syncs_as_it_is_for_an_administrator
    what_is_written_checks_and_syncs_as_it_is_for_a_user_who_may_not_read_everything
}

fn what_is_written_checks_and_syncs_as_it_is_for_an_administrator(kind: Kind) {
    let scene = Scene::new(kind);
    let text = scene.written(&["Product", "Product Group", "UOM", "Voucher", "Ticket"]);
    let check = scene.outlet.run(&["check"]);
    check.expect_code(0);
    assert!(check.stdout.contains("all is well; next: milkrun sync --dry-run"), "{check}");
    assert!(text.contains("cost = { from = \"cost\", type = \"decimal\" }"), "{text}");
    scene.outlet.sync_well(&[]);
    assert_products_are_hqs(&scene);
    assert_eq!(
        scene.outlet.database.rows("tickets", &["name", "product"], "1"),
        [[Some("1".into()), Some("P-1".into())]]
    );
    assert_eq!(scene.outlet.database.rows("vouchers", &["docstatus"], "1"), [[Some("1".into())]]);
    // And goes on to.
    scene.hq.update("Product", "P-3", json!({"title": "new", "codes": [{"code": "z"}]})).unwrap();
    scene.hq.delete("Product", "P-4").unwrap();
    scene.outlet.sync_well(&[]);
    assert_products_are_hqs(&scene);
    scene.outlet.run(&["reconcile"]).expect_code(0);
}

fn what_is_written_checks_and_syncs_as_it_is_for_a_user_who_may_not_read_everything(kind: Kind) {
    let scene = Scene::of(kind, site(), OUTLET);
    let text = scene.written(&["Product", "Product Group", "Ping"]);
    assert!(
        text.contains(
            "#   cost (Currency): permission level 1, which till@hq.example may not read\n\
             #     cost = { from = \"cost\", type = \"decimal\" }"
        ),
        "{text}"
    );
    assert!(text.contains("#   margin (Percent): permission level 1"), "{text}");
    scene.outlet.run(&["check"]).expect_code(0);
    scene.outlet.sync_well(&[]);
    assert_products_are_hqs(&scene);
}

#[test]
fn every_field_is_taken_or_left_out_for_a_reason() {
    let scene = Scene::new(Kind::Sqlite);
    let outcome = scene.init(&["Product", "Product Group"]);
    let told = outcome.expect_code(0).json();
    let product = told["jobs"].as_array().unwrap().iter().find(|job| job["doctype"] == "Product").unwrap();
    let left_out: Vec<&str> =
        product["left_out"].as_array().unwrap().iter().map(|left| left["field"].as_str().unwrap()).collect();
    assert_eq!(left_out, ["größe", "pin", "computed", "hologram"]);
    assert_eq!(product["after"], json!(["product_groups"]));
    let text = scene.outlet.config();
    for line in [
        "short = { from = \"short\", max_length = 12 }",
        "rate = { from = \"rate\", type = \"decimal\" }   # keeps every digit; scale = 2 rounds, and writes 80 as 80.00",
        "title = { from = \"title\", max_length = 140 }   # Shelf label: \"big\" print",
        "product_group = { from = \"product_group\", max_length = 140 }   # -> Product Group",
        "kind = { from = \"kind\", max_length = 140 }   # A, B",
        "counted_at = { from = \"counted_at\", type = \"datetime\" }",
        "extra = { from = \"extra\", type = \"json\" }",
        "description = \"description\"",
        "#   lft (Int): HQ renumbers its tree without moving `modified`",
        "#   pin (Password): a secret; HQ shows asterisks",
        "after = [\"product_groups\"]   # its links point there, so those run first",
        "auth = { kind = \"token\", api_key = \"${HQ_API_KEY}\", api_secret = \"${HQ_API_SECRET}\" }",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let (groups, products) =
        (text.find("name = \"product_groups\"").unwrap(), text.find("name = \"products\"").unwrap());
    assert!(groups < products, "{text}");
    assert!(!text.contains("photo"), "{text}");
}

#[test]
fn a_circle_of_links_is_cut_and_said() {
    let scene = Scene::new(Kind::Sqlite);
    let text = scene.written(&["Ping", "Pong"]);
    assert!(text.contains("after = [\"pongs\"]"), "{text}");
    assert!(text.contains("# Links point to pings, too, which waits for this job already"), "{text}");
    scene.hq.insert("Ping", json!({"name": "a", "pong": null})).unwrap();
    scene.outlet.sync_well(&[]);
    assert_eq!(scene.outlet.database.count("pings"), 1);
}

#[test]
fn what_is_no_list_is_refused_with_what_to_do_and_nothing_is_written() {
    let scene = Scene::new(Kind::Sqlite);
    let asked = ["Produkt", "Shop Settings", "Product", "Product Code", "Item Barcode", "Till Secret"];
    let outcome = scene.init(&asked);
    let told = outcome.expect_code(2).json();
    let errors: Vec<&str> =
        told["errors"].as_array().unwrap().iter().map(|error| error["error"].as_str().unwrap()).collect();
    assert_eq!(
        errors,
        [
            "Shop Settings is a single document, not a list: there is nothing to keep in step row by row",
            "Product Code is a child table: its rows come with Product (its field codes), which you asked for",
            "Item Barcode is a child table: its rows come with Item (its field barcodes)",
            "HQ has no DocType \"Produkt\", did you mean \"Product\"?",
        ]
    );
    assert!(!scene.outlet.path("sync.toml").exists());
    let text = scene.outlet.run(&["init", "--hq", &scene.server.url(), "Shop Settings"]);
    assert!(text.expect_code(2).stderr.contains("  do: leave \"Shop Settings\" out"), "{text}");
}

#[test]
fn a_user_who_may_not_read_a_doctype_is_told_what_to_ask_for() {
    let scene = Scene::of(Kind::Sqlite, site(), OUTLET);
    let outcome = scene.init(&["Till Secret", "Prodcut", "Product", "Item Barcode"]);
    let told = outcome.expect_code(4).json();
    assert_eq!(told["errors"][0]["error"], "till@hq.example may not read Till Secret at HQ");
    // Who holds whom, and the names of all DocTypes, are an administrator's to know; a neighbour's name is known all the same.
    assert_eq!(
        told["errors"][1]["error"],
        "Item Barcode is a child table: its rows come with the DocType that has it as a table"
    );
    assert_eq!(told["errors"][2]["error"], "HQ has no DocType \"Prodcut\", did you mean \"Product\"?");
}

#[test]
fn a_job_is_added_without_touching_a_byte_of_the_rest() {
    let scene = Scene::new(Kind::Sqlite);
    scene.written(&["Product Group"]);
    let mine =
        scene.outlet.config().replace("[local]", "# mine: ünïcode   \n[local]") + "\n# the end, without a newline";
    for file in [mine.clone(), mine.replace('\n', "\r\n")] {
        scene.outlet.write_config(&file);
        let outcome = scene.outlet.run(&["--format", "json", "init", "Product", "UOM"]);
        assert_eq!(outcome.expect_code(0).json()["is_new"], false);
        let longer = scene.outlet.config();
        assert!(longer.starts_with(&file), "{longer}");
        assert!(longer.contains("after = [\"product_groups\", \"uoms\"]"), "{longer}");
        assert_eq!(
            longer.matches("\r\n").count(),
            if file.contains("\r\n") { longer.matches('\n').count() } else { 0 }
        );
        scene.outlet.run(&["check"]).expect_code(0);
        let again = scene.outlet.run(&["init", "UOM"]);
        assert!(again.expect_code(2).stderr.contains("has a job for UOM already: uoms"), "{again}");
        assert_eq!(scene.outlet.config(), longer);
    }
    scene.outlet.sync_well(&[]);
    assert_products_are_hqs(&scene);
}

#[test]
fn a_job_of_the_file_that_links_to_a_new_one_is_named() {
    let scene = Scene::new(Kind::Sqlite);
    scene.written(&["Product"]);
    let outcome = scene.outlet.run(&["init", "Product Group"]);
    let note = "note: products links to Product Group: give it after = [\"product_groups_2\"], too";
    assert!(outcome.expect_code(0).stdout.contains(note), "{outcome}");
}

#[test]
fn a_file_that_is_there_is_not_overwritten() {
    let scene = Scene::new(Kind::Sqlite);
    scene.written(&["UOM"]);
    let before = scene.outlet.config();
    let other = scene.outlet.run(&["init", "--hq", "https://elsewhere.example", "Product"]);
    assert!(other.expect_code(2).stderr.contains("leave --hq out to add jobs to it"), "{other}");
    assert_eq!(scene.outlet.config(), before);
    let beside = scene.outlet.run(&["init", "--hq", &scene.server.url(), "--output", "other.toml", "Product"]);
    assert!(beside.expect_code(0).stdout.contains("next: milkrun check"), "{beside}");
    assert!(scene.outlet.path("other.toml").exists());
    let broken = before.replace("[local]", "[locall]");
    scene.outlet.write_config(&broken);
    let outcome = scene.outlet.run(&["init", "Product"]);
    assert!(outcome.expect_code(2).stderr.contains("did you mean \"[local]\"?"), "{outcome}");
    assert_eq!(scene.outlet.config(), broken);
}

#[test]
fn names_that_no_database_takes_are_made_into_some_that_all_take() {
    let hq = data::shop()
        .doctype(DocType::new("Öffnungszeit").field(Field::new("order", "Data")))
        .doctype(DocType::new("開店").field(Field::new("select", "Data")))
        .doctype(DocType::new("Opening \"Hours\" ${X} 100%").field(Field::new(&"a".repeat(64), "Data")))
        .doctype(DocType::new("Address").field(Field::new("city", "Data")))
        .doctype(DocType::new("Company").field(Field::new("name_2", "Data")))
        .doctype(DocType::new("Companies").field(Field::new("x", "Data")))
        .doctype(DocType::new("Milkrun Test").field(Field::new("x", "Data")));
    let scene = Scene::of(Kind::Sqlite, hq, data::MANAGER);
    let doctypes =
        ["Öffnungszeit", "開店", "Opening \"Hours\" ${X} 100%", "Address", "Company", "Companies", "Milkrun Test"];
    let told = scene.init(&doctypes).expect_code(0).json();
    let tables: Vec<&str> = told["jobs"].as_array().unwrap().iter().map(|job| job["table"].as_str().unwrap()).collect();
    assert_eq!(
        tables,
        [
            "offnungszeits",
            "doctypes",
            "opening_hours_x_100s",
            "addresses",
            "companies",
            "companies_2",
            "hq_milkrun_tests"
        ]
    );
    scene.outlet.run(&["check"]).expect_code(0);
    scene.outlet.sync_well(&[]);
}

#[test]
fn what_is_missing_or_wrong_before_hq_is_asked_names_the_option() {
    let scene = Scene::new(Kind::Sqlite);
    let url = scene.server.url();
    let said = |environment: &[(&str, &str)], arguments: &[&str]| {
        let outcome = scene.outlet.run_with(environment, arguments);
        assert!(!scene.outlet.path("sync.toml").exists());
        outcome
    };
    let without = said(&[], &["init", "UOM"]);
    assert!(without.expect_code(2).stderr.contains("sync.toml does not exist: name HQ with --hq"), "{without}");
    let unset = said(&[], &["init", "--hq", &url, "--api-key", "${NO_SUCH_KEY}", "UOM"]);
    assert!(unset.expect_code(2).stderr.contains("--api-key: ") && unset.stderr.contains("NO_SUCH_KEY"), "{unset}");
    assert!(unset.stderr.contains("Generate Keys"), "{unset}");
    let literal = said(&[], &["init", "--hq", &url, "--api-secret", "abc", "UOM"]);
    assert!(literal.expect_code(2).stderr.contains("a command line can be read by others"), "{literal}");
    let zone = said(&[], &["init", "--hq", &url, "--time-zone", "Asia/Kolkatta", "UOM"]);
    assert!(zone.expect_code(2).stderr.contains("--time-zone: unknown time zone"), "{zone}");
    let database = said(&[], &["init", "--hq", &url, "--local", "oracle://x/y", "UOM"]);
    assert!(database.expect_code(2).stderr.contains("--local: "), "{database}");
    let wrong = said(&[("HQ_API_SECRET", "canary-wrong")], &["init", "--hq", &url, "UOM"]);
    assert!(wrong.expect_code(4).stderr.contains("HQ refused the credentials\n  do: check ${HQ_API_KEY}"), "{wrong}");
    let no_tls = said(&[], &["init", "--hq", &url.replace("http://", ""), "UOM"]);
    assert!(no_tls.expect_code(4).stderr.contains("begin hq.url with http://"), "{no_tls}");
}

#[test]
fn a_page_in_place_of_an_answer_is_not_taken_for_hqs() {
    let scene = Scene::new(Kind::Sqlite);
    for _ in 0..4 {
        scene.hq.fault(demo::Fault::HtmlPage);
    }
    let outcome = scene.init(&["UOM"]);
    assert!(outcome.expect_code(1).stdout.contains("a proxy or a login page answers in HQ's place"), "{outcome}");
    assert!(!scene.outlet.path("sync.toml").exists());
}
