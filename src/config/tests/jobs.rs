//! `[[job]]`: each key and its errors.

use super::*;
use crate::config::Deletes;
use crate::conflict::Rule;

/// A second job, `b`, writing the table `b`.
fn second(keys: &str) -> String {
    format!(
        "[[job]]\nname = \"b\"\ndoctype = \"B\"\nschedule = \"@hourly\"\ntable = \"b\"\nkey = \"item_code\"\n{keys}\n{FIELDS}"
    )
}

#[test]
fn every_scalar_of_a_job_refuses_what_it_cannot_use() {
    let name = "is not a job's name, did you mean \"my_items\"?";
    let table = "is not a table's name, did you mean \"my_items\"?";
    let column = "is not a column's name, did you mean \"item_code\"?";
    for (key, value, message) in [
        ("name", "\"my items\"", format!("\"my items\" {name}")),
        ("doctype", "\"\"", "\"\" must not be empty".to_owned()),
        (
            "schedule",
            "\"0 0 0 30 2 *\"",
            "\"0 0 0 30 2 *\" never comes due: there is no such date; choose a day that the month has".to_owned(),
        ),
        ("table", "\"my-items\"", format!("\"my-items\" {table}")),
        (
            "table",
            "\"milkrun_runs\"",
            "\"milkrun_runs\" is not for a job; tables named milkrun_… are milkrun's own; name it otherwise".to_owned(),
        ),
        ("key", "\"item code\"", format!("\"item code\" {column}")),
    ] {
        assert_wrong(&with_line(key, &format!("{key} = {value}")), &format!("{key} = |{value}"), &message);
    }
    for (key, value, message) in [
        ("page_size", "0", "0 is out of bounds; it goes from 1 to 10000".to_owned()),
        ("page_size", "10001", "10001 is out of bounds; it goes from 1 to 10000".to_owned()),
        ("overlap", "\"8d\"", "\"8d\" is out of bounds; it goes from 0s to 7d".to_owned()),
        ("deletes", "\"markk\"", "unknown word for deletes \"markk\", did you mean \"mark\"?".to_owned()),
        (
            "deletes",
            "\"drop\"",
            "unknown word for deletes \"drop\"; expected \"delete\", \"mark\" or \"keep\"".to_owned(),
        ),
    ] {
        assert_wrong(&with_job(&format!("{key} = {value}"), ""), &format!("{key} = |{value}"), &message);
    }
    assert_wrong(&with_job("delete_limit = { rows = -1 }", ""), "-1", "-1 is out of bounds; it is at least 0");
    assert_wrong(
        &with_job("delete_limit = { percent = 100.5 }", ""),
        "100.5",
        "100.5 is out of bounds; it goes from 0 to 100",
    );
}

#[test]
fn every_conflict_rule_is_read_for_the_job_and_for_a_field() {
    for rule in Rule::ALL {
        let word = rule.word();
        let keys =
            format!("conflict = {word:?}\n{}", if word == "newest_wins" { "local_modified = \"edited\"" } else { "" });
        let job = &read(&with_job(&keys, "a = \"a\"")).unwrap().jobs[0];
        assert_eq!((job.rules.job, job.rules.of(1), job.rules.keeps_base), (rule, rule, true));
        let keys = if word == "newest_wins" { "local_modified = \"edited\"" } else { "" };
        let job = &read(&with_job(keys, &format!("a = {{ from = \"a\", conflict = {word:?} }}"))).unwrap().jobs[0];
        assert_eq!((job.rules.job, job.rules.of(0), job.rules.of(1)), (Rule::HqWins, Rule::HqWins, rule));
        assert!(job.rules.keeps_base);
    }
    let job = &read(&with_job("", "a = \"a\"")).unwrap().jobs[0];
    assert_eq!((job.rules.job, job.rules.keeps_base), (Rule::HqWins, false));
    let job = &read(&with_job("", "a = { from = \"a\", owner = \"until_edited\" }")).unwrap().jobs[0];
    assert!(job.rules.keeps_base);
    let job = &read(&with_job("conflict = \"merge\"\notherwise = \"manual\"", "")).unwrap().jobs[0];
    assert_eq!((job.rules.of(0), job.rules.deciding(0)), (Rule::Merge, Rule::Manual));
}

#[test]
fn conflict_rules_that_make_no_sense_are_refused() {
    let near = "unknown conflict rule \"hq_win\", did you mean \"hq_wins\"?";
    assert_wrong(&with_job("conflict = \"hq_win\"", ""), "\"hq_win\"", near);
    let near = "unknown conflict rule \"local_win\", did you mean \"local_wins\"?";
    assert_wrong(&with_job("", "a = { from = \"a\", conflict = \"local_win\" }"), "\"local_win\"", near);
    let newest = "\"newest_wins\" needs to know when the outlet edited the row; add local_modified = \"COLUMN\", a column of \
        the table that holds the time in UTC";
    assert_wrong(&with_job("conflict = \"newest_wins\"", ""), "\"newest_wins\"", newest);
    assert_wrong(&with_job("", "a = { from = \"a\", conflict = \"newest_wins\" }"), "\"newest_wins\"", newest);
    let keys = "conflict = \"merge\"\notherwise = \"newest_wins\"";
    assert_wrong(&with_job(keys, ""), "otherwise = |\"newest_wins\"", newest);
    let otherwise =
        "only conflict = \"merge\" asks what is to be done otherwise; add conflict = \"merge\", or leave otherwise out";
    assert_wrong(&with_job("otherwise = \"manual\"", ""), "otherwise", otherwise);
    let circle =
        "unknown rule for otherwise \"merge\"; expected \"hq_wins\", \"local_wins\", \"newest_wins\" or \"manual\"";
    assert_wrong(&with_job("conflict = \"merge\"\notherwise = \"merge\"", ""), "otherwise = |\"merge\"", circle);
    let unasked = "only \"newest_wins\" asks when the outlet edited the row; leave local_modified out, or let a rule be \"newest_wins\"";
    assert_wrong(&with_job("local_modified = \"edited\"", ""), "local_modified", unasked);
    let once = "with owner = \"once\" HQ changes the column no more; leave conflict out";
    let field = "a = { from = \"a\", owner = \"once\", conflict = \"merge\" }";
    assert_wrong(&with_job("", field), "conflict", once);
    let key = "the key tells the rows apart, so no two sides can have changed it; leave conflict out";
    let text =
        with_job("", "").replace("item_code = \"name\"", "item_code = { from = \"name\", conflict = \"merge\" }");
    assert_wrong(&text, "conflict", key);
    let child = "child rows are replaced with their parent: they have no conflict of their own; leave conflict out";
    let text = "[[job.children]]\nfield = \"x\"\ntable = \"y\"\nparent_key = \"p\"\nfields = { b = { from = \"b\", conflict = \"merge\" } }";
    assert_wrong(&format!("{}{text}\n", with_job("", "")), "conflict", child);
    let owner = "the key is HQ's: a key column cannot have owner = \"until_edited\"; leave owner out";
    let text =
        with_job("", "").replace("item_code = \"name\"", "item_code = { from = \"name\", owner = \"until_edited\" }");
    assert_wrong(&text, "owner = |\"until_edited\"", owner);
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
    assert_eq!(
        problems,
        "sync.toml:21:8: \"items\" is the name of the job of line 11, too; give each job a name of its own"
    );
    let text = format!("{}{}", with_job("", ""), second("").replace("table = \"b\"", "table = \"ITEMS\""));
    assert_eq!(
        wrong(&text),
        "sync.toml:24:9: the table \"ITEMS\" is written by line 14 already; each job and each child table needs a table of its own"
    );
    let child = "[[job.children]]\nfield = \"x\"\ntable = \"items\"\nparent_key = \"p\"\nfields = { a = \"a\" }";
    let text = format!("{}{child}\n", with_job("", ""));
    assert_eq!(
        wrong(&text),
        "sync.toml:22:9: the table \"items\" is written by line 14 already; each job and each child table needs a table of its own"
    );
}

#[test]
fn a_job_waits_for_known_jobs_and_never_for_itself() {
    assert_wrong(
        &with_job("after = [\"item\"]", ""),
        "\"item\"]",
        "there is no job named \"item\"; there is no other job",
    );
    assert_wrong(
        &with_job("after = [\"items\"]", ""),
        "[\"items\"]",
        "the job waits for itself: \"items\" -> \"items\"; take one of these steps out of `after`",
    );
    let circle = format!("{}{}", with_job("after = [\"b\"]", ""), second("after = [\"items\"]"));
    assert_wrong(
        &circle,
        "[\"b\"]",
        "the job waits for itself: \"items\" -> \"b\" -> \"items\"; take one of these steps out of `after`",
    );
    let chain = format!("{}{}", with_job("after = [\"b\"]", ""), second(""));
    assert_eq!(read(&chain).unwrap().jobs[0].after, [1]);
}

#[test]
fn a_field_has_one_origin_and_only_what_its_type_knows() {
    let needs = "a field needs one of \"from\", \"expr\" and \"const\"; from = \"hq_field\" is the usual one";
    assert_wrong(&with_job("", "a = { type = \"int\" }"), "{ type", needs);
    let both =
        "a field has one of \"from\", \"expr\" and \"const\", and \"from\" is there already; keep one of the two";
    assert_wrong(&with_job("", "a = { const = 1, from = \"b\" }"), "const", both);
    let scale = "only a field of type = \"decimal\" has a scale; add type = \"decimal\", or leave scale out";
    assert_wrong(&with_job("", "a = { from = \"b\", scale = 2 }"), "scale", scale);
    let length = "only a field of type = \"text\" has a max_length; leave max_length out, or let the type be \"text\"";
    assert_wrong(&with_job("", "a = { from = \"b\", type = \"int\", max_length = 2 }"), "max_length", length);
    let word = "unknown type \"dateime\", did you mean \"datetime\"?";
    assert_wrong(&with_job("", "a = { from = \"b\", type = \"dateime\" }"), "\"dateime", word);
    assert_wrong(
        &with_job("", "a = { from = \"b\", type = \"decimal\", scale = 29 }"),
        "29",
        "29 is out of bounds; it goes from 0 to 28",
    );
    let lookup = "lookup needs the key \"take\"; add take = \"item_code\": the column whose value is taken";
    assert_wrong(&with_job("", "a = { from = \"b\", lookup = { table = \"c\", match = \"d\" } }"), "{ table", lookup);
    let field = "\"b c\" is not an HQ field's name, did you mean \"b_c\"?";
    assert_wrong(&with_job("", "a = \"b c\""), "\"b c", field);
    let column = "\"b c\" is not a column's name, did you mean \"b_c\"?";
    assert_wrong(&with_job("", "\"b c\" = \"b\""), "\"b c", column);
    let case = "the columns \"item_code\" and \"Item_Code\" differ in case only; databases take them for one; keep one of the two";
    assert_wrong(&with_job("", "Item_Code = \"b\""), "Item_Code", case);
    let infinite = "expected a string, a number, true or false, found a float";
    assert_wrong(&with_job("", "a = { const = nan }"), "nan", infinite);
}

#[test]
fn a_marked_row_keeps_its_mark_column_for_milkrun() {
    let text = with_job("deletes = \"mark\"", "deleted_at = \"x\"");
    let message = "deletes = \"mark\" sets the column \"deleted_at\" itself, so it cannot be mapped; give the column another name, or take another word for deletes";
    assert_wrong(&text, "deleted_at", message);
}

#[test]
fn a_job_without_fields_and_a_file_without_jobs_are_refused() {
    let text = with_job("", "").replace("item_code = \"name\"\n", "");
    assert_wrong(&text, "[job.fields]", "no field is mapped; write column = \"hq_field\", one line for each column");
    let none = format!("job = []\n{HEAD}");
    assert_eq!(
        wrong(&none),
        "sync.toml:1:7: there is no [[job]], so nothing would be synced; each DocType that is to be synced is a [[job]]"
    );
    let one = with_job("", "").replace("[[job]]", "[job]");
    assert_eq!(
        wrong(&one),
        "sync.toml:10:1: [[job]] stands in two brackets on each side, as there may be several, did you mean \"[[job]]\"?"
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
    assert_wrong(
        &text,
        "scale",
        "only a field of type = \"decimal\" has a scale; add type = \"decimal\", or leave scale out",
    );
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
