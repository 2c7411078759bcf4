//! Every problem of a file, each at its place.

use super::*;

#[test]
fn twenty_one_wrong_keys_give_twenty_one_problems_each_at_its_key() {
    let text = r#"sites = 1
[site]
name = "outlet-042"
time_zone = "Asia/Kolkata"
zone = "x"
[hq]
url = "https://hq.example.com"
auth = { kind = "token", api_key = "k", api_kee = "k", api_secret = "s", "é" = 1, z = 1 }
time_zone = "Asia/Kolkata"
time_out = "30s"
retry = { max_attempt = 6, first = "1s" }
[local]
url = "sqlite://outlet.db"
"pass word" = "p"
[daemon]
listn = "127.0.0.1:7878"
splay = "30s"
	tabbed = 1
[[job]]
name = "items"
doctyp = "Item"
doctype = "Item"
schedule = "0 */5 * * * *"
table = "items"
key = "item_code"
page_sise = 5
delete_limit = { row = 20 }
[job.fields]
item_code = "name"
title = { from = "item_name", trimm = true }
group_id = { from = "item_group", lookup = { table = "g", match = "n", take = "id", on = 1 } }
[[job.children]]
field = "barcodes"
tabel = "x"
table = "item_barcodes"
parent_key = "item_code"
[job.children.fields]
barcode = { form = "barcode", from = "barcode" }
[[job.test]]
given = { }
expect = { }
expected = { }
[jobs]
[jop]
"#;
    let problems = read(text).unwrap_err();
    let places: Vec<_> = problems.iter().map(|p| (p.line.unwrap(), p.column.unwrap(), p.key.as_str())).collect();
    let expected = [
        (1, 1, "sites"),
        (5, 1, "site.zone"),
        (8, 41, "hq.auth.api_kee"),
        (8, 74, "hq.auth.é"),
        (8, 83, "hq.auth.z"),
        (10, 1, "hq.time_out"),
        (11, 11, "hq.retry.max_attempt"),
        (11, 28, "hq.retry.first"),
        (14, 1, "local.pass word"),
        (16, 1, "daemon.listn"),
        (18, 2, "daemon.tabbed"),
        (21, 1, "job[0].doctyp"),
        (26, 1, "job[0].page_sise"),
        (27, 18, "job[0].delete_limit.row"),
        (30, 31, "job[0].fields.title.trimm"),
        (31, 85, "job[0].fields.group_id.lookup.on"),
        (34, 1, "job[0].children[0].tabel"),
        (38, 13, "job[0].children[0].fields.barcode.form"),
        (42, 1, "job[0].test[0].expected"),
        (43, 2, "jobs"),
        (44, 2, "jop"),
    ];
    assert_eq!(places, expected, "{problems}");
    assert!(problems.to_string().contains(r#"unknown key "page_sise" in [[job]], did you mean "page_size"?"#));
    assert!(problems.to_string().contains(r#"unknown section [jobs], did you mean "[[job]]"?"#));
}

#[test]
fn a_key_a_type_a_word_a_pattern_and_a_meaning_are_reported_in_one_go() {
    let text = r#"[site]
nmae = "outlet-042"
time_zone = "Asia/Kolkatta"
[hq]
url = "https://hq.example.com"
auth = { kind = "token", api_key = "k", api_secret = "s" }
time_zone = "Asia/Kolkata"
timeout = 30
[local]
url = "sqlite://outlet.db"
[[job]]
name = "items"
doctype = "Item"
schedule = "0 61 * * * *"
after = ["item_group"]
table = "items"
key = "item_code"
conflict = "hq_win"
filters = ["modified", ">", "2024-01-01"]
[job.fields]
item_code = "name"
price = { from = "standard_rate", scale = 2 }
active = { expr = "not ((", type = "bool" }
[[job]]
name = "item_groups"
doctype = "Item Group"
schedule = "0 0 * * * *"
table = "items"
key = "name"
[job.fields]
name = "name"
"#;
    let expected = r#"sync.toml:2:1: unknown key "nmae" in [site], did you mean "name"?
sync.toml:3:13: unknown time zone "Asia/Kolkatta", did you mean "Asia/Kolkata"?
sync.toml:8:11: expected a length of time in quotes such as "30s", found an integer, did you mean "30s"?
sync.toml:14:12: "0 61 * * * *" is not a cron pattern: its minute is "61"; the minute goes from 0 to 59; * is any, */5 every fifth, 1-5 a range and 1,15 a list
sync.toml:15:10: there is no job named "item_group", did you mean "item_groups"?
sync.toml:18:12: unknown conflict rule "hq_win", did you mean "hq_wins"?
sync.toml:19:11: each filter is a list of its own; write filters = [["modified", ">", "2024-01-01"]], with two brackets
sync.toml:22:35: only a field of type = "decimal" has a scale; add type = "decimal", or leave scale out
"#;
    let problems = wrong(text);
    assert!(problems.starts_with(expected), "{problems}");
    let rest: Vec<&str> = problems.lines().skip(8).collect();
    assert!(rest[0].starts_with("sync.toml:23:19: "), "{problems}");
    assert_eq!(
        rest[1..],
        [
            r#"sync.toml:28:9: the table "items" is written by line 16 already; each job and each child table needs a table of its own"#
        ]
    );
}

#[test]
fn a_key_written_twice_and_bad_toml_have_a_place() {
    let twice = wrong("[site]\nname = \"a\"\nname = \"b\"\n");
    assert_eq!(
        twice.lines().last().unwrap(),
        "sync.toml:3:1: the key \"name\" is written twice; it stands in line 2 already: keep one of the two"
    );
    let problems = wrong("[site]\nname = \"a\n");
    assert!(problems.contains("sync.toml:2:8: the quote \" is not closed; add \" at the end"), "{problems}");
    // The same section again is a key written twice, too.
    assert!(wrong("[site]\n[hq]\n[site]\n").contains("sync.toml:3:1: the section [site] is there twice"));
}

#[test]
fn what_is_missing_is_reported_at_the_table_it_is_missing_from() {
    let problems = wrong("[site]\nname = \"a\"\n[[job]]\nname = \"x\"\n[hq]\nauth = { kind = \"token\" }\n");
    for expected in [
        "sync.toml: [local] is missing: the outlet's own database; add [local] with \"url\"",
        "sync.toml:1:1: [site] needs the key \"time_zone\"; add time_zone = \"Asia/Kolkata\": cron is read in this zone",
        "sync.toml:3:1: [[job]] needs the key \"doctype\"; add doctype = \"Item\": HQ's DocType",
        "sync.toml:3:1: [[job]] needs the key \"fields\"; add [job.fields] with column = \"hq_field\": local column = HQ field, or a table",
        "sync.toml:5:1: [hq] needs the key \"url\"; add url = \"https://hq.example.com\": HQ's address, http:// or https://",
        "sync.toml:6:8: hq.auth needs the key \"api_key\"; add api_key = \"${HQ_API_KEY}\": the API key",
    ] {
        assert!(problems.lines().any(|line| line == expected), "{expected}\n{problems}");
    }
    assert!(wrong("").contains("sync.toml: the file is empty; `milkrun init"));
}

#[test]
fn every_wrong_type_is_named_with_what_was_expected() {
    let text = with_job(
        "page_size = \"500\"\ncreate_table = \"yes\"\nafter = \"x\"\ndelete_limit = 5\nfilters = 2024-01-01\ntest = 1",
        "a = 1\nb = { from = [] }\nc = { from = \"c\", map = \"x\" }\nd = { const = [] }",
    );
    let problems = wrong(&text);
    for expected in [
        "expected an integer, found a string; write 500, without quotes",
        "expected true or false, found a string",
        "expected a list of strings, found a string",
        "expected a table, found an integer",
        "expected a string as HQ writes it, such as \"2024-05-05 10:00:00\", found a date or time",
        "expected a list of tables, found an integer",
        "expected an HQ field's name or a table such as { from = \"item_name\" }, found an integer",
        "expected a string, found a list",
        "expected a table such as { Nos = \"each\" }, found a string",
        "expected a string, a number, true or false, found a list",
    ] {
        assert!(problems.contains(expected), "{expected}\n{problems}");
    }
    assert_eq!(problems.lines().count(), 10, "{problems}");
}

#[test]
fn columns_count_characters_and_byte_order_marks_do_not_count() {
    let text = format!("\u{feff}é = 1\n{}", with_job("", ""));
    assert!(wrong(&text).starts_with("sync.toml:1:"), "{}", wrong(&text));
    let crlf = with_job("nonsense = 1", "").replace('\n', "\r\n");
    assert_eq!(
        wrong(&crlf),
        "sync.toml:16:1: unknown key \"nonsense\" in [[job]]; docs/reference.md has all keys of [[job]]"
    );
}

#[test]
fn a_missing_or_unreadable_file_is_a_problem_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let problems = crate::config::load(&folder.path().join("none.toml")).unwrap_err().to_string();
    assert!(problems.contains("cannot be read: no such file"), "{problems}");
    assert!(problems.ends_with("another file is named by `milkrun --config PATH`"), "{problems}");
    assert!(crate::config::load(folder.path()).unwrap_err().to_string().contains("this is a directory"));
    std::fs::write(folder.path().join("latin"), b"name = \"\xe9\"").unwrap();
    let latin = crate::config::load(&folder.path().join("latin")).unwrap_err().to_string();
    assert!(latin.contains(":1:9: this file is not UTF-8 text (byte 8): here it holds 0xE9, which"), "{latin}");
}

#[test]
fn a_terminal_is_shown_the_line_and_a_mark() {
    let problems = read(&with_job("conflict = \"hq_win\"", "")).unwrap_err();
    let expected = "\
error: unknown conflict rule \"hq_win\"
  --> sync.toml:16:12
   |
16 | conflict = \"hq_win\"
   |            ^^^^^^^^
   |
   = help: did you mean \"hq_wins\"?
   = help: expected \"hq_wins\", \"local_wins\", \"newest_wins\", \"merge\" or \"manual\"";
    assert_eq!(shown(&problems), expected);
}
