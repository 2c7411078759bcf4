//! `[site]`, `[hq]`, `[local]`, `[daemon]`: each key, its default and its errors.

use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::*;
use crate::config::schema::{Kind, Section};
use crate::config::{Auth, DatabaseKind};

/// The example of the design, without the keys that are not supported yet.
pub(super) const DESIGN: &str = r#"
[site]
name = "outlet-042"
time_zone = "Asia/Kolkata"
[hq]
url = "https://hq.example.com"
auth = { kind = "token", api_key = "${HQ_API_KEY}", api_secret = "${HQ_API_SECRET}" }
time_zone = "Asia/Kolkata"
timeout = "30s"
max_requests_per_second = 10
retry = { max_attempts = 6, first_delay = "500ms", max_delay = "2m" }
[local]
url = "sqlite://outlet.db"
[daemon]
listen = "127.0.0.1:7878"
splay = "30s"
[[job]]
name = "item_groups"
doctype = "Item Group"
schedule = "0 0 * * * *"
table = "item_groups"
key = "name"
[job.fields]
name = "name"
parent = "parent_item_group"
[[job]]
name = "items"
doctype = "Item"
schedule = "0 */5 * * * *"
after = ["item_groups"]
filters = [["is_sales_item", "=", 1]]
page_size = 500
overlap = "30m"
table = "items"
key = "item_code"
create_table = true
deletes = "delete"
delete_limit = { rows = 20, percent = 5 }
conflict = "hq_wins"
[job.fields]
item_code = "name"
title     = { from = "item_name", trim = true, max_length = 140 }
price     = { from = "standard_rate", type = "decimal", scale = 2 }
unit      = { from = "stock_uom", map = { Nos = "each", Kg = "kg" }, default = "each" }
active    = { expr = "not disabled", type = "bool" }
changed   = { from = "modified", type = "datetime" }
group_id  = { from = "item_group", lookup = { table = "item_groups", match = "name", take = "id" } }
shelf     = { const = "", owner = "once" }
[[job.children]]
field = "barcodes"
table = "item_barcodes"
parent_key = "item_code"
[job.children.fields]
barcode = "barcode"
kind    = "barcode_type"
[[job.test]]
given  = { name = "ICE-001", item_name = " Cone ", standard_rate = 80, stock_uom = "Nos", disabled = 0 }
expect = { item_code = "ICE-001", title = "Cone", price = "80.00", unit = "each", active = true }
"#;

pub(super) const KEYS: [(&str, &str); 2] = [("HQ_API_KEY", "key"), ("HQ_API_SECRET", "s3cret")];

#[test]
fn the_example_of_the_design_reads_as_it_says() {
    let config = read_with(DESIGN, &KEYS).unwrap();
    assert_eq!(config.site.time_zone, chrono_tz::Asia::Kolkata);
    assert_eq!(config.hq.max_requests_per_second, Some(10));
    assert_eq!(config.hq.retry.max_delay, Duration::from_secs(120));
    assert_eq!(config.local.kind, DatabaseKind::Sqlite);
    assert_eq!(config.local.url.expose_secret(), "sqlite:///etc/milkrun/outlet.db");
    let items = &config.jobs[1];
    assert_eq!(items.after, [0]);
    assert_eq!(items.filters, [serde_json::json!(["is_sales_item", "=", 1])]);
    let columns: Vec<_> = items.mapping.columns().iter().map(|column| column.name.as_str()).collect();
    assert_eq!(columns, ["item_code", "title", "price", "unit", "active", "changed", "group_id", "shelf"]);
    assert_eq!(items.mapping.children()[0].table, "item_barcodes");
    assert_eq!(items.tests[0].line, 56);
    assert_eq!(items.tests[0].expect["price"], "80.00");
}

#[test]
fn the_sync_toml_of_the_demo_reads() {
    let text = include_str!("../../../sync.toml");
    let config = read_with(text, &KEYS).unwrap_or_else(|problems| panic!("{problems}"));
    let names: Vec<_> = config.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["item_groups", "items", "item_prices"]);
    assert!(config.jobs.iter().all(|job| job.create_table));
}

#[test]
fn what_is_left_out_has_a_default() {
    let config = read(&with_job("", "")).unwrap();
    assert_eq!(config.hq.timeout, Duration::from_secs(30));
    assert_eq!((config.hq.max_requests_per_second, config.hq.budget_share), (Some(10), 5.0));
    assert_eq!((config.hq.retry.max_attempts, config.hq.retry.first_delay.as_millis()), (6, 500));
    assert_eq!((config.daemon.listen, config.daemon.splay), (None, Duration::from_secs(30)));
    let job = &config.jobs[0];
    assert_eq!((job.page_size, job.overlap), (500, Duration::from_secs(1800)));
    assert_eq!((job.create_table, job.deletes), (false, crate::config::Deletes::Delete));
    assert_eq!((job.delete_limit.rows, job.delete_limit.percent), (20, 5.0));
}

#[test]
fn no_requests_a_second_means_no_bound_and_basic_is_a_kind_of_auth() {
    let text = with_job("", "")
        .replace("kind = \"token\"", "kind = \"basic\"")
        .replace("[local]", "max_requests_per_second = 0\n[local]");
    let config = read(&text).unwrap();
    assert_eq!(config.hq.max_requests_per_second, None);
    assert!(matches!(config.hq.auth, Auth::Basic { .. }));
}

#[test]
fn every_key_outside_jobs_refuses_what_it_cannot_use() {
    for (old, new, message) in [
        ("name = \"outlet-042\"", "name = \" \"", r#":2:8: " " must not be empty"#),
        (
            "\"https://hq.example.com\"",
            "\"htps://hq\"",
            r#":5:7: the value has an unknown scheme, did you mean "https://"?"#,
        ),
        ("kind = \"token\"", "kind = \"tokne\"", r#":6:17: unknown kind of auth "tokne", did you mean "token"?"#),
        ("kind = \"token\"", "kind = \"oauth\"", r#":6:17: unknown kind of auth "oauth"; expected "token" or "basic""#),
        ("api_key = \"k\"", "api_key = \"\"", ":6:36: the value must not be empty"),
        ("[local]", "budget_share = 101\n[local]", ":8:16: 101 is out of bounds; it goes from 0.01 to 100"),
        ("[local]", "timeout = \"2h\"\n[local]", r#":8:11: "2h" is out of bounds; it goes from 100ms to 1h"#),
        ("[local]", "max_requests_per_second = -1\n[local]", ":8:27: -1 is out of bounds; it goes from 0 to 10000"),
        ("[local]", "retry = { max_attempts = 0 }\n[local]", ":8:26: 0 is out of bounds; it goes from 1 to 100"),
        (
            "[local]",
            "retry = { first_delay = \"3m\", max_delay = \"2m\" }\n[local]",
            ":8:25: the first delay, 3m, is longer than the longest, 2m; let first_delay be at most max_delay",
        ),
        (
            "\"sqlite://outlet.db\"",
            "\"sqlit://x\"",
            r#":9:7: the value has an unknown scheme, did you mean "sqlite://"?"#,
        ),
        (
            "[local]",
            "[daemon]\nlisten = \"localhost:1\"\n[local]",
            r#":9:10: "localhost:1" is not an address and a port, did you mean "127.0.0.1:1"?"#,
        ),
        (
            "[local]",
            "[daemon]\nsplay = \"soon\"\n[local]",
            r#":9:9: "soon" is not a length of time; write a whole number and a unit, such as "500ms", "30s", "5m", "2h" or "1d""#,
        ),
    ] {
        let text = with_job("", "");
        assert!(text.contains(old));
        assert_eq!(wrong(&text.replacen(old, new, 1)), format!("sync.toml{message}"));
    }
}

/// The defaults of a section as lines of TOML, each key with what stands before it.
fn defaults(section: &'static Section, before: &str) -> String {
    let mut lines = String::new();
    for key in section.keys {
        let name = format!("{before}{}", key.name);
        if let Kind::Table(below) = key.kind {
            lines.push_str(&defaults(below, &format!("{name}.")));
        }
        // Written out, a rule has the ledger keep values, and `otherwise` goes with merge only.
        if let (Some(default), false) = (key.default, ["conflict", "otherwise"].contains(&key.name)) {
            lines.push_str(&format!("{name} = {default}\n"));
        }
    }
    lines
}

#[test]
fn a_default_written_out_changes_nothing() {
    let text = format!("{}[daemon]\n", with_job("", "a = { from = \"a\" }"));
    let sections = crate::config::keys::sections();
    let of = |wanted: &str| sections.iter().find(|(name, _)| name == wanted).unwrap().1;
    let written = text
        .replace("[hq]\n", &format!("[hq]\n{}", defaults(of("hq"), "")))
        .replace("[[job]]\n", &format!("[[job]]\n{}", defaults(of("job"), "")))
        .replace("[daemon]\n", &format!("[daemon]\n{}", defaults(of("daemon"), "")))
        .replace(
            "{ from = \"a\" }",
            &format!("{{ from = \"a\", {} }}", defaults(of("job.fields.COLUMN"), "").trim().replace('\n', ", ")),
        );
    assert!(written.lines().count() > text.lines().count() + 12, "{written}");
    let (left_out, written) = (read(&text).unwrap(), read(&written).unwrap());
    assert_eq!(format!("{left_out:#?}"), format!("{written:#?}"));
}
