//! What is written for descriptions that no real HQ has all at once.

use std::collections::HashSet;

use super::*;

fn field(fieldname: &str, fieldtype: &str, options: &str) -> Docfield {
    Docfield {
        fieldname: fieldname.to_owned(),
        fieldtype: fieldtype.to_owned(),
        options: (!options.is_empty()).then(|| options.to_owned()),
        ..Docfield::default()
    }
}

fn found(name: &str, fields: Vec<Docfield>) -> Found {
    let readable: HashSet<String> = fields.iter().map(|field| field.fieldname.clone()).collect();
    Found {
        doctype: DocType { name: name.to_owned(), fields, ..DocType::default() },
        readable: Some(readable),
        children: Vec::new(),
    }
}

fn links(name: &str, to: &[&str]) -> Found {
    found(name, to.iter().map(|to| field(&to.to_lowercase(), "Link", to)).collect())
}

#[test]
fn jobs_come_after_those_their_links_point_to_and_every_circle_is_cut_once() {
    let all = [links("A", &["B", "C", "A"]), links("B", &["C"]), links("C", &["A"]), links("D", &["A", "Elsewhere"])];
    let jobs = jobs(&all, &Present::default(), "x");
    let order: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(order, ["cs", "bs", "as", "ds"]);
    for job in &jobs {
        let place = |name: &String| order.iter().position(|other| other == name).unwrap();
        assert!(job.after.iter().all(|name| place(name) < place(&job.name)), "{job:?}");
    }
    assert_eq!(jobs[0].not_after, ["as"]);
    assert!(jobs[1..].iter().all(|job| job.not_after.is_empty()));
}

#[test]
fn jobs_that_wait_for_each_other_share_their_minute_and_others_do_not() {
    let all = [links("A", &["B"]), links("B", &[]), links("C", &[]), links("D", &["C"])];
    let times = |present: &Present| -> Vec<String> {
        jobs(&all, present, "x").iter().map(|job| job.schedule.schedule.clone()).collect()
    };
    assert_eq!(times(&Present::default()), ["0 */5 * * * *", "0 */5 * * * *", "0 1-59/5 * * * *", "0 1-59/5 * * * *"]);
    let hourly =
        PresentJob { name: "bees".into(), doctype: "C".into(), table: "bees".into(), schedule: "@hourly".into() };
    let beside = jobs(&[links("D", &["C"])], &Present { jobs: vec![hourly], tables: Vec::new() }, "x");
    assert_eq!(
        (beside[0].schedule.schedule.as_str(), beside[0].after.as_slice()),
        ("@hourly", &["bees".to_owned()][..])
    );
}

#[test]
fn reconciles_are_spread_over_the_night() {
    let all: Vec<Found> = (0..40).map(|number| links(&format!("T{number}"), &[])).collect();
    let jobs = jobs(&all, &Present::default(), "x");
    let times: HashSet<&str> = jobs.iter().map(|job| job.schedule.reconcile.as_str()).collect();
    assert_eq!(times.len(), 40);
    assert!(times.contains("0 0 3 * * *") && times.contains("0 33 7 * * *"), "{times:?}");
}

#[test]
fn a_row_too_wide_for_mariadb_has_texts_without_a_length() {
    let fields = (0..120).map(|number| field(&format!("f{number}"), "Data", "")).collect();
    let text = text(&jobs(&[found("Wide", fields)], &Present::default(), "x"));
    assert!(text.contains("f0 = { from = \"f0\", max_length = 140 }"));
    assert!(text.contains("f119 = \"f119\""));
    assert_eq!(text.matches("max_length = 140").count(), 48_000 / 562);
}

#[test]
fn columns_never_clash_with_those_that_are_kept_for_something() {
    let mut parent =
        found("P", vec![field("modified", "Data", ""), field("deleted_at", "Data", ""), field("2nd", "Data", "")]);
    let child = found("C", vec![field("idx", "Int", ""), field("parent", "Data", ""), field("Parent", "Data", "")]);
    parent.children = vec![("lines".to_owned(), child.clone()), ("LINES".to_owned(), child)];
    let text = text(&jobs(&[parent], &Present::default(), "x"));
    for line in [
        "modified_2 = { from = \"modified\"",
        "deleted_at_2 = { from = \"deleted_at\"",
        "f_2nd = { from = \"2nd\"",
        "idx_2 = { from = \"idx\"",
        "parent_2 = { from = \"parent\"",
        "Parent_3 = { from = \"Parent\"",
        "table = \"p_lines\"",
        "table = \"p_lines_2\"",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn what_hq_did_not_tell_is_left_out_above_level_zero_only() {
    let secret = Docfield { permlevel: 1, ..field("cost", "Currency", "") };
    let untold = Found { readable: None, ..found("T", vec![secret, field("title", "Data", "")]) };
    let jobs = jobs(&[untold], &Present::default(), "till@hq");
    let left_out: Vec<_> = jobs[0].left_out().collect();
    assert_eq!(
        left_out,
        [("cost".to_owned(), "permission level 1, and HQ does not tell whether till@hq may read it".to_owned())]
    );
}

#[test]
fn names_are_made_plain_and_plural() {
    for (from, to) in [
        ("Item Price", "item_prices"),
        ("Company", "companies"),
        ("Day", "days"),
        ("Address", "addresses"),
        ("Sales Taxes and Charges", "sales_taxes_and_charges"),
        ("Tax  (Rule) ", "tax_rules"),
        ("Größe", "grosses"),
        ("3PL", "hq_3pls"),
        ("物", "doctypes"),
    ] {
        assert_eq!(name::plural(&name::snake(from)), to, "{from}");
    }
    assert_eq!(name::snake(&"long ".repeat(40)).len(), name::LONGEST);
}
