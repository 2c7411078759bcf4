//! What a dry run's database promises: it goes as a real one would, and nothing of it stays.

use crate::config::DatabaseKind;
use crate::row::{Cell, Row, Type};
use crate::store::driver::Driver;
use crate::store::{Error, Store};

use super::on_every_database;
use super::world::{Plan, TEXT, World, at, key, text};

on_every_database! {
    what_is_written_is_read_by_the_dry_run_and_by_nobody_else
    what_is_taken_back_or_dropped_leaves_nothing_to_the_rest_of_the_dry_run
    a_transaction_that_is_lost_ends_the_dry_run_and_nothing_is_written_after_it
    rows_that_are_only_read_are_nobodys_to_wait_for
    one_who_waits_for_himself_is_told
}

fn items() -> Plan {
    Plan::new("items", &[("code", TEXT), ("qty", Type::Int)])
}

fn item(code: &str, qty: i64) -> Row {
    vec![text(code), Cell::Int(qty)]
}

async fn codes(store: &Store, table: &crate::store::Table, codes: &[&str]) -> Vec<String> {
    let mut tx = store.begin().await.unwrap();
    let keys: Vec<_> = codes.iter().map(|code| key(code)).collect();
    let mut found: Vec<String> =
        tx.rows(table, &keys).await.unwrap().into_keys().map(|key| key.as_ref().to_owned()).collect();
    tx.rollback().await.unwrap();
    found.sort();
    found
}

async fn what_is_written_is_read_by_the_dry_run_and_by_nobody_else(world: &World) {
    let dry = Store::dry_run(&world.local).await.unwrap();
    assert!(dry.is_dry_run() && dry.kind() == world.kind);
    let table = dry.prepare_wish(&items().wish()).await.unwrap();
    let mut tx = dry.begin().await.unwrap();
    tx.insert(&table, &[&item("a", 1), &item("b", 2)]).await.unwrap();
    tx.update(&table, &[&item("b", 3)], None).await.unwrap();
    tx.commit().await.unwrap();
    // The second preparation finds the table that the first made.
    let again = dry.prepare_wish(&items().wish()).await.unwrap();
    assert_eq!(codes(&dry, &again, &["a", "b", "c"]).await, ["a", "b"]);
    dry.close().await;
    let untouched = Plan { create_table: false, ..items() };
    assert!(world.findings(&untouched).await[0].contains("does not exist"), "{:?}", world.findings(&untouched).await);
}

async fn what_is_taken_back_or_dropped_leaves_nothing_to_the_rest_of_the_dry_run(world: &World) {
    world.prepare(&items()).await;
    let dry = Store::dry_run(&world.local).await.unwrap();
    let table = dry.prepare_wish(&items().wish()).await.unwrap();
    let mut kept = dry.begin().await.unwrap();
    kept.insert(&table, &[&item("kept", 1)]).await.unwrap();
    kept.commit().await.unwrap();
    let mut back = dry.begin().await.unwrap();
    back.insert(&table, &[&item("back", 1)]).await.unwrap();
    back.rollback().await.unwrap();
    let mut dropped = dry.begin().await.unwrap();
    dropped.insert(&table, &[&item("dropped", 1)]).await.unwrap();
    drop(dropped);
    let mut refused = dry.begin().await.unwrap();
    let taken = refused.insert(&table, &[&item("kept", 2)]).await.unwrap_err();
    assert!(matches!(taken, Error::Refused { .. }), "{taken:?}");
    assert!(refused.commit().await.is_err());
    let mut marked = dry.begin().await.unwrap();
    marked.mark().await.unwrap();
    marked.insert(&table, &[&item("kept", 2)]).await.unwrap_err();
    marked.undo().await.unwrap();
    marked.insert(&table, &[&item("marked", 2)]).await.unwrap();
    marked.commit().await.unwrap();
    assert_eq!(codes(&dry, &table, &["kept", "back", "dropped", "marked"]).await, ["kept", "marked"]);
    drop(dry);
    assert_eq!(world.count("items").await, 0);
}

async fn a_transaction_that_is_lost_ends_the_dry_run_and_nothing_is_written_after_it(world: &World) {
    if world.kind == DatabaseKind::Sqlite {
        return;
    }
    let table = world.prepare(&items()).await;
    let dry = Store::dry_run(&world.local).await.unwrap();
    let mut tx = dry.begin().await.unwrap();
    // As MariaDB does to who loses a deadlock.
    let lost = sqlx::raw_sql("ROLLBACK");
    use sqlx::Executor as _;
    match tx.connection.driver() {
        Driver::Sqlite(_) => {}
        Driver::Postgres(loan) => drop(loan.get().unwrap().execute(lost).await.unwrap()),
        Driver::Mysql(loan) => drop(loan.get().unwrap().execute(lost).await.unwrap()),
    }
    let unnoticed = tx.insert(&table, &[&item("a", 1)]).await;
    drop(tx);
    let told = dry.begin().await.unwrap_err();
    assert!(format!("{told:?}").contains("has lost its transaction"), "{told:?} {unnoticed:?}");
    drop(dry);
    // PostgreSQL has no session without autocommit, but also gives up no transaction by itself.
    if world.kind == DatabaseKind::Mysql {
        assert_eq!(world.count("items").await, 0);
    }
}

async fn rows_that_are_only_read_are_nobodys_to_wait_for(world: &World) {
    let table = world.prepare(&items()).await;
    world.insert(&table, &[item("a", 1)]).await;
    let dry = Store::dry_run(&world.local).await.unwrap();
    let mut tx = dry.begin().await.unwrap();
    assert_eq!(tx.rows(&table, &[key("a")]).await.unwrap().len(), 1);
    tx.commit().await.unwrap();
    world.outlet("UPDATE items SET qty = 5").await;
    dry.close().await;
    assert_eq!(world.row(&table, text("a")).await, Some(item("a", 5)));
}

async fn one_who_waits_for_himself_is_told(world: &World) {
    let dry = Store::dry_run(&world.local).await.unwrap();
    let tx = dry.begin().await.unwrap();
    tokio::time::pause();
    let waiting = dry.has_open_run("items").await.unwrap_err();
    tokio::time::resume();
    assert!(format!("{waiting:?}").contains("waits for its own connection"), "{waiting:?}");
    drop(tx);
    assert!(!dry.has_open_run("items").await.unwrap());
    // Neither the run log nor a lease is there to be left behind.
    let now = at("2024-05-05T10:00:00Z");
    assert_eq!(dry.start_run("items", crate::run::Trigger::Sync, now, None).await.unwrap(), 0);
    assert!(!dry.has_open_run("items").await.unwrap());
}
