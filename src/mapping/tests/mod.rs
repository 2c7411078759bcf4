//! The mapping as a whole: what `build` refuses, the order of the steps, lookups, child tables, fingerprints, examples.

mod private;

use chrono_tz::Tz;
use serde_json::{Value, json};

use super::*;

fn field(column: &str, from: &str) -> FieldSpec {
    spec(column, Origin::Field(from.to_owned()))
}

fn expr(column: &str, source: &str) -> FieldSpec {
    spec(column, Origin::Expr(source.to_owned()))
}

fn constant(column: &str, literal: Literal) -> FieldSpec {
    spec(column, Origin::Const(literal))
}

fn spec(column: &str, origin: Origin) -> FieldSpec {
    let column = column.to_owned();
    FieldSpec {
        column,
        origin,
        ty: None,
        trim: false,
        map: None,
        default: None,
        lookup: None,
        owner: Owner::Hq,
        is_private: false,
    }
}

fn text(text: &str) -> Literal {
    Literal::Text(text.to_owned())
}

fn to_groups() -> LookupSpec {
    let [table, match_column, take_column] = ["item_groups", "name", "id"].map(str::to_owned);
    LookupSpec { table, match_column, take_column }
}

fn typed(ty: Type, spec: FieldSpec) -> FieldSpec {
    FieldSpec { ty: Some(ty), ..spec }
}

const MONEY: Type = Type::Decimal { scale: Some(2) };

/// The job of the design's example.
fn items() -> Vec<FieldSpec> {
    let units = vec![("Nos".to_owned(), text("each")), ("Kg".to_owned(), text("kg")), ("1".to_owned(), text("one"))];
    vec![
        field("item_code", "name"),
        FieldSpec { trim: true, ..typed(Type::Text { max_length: Some(10) }, field("title", "item_name")) },
        typed(MONEY, field("price", "standard_rate")),
        FieldSpec { map: Some(units), default: Some(text("each")), ..field("unit", "stock_uom") },
        typed(Type::Bool, expr("active", "not disabled")),
        typed(Type::Datetime, field("changed", "modified")),
        FieldSpec { lookup: Some(to_groups()), ..typed(Type::Int, field("group_id", "item_group")) },
        FieldSpec { owner: Owner::Once, ..constant("shelf", text("")) },
    ]
}

fn barcodes() -> ChildSpec {
    ChildSpec {
        field: "barcodes".to_owned(),
        table: "item_barcodes".to_owned(),
        parent_key: "item_code".to_owned(),
        fields: vec![field("barcode", "barcode"), FieldSpec { trim: true, ..field("kind", "barcode_type") }],
    }
}

fn key(columns: &[&str]) -> Vec<String> {
    columns.iter().map(|column| (*column).to_owned()).collect()
}

fn built(fields: Vec<FieldSpec>, children: Vec<ChildSpec>) -> Mapping {
    Mapping::build(fields, &key(&["item_code"]), children, Tz::Asia__Kolkata).expect("a good mapping")
}

fn problems(fields: Vec<FieldSpec>, columns: &[&str], children: Vec<ChildSpec>) -> Vec<Problem> {
    Mapping::build(fields, &key(columns), children, Tz::UTC).expect_err("a bad mapping")
}

fn page(fields: &Fields, records: &Value) -> Page {
    Page::decode(records.to_string().into(), fields).expect("a good page")
}

fn cone() -> Value {
    json!({
        "name": "ICE-001", "modified": "2024-05-05 10:00:00", "item_name": " Cone ", "standard_rate": 80.0,
        "stock_uom": "Nos", "disabled": 0, "item_group": "Cones"
    })
}

fn cone_with(field: &str, value: Value) -> Value {
    let mut record = cone();
    record[field] = value;
    record
}

fn groups() -> Answers {
    Answers(vec![HashMap::from([("Cones".to_owned(), Cell::Int(7))])])
}

fn map(mapping: &Mapping, record: Value, answers: &Answers) -> Result<Mapped, Reject> {
    let page = page(mapping.fields(), &json!([record]));
    mapping.map(page.record(0).expect("one record"), answers)
}

/// The cell of one column beside the key, or the sentence.
fn cell_of(column: FieldSpec, value: Value) -> Result<Option<String>, String> {
    let mapping = built(vec![field("item_code", "name"), column], vec![]);
    let mut record = json!({"name": "A", "modified": "2024-05-05 10:00:00"});
    for field in mapping.fields().names().iter().skip(2) {
        record[field] = value.clone();
    }
    map(&mapping, record, &groups()).map(|mapped| mapped.row[1].text()).map_err(|reject| reject.0)
}

#[test]
fn the_record_of_the_design_becomes_its_row() {
    let mapping = built(items(), vec![]);
    let mapped = map(&mapping, cone(), &groups()).expect("maps");
    let texts: Vec<_> = mapped.row.iter().map(|cell| cell.text().unwrap_or_else(|| "null".to_owned())).collect();
    assert_eq!(texts, ["ICE-001", "Cone", "80.00", "each", "1", "2024-05-05 04:30:00", "7", ""]);
    assert_eq!(mapped.key, Key(vec![Cell::Text("ICE-001".into())]));
    assert_eq!(mapping.key(), [0]);
    assert_eq!(mapping.lookups(), [to_groups()]);
}

#[test]
fn each_hq_field_is_asked_for_once_and_variables_of_expressions_too() {
    let mapping = built(items(), vec![barcodes()]);
    let asked = ["name", "modified", "item_name", "standard_rate", "stock_uom", "disabled", "item_group"];
    assert_eq!(mapping.fields().names(), asked);
    let child = ["name", "modified", "parent", "idx", "barcode", "barcode_type"];
    assert_eq!(mapping.children()[0].fields.names(), child);
}

#[test]
fn a_reject_names_column_field_and_offence() {
    let mapping = built(items(), vec![]);
    let long = "x".repeat(5000);
    for (hq_field, value, expected) in [
        ("item_name", json!("a longer title"), "title (HQ field item_name): 14 characters, where max_length allows 10"),
        ("standard_rate", json!("abc"), "price (HQ field standard_rate): \"abc\" is not a decimal number"),
        ("item_group", json!("Cups"), "group_id (HQ field item_group): no row in item_groups has name = \"Cups\""),
    ] {
        let reject = map(&mapping, cone_with(hq_field, value), &groups()).expect_err(expected);
        assert_eq!(reject.0, expected);
    }
    for hq_field in ["standard_rate", "item_group", "disabled"] {
        let strict = typed(Type::Bool, expr("active", "disabled|int > 0"));
        let mapping = built(items().into_iter().filter(|f| f.column != "active").chain([strict]).collect(), vec![]);
        let reject = map(&mapping, cone_with(hq_field, json!(long)), &groups()).expect_err(hq_field);
        assert!(reject.0.chars().count() <= SENTENCE, "{reject}");
        assert!(reject.0.matches('x').count() < 70, "{reject}");
    }
}

#[test]
fn a_key_that_is_null_is_refused() {
    let mapping = Mapping::build(vec![field("code", "item_code")], &key(&["code"]), vec![], Tz::UTC).expect("good");
    let record = json!({"name": "A", "modified": "2024-05-05 10:00:00", "item_code": null});
    let reject = map(&mapping, record, &Answers::default()).expect_err("no key");
    assert_eq!(reject.0, "code (HQ field item_code): the key of the row is null");
}

#[test]
fn map_comes_after_trim_and_default_after_map() {
    let pairs = || {
        Some(vec![("Nos".to_owned(), text("each")), ("1".to_owned(), text("one")), ("true".to_owned(), text("yes"))])
    };
    let strict = || FieldSpec { trim: true, map: pairs(), ..field("unit", "uom") };
    let lenient = || FieldSpec { default: Some(text("other")), ..strict() };
    let is = |text: &str| Ok(Some(text.to_owned()));
    assert_eq!(cell_of(strict(), json!(" Nos ")), is("each"));
    assert_eq!(cell_of(strict(), json!(1)), is("one"));
    assert_eq!(cell_of(strict(), json!(true)), is("yes"));
    assert_eq!(cell_of(strict(), Value::Null), Ok(None));
    let sentence = "unit (HQ field uom): \"Box\" is not among the 3 keys of map; add it, or give a default";
    assert_eq!(cell_of(strict(), json!("Box")), Err(sentence.to_owned()));
    assert!(cell_of(strict(), json!("")).is_err(), "a text column tells \"\" from null");
    assert_eq!(
        cell_of(
            typed(Type::Int, FieldSpec { map: Some(vec![("a".to_owned(), Literal::Int(1))]), ..field("n", "n") }),
            json!("")
        ),
        Ok(None)
    );
    assert_eq!(cell_of(lenient(), json!("Box")), is("other"));
    assert_eq!(cell_of(lenient(), json!("")), is("other"));
    assert_eq!(cell_of(lenient(), Value::Null), is("other"));
}

#[test]
fn the_default_stands_in_for_what_hq_stores_for_an_unset_field() {
    let price = || FieldSpec { default: Some(Literal::Int(5)), ..typed(MONEY, field("price", "rate")) };
    let note = || FieldSpec { default: Some(text("-")), ..field("note", "note") };
    assert_eq!(cell_of(price(), Value::Null), Ok(Some("5.00".to_owned())));
    assert_eq!(cell_of(price(), json!("")), Ok(Some("5.00".to_owned())));
    assert_eq!(cell_of(price(), json!(0)), Ok(Some("0.00".to_owned())));
    assert_eq!(cell_of(note(), Value::Null), Ok(Some("-".to_owned())));
    assert_eq!(cell_of(note(), json!("")), Ok(Some(String::new())));
    let shout = FieldSpec { default: Some(text("-")), ..expr("note", "note|upper if note else none") };
    assert_eq!(cell_of(shout, json!("")), Ok(Some("-".to_owned())));
}

#[test]
fn a_lookup_takes_what_map_and_default_made_of_the_value() {
    let plain = || FieldSpec { lookup: Some(to_groups()), ..typed(Type::Int, field("group_id", "grp")) };
    let seven = Ok(Some("7".to_owned()));
    assert_eq!(cell_of(plain(), json!("Cones")), seven);
    assert_eq!(cell_of(FieldSpec { ty: None, ..plain() }, json!("Cones")), seven);
    assert_eq!(cell_of(typed(MONEY, plain()), json!("Cones")), Ok(Some("7.00".to_owned())));
    assert_eq!(cell_of(plain(), Value::Null), Ok(None));
    assert_eq!(cell_of(plain(), json!("")), Ok(None));
    let mapped =
        FieldSpec { map: Some(vec![("C".to_owned(), text("Cones"))]), default: Some(text("Cones")), ..plain() };
    assert_eq!(cell_of(mapped.clone(), json!("C")), seven);
    assert_eq!(cell_of(mapped, Value::Null), seven);
    let joined = FieldSpec { lookup: Some(to_groups()), ..expr("group_id", "grp ~ 'es'") };
    assert_eq!(cell_of(joined, json!("Con")), seven);
    let fixed = FieldSpec { lookup: Some(to_groups()), ..constant("group_id", text("Cones")) };
    assert_eq!(cell_of(fixed, Value::Null), seven);
    let date = typed(Type::Date, plain());
    let sentence = "group_id (HQ field grp): id of item_groups: \"7\" is not a date (YYYY-MM-DD)";
    assert_eq!(cell_of(date, json!("Cones")), Err(sentence.to_owned()));
}

#[test]
fn a_page_wants_each_value_once_and_nothing_for_null() {
    let other = LookupSpec { take_column: "code".to_owned(), ..to_groups() };
    let fields = vec![
        field("item_code", "name"),
        FieldSpec { lookup: Some(to_groups()), ..field("group_id", "grp") },
        FieldSpec { lookup: Some(to_groups()), ..field("old_group_id", "old_grp") },
        FieldSpec { lookup: Some(other), ..field("group_code", "third") },
    ];
    let mapping = built(fields, vec![]);
    let record = |grp: Value, old: Value| json!({"name": "A", "modified": "2024-05-05 10:00:00", "grp": grp, "old_grp": old, "third": null});
    let records =
        json!([record(json!("b"), Value::Null), record(json!("a"), json!("b")), record(json!(""), json!(80.0))]);
    let wanted = mapping.wanted(&page(mapping.fields(), &records));
    assert_eq!(wanted, [Wanted { lookup: 0, values: vec!["b".to_owned(), "a".to_owned(), "80.0".to_owned()] }]);
    assert_eq!(mapping.lookups().len(), 2);
}

#[test]
fn child_rows_know_their_parent_and_place() {
    let mapping = built(items(), vec![barcodes()]);
    let child = &mapping.children()[0];
    let record = |parent: Value, kind: Value| json!({"name": "x", "modified": "2024-05-05 10:00:00", "parent": parent, "idx": 2, "barcode": "1", "barcode_type": kind});
    let records =
        json!([record(json!("ICE"), json!(" EAN ")), record(json!(7), Value::Null), record(Value::Null, json!(""))]);
    let page = page(&child.fields, &records);
    let rows: Vec<_> = page.records().map(|record| child.map(record, &Answers::default())).collect();
    let row = |parent: &str, kind: Cell| ChildRow {
        parent: parent.to_owned(),
        idx: 2,
        row: vec![Cell::Text("1".into()), kind],
    };
    assert_eq!(rows[0], Ok(row("ICE", Cell::Text("EAN".into()))));
    assert_eq!(rows[1], Ok(row("7", Cell::Null)));
    assert_eq!(rows[2], Err(Reject("barcodes: parent: no name".to_owned())));
    assert!(child.lookups().is_empty() && child.wanted(&page).is_empty());
}

#[test]
fn every_problem_is_reported_at_once_with_its_place() {
    let bad = vec![
        FieldSpec { owner: Owner::Once, ..field("item_code", "name") },
        constant("branch", text("X")),
        field("TITLE", "item_name"),
        field("title", "item name"),
        expr("a", "1 +"),
        expr("b", "x|nofilter"),
        expr("c", "customer.territory"),
        FieldSpec { trim: true, map: Some(vec![]), ..expr("d", "x") },
        FieldSpec { trim: true, default: Some(text("")), ..constant("e", text("")) },
        FieldSpec { default: Some(text("abc")), ..typed(MONEY, field("f", "f")) },
        FieldSpec { map: Some(vec![("x".to_owned(), text("maybe"))]), ..typed(Type::Bool, field("g", "g")) },
        typed(Type::Int, constant("h", Literal::Float("1.5".to_owned()))),
        typed(Type::Decimal { scale: Some(29) }, field("i", "i")),
    ];
    let twice = ChildSpec { fields: vec![FieldSpec { owner: Owner::Once, ..field("Item_Code", "x") }], ..barcodes() };
    let found = problems(bad, &["item_code", "branch", "nosuch", "branch"], vec![barcodes(), twice]);
    let places: Vec<_> =
        found.iter().map(|p| (p.child, p.column.as_deref().unwrap_or("-"), p.part.unwrap_or("-"))).collect();
    let expected = [
        (None, "item_code", "owner"),
        (None, "branch", "const"),
        (None, "-", "key"),
        (None, "-", "key"),
        (None, "branch", "const"),
        (None, "title", "-"),
        (None, "title", "from"),
        (None, "a", "expr"),
        (None, "b", "expr"),
        (None, "c", "expr"),
        (None, "d", "trim"),
        (None, "d", "map"),
        (None, "e", "trim"),
        (None, "e", "default"),
        (None, "f", "default"),
        (None, "g", "map"),
        (None, "h", "const"),
        (None, "i", "scale"),
        (Some(0), "-", "key"),
        (Some(1), "-", "key"),
        (Some(1), "-", "table"),
        (Some(1), "Item_Code", "parent_key"),
        (Some(1), "Item_Code", "owner"),
    ];
    assert_eq!(places, expected, "{found:#?}");
}

#[test]
fn a_key_that_is_the_same_in_every_row_is_refused() {
    for origin in [Origin::Expr("'X' ~ 1".to_owned()), Origin::Const(text("X"))] {
        assert_eq!(problems(vec![spec("code", origin)], &["code"], vec![]).len(), 1);
    }
    assert_eq!(problems(vec![field("code", "name")], &[], vec![])[0].part, Some("key"));
}

#[test]
fn a_text_that_is_no_unicode_is_refused() {
    let mapping = built(vec![field("item_code", "name"), field("title", "item_name")], vec![]);
    let body = r#"[["A", "2024-05-05 10:00:00", "x\ud800"]]"#;
    let page = Page::decode(body.into(), mapping.fields()).expect("a good page");
    assert!(mapping.map(page.record(0).expect("one record"), &Answers::default()).is_err());
}

#[test]
fn a_mapping_is_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&built(items(), vec![barcodes()]));
}

#[test]
fn a_key_may_have_several_columns_and_be_an_expression() {
    let fields = vec![typed(Type::Int, field("no", "idx")), expr("code", "company ~ '/' ~ name")];
    let mapping = Mapping::build(fields, &key(&["code", "no"]), vec![], Tz::UTC).expect("good");
    let record = json!({"name": "A", "modified": "2024-05-05 10:00:00", "company": "X", "idx": 3});
    let mapped = map(&mapping, record, &Answers::default()).expect("maps");
    assert_eq!(mapped.key, Key(vec![Cell::Text("X/A".into()), Cell::Int(3)]));
}

#[test]
fn the_hash_follows_hqs_columns_only_and_not_their_order() {
    let mapping = built(items(), vec![]);
    let hash = |record| map(&mapping, record, &groups()).expect("maps").hash;
    assert_eq!(hash(cone()), hash(cone_with("standard_rate", json!(80))));
    assert_eq!(hash(cone()), hash(cone_with("item_name", json!("Cone"))));
    assert_ne!(hash(cone()), hash(cone_with("standard_rate", json!(80.01))));
    assert_ne!(hash(cone_with("item_name", Value::Null)), hash(cone_with("item_name", json!(""))));
    let turned = built(items().into_iter().rev().collect(), vec![]);
    assert_eq!(map(&turned, cone(), &groups()).expect("maps").hash, hash(cone()));
    assert_eq!(turned.fingerprint(), mapping.fingerprint());
    let mut other_shelf = items();
    other_shelf[7] = FieldSpec { owner: Owner::Once, ..constant("shelf", text("top")) };
    let other_shelf = built(other_shelf, vec![]);
    assert_eq!(map(&other_shelf, cone(), &groups()).expect("maps").hash, hash(cone()));
    assert_ne!(other_shelf.fingerprint(), mapping.fingerprint());
}

#[test]
fn the_fingerprint_changes_with_all_that_changes_a_row() {
    let change = |at: usize, change: fn(&mut FieldSpec)| {
        let mut fields = items();
        change(&mut fields[at]);
        built(fields, vec![]).fingerprint()
    };
    let in_zone = |zone| Mapping::build(items(), &key(&["item_code"]), vec![], zone).expect("good").fingerprint();
    let mut prints = vec![
        built(items(), vec![]).fingerprint(),
        built(items(), vec![barcodes()]).fingerprint(),
        built(items(), vec![ChildSpec { field: "codes".to_owned(), ..barcodes() }]).fingerprint(),
        in_zone(Tz::Europe__Berlin),
        change(1, |f| f.trim = false),
        change(1, |f| f.ty = Some(Type::Text { max_length: Some(11) })),
        change(1, |f| f.origin = Origin::Field("description".to_owned())),
        change(2, |f| f.ty = Some(Type::Decimal { scale: Some(3) })),
        change(2, |f| f.owner = Owner::Once),
        change(3, |f| f.default = None),
        change(3, |f| f.map = Some(vec![("Nos".to_owned(), text("each"))])),
        change(4, |f| f.origin = Origin::Expr("disabled".to_owned())),
        change(6, |f| f.lookup = Some(LookupSpec { take_column: "code".to_owned(), ..to_groups() })),
        change(7, |f| f.column = "rack".to_owned()),
    ];
    let count = prints.len();
    prints.sort_unstable();
    prints.dedup();
    assert_eq!(prints.len(), count);
    assert_eq!(change(3, |f| f.map.as_mut().expect("a map").reverse()), built(items(), vec![]).fingerprint());
}

fn example(given: &Value, expect: &Value) -> Vec<String> {
    let object = |value: &Value| value.as_object().expect("an object").clone();
    let mismatches = built(items(), vec![]).example(&object(given), &object(expect));
    mismatches.into_iter().map(|mismatch| format!("{}; {}", mismatch.what, mismatch.remedy)).collect()
}

#[test]
fn an_example_that_agrees_says_nothing() {
    let given =
        json!({"name": "ICE-001", "item_name": " Cone ", "standard_rate": 80, "stock_uom": "Nos", "disabled": 0});
    let expect = json!({"item_code": "ICE-001", "title": "Cone", "price": "80.00", "unit": "each", "active": true});
    assert_eq!(example(&given, &expect), Vec::<String>::new());
    assert_eq!(example(&json!({"standard_rate": 80.5}), &json!({"price": 80.50, "shelf": ""})), Vec::<String>::new());
    assert_eq!(example(&json!({"item_name": null}), &json!({"title": null})), Vec::<String>::new());
}

#[test]
fn an_example_says_every_column_that_does_not_agree() {
    let given = json!({"standard_rate": 80, "disabled": 0, "item_group": "Cones", "stock_uom": null, "item_name": "a longer title"});
    let expect = json!({"price": "85.00", "active": false, "group_id": 7, "colour": "red", "unit": null, "title": "a"});
    let expected = [
        "price is \"80.00\", where the example expects \"85.00\"; mend its mapping, or what the example expects",
        "active is true, where the example expects false; mend its mapping, or what the example expects",
        "group_id is looked up in the outlet's database, which an example does without; leave it out of expect",
        "no column \"colour\" is mapped; leave it out of expect",
        "unit is \"each\", where the example expects null; mend its mapping, or what the example expects",
        "title (HQ field item_name): 14 characters, where max_length allows 10; the example expects \"a\": mend the mapping, or what is given",
    ];
    assert_eq!(example(&given, &expect), expected);
    assert_eq!(
        example(&json!({}), &json!({"price": 1})),
        ["given lacks standard_rate, which price comes from; add standard_rate = … to given"]
    );
    assert_eq!(
        example(&json!({"name": null}), &json!({"price": 1})),
        ["given: record \"\": `name` is null; mend what is given"]
    );
}
