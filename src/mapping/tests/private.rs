//! Fields marked `private`: in no sentence of the mapping.

use super::*;

fn private(spec: FieldSpec) -> FieldSpec {
    FieldSpec { is_private: true, ..spec }
}

#[test]
fn a_private_value_is_in_no_reject_however_it_is_wrong() {
    let word = "\"canary 4711\"";
    let lookup = LookupSpec { table: "people".into(), match_column: "phone".into(), take_column: "id".into() };
    let looked_up = FieldSpec { lookup: Some(lookup), ..field("c", "phone") };
    let mapped = FieldSpec { map: Some(vec![("x".into(), Literal::Int(1))]), ..field("c", "phone") };
    for spec in [
        typed(Type::Int, field("c", "phone")),
        typed(Type::Float, field("c", "phone")),
        typed(Type::Decimal { scale: None }, field("c", "phone")),
        typed(Type::Bool, field("c", "phone")),
        typed(Type::Date, field("c", "phone")),
        typed(Type::Datetime, field("c", "phone")),
        typed(Type::Time, field("c", "phone")),
        typed(Type::Duration, field("c", "phone")),
        typed(Type::Json, field("c", "phone")),
        typed(Type::Text { max_length: Some(3) }, field("c", "phone")),
        typed(Type::Int, expr("c", "phone ~ '!'")),
        expr("c", "phone + 1"),
        expr("c", "{'a': 1}[phone]"),
        looked_up,
        mapped,
    ] {
        let specs = vec![field("id", "name"), private(spec.clone())];
        let mapping = Mapping::build(specs, &["id".into()], Vec::new(), Tz::UTC).unwrap();
        let body = format!(r#"[{{"name": "A", "modified": "2024-05-05 10:00:00", "phone": {word}}}]"#);
        let page = Page::decode(body.into(), mapping.fields()).unwrap();
        let reject = mapping.map(page.record(0).unwrap(), &Answers::default()).unwrap_err();
        assert!(!reject.0.contains("canary") && !reject.0.contains("4711"), "{reject}");
        assert!(reject.0.starts_with("c ("), "{reject}");
    }
}

#[test]
fn a_field_is_private_when_any_column_made_of_it_is() {
    let children = vec![ChildSpec {
        field: "contacts".into(),
        table: "contacts".into(),
        parent_key: "id".into(),
        fields: vec![private(field("mail", "email")), field("kind", "kind")],
    }];
    let specs = vec![
        field("id", "name"),
        private(expr("contact", "phone ~ mobile ~ name")),
        field("dial", "phone"),
        typed(Type::Int, expr("area", "phone[:3]")),
        field("town", "city"),
    ];
    let mapping = Mapping::build(specs, &["id".into()], children, Tz::UTC).unwrap();
    let private = |name: &str| mapping.is_private(name);
    assert!(private("phone") && private("mobile"));
    // Every sentence names the record by it.
    assert!(!private("name") && !private("city"));
    let columns: Vec<bool> = mapping.columns().iter().map(|column| column.is_private).collect();
    assert_eq!(columns, [false, true, true, true, false]);
    assert!(mapping.children()[0].is_private("email") && !mapping.children()[0].is_private("kind"));
    assert!(mapping.has_private() && !mapping.has_private_key());
}

#[test]
fn what_names_the_record_cannot_be_private() {
    let problems = Mapping::build(vec![private(field("id", "name"))], &["id".into()], Vec::new(), Tz::UTC).unwrap_err();
    assert_eq!(problems[0].part, Some("private"));
}

#[test]
fn an_example_repeats_no_private_value() {
    let specs = vec![field("id", "name"), private(field("phone", "phone"))];
    let mapping = Mapping::build(specs, &["id".into()], Vec::new(), Tz::UTC).unwrap();
    let given = serde_json::json!({"phone": "canary 1"});
    let expect = serde_json::json!({"phone": "canary 2"});
    let said = mapping.example(given.as_object().unwrap(), expect.as_object().unwrap());
    assert_eq!(said[0].what, "phone is (private), where the example expects (private)");
}
