//! What a page does to the outlet's tables, and what it never does.

use crate::config::{DatabaseKind, Deletes};
use crate::mapping::{LookupSpec, Owner, Wanted};
use crate::retry::Retry;
use crate::row::{Cell, Key, Row, Type};
use crate::store::Error;

use super::on_every_database;
use super::world::{Plan, TEXT, World, at, column, key, text};

on_every_database! {
    an_update_touches_only_hqs_columns
    a_second_unique_value_that_is_taken_is_refused_and_nothing_is_kept
    a_key_that_is_taken_is_refused
    a_transaction_with_a_failed_statement_cannot_be_committed
    a_dropped_transaction_leaves_nothing
    many_rows_go_in_and_are_changed_at_once
    children_keep_their_order
    children_of_a_table_without_idx_keep_their_order
    marked_rows_keep_their_values_and_come_back
    a_new_key_takes_its_children_along
    lookups_answer_with_the_columns_own_type
    a_lookup_table_that_is_missing_is_named
    a_row_is_locked_against_the_outlet
    a_connection_that_is_cut_is_unavailable_and_the_next_one_works
}

fn items() -> Plan {
    Plan::new("items", &[("code", TEXT), ("title", TEXT), ("qty", Type::Int)])
}

fn item(code: &str, title: &str, qty: i64) -> Row {
    vec![text(code), text(title), Cell::Int(qty)]
}

async fn an_update_touches_only_hqs_columns(world: &World) {
    let mut plan = items();
    plan.columns[2].owner = Owner::Once;
    let table = world.prepare(&plan).await;
    world.outlet("ALTER TABLE items ADD COLUMN note varchar(20)").await;
    world.insert(&table, &[item("a", "one", 1)]).await;
    world.outlet("UPDATE items SET qty = 5, note = 'mine'").await;
    let mut tx = world.begin().await;
    tx.update(&table, &[&item("a", "two", 9), &item("gone", "x", 1)], None).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.row(&table, text("a")).await, Some(item("a", "two", 5)));
    assert_eq!(world.value("SELECT note FROM items").await.as_deref(), Some("mine"));
    assert_eq!(world.count("items").await, 1, "an update makes no rows");
    let mut key_only = plan.clone();
    key_only.columns.truncate(1);
    let table = world.prepare(&key_only).await;
    let mut tx = world.begin().await;
    tx.update(&table, &[&vec![text("a")]], None).await.unwrap();
    tx.commit().await.unwrap();
}

async fn a_second_unique_value_that_is_taken_is_refused_and_nothing_is_kept(world: &World) {
    let mut plan = items();
    plan.columns[1].ty = Type::Text { max_length: Some(20) };
    let table = world.prepare(&plan).await;
    world.outlet("CREATE UNIQUE INDEX one_title ON items (title)").await;
    world.insert(&table, &[item("mine", "Cone", 1)]).await;
    let mut tx = world.begin().await;
    tx.insert(&table, &[&item("before", "Before", 0)]).await.unwrap();
    tx.mark().await.unwrap();
    let refused = tx.insert(&table, &[&item("x", "X", 2), &item("other", "Cone", 2)]).await.unwrap_err();
    assert!(matches!(&refused, Error::Refused { table: Some(name), .. } if name == "items"), "{refused:?}");
    assert_eq!(refused.retry(), Retry::ByPerson);
    tx.undo().await.unwrap();
    let refused = tx.update(&table, &[&item("before", "Cone", 2)], None).await.unwrap_err();
    assert!(matches!(refused, Error::Refused { .. }), "{refused:?}");
    tx.undo().await.unwrap();
    tx.insert(&table, &[&item("after", "After", 0)]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.count("items").await, 3);
    assert_eq!(world.row(&table, text("mine")).await, Some(item("mine", "Cone", 1)));
    assert_eq!(world.row(&table, text("before")).await, Some(item("before", "Before", 0)));
}

async fn a_key_that_is_taken_is_refused(world: &World) {
    let table = world.prepare(&items()).await;
    world.insert(&table, &[item("a", "mine", 1)]).await;
    let mut tx = world.begin().await;
    let refused = tx.insert(&table, &[&item("a", "HQ's", 2)]).await;
    assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    drop(tx);
    assert_eq!(world.row(&table, text("a")).await, Some(item("a", "mine", 1)));
}

async fn a_transaction_with_a_failed_statement_cannot_be_committed(world: &World) {
    let table = world.prepare(&items()).await;
    let mut tx = world.begin().await;
    tx.insert(&table, &[&item("a", "one", 1)]).await.unwrap();
    tx.insert(&table, &[&item("a", "two", 1)]).await.unwrap_err();
    tx.commit().await.unwrap_err();
    assert_eq!(world.count("items").await, 0);
}

async fn a_dropped_transaction_leaves_nothing(world: &World) {
    let table = world.prepare(&items()).await;
    for _ in 0..20 {
        let mut tx = world.begin().await;
        tx.insert(&table, &[&item("a", "one", 1)]).await.unwrap();
    }
    // Cancelled while it is being opened, too.
    for micros in 0..20 {
        let opened = tokio::time::timeout(std::time::Duration::from_micros(micros * 50), world.store.begin()).await;
        drop(opened);
    }
    world.insert(&table, &[item("a", "two", 2)]).await;
    assert_eq!(world.count("items").await, 1);
}

async fn many_rows_go_in_and_are_changed_at_once(world: &World) {
    let table = world.prepare(&items()).await;
    let rows: Vec<_> = (0..1234).map(|n| item(&format!("I-{n}"), "é'", n)).collect();
    world.insert(&table, &rows).await;
    let changed: Vec<_> = (0..1234).map(|n| item(&format!("I-{n}"), "new", n + 1)).collect();
    let keys: Vec<_> = rows.iter().map(|row| Key(vec![row[0].clone()])).collect();
    let mut tx = world.begin().await;
    assert_eq!(tx.rows(&table, &keys).await.unwrap().len(), 1234);
    tx.update(&table, &changed.iter().collect::<Vec<_>>(), None).await.unwrap();
    let held = tx.rows(&table, &keys).await.unwrap();
    assert!(changed.iter().all(|row| held[row[0].text().unwrap().as_str()].row == *row));
    tx.delete(&table, &keys[1..]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.count("items").await, 1);
    let mut tx = world.begin().await;
    tx.insert(&table, &[]).await.unwrap();
    tx.update(&table, &[], None).await.unwrap();
    tx.delete(&table, &[]).await.unwrap();
    assert!(tx.rows(&table, &[]).await.unwrap().is_empty());
    tx.commit().await.unwrap();
}

fn with_barcodes() -> Plan {
    let mut plan = items();
    plan.child = Some(("item_barcodes", "item_code", vec![column("barcode", TEXT), column("kind", TEXT)]));
    plan
}

async fn children_keep_their_order(world: &World) {
    let plan = with_barcodes();
    let table = world.prepare(&plan).await;
    replace_and_read(world, &table).await;
    assert_eq!(
        world
            .value(&format!("SELECT {} FROM item_barcodes WHERE barcode = '9'", as_text(world, "idx")))
            .await
            .as_deref(),
        Some("1")
    );
    let mut tx = world.begin().await;
    tx.delete(&table, &[key("a")]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.count("item_barcodes").await, 120);
}

fn as_text(world: &World, column: &str) -> String {
    match world.kind {
        DatabaseKind::Sqlite => column.to_owned(),
        DatabaseKind::Postgres => format!("{column}::text"),
        DatabaseKind::Mysql => format!("CAST({column} AS CHAR)"),
    }
}

async fn children_of_a_table_without_idx_keep_their_order(world: &World) {
    let id = match world.kind {
        DatabaseKind::Sqlite => "id INTEGER PRIMARY KEY",
        DatabaseKind::Postgres => "id bigserial PRIMARY KEY",
        DatabaseKind::Mysql => "id bigint AUTO_INCREMENT PRIMARY KEY",
    };
    world
        .outlet(&format!(
            "CREATE TABLE item_barcodes ({id}, item_code varchar(140), barcode varchar(40), kind varchar(40))"
        ))
        .await;
    let table = world.prepare(&with_barcodes()).await;
    replace_and_read(world, &table).await;
}

async fn replace_and_read(world: &World, table: &crate::store::Table) {
    let barcode = |code: &str| -> Row { vec![text(code), Cell::Null] };
    let many: Vec<Row> = (0..120).rev().map(|n| barcode(&format!("m{n}"))).collect();
    world.insert(table, &[item("a", "A", 1), item("b", "B", 1), item("c", "C", 1)]).await;
    let mut tx = world.begin().await;
    let first =
        [(key("a"), vec![barcode("1"), barcode("2")]), (key("b"), many.clone()), (key("c"), vec![barcode("c")])];
    tx.replace_children(table, 0, &first).await.unwrap();
    let second = [(key("a"), vec![barcode("9"), barcode("1"), barcode("1")]), (key("c"), Vec::new())];
    tx.replace_children(table, 0, &second).await.unwrap();
    let found = tx.child_rows(table, 0, &[key("a"), key("b"), key("c"), key("d")]).await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found["a"], second[0].1);
    assert_eq!(found["b"], many);
    tx.commit().await.unwrap();
}

async fn marked_rows_keep_their_values_and_come_back(world: &World) {
    let mut plan = items();
    plan.deletes = Deletes::Mark;
    let table = world.prepare(&plan).await;
    world.insert(&table, &[item("a", "A", 1), item("b", "B", 2)]).await;
    let mut tx = world.begin().await;
    tx.mark_deleted(&table, &[key("a"), key("b")], at("2026-11-21T12:00:00.5Z")).await.unwrap();
    tx.update(&table, &[&item("b", "B2", 2)], None).await.unwrap();
    let held = tx.rows(&table, &[key("a"), key("b")]).await.unwrap();
    assert_eq!((held["a"].is_marked, &held["a"].row), (true, &item("a", "A", 1)));
    assert_eq!((held["b"].is_marked, &held["b"].row), (false, &item("b", "B2", 2)));
    tx.commit().await.unwrap();
    let marked = world.value(&format!("SELECT {} FROM items WHERE code = 'a'", as_text(world, "deleted_at"))).await;
    assert!(marked.unwrap().starts_with("2026-11-21 12:00:00.5"));
}

async fn a_new_key_takes_its_children_along(world: &World) {
    let table = world.prepare(&with_barcodes()).await;
    world.insert(&table, &[item("a", "A", 1), item("b", "B", 1)]).await;
    let mut tx = world.begin().await;
    tx.replace_children(&table, 0, &[(key("a"), vec![vec![text("1"), Cell::Null]])]).await.unwrap();
    tx.rekey(&table, &key("a"), &key("z")).await.unwrap();
    assert_eq!(tx.child_rows(&table, 0, &[key("z")]).await.unwrap().len(), 1);
    assert_eq!(tx.rows(&table, &[key("z")]).await.unwrap()["z"].row, item("z", "A", 1));
    let refused = tx.rekey(&table, &key("z"), &key("b")).await;
    assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
}

fn lookup(take: &str) -> LookupSpec {
    LookupSpec { table: "groups_of".into(), match_column: "name".into(), take_column: take.into() }
}

async fn lookups_answer_with_the_columns_own_type(world: &World) {
    world
        .outlet("CREATE TABLE groups_of (id integer PRIMARY KEY, name varchar(40), label varchar(40))")
        .await;
    world.outlet("INSERT INTO groups_of VALUES (7, 'Cones', NULL), (9, 'cups', 'Cups!'), (11, 'Twice', 'b'), (10, 'Twice', 'a')").await;
    let mut plan = items();
    plan.lookups = vec![lookup("id"), lookup("label"), LookupSpec { match_column: "id".into(), ..lookup("name") }];
    plan.columns.push(column("group_id", TEXT));
    plan.looked_up = vec![None, None, None, Some(0)];
    let table = world.prepare(&plan).await;
    let mut tx = world.begin().await;
    let want = |lookup, values: &[&str]| Wanted { lookup, values: values.iter().map(ToString::to_string).collect() };
    let wanted =
        [want(0, &["Cones", "cups", "CUPS", "none", "Twice"]), want(1, &["Cones", "cups"]), want(2, &["9", "x", "09"])];
    let answers = tx.lookups(&table, None, &wanted).await.unwrap().0;
    assert_eq!(answers[0].len(), 3, "{answers:?}");
    assert_eq!(answers[0]["Cones"], Cell::Int(7));
    assert_eq!(answers[0]["Twice"], Cell::Int(10), "of several the lowest");
    assert_eq!(answers[1]["cups"], text("Cups!"));
    assert!(answers[1]["Cones"].is_null());
    assert_eq!(answers[2]["9"], text("cups"));
    assert_eq!(answers[2]["09"], text("cups"));
    // The column that the job made has the type of what is taken.
    let row = vec![text("a"), text("A"), Cell::Int(1), text("7")];
    tx.insert(&table, &[&row]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.row(&table, text("a")).await, Some(row));
    assert_eq!(
        world.value(&format!("SELECT {} FROM items", as_text(world, "(group_id + 1)"))).await.as_deref(),
        Some("8")
    );
}

async fn a_lookup_table_that_is_missing_is_named(world: &World) {
    let mut plan = items();
    plan.lookups = vec![lookup("id")];
    assert!(world.findings(&plan).await.is_empty(), "another job may make it");
    let table = world.prepare(&plan).await;
    let mut tx = world.begin().await;
    let wanted = [Wanted { lookup: 0, values: vec!["Cones".to_owned()] }];
    let missing = tx.lookups(&table, None, &wanted).await.unwrap_err();
    assert!(matches!(&missing, Error::Schema(findings) if findings[0].contains("groups_of")), "{missing:?}");
}

async fn a_row_is_locked_against_the_outlet(world: &World) {
    let table = world.prepare(&items()).await;
    world.insert(&table, &[item("a", "A", 1)]).await;
    if world.kind == DatabaseKind::Sqlite {
        return;
    }
    let mut tx = world.begin().await;
    tx.rows(&table, &[key("a")]).await.unwrap();
    let edit = world.outlet("UPDATE items SET qty = 5");
    tokio::pin!(edit);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(200), &mut edit).await.is_err());
    tx.update(&table, &[&item("a", "A2", 2)], None).await.unwrap();
    tx.commit().await.unwrap();
    edit.await;
    assert_eq!(world.row(&table, text("a")).await, Some(item("a", "A2", 5)));
}

async fn a_connection_that_is_cut_is_unavailable_and_the_next_one_works(world: &World) {
    let table = world.prepare(&items()).await;
    let (own, cut) = match world.kind {
        DatabaseKind::Sqlite => return,
        DatabaseKind::Postgres => ("SELECT pg_backend_pid()::text", "SELECT pg_terminate_backend("),
        DatabaseKind::Mysql => ("SELECT CAST(CONNECTION_ID() AS CHAR)", "KILL ("),
    };
    let mut tx = world.begin().await;
    tx.insert(&table, &[&item("a", "A", 1)]).await.unwrap();
    let sql = tx.connection.sql(own);
    let id = tx.connection.fetch(sql, Vec::new()).await.unwrap()[0].text(0).unwrap().to_owned();
    world.outlet(&format!("{cut}{id})")).await;
    let lost = tx.insert(&table, &[&item("b", "B", 1)]).await.unwrap_err();
    assert!(matches!(lost, Error::Unavailable(_)), "{lost:?}");
    assert_eq!(lost.retry(), Retry::Later(None));
    assert!(lost.is_passing(), "{lost:?}");
    tx.commit().await.unwrap_err();
    world.insert(&table, &[item("c", "C", 1)]).await;
    assert_eq!(world.count("items").await, 1);
}
