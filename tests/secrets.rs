//! Secrets and private values show in no output. The support code looks through every output of every test for the
//! canaries (`support/canary.rs`); the tests here provoke what would show them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use base64::Engine as _;
use milkrun::demo::{self, DocType, Naming, Server, Site, User};
use serde_json::{Value, json};

use crate::support::shop::JOBS;
use crate::support::{Kind, Outlet, Shop, canary};

on_each_database! {
    the_search_finds_what_is_planted
    a_private_value_lands_in_its_column_and_shows_nowhere_on_the_way
    a_private_value_that_cannot_be_mapped_is_not_quoted
    a_private_value_that_the_database_refuses_is_not_quoted
    a_private_key_that_two_records_share_is_not_quoted
}

const LOGIN: (&str, &str) = ("canary-key-a1", "canary-secret-b2");

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

/// The sync is blocked by one record, whose private value it does not tell; nor does anything that is asked later.
#[track_caller]
fn assert_blocked_discreetly(outlet: &Outlet, said: &str) {
    let outcome = outlet.run(&["-vv", "sync"]);
    outcome.expect_code(4);
    assert!(outcome.stdout.contains(said), "{said}: {outcome}");
    for arguments in [&["runs"][..], &["--format", "json", "runs"], &["--format", "json", "status"], &["check"]] {
        outlet.run(arguments);
    }
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
        assert_blocked_discreetly(&outlet, said);
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
        outcome.expect_code(4);
        for arguments in [&["runs"][..], &["--format", "json", "runs"], &["--format", "json", "status"], &["check"]] {
            outlet.run(arguments);
        }
    }
}

fn a_private_key_that_two_records_share_is_not_quoted(kind: Kind) {
    let job = JOB.replace("key = \"name\"", "key = \"phone\"").replace("town = \"town\"\n", "");
    let (hq, _server, outlet) = scene(kind, &job);
    hq.load("Person", [person("P0", "canary-1"), person("P1", "canary-1")]).unwrap();
    assert_blocked_discreetly(&outlet, "both map to the local key \"(private)\"");
}

#[test]
fn an_example_of_a_private_field_repeats_no_value() {
    let outlet = Outlet::new(Kind::Sqlite);
    let test = "[[job.test]]\ngiven = { name = \"P\", phone = \"canary-1\" }\nexpect = { phone = \"canary-2\" }\n";
    outlet.configure("http://127.0.0.1:9", LOGIN, &format!("{JOB}{test}"));
    let outcome = outlet.run(&["check", "--offline"]);
    assert!(outcome.expect_code(2).stdout.contains("expected (private), got (private)"), "{outcome}");
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

/// Answers every request with what `answer` makes of its credentials.
struct Echo(SocketAddr);

impl Echo {
    fn new(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer_to(stream.unwrap(), &answer);
            }
        });
        Self(address)
    }

    fn url(&self) -> String {
        format!("http://{}", self.0)
    }
}

fn answer_to(mut stream: TcpStream, answer: &impl Fn(&str) -> String) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut credentials, mut length) = (String::new(), 0);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        let (name, value) = line.trim_end().split_once(": ").unwrap_or_default();
        match name.to_lowercase().as_str() {
            "authorization" => value.clone_into(&mut credentials),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
        line.clear();
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink()).unwrap();
    stream.write_all(answer(&credentials).as_bytes()).ok();
}

fn response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n\r\n{body}", body.len())
}

/// Everything that HQ or a proxy may do with credentials other than accept them.
fn echoes() -> Vec<fn(&str) -> String> {
    const JSON: &str = "content-type: application/json";
    vec![
        |sent| {
            response("417 X", JSON, &json!({"exc_type": "ValidationError", "exception": format!("frappe.exceptions.ValidationError: bad header {sent}")}).to_string())
        },
        |sent| response("500 X", JSON, &json!({"exc_type": format!("Error{sent}"), "exception": sent}).to_string()),
        |sent| {
            response(
                "500 X",
                JSON,
                &json!({"exc_type": "DataError", "exception": format!("{}{sent}", "x".repeat(280)), "exc": [sent]})
                    .to_string(),
            )
        },
        |sent| response("400 X", "content-type: text/html", &format!("<html>no header {sent}</html>")),
        |sent| {
            response(
                "302 X",
                &format!("location: https://elsewhere.example/{}/login?to={}", sent.replace(' ', "+"), percent(sent)),
                "",
            )
        },
        |sent| {
            response(
                "302 X",
                &format!("location: https://{}@elsewhere.example/", percent(sent.rsplit(' ').next().unwrap())),
                "",
            )
        },
        |sent| response("200 X", &format!("content-type: text/{}", sent.replace(' ', "-")), "no JSON"),
        |sent| response("200 X", JSON, &json!({"message": 5, "data": sent, "echo": sent}).to_string()),
        |sent| response("401 X", JSON, &json!({"exc_type": "AuthenticationError", "exception": sent}).to_string()),
        |sent| {
            response(
                "403 X",
                JSON,
                &json!({"exc_type": "PermissionError", "exception": sent, "_server_messages": sent}).to_string(),
            )
        },
        |sent| response("404 X", JSON, &json!({"exc_type": "DoesNotExistError", "exception": sent}).to_string()),
        |sent| {
            response(
                "429 X",
                &format!("{JSON}\r\nretry-after: 0\r\nx-note: {}", sent.replace(' ', "-")),
                &json!({"exception": sent}).to_string(),
            )
        },
        |sent| format!("{sent}\r\n\r\n"),
    ]
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[test]
fn a_credential_that_comes_back_is_not_told_further() {
    for kind in ["token", "basic"] {
        for echo in echoes() {
            let hq = Echo::new(echo);
            let outlet = Outlet::new(Kind::Sqlite);
            outlet.configure(&hq.url(), LOGIN, JOBS);
            outlet.write_config(&outlet.config().replace("kind = \"token\"", &format!("kind = \"{kind}\"")));
            let outcome = outlet.run(&["-vvv", "sync", "item_groups"]);
            assert!(outcome.code != 0, "{outcome}");
            for arguments in
                [&["runs"][..], &["--format", "json", "status"], &["check"], &["--format", "json", "check"]]
            {
                outlet.run(arguments);
            }
        }
    }
}

#[test]
fn credentials_of_any_characters_are_hidden_wherever_they_come_from() {
    for (at, secret) in
        [r#"c.n*+?[a](r)y$"#, r#"q"u'o\te\\s%s{0}{}${x}"#, "p%20e%rc%25ent", "<b>&amp;\"=#;", "x9", "~`!@#$^&*()_+-="]
            .into_iter()
            .enumerate()
    {
        let hq = Echo::new(|sent| {
            response(
                "417 X",
                "content-type: application/json",
                &json!({"exception": format!("bad: {sent} <{sent}> {}", percent(sent))}).to_string(),
            )
        });
        let mut outlet = Outlet::new(Kind::Sqlite);
        outlet.configure(&hq.url(), ("KEY", "SECRET"), JOBS);
        let config = outlet.config().replace("\"KEY\"", "\"${HQ_KEY}\"").replace("\"SECRET\"", "\"${file:secret}\"");
        outlet.write_config(&config);
        outlet.set_env("HQ_KEY", "canary-key");
        std::fs::write(outlet.path("secret"), format!("{secret}\n")).unwrap();
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("canary-key:{secret}"));
        for arguments in [&["-vvv", "sync"][..], &["check"], &["runs"], &["--format", "json", "runs"]] {
            let outcome = outlet.run(arguments);
            let said = format!("{}{}", outcome.stdout, outcome.stderr);
            let escaped = serde_json::to_string(secret).unwrap();
            for spelling in [secret, escaped.trim_matches('"'), &percent(secret), &pair] {
                // Two letters turn up by themselves.
                assert!(spelling.len() < 4 || !said.contains(spelling), "{at}: {spelling}\n{outcome}");
            }
        }
        let outcome = outlet.run(&["sync", "item_groups"]);
        assert!(outcome.stdout.contains("bad: token (credential)"), "{outcome}");
    }
}

#[test]
fn a_database_password_shows_in_no_error() {
    let mut urls = Vec::new();
    for kind in [Kind::Postgres, Kind::Mysql] {
        let database = crate::support::Database::make(kind, std::path::Path::new(""));
        let scheme = database.url.split(':').next().unwrap().to_owned();
        let missing = database.url.replace("milkrun_t", "milkrun_no_such_t");
        urls.extend([
            missing,
            format!("{scheme}://canary-user-none:canary-pass%40%2Fword@127.0.0.1:1/shop")
                .replace("canary-user", "user"),
            database.url.replace(canary::PASSWORD, "canary-wrong-%22%27%25"),
            format!("{}?sslmode=verify-full&ssl-mode=VERIFY_IDENTITY", database.url),
            format!("{}?sslmode=no-such&ssl-mode=no-such", database.url),
            format!("{}?sslrootcert=none.pem&ssl-ca=none.pem&sslmode=verify-ca&ssl-mode=VERIFY_CA", database.url),
            format!("{}?password=canary-in-query&nosuch=canary-x", database.url),
            // What url parsers stumble over.
            format!("{scheme}://user:canary-pw@127.0.0.1:port/shop"),
            format!("{scheme}://user:canary#pw@127.0.0.1/shop"),
            format!("{scheme}://user:canary pw@:3/shop"),
        ]);
    }
    let shop = Shop::empty(Kind::Sqlite);
    for url in urls {
        let config = shop.outlet.config();
        shop.outlet.write_config(&config.replace(&shop.outlet.database.url, &url));
        for arguments in [&["-vvv", "sync"][..], &["check"], &["--format", "json", "check"], &["status"]] {
            shop.outlet.run(arguments);
        }
        shop.outlet.write_config(&config);
    }
}

#[test]
fn nothing_that_holds_a_secret_prints_it() {
    let (_hq, server, outlet) = scene(Kind::Postgres, JOB);
    outlet.configure(&server.url(), LOGIN, JOB);
    let config = milkrun::config::load(&outlet.path("sync.toml")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = milkrun::store::Store::open(&config.local).await.unwrap();
        let hq = milkrun::source::Client::new(&config.hq, "outlet-042").unwrap();
        for printed in [format!("{config:?}"), format!("{store:#?}"), format!("{hq:?}"), config.local.shown()] {
            canary::assert_absent("Debug", &printed);
        }
        store.close().await;
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_that_is_killed_leaves_no_core() {
    use std::os::unix::process::ExitStatusExt as _;

    let shop = Shop::empty(Kind::Sqlite);
    let mut daemon = shop.outlet.start(&["run"]);
    let mut log = BufReader::new(daemon.stderr.take().unwrap());
    let mut line = String::new();
    // It has begun its work.
    log.read_line(&mut line).unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    std::process::Command::new("kill").args(["-ABRT", &daemon.id().to_string()]).status().unwrap();
    let ended = daemon.wait().unwrap();
    assert!(ended.signal().is_some() && !ended.core_dumped(), "{ended}");
}
