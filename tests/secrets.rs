//! Secrets and private values show in no output. The support code looks through every output of every test for the
//! canaries (`support/canary.rs`); the tests here provoke what would show them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use base64::Engine as _;
use serde_json::json;

use crate::support::canary::LOGIN;
use crate::support::shop::JOBS;
use crate::support::{Kind, Outlet, Shop, canary};

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
    let outlet = Outlet::new(Kind::Postgres);
    outlet.configure("http://127.0.0.1:9", LOGIN, JOBS);
    let config = milkrun::config::load(&outlet.path("sync.toml")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = milkrun::store::Store::open(&config.local).await.unwrap();
        let hq = milkrun::source::Client::new(&config.hq, "outlet-042", milkrun::clock::Clock::system()).unwrap();
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
