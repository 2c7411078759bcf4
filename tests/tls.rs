//! TLS to HQ is verified, always; and what is wrong with it is told so that somebody can mend it.

use rustls::version::{TLS12, TLS13};

use crate::support::shop::JOBS;
use crate::support::tls::{Authority, Front, Pair, Setup};
use crate::support::{Kind, Outlet, Shop};

const HERE: &str = "127.0.0.1";

fn front(shop: &Shop, pair: &Pair) -> Front {
    Front::before(shop.address(), &Setup { pair, clients: None, version: &TLS13 })
}

/// Points the outlet at `url`, with these keys for `[hq]`.
fn point(shop: &Shop, url: &str, keys: &str) {
    shop.outlet.configure(url, milkrun::demo::data::MANAGER, JOBS);
    add_to_hq(&shop.outlet, keys);
}

fn add_to_hq(outlet: &Outlet, keys: &str) {
    outlet.write_config(&outlet.config().replacen("[local]", &format!("{keys}\n[local]"), 1));
}

fn write(outlet: &Outlet, name: &str, text: &str) {
    std::fs::write(outlet.path(name), text).unwrap();
}

/// The sync is blocked for the reason, HQ has heard nothing, and nothing is tried again at once.
#[track_caller]
fn assert_refused(shop: &Shop, front: &Front, reason: &str) {
    let outcome = shop.outlet.run(&["sync", "item_groups"]);
    outcome.expect_code(4);
    assert!(outcome.stdout.contains("HQ's certificate was not accepted"), "{outcome}");
    assert!(outcome.stdout.contains(reason) && outcome.stdout.contains("hq.tls.ca"), "{outcome}");
    assert!(shop.hq.requests().is_empty(), "{outcome}");
    assert_eq!(String::from_utf8_lossy(&front.heard()), "");
}

#[test]
fn a_private_ca_is_believed_where_it_is_named_and_nowhere_else() {
    let shop = Shop::empty(Kind::Sqlite);
    let authority = Authority::new();
    let front = front(&shop, &authority.pair(HERE));
    point(&shop, &front.url(HERE), "");
    assert_refused(&shop, &front, "UnknownIssuer");

    write(&shop.outlet, "other.pem", &Authority::new().pem);
    point(&shop, &front.url(HERE), "tls = { ca = \"other.pem\" }");
    assert_refused(&shop, &front, "UnknownIssuer");

    // Beside another CA, and a comment, as bundles have it.
    write(&shop.outlet, "ca.pem", &format!("# our own\n{}\n{}", Authority::new().pem, authority.pem));
    point(&shop, &front.url(HERE), "tls = { ca = \"ca.pem\" }");
    shop.items(3);
    shop.outlet.sync_well(&[]);
    shop.assert_in_step();
    assert!(String::from_utf8_lossy(&front.heard()).contains("authorization: token "));
}

#[test]
fn a_certificate_for_another_host_or_of_another_time_is_refused() {
    let shop = Shop::empty(Kind::Sqlite);
    let authority = Authority::new();
    write(&shop.outlet, "ca.pem", &authority.pem);
    for (pair, reason) in
        [(authority.pair("hq.example.com"), "hq.example.com"), (authority.expired_pair(HERE), "expired")]
    {
        let front = front(&shop, &pair);
        point(&shop, &front.url(HERE), "tls = { ca = \"ca.pem\" }");
        assert_refused(&shop, &front, reason);
    }
}

#[test]
fn the_client_certificate_that_hq_asks_for_is_shown() {
    let shop = Shop::empty(Kind::Sqlite);
    let (authority, clients) = (Authority::new(), Authority::new());
    let client = clients.pair("outlet-042");
    write(&shop.outlet, "ca.pem", &authority.pem);
    write(&shop.outlet, "client.pem", &client.cert);
    write(&shop.outlet, "client.key", &client.key);
    write(&shop.outlet, "both.pem", &format!("{}{}", client.key, client.cert));
    for version in [&TLS13, &TLS12] {
        let pair = authority.pair(HERE);
        let setup = Setup { pair: &pair, clients: Some(&clients), version };
        let front = Front::before(shop.address(), &setup);
        for pair in [
            "client_cert = \"client.pem\", client_key = \"client.key\"",
            "client_cert = \"both.pem\"",
            "client_cert = \"${file:client.pem}\", client_key = \"${file:client.key}\"",
        ] {
            point(&shop, &front.url(HERE), &format!("tls = {{ ca = \"ca.pem\", {pair} }}"));
            shop.outlet.sync_well(&["item_groups"]);
        }
    }
}

#[test]
fn a_client_certificate_that_is_missing_or_not_accepted_is_told_as_such() {
    let shop = Shop::empty(Kind::Sqlite);
    let (authority, clients) = (Authority::new(), Authority::new());
    let foreign = Authority::new().pair("outlet-042");
    let expired = clients.expired_pair("outlet-042");
    write(&shop.outlet, "ca.pem", &authority.pem);
    write(&shop.outlet, "foreign.pem", &format!("{}{}", foreign.cert, foreign.key));
    write(&shop.outlet, "expired.pem", &format!("{}{}", expired.cert, expired.key));
    for version in [&TLS13, &TLS12] {
        for client in ["", ", client_cert = \"foreign.pem\"", ", client_cert = \"expired.pem\""] {
            let pair = authority.pair(HERE);
            let setup = Setup { pair: &pair, clients: Some(&clients), version };
            let front = Front::before(shop.address(), &setup);
            point(&shop, &front.url(HERE), &format!("tls = {{ ca = \"ca.pem\"{client} }}"));
            let outcome = shop.outlet.run(&["sync", "item_groups"]);
            outcome.expect_code(4);
            assert!(outcome.stdout.contains("client certificate"), "{version:?}{client}: {outcome}");
            assert!(outcome.stdout.contains("hq.tls.client_cert"), "{outcome}");
            // Mostly one. A connection that HQ closed before its alert was read is a broken line, and tried again.
            assert!(front.connections() <= 3, "{version:?}{client}: {outcome}");
        }
    }
    assert!(shop.hq.requests().is_empty());
}

#[test]
fn a_wrong_file_is_told_at_its_key() {
    let shop = Shop::empty(Kind::Sqlite);
    let outlet = &shop.outlet;
    let authority = Authority::new();
    let (one, other) = (authority.pair(HERE), authority.pair(HERE));
    write(outlet, "ca.pem", &authority.pem);
    write(outlet, "one.pem", &one.cert);
    write(outlet, "other.key", &other.key);
    write(outlet, "note.txt", "no PEM at all");
    write(outlet, "damaged.pem", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
    write(outlet, "no-ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    write(outlet, "locked.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    std::fs::write(outlet.path("ca.der"), [0x30, 0x82, 0xff, 0xfe]).unwrap();
    let long = "client_cert = \"one.pem\", client_key";
    for (tls, at, said) in [
        ("ca = \"none.pem\"", "\"none", "the file \"none.pem\" cannot be read: no such file or directory"),
        ("ca = \"note.txt\"", "\"note", "holds no certificate"),
        ("ca = \"ca.der\"", "\"ca.der", "PEM is expected, DER is turned into it by `openssl x509 -inform der`"),
        ("ca = \"damaged.pem\"", "\"damaged", "holds damaged PEM"),
        ("ca = \"no-ca.pem\"", "\"no-ca", "certificate 1 of the file \"no-ca.pem\" is no CA's"),
        ("ca = \".\"", "\".\"", "is not a regular file"),
        ("ca = \"\"", "\"\"", "must not be empty"),
        ("client_key = \"other.key\"", "\"other", "a client_key and no client_cert"),
        ("client_cert = \"one.pem\"", "\"one", "holds no private key; add it there, or name its file in client_key"),
        (&format!("{long} = \"other.key\""), "\"other", "does not fit the certificate of client_cert"),
        (&format!("{long} = \"one.pem\""), "\"one", "holds no private key"),
        (&format!("{long} = \"locked.key\""), "\"locked", "is encrypted"),
        ("ca = \"ca.pem\", verify = false", "verify", "unknown key \"verify\" in hq.tls"),
    ] {
        point(&shop, "https://hq.example.com", &format!("tls = {{ {tls} }}"));
        let outcome = outlet.run(&["check", "--offline"]);
        outcome.expect_code(2);
        let config = outlet.config();
        let (line, text) = config.lines().enumerate().find(|(_, line)| line.starts_with("tls = ")).unwrap();
        let column = text.rfind(at).unwrap() + 1;
        let place = format!("sync.toml:{}:{column}: ", line + 1);
        assert!(outcome.stderr.starts_with(&place) && outcome.stderr.contains(said), "{tls}: {place}\n{outcome}");
    }
    point(&shop, "http://hq.example.com", "tls = { ca = \"ca.pem\" }");
    let outcome = outlet.run(&["check", "--offline"]);
    assert!(outcome.expect_code(2).stderr.contains("hq.url is http://"), "{outcome}");
}

#[test]
fn a_private_key_in_the_file_itself_is_never_shown() {
    let shop = Shop::empty(Kind::Sqlite);
    let authority = Authority::new();
    let (one, other) = (authority.pair(HERE), authority.pair(HERE));
    let tls = format!("tls.client_cert = '''{}'''\ntls.client_key = '''{}'''", one.cert, other.key);
    point(&shop, "https://hq.example.com", &tls);
    let body = other.key.lines().nth(1).unwrap();
    for format in ["text", "json"] {
        let outcome = shop.outlet.run(&["--format", format, "check", "--offline"]);
        outcome.expect_code(2);
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(said.contains("the private key of the PEM text does not fit"), "{outcome}");
        assert!(!said.contains(body) && !said.contains("BEGIN PRIVATE"), "{outcome}");
    }
}

#[test]
fn plain_http_to_another_machine_is_warned_of_once() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.outlet.run(&["sync", "item_groups"]).expect_code(0);
    let quiet = shop.outlet.run(&["check"]);
    assert!(!quiet.stdout.contains("in clear"), "{quiet}");
    let config = shop.outlet.config().replace(&shop.url(), "http://hq.invalid");
    shop.outlet.write_config(&config.replace("timeout = \"20s\"", "timeout = \"100ms\""));
    let check = shop.outlet.run(&["check"]);
    assert_eq!(check.stdout.matches("in clear").count(), 1, "{check}");
    let sync = shop.outlet.run(&["sync"]);
    assert_eq!(sync.stderr.matches("in clear").count(), 1, "{sync}");
}
