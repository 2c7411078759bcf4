//! `[[job]]`: each key and its errors.

use super::*;
use crate::config::Deletes;

/// A second job, `b`, writing the table `b`.
fn second(keys: &str) -> String {
    format!(
        "[[job]]\nname = \"b\"\ndoctype = \"B\"\nschedule = \"@hourly\"\ntable = \"b\"\nkey = \"item_code\"\n{keys}\n{FIELDS}"
    )
}

#[test]
fn every_scalar_of_a_job_refuses_what_it_cannot_use() {
    let name = "is not a job's name: letters, digits, \"_\" and \"-\", at most 64";
    let table = "is not a table's name: letters, digits and \"_\", no digit first, at most 63";
    let column = "is not a column's name: letters, digits and \"_\", no digit first, at most 63";
    for (key, value, message) in [
        ("name", "\"my items\"", format!("\"my items\" {name}")),
        ("doctype", "\"\"", "\"\" must not be empty".to_owned()),
        ("schedule", "\"0 0 0 30 2 *\"", "\"0 0 0 30 2 *\" never comes due: there is no such date".to_owned()),
        ("table", "\"my-items\"", format!("\"my-items\" {table}")),
        (
            "table",
            "\"milkrun_runs\"",
            "\"milkrun_runs\" is not for a job: tables named milkrun_… are milkrun's own".to_owned(),
        ),
        ("key", "\"item code\"", format!("\"item code\" {column}")),
    ] {
        assert_wrong(&with_line(key, &format!("{key} = {value}")), &format!("{key} = |{value}"), &message);
    }
    for (key, value, message) in [
        ("page_size", "0", "0 is out of bounds: from 1 to 10000".to_owned()),
        ("page_size", "10001", "10001 is out of bounds: from 1 to 10000".to_owned()),
        ("overlap", "\"8d\"", "\"8d\" is out of bounds: from 0s to 7d".to_owned()),
        ("deletes", "\"markk\"", "unknown word for deletes \"markk\", did you mean \"mark\"?".to_owned()),
        (
            "deletes",
            "\"drop\"",
            "unknown word for deletes \"drop\"; expected \"delete\", \"mark\" or \"keep\"".to_owned(),
        ),
    ] {
        assert_wrong(&with_job(&format!("{key} = {value}"), ""), &format!("{key} = |{value}"), &message);
    }
    assert_wrong(&with_job("delete_limit = { rows = -1 }", ""), "-1", "-1 is out of bounds: at least 0");
    assert_wrong(&with_job("delete_limit = { percent = 100.5 }", ""), "100.5", "100.5 is out of bounds: from 0 to 100");
}

#[test]
fn what_is_planned_is_refused_as_not_supported_yet() {
    for key in ["reconcile", "local_modified", "otherwise"] {
        assert_wrong(&with_job(&format!("{key} = \"x\""), ""), key, &format!("\"{key}\" is not supported yet"));
    }
    for word in ["local_wins", "newest_wins", "merge", "manual"] {
        let message = format!("the conflict rule \"{word}\" is not supported yet, only \"hq_wins\" is");
        assert_wrong(&with_job(&format!("conflict = \"{word}\""), ""), &format!("\"{word}\""), &message);
    }
    let near = "unknown conflict rule \"local_win\", did you mean \"local_wins\"?";
    assert_wrong(&with_job("conflict = \"local_win\"", ""), "\"local_win\"", near);
    assert_wrong(
        &with_job("", "a = { from = \"a\", conflict = \"hq_wins\" }"),
        "conflict",
        "\"conflict\" is not supported yet",
    );
    let owner = "the owner \"until_edited\" is not supported yet, only \"hq\" or \"once\" is";
    assert_wrong(&with_job("", "a = { from = \"a\", owner = \"until_edited\" }"), "\"until_edited\"", owner);
}

#[test]
fn words_of_a_job_are_read() {
    let text = with_job(
        "deletes = \"mark\"\nkey = [\"item_code\", \"shop\"]\ndelete_limit = { percent = 7 }\noverlap = \"0s\"",
        "shop = \"shop\"",
    )
    .replacen("key = \"item_code\"\n", "", 1);
    let config = read(&text).unwrap();
    let job = &config.jobs[0];
    assert_eq!((job.deletes, job.delete_limit.rows, job.delete_limit.percent), (Deletes::Mark, 20, 7.0));
    assert_eq!(job.mapping.key(), [0, 1]);
    assert!(job.overlap.is_zero());
}

#[test]
fn names_and_tables_belong_to_one_job() {
    let text = format!("{}{}", with_job("", ""), second("").replace("name = \"b\"", "name = \"items\""));
    let problems = wrong(&text);
    assert_eq!(problems, "sync.toml:21:8: \"items\" is the name of the job of line 11, too");
    let text = format!("{}{}", with_job("", ""), second("").replace("table = \"b\"", "table = \"ITEMS\""));
    assert_eq!(wrong(&text), "sync.toml:24:9: the table \"ITEMS\" is written by line 14 already; each needs its own");
    let child = "[[job.children]]\nfield = \"x\"\ntable = \"items\"\nparent_key = \"p\"\nfields = { a = \"a\" }";
    let text = format!("{}{child}\n", with_job("", ""));
    assert_eq!(wrong(&text), "sync.toml:22:9: the table \"items\" is written by line 14 already; each needs its own");
}

#[test]
fn a_job_waits_for_known_jobs_and_never_for_itself() {
    assert_wrong(
        &with_job("after = [\"item\"]", ""),
        "\"item\"]",
        "there is no job named \"item\", did you mean \"items\"?",
    );
    assert_wrong(
        &with_job("after = [\"items\"]", ""),
        "[\"items\"]",
        "the job waits for itself: \"items\" -> \"items\"",
    );
    let circle = format!("{}{}", with_job("after = [\"b\"]", ""), second("after = [\"items\"]"));
    assert_wrong(&circle, "[\"b\"]", "the job waits for itself: \"items\" -> \"b\" -> \"items\"");
    let chain = format!("{}{}", with_job("after = [\"b\"]", ""), second(""));
    assert_eq!(read(&chain).unwrap().jobs[0].after, [1]);
}

#[test]
fn a_field_has_one_origin_and_only_what_its_type_knows() {
    let needs = "a field needs one of \"from\", \"expr\" and \"const\"";
    assert_wrong(&with_job("", "a = { type = \"int\" }"), "{ type", needs);
    let both = "a field has one of \"from\", \"expr\" and \"const\", and \"from\" is there already";
    assert_wrong(&with_job("", "a = { const = 1, from = \"b\" }"), "const", both);
    let scale = "only a field of type = \"decimal\" has a scale";
    assert_wrong(&with_job("", "a = { from = \"b\", scale = 2 }"), "scale", scale);
    let length = "only a field of type = \"text\" has a max_length";
    assert_wrong(&with_job("", "a = { from = \"b\", type = \"int\", max_length = 2 }"), "max_length", length);
    let word = "unknown type \"dateime\", did you mean \"datetime\"?";
    assert_wrong(&with_job("", "a = { from = \"b\", type = \"dateime\" }"), "\"dateime", word);
    assert_wrong(
        &with_job("", "a = { from = \"b\", type = \"decimal\", scale = 29 }"),
        "29",
        "29 is out of bounds: from 0 to 28",
    );
    let lookup = "lookup needs the key \"take\": the column whose value is taken";
    assert_wrong(&with_job("", "a = { from = \"b\", lookup = { table = \"c\", match = \"d\" } }"), "{ table", lookup);
    let field = "\"b c\" is not an HQ field's name such as \"item_name\": letters, digits and \"_\"";
    assert_wrong(&with_job("", "a = \"b c\""), "\"b c", field);
    let column = "\"b c\" is not a column's name: letters, digits and \"_\", no digit first, at most 63";
    assert_wrong(&with_job("", "\"b c\" = \"b\""), "\"b c", column);
    let case = "the columns \"item_code\" and \"Item_Code\" differ in case only";
    assert_wrong(&with_job("", "Item_Code = \"b\""), "Item_Code", case);
    let infinite = "expected a string, a number, true or false, found a float";
    assert_wrong(&with_job("", "a = { const = nan }"), "nan", infinite);
}

#[test]
fn a_marked_row_keeps_its_mark_column_for_milkrun() {
    let text = with_job("deletes = \"mark\"", "deleted_at = \"x\"");
    let message = "deletes = \"mark\" sets the column \"deleted_at\" itself, so it cannot be mapped";
    assert_wrong(&text, "deleted_at", message);
}

#[test]
fn a_job_without_fields_and_a_file_without_jobs_are_refused() {
    let text = with_job("", "").replace("item_code = \"name\"\n", "");
    assert_wrong(&text, "[job.fields]", "no field is mapped: write local column = \"hq_field\"");
    let none = format!("job = []\n{HEAD}");
    assert_eq!(wrong(&none), "sync.toml:1:7: there is no [[job]], so nothing would be synced");
    let one = with_job("", "").replace("[[job]]", "[job]");
    assert_eq!(
        wrong(&one),
        "sync.toml:10:1: expected a table of its own with two brackets on each side, as there may be several, found a table"
    );
}

#[test]
fn an_expression_that_cannot_be_read_is_reported_at_its_text_in_parent_and_child() {
    let child = "[[job.children]]\nfield = \"x\"\ntable = \"y\"\nparent_key = \"p\"\n[job.children.fields]\nb = { expr = \"((\" }\n";
    let text = format!("{}{child}", with_job("", "a = { expr = \"((\" }"));
    let problems = read(&text).unwrap_err();
    let places: Vec<_> = problems.iter().map(|problem| (problem.line, problem.column, problem.key.as_str())).collect();
    assert_eq!(
        places,
        [(Some(19), Some(14), "job[0].fields.a.expr"), (Some(25), Some(14), "job[0].children[0].fields.b.expr")]
    );
}

#[test]
fn an_example_expects_columns_that_are_mapped() {
    let text =
        format!("{}[[job.test]]\ngiven = {{ name = \"x\" }}\nexpect = {{ item_cod = \"x\" }}\n", with_job("", ""));
    assert_wrong(&text, "item_cod =", "no column \"item_cod\" is mapped, did you mean \"item_code\"?");
}

#[test]
fn a_bad_field_is_no_missing_key_column() {
    let text = with_line("item_code = ", "item_code = { from = \"name\", scale = 2 }");
    assert_wrong(&text, "scale", "only a field of type = \"decimal\" has a scale");
}

#[test]
fn a_missing_key_hides_no_bad_expression_and_invents_nothing() {
    let text = with_job("", "a = { expr = \"((\" }")
        .replace("key = \"item_code\"\n", "")
        .replace("item_code = \"name\"", "c = { const = 1 }");
    let problems = read(&text).unwrap_err();
    let places: Vec<_> = problems.iter().map(|problem| (problem.line, problem.key.as_str())).collect();
    assert_eq!(places, [(Some(10), "job[0].key"), (Some(18), "job[0].fields.a.expr")], "{problems}");
}
