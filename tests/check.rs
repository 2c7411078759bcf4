//! `milkrun check` against a live HQ: what it says of users, fields, types, keys, lookups and times, and what it costs.

use milkrun::demo::{DocType, Field, User, data};
use serde_json::{Value, json};

use crate::support::{Kind, Outcome, Shop};

/// The sentences of a level about a job.
fn said(outcome: &Outcome, level: &str, subject: &str) -> Vec<String> {
    let findings = outcome.json();
    let of = |finding: &&Value| finding["level"] == level && finding["subject"] == subject;
    let sentence = |finding: &Value| finding["message"].as_str().unwrap().to_owned();
    findings.as_array().unwrap().iter().filter(of).map(sentence).collect()
}

fn check(shop: &Shop) -> Outcome {
    shop.outlet.run(&["--format", "json", "check"])
}

/// A job on `Item` with these lines before and after the head of its fields.
fn items(keys: &str, fields: &str) -> String {
    format!(
        "[[job]]\nname = \"items\"\ndoctype = \"Item\"\nschedule = \"0 30 4 * * MON\"\ntable = \"items\"\ncreate_table = true\n{keys}\n\
         [job.fields]\nname = \"name\"\n{fields}\n"
    )
}

#[test]
fn all_is_well_is_said_last_and_a_problem_counted() {
    let shop = Shop::empty(Kind::Sqlite);
    shop.items(3);
    let well = shop.outlet.run(&["check"]);
    let last = well.expect_code(0).stdout.lines().last().unwrap().to_owned();
    assert_eq!(last, "all is well; next: milkrun sync --dry-run, or milkrun run", "{well}");
    let offline = shop.outlet.run(&["check", "--offline"]);
    assert!(offline.expect_code(0).stdout.contains("the file is sound; next: milkrun check"), "{offline}");
    let config = shop.outlet.config();
    shop.outlet
        .write_config(&config.replace("title = { from = \"item_name\"", "title = { from = \"item_nmae\""));
    let ill = shop.outlet.run(&["check"]);
    assert!(ill.expect_code(4).stdout.contains("1 problem: mend it, then milkrun check again"), "{ill}");
    assert!(ill.stdout.contains("HQ's Item has no field \"item_nmae\", did you mean \"item_name\"?"), "{ill}");
    // What is piped has neither colours nor marks.
    assert!(!ill.stdout.contains('\u{1b}') && !ill.stdout.contains('✗'), "{ill}");
}

#[test]
fn the_next_times_are_told_in_the_sites_zone() {
    let shop = Shop::with_jobs(Kind::Sqlite, &items("key = \"name\"\nreconcile = \"0 0 3 * * *\"", ""));
    let outcome = check(&shop);
    let told = said(outcome.expect_code(0), "ok", "items");
    let times = told.iter().find(|sentence| sentence.starts_with("runs next")).unwrap();
    assert_eq!(times.matches("Mon ").count(), 3, "{times}");
    assert_eq!(times.matches(" 04:30:").count(), 3, "{times}");
    assert!(times.contains("(Asia/Kolkata); reconciles next") && times.contains(" 03:00:"), "{times}");
}

#[test]
fn a_field_of_a_higher_level_is_named_with_the_level_even_where_there_is_no_record() {
    let hidden = DocType::new("Price Book")
        .field(Field::new("title", "Data"))
        .field(Field::new("cost", "Currency").permlevel(2))
        .field(Field::table("lines", "Price Line"));
    let line = DocType::child("Price Line").field(Field::new("margin", "Percent").permlevel(1));
    let jobs = "[[job]]\nname = \"books\"\ndoctype = \"Price Book\"\nschedule = \"@daily\"\ntable = \"books\"\nkey = \"name\"\n\
                create_table = true\n[job.fields]\nname = \"name\"\ncost = { from = \"cost\", type = \"decimal\" }\n\
                [[job.children]]\nfield = \"lines\"\ntable = \"book_lines\"\nparent_key = \"book\"\n[job.children.fields]\n\
                margin = { from = \"margin\", type = \"decimal\" }\n";
    let shop = Shop::with_jobs(Kind::Sqlite, jobs);
    let hq = shop.hq.clone().doctype(line).doctype(hidden);
    let hq = hq.user(User::new("till@hq.example", "canary-till", "canary-till").may_read("Price Book"));
    check(&shop).expect_code(0);
    shop.outlet.configure(&shop.url(), ("canary-till", "canary-till"), jobs);
    let expected = [
        "HQ leaves cost of Price Book out of its answers: it is of permission level 2; give the user's role that level at \
         HQ (Role Permissions Manager), or take the field out of the mapping",
        "HQ leaves margin of Price Line out of its answers: it is of permission level 1; give the user's role that level \
         at HQ (Role Permissions Manager), or take the field out of the mapping",
    ];
    assert_eq!(said(check(&shop).expect_code(4), "problem", "books"), expected);
    hq.insert("Price Book", json!({"title": "x", "cost": 1, "lines": [{"margin": 1}]})).unwrap();
    assert_eq!(said(check(&shop).expect_code(4), "problem", "books"), expected);
}

#[test]
fn types_that_cannot_fit_are_problems_and_those_that_may_are_notes() {
    let fields = "group = { from = \"item_group\", type = \"int\" }\n\
                  rate = { from = \"standard_rate\", type = \"float\" }\n\
                  off = { from = \"disabled\", type = \"date\" }\n\
                  title = { from = \"item_name\", max_length = 80 }\n\
                  sold = { from = \"is_sales_item\", type = \"bool\" }";
    let shop = Shop::with_jobs(Kind::Sqlite, &items("key = \"name\"", fields));
    let outcome = check(&shop);
    assert_eq!(
        said(outcome.expect_code(4), "problem", "items"),
        ["off takes disabled (Check) of Item: 0 and 1 are no dates; declare another type"]
    );
    assert_eq!(
        said(&outcome, "note", "items"),
        [
            "group takes item_group (Link) of Item: texts that are no whole numbers would be parked",
            "rate takes standard_rate (Currency) of Item: a float is binary and not exact; money wants type = \"decimal\"",
            "title takes item_name (Data) of Item: HQ takes 140 characters, max_length = 80 parks what is longer",
        ]
    );
}

#[test]
fn a_key_that_two_records_share_is_found_before_one_of_them_is_parked() {
    let shop =
        Shop::with_jobs(Kind::Sqlite, &items("key = \"title\"", "title = \"item_name\"\ngroup = \"item_group\""));
    shop.items(3);
    assert_eq!(
        said(check(&shop).expect_code(0), "ok", "items")[1],
        "no two records share the key (item_name), though HQ does not forbid it"
    );
    shop.item("ICE-9000", json!({"item_name": "Cone ICE-0001"}));
    let outcome = check(&shop);
    let problems = said(outcome.expect_code(4), "problem", "items");
    assert!(
        problems[0].starts_with("2 records at HQ have the key item_name = Cone ICE-0001: one row can be"),
        "{problems:?}"
    );
    // Of what the filters leave out nothing is said, and several fields make a key together.
    shop.outlet.configure(
        &shop.url(),
        data::MANAGER,
        &items("key = [\"title\", \"name\"]", "title = \"item_name\"")
            .replace("[\"title\", \"name\"]", "[\"title\", \"uom\"]")
            .replace("title = \"item_name\"", "title = \"item_name\"\nuom = \"stock_uom\""),
    );
    assert_eq!(said(check(&shop).expect_code(4), "problem", "items").len(), 1);
    shop.hq.update("Item", "ICE-9000", json!({"stock_uom": "Kg"})).unwrap();
    check(&shop).expect_code(0);
}

#[test]
fn a_lookup_into_a_table_that_nobody_makes_is_a_problem_until_it_is_there() {
    let lookup =
        "group = { from = \"item_group\", lookup = { table = \"warengruppen\", match = \"name\", take = \"id\" } }";
    let shop = Shop::with_jobs(Kind::Sqlite, &items("key = \"name\"", lookup));
    let wrong = shop.outlet.run(&["check"]);
    wrong.expect_code(4);
    assert!(wrong.stdout.contains("the lookup table warengruppen does not exist"), "{wrong}");
    shop.outlet.database.execute("create table warengruppen (name text primary key, id integer)");
    shop.outlet.run(&["check"]).expect_code(0);
}

#[test]
fn a_lookup_into_another_jobs_table_asks_for_after() {
    let groups = "[[job]]\nname = \"groups\"\ndoctype = \"Item Group\"\nschedule = \"@hourly\"\ntable = \"item_groups\"\nkey = \"name\"\n\
                  create_table = true\n[job.fields]\nname = \"name\"\n";
    let lookup =
        "group = { from = \"item_group\", lookup = { table = \"item_groups\", match = \"name\", take = \"name\" } }";
    let shop = Shop::with_jobs(Kind::Sqlite, &format!("{groups}{}", items("key = \"name\"", lookup)));
    let note = "looks up in item_groups, which the job groups fills: add after = [\"groups\"], so that a new record finds its row";
    assert_eq!(said(check(&shop).expect_code(0), "note", "items"), [note]);
    let config = shop.outlet.config().replace("doctype = \"Item\"", "doctype = \"Item\"\nafter = [\"groups\"]");
    shop.outlet.write_config(&config);
    assert_eq!(said(check(&shop).expect_code(0), "note", "items"), Vec::<String>::new());
}

#[test]
fn an_unknown_doctype_or_table_field_or_filter_gets_the_nearest_name() {
    let shop = Shop::empty(Kind::Sqlite);
    let config = shop.outlet.config();
    for (from, to, expected) in [
        ("doctype = \"Item\"", "doctype = \"Itme\"", "HQ has no DocType \"Itme\", did you mean \"Item\"?"),
        (
            "field = \"barcodes\"",
            "field = \"barcode\"",
            "HQ's Item has no Table field \"barcode\", did you mean \"barcodes\"?",
        ),
        (
            "[\"is_sales_item\"",
            "[\"is_sale_item\"",
            "HQ's Item has no field \"is_sale_item\", did you mean \"is_sales_item\"?",
        ),
        (
            "doctype = \"Item\"",
            "doctype = \"Item Barcode\"",
            "Item Barcode is a child table: its rows come with its parent's records, and no list has them; take the job out, and \
             give the job of Item a [[job.children]] with field = \"barcodes\"",
        ),
    ] {
        let edited = config.replace(from, to);
        shop.outlet.write_config(&edited);
        assert_eq!(said(check(&shop).expect_code(4), "problem", "items"), [expected]);
        // With its place, as a mistake that the file alone shows.
        let (line, column) = place(&edited, to);
        let told = shop.outlet.run(&["check"]).stdout;
        assert!(told.contains(&format!("sync.toml:{line}:{column}: {expected}")), "{line}:{column} of {to}\n{told}");
        let json = check(&shop).json();
        let found = json.as_array().unwrap().iter().find(|found| found["message"] == expected).unwrap();
        assert_eq!((&found["line"], &found["column"]), (&json!(line), &json!(column)));
    }
}

/// Where the quoted value of this piece of the file stands.
fn place(text: &str, piece: &str) -> (usize, usize) {
    let (before, _) = text.split_once(piece).unwrap();
    let last = before.rsplit('\n').next().unwrap();
    (before.matches('\n').count() + 1, last.len() + piece.find('"').unwrap() + 1)
}

#[test]
fn a_check_asks_a_handful_of_small_questions_however_much_hq_has() {
    let asked = |count: usize| {
        let shop = Shop::empty(Kind::Sqlite);
        shop.items(count);
        shop.hq.forget_requests();
        check(&shop).expect_code(0);
        let requests = shop.hq.requests();
        (requests.len(), requests.iter().map(|request| request.rows).max().unwrap_or_default())
    };
    let few = asked(3);
    assert_eq!(few, asked(3_000));
    assert!(few.0 <= 14 && few.1 <= 1, "{few:?}");
}
