//! What goes in comes out, byte for byte and digit for digit.

use crate::config::DatabaseKind;
use crate::row::{Cell, Key, Row, Type, decimal};
use crate::store::Error;

use super::on_every_database;
use super::world::{Plan, TEXT, World, column, key, text};

on_every_database! {
    every_type_comes_back_exactly
    texts_come_back_to_the_byte
    keys_apart_only_in_case_or_trailing_spaces_stay_apart
    columns_of_other_types_take_what_fits
    a_local_value_that_does_not_parse_differs_from_anything
    a_value_that_does_not_fit_is_refused
    keys_of_several_columns_work_like_others
    equal_values_meet_under_any_spelling
}

fn cell(text: &str, ty: Type) -> Cell {
    Cell::from_text(text, ty).unwrap()
}

const EXACT: Type = Type::Decimal { scale: None };

async fn every_type_comes_back_exactly(world: &World) {
    let types = [
        TEXT,
        Type::Text { max_length: Some(20) },
        Type::Int,
        Type::Float,
        EXACT,
        Type::Decimal { scale: Some(2) },
        Type::Bool,
        Type::Date,
        Type::Datetime,
        Type::Time,
        Type::Duration,
        Type::Json,
    ];
    let names = ["k", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "l"];
    let columns: Vec<_> = names.into_iter().zip(types).collect();
    let table = world.prepare(&Plan::new("every_type", &columns)).await;
    let texts = [
        [
            "1",
            "",
            "9223372036854775807",
            "0.1",
            "123456789012.123456789",
            "0.10",
            "1",
            "2024-02-29",
            "2024-05-05 10:00:00.000001",
            "23:59:59.999999",
            "0.5",
            r#"{"b": 1.50, "a": [ ]}"#,
        ],
        [
            "2",
            "x",
            "-9223372036854775808",
            "1e300",
            "-0.000000001",
            "-80.00",
            "0",
            "1999-12-31",
            "1970-01-01 00:00:00",
            "00:00:00",
            "86400.25",
            "[1,2]",
        ],
        [
            "3",
            "é漢😀",
            "0",
            "-2.2250738585072014e-308",
            "80",
            "99999999.99",
            "1",
            "2038-01-20",
            "2038-01-20 03:14:08.5",
            "12:00:00",
            "0",
            "\"\\u0041\"",
        ],
        [
            "4",
            "a",
            "7",
            "0.30000000000000004",
            "0.100000000",
            "1.00",
            "0",
            "2024-01-01",
            "2024-11-03 01:30:00",
            "01:02:03.04",
            "-1.5",
            "null",
        ],
    ];
    let mut rows: Vec<Row> = texts
        .iter()
        .map(|texts| texts.iter().zip(types).map(|(text, ty)| cell(text, ty)).collect())
        .collect();
    let mut nulls = vec![text("5")];
    nulls.extend(types.iter().skip(1).map(|_| Cell::Null));
    rows.push(nulls);
    world.insert(&table, &rows).await;
    let mut tx = world.begin().await;
    let asked = [key("1"), key("2"), key("3"), key("4"), key("5"), key("6")];
    let held = tx.rows(&table, &asked).await.unwrap();
    assert_eq!(held.len(), 5);
    for row in &rows {
        let found = &held[row[0].text().unwrap().as_str()].row;
        assert_eq!(found, row);
        assert_eq!(found[11].text(), row[11].text(), "JSON keeps its text");
        assert!(!held[row[0].text().unwrap().as_str()].is_marked);
    }
    // The same by way of an update, each row with its neighbour's values.
    let mut moved: Vec<Row> = rows.clone();
    moved.rotate_left(1);
    for (row, own) in moved.iter_mut().zip(&rows) {
        row[0] = own[0].clone();
    }
    tx.update(&table, &moved.iter().collect::<Vec<_>>(), None).await.unwrap();
    let held = tx.rows(&table, &asked).await.unwrap();
    for row in &moved {
        assert_eq!(&held[row[0].text().unwrap().as_str()].row, row);
    }
    tx.commit().await.unwrap();
}

async fn texts_come_back_to_the_byte(world: &World) {
    let table = world.prepare(&Plan::new("texts", &[("k", TEXT), ("t", TEXT)])).await;
    let long = "ab'c\"\\%_`\n😀".repeat(10_000);
    let texts = [
        "",
        " ",
        "  a  ",
        "it's",
        "\"q\"",
        "back\\slash",
        "`tick`",
        "50% _",
        "?",
        "$1",
        ":a",
        "NULL",
        "\u{feff}",
        "line\r\nline\ttab",
        "e\u{301}",
        "é",
        "👩‍👩‍👧",
        "--",
        ";DROP TABLE texts;",
        "00123",
        "1e5",
        long.as_str(),
    ];
    let rows: Vec<Row> = texts.iter().enumerate().map(|(at, t)| vec![text(&format!("k{at}")), text(t)]).collect();
    world.insert(&table, &rows).await;
    for row in &rows {
        assert_eq!(world.row(&table, row[0].clone()).await.as_ref(), Some(row));
    }
}

async fn keys_apart_only_in_case_or_trailing_spaces_stay_apart(world: &World) {
    let table = world.prepare(&Plan::new("names", &[("name", TEXT), ("n", Type::Int)])).await;
    let names = ["Kappa", "kappa", "KAPPA", "kappa ", " kappa", "Café", "Cafe", "straße", "strasse", "😀", "😁", ""];
    let rows: Vec<Row> = (0..).zip(names).map(|(n, name)| vec![text(name), Cell::Int(n)]).collect();
    world.insert(&table, &rows).await;
    let mut tx = world.begin().await;
    let changed: Vec<Row> = (100..).zip(names).map(|(n, name)| vec![text(name), Cell::Int(n)]).collect();
    tx.update(&table, &changed.iter().collect::<Vec<_>>(), None).await.unwrap();
    tx.delete(&table, &[key("kappa"), key("Cafe")]).await.unwrap();
    let held = tx.rows(&table, &names.map(key)).await.unwrap();
    assert_eq!(held.len(), 10);
    assert_eq!(held["Kappa"].row, changed[0]);
    assert_eq!(held["kappa "].row, changed[3]);
    tx.commit().await.unwrap();
}

async fn columns_of_other_types_take_what_fits(world: &World) {
    let price = match world.kind {
        DatabaseKind::Sqlite => "REAL",
        DatabaseKind::Postgres => "numeric(12,4)",
        DatabaseKind::Mysql => "decimal(12,4)",
    };
    world
        .outlet(&format!(
            "CREATE TABLE older (id varchar(40) PRIMARY KEY, price {price}, plain varchar(60), day varchar(60), n integer)"
        ))
        .await;
    let plan = Plan::new(
        "older",
        &[
            ("id", TEXT),
            ("price", Type::Decimal { scale: Some(2) }),
            ("plain", EXACT),
            ("day", Type::Datetime),
            ("n", TEXT),
        ],
    );
    let table = world.prepare(&plan).await;
    let row = vec![
        text("a"),
        cell("80.10", Type::Decimal { scale: Some(2) }),
        cell("123456789012.123456789", EXACT),
        cell("2024-05-05 10:00:00.000001", Type::Datetime),
        text("42"),
    ];
    world.insert(&table, std::slice::from_ref(&row)).await;
    assert_eq!(world.row(&table, text("a")).await, Some(row.clone()));
    let mut tx = world.begin().await;
    tx.update(&table, &[&row], None).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.row(&table, text("a")).await, Some(row));
}

async fn a_local_value_that_does_not_parse_differs_from_anything(world: &World) {
    world.outlet("CREATE TABLE odd (k varchar(40) PRIMARY KEY, n varchar(40))").await;
    world.outlet("INSERT INTO odd VALUES ('a', 'about ten')").await;
    let table = world.prepare(&Plan::new("odd", &[("k", TEXT), ("n", Type::Int)])).await;
    assert_eq!(world.row(&table, text("a")).await, Some(vec![text("a"), text("about ten")]));
}

async fn a_value_that_does_not_fit_is_refused(world: &World) {
    if world.kind == DatabaseKind::Sqlite {
        return;
    }
    world.outlet("CREATE TABLE narrow (k varchar(40) PRIMARY KEY, s varchar(3), n smallint)").await;
    let mut plan = Plan::new("narrow", &[("k", TEXT), ("s", TEXT), ("n", Type::Int)]);
    plan.create_table = false;
    let table = world.prepare(&plan).await;
    let fits = vec![text("a"), text("abc"), Cell::Int(1)];
    world.insert(&table, std::slice::from_ref(&fits)).await;
    for bad in [vec![text("a"), text("abcd"), Cell::Int(1)], vec![text("a"), text("abc"), Cell::Int(70_000)]] {
        let mut tx = world.begin().await;
        tx.mark().await.unwrap();
        let refused = tx.update(&table, &[&bad], None).await;
        assert!(matches!(refused, Err(Error::Refused { table: Some(_), .. })), "{refused:?}");
        tx.undo().await.unwrap();
        let new = vec![text("b"), bad[1].clone(), bad[2].clone()];
        let refused = tx.insert(&table, &[&new]).await;
        assert!(matches!(refused, Err(Error::Refused { table: Some(_), .. })), "{refused:?}");
        tx.undo().await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(world.row(&table, text("a")).await, Some(fits));
    let mut tx = world.begin().await;
    let nul = vec![text("c"), text("a\0"), Cell::Int(1)];
    let stored = tx.insert(&table, &[&nul]).await;
    assert_eq!(stored.is_ok(), world.kind == DatabaseKind::Mysql, "{stored:?}");
}

async fn keys_of_several_columns_work_like_others(world: &World) {
    let mut plan = Plan::new("prices", &[("list", TEXT), ("from_qty", Type::Decimal { scale: None }), ("rate", EXACT)]);
    plan.key = vec![0, 1];
    plan.columns.push(column("day", Type::Date));
    plan.key.push(3);
    let table = world.prepare(&plan).await;
    let row = |list: &str, qty: &str, rate: &str| -> Row {
        vec![
            text(list),
            Cell::Decimal(decimal(qty).unwrap()),
            Cell::Decimal(decimal(rate).unwrap()),
            cell("2024-05-05", Type::Date),
        ]
    };
    let rows: Vec<_> = (0..130).map(|n| row("A", &n.to_string(), "1.5")).collect();
    world.insert(&table, &rows).await;
    let keys: Vec<_> = rows.iter().map(|row| Key(vec![row[0].clone(), row[1].clone(), row[3].clone()])).collect();
    let changed: Vec<_> = (0..130).map(|n| row("A", &n.to_string(), "2.5")).collect();
    let mut tx = world.begin().await;
    tx.update(&table, &changed.iter().collect::<Vec<_>>(), None).await.unwrap();
    let held = tx.rows(&table, &keys).await.unwrap();
    assert_eq!(held.len(), 130);
    assert_eq!(held[&keys[7].text()].row, changed[7]);
    tx.delete(&table, &keys[..100]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.count("prices").await, 30);
}

async fn equal_values_meet_under_any_spelling(world: &World) {
    let exact = if world.kind == DatabaseKind::Mysql { Type::Decimal { scale: Some(4) } } else { EXACT };
    let table = world.prepare(&Plan::new("spelt", &[("k", exact), ("n", Type::Int)])).await;
    world.insert(&table, &[vec![Cell::Decimal(decimal("1.5000").unwrap()), Cell::Int(1)]]).await;
    let asked = Cell::Decimal(decimal("1.50").unwrap());
    let found = world.row(&table, asked).await;
    // A decimal that is stored as text keeps its spelling, and SQLite tells spellings apart.
    assert_eq!(found.is_some(), world.kind != DatabaseKind::Sqlite);
    let flags = Plan::new("flags", &[("k", TEXT), ("b", Type::Bool)]);
    world.prepare(&flags).await;
    let mut undeclared = flags.clone();
    undeclared.columns[1].ty = TEXT;
    let table = world.prepare(&undeclared).await;
    world.insert(&table, &[vec![text("a"), text("1")]]).await;
    let row = world.row(&table, text("a")).await.unwrap();
    assert!(table.agrees(world.kind, 1, &text("1"), &row[1]), "{row:?}");
    assert!(!table.agrees(world.kind, 1, &text("0"), &row[1]));
}
