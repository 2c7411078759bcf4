//! Which runs made and changed rows, and what went.

use std::collections::HashSet;
use std::sync::Arc;

use crate::ledger::{Base, Entry};
use crate::run::Trigger;
use crate::store::{GoneRow, Span, Touched};

use super::on_every_database;
use super::world::{World, at, stamp};

on_every_database! {
    what_a_run_touched_is_noted_beside_its_entry_and_stays_when_that_is_restamped
    what_went_is_told_unless_its_key_is_there_again_and_forgotten_in_time
    what_went_without_a_key_is_told_once_and_not_where_its_record_is_there_again
    a_first_load_is_a_fact_of_its_run
}

const NOW: &str = "2026-11-21T12:00:00Z";
const ALL: Span = Span { first: 1, last: 1_000 };

fn entry(name: &str, key: &str) -> Entry {
    Entry {
        hq_name: name.into(),
        local_key: key.into(),
        hq_modified: stamp("2024-05-05 10:00:00"),
        row_hash: 1,
        children_hash: 0,
        base: Base::Unknown,
    }
}

async fn what_a_run_touched_is_noted_beside_its_entry_and_stays_when_that_is_restamped(world: &World) {
    let mut tx = world.begin().await;
    tx.insert_entries("items", &[entry("A", "A"), entry("B", "17"), entry("C", "C")]).await.unwrap();
    let touched = Touched { run: 5, made: HashSet::from(["D"]), changed: HashSet::from(["B"]) };
    let written = [entry("B", "18"), entry("C", "C"), entry("D", "D")];
    tx.upsert_touched("items", &written, Some(&touched)).await.unwrap();
    tx.note_changed("items", 6, &["A"]).await.unwrap();
    tx.upsert_entries("items", &[entry("B", "18"), entry("D", "D")]).await.unwrap();
    let restamped = Entry { hq_modified: stamp("2025-01-01 00:00:00"), ..entry("A", "A") };
    tx.restamp_entries("items", &[restamped]).await.unwrap();
    tx.commit().await.unwrap();
    let store = &world.store;
    let told = async |span: Span| -> Vec<(String, String, Option<i64>, i64)> {
        let rows = store.touched("items", span, "", 10).await.unwrap();
        let told = |row: &crate::store::TouchedRow| {
            (row.name.as_ref().to_owned(), row.key.as_ref().to_owned(), row.made_in, row.changed_in)
        };
        rows.iter().map(told).collect()
    };
    let row = |name: &str, key: &str, made, changed| (name.to_owned(), key.to_owned(), made, changed);
    let all = [row("A", "A", None, 6), row("B", "18", None, 5), row("D", "D", Some(5), 5)];
    assert_eq!(told(ALL).await, all);
    assert_eq!(told(Span { first: 6, last: 9 }).await, all[..1]);
    assert_eq!(store.touched("items", ALL, "A", 1).await.unwrap()[0].name.as_ref(), "B");
    assert_eq!(store.count_made("items", 5).await.unwrap(), 1);
    assert_eq!(store.touched("others", ALL, "", 10).await.unwrap(), []);
}

async fn what_went_is_told_unless_its_key_is_there_again_and_forgotten_in_time(world: &World) {
    let gone = |name: &str, run, key: &str, to: Option<&str>| GoneRow {
        name: name.into(),
        run,
        key: Some(key.into()),
        moved_to: to.map(Arc::from),
    };
    let went = [gone("A", 5, "A", None), gone("B", 5, "17", Some("18")), gone("C", 5, "C", None)];
    let mut tx = world.begin().await;
    tx.note_gone("items", &went, at("2026-08-01T00:00:00Z")).await.unwrap();
    tx.note_gone("items", &[gone("A", 7, "A", None)], at(NOW)).await.unwrap();
    // The same once more is the same.
    tx.note_gone("items", &[gone("A", 7, "A", None)], at(NOW)).await.unwrap();
    tx.insert_entries("items", &[entry("C", "C"), entry("B", "18")]).await.unwrap();
    tx.commit().await.unwrap();
    let store = &world.store;
    let told = async |span: Span, after: (&str, i64), limit: usize| {
        let (rows, last) = store.gone("items", span, after, limit).await.unwrap();
        (rows.iter().map(|row| format!("{} {}", row.name, row.run)).collect::<Vec<_>>(), last)
    };
    assert_eq!(told(ALL, ("", 0), 10).await, (vec!["A 7".to_owned(), "B 5".to_owned()], None));
    assert_eq!(told(Span { first: 1, last: 6 }, ("", 0), 10).await.0, ["A 5", "B 5"]);
    assert_eq!(told(Span { first: 6, last: 9 }, ("", 0), 10).await.0, ["A 7"]);
    let (first, last) = told(ALL, ("", 0), 1).await;
    assert_eq!((first, last.clone()), (vec!["A 7".to_owned()], Some(("A".into(), 7))));
    let (name, run) = last.unwrap();
    assert_eq!(told(ALL, (&name, run), 2).await.0, ["B 5"]);

    assert_eq!(store.prune_gone("items", at("2026-07-01T00:00:00Z"), 10).await.unwrap(), 0);
    assert_eq!(store.prune_gone("items", at("2026-08-02T00:00:00Z"), 10).await.unwrap(), 3);
    assert_eq!(told(ALL, ("", 0), 10).await.0, ["A 7"]);
    assert_eq!(store.prune_gone("items", at("2026-07-01T00:00:00Z"), 0).await.unwrap(), 1);
}

async fn what_went_without_a_key_is_told_once_and_not_where_its_record_is_there_again(world: &World) {
    let gone = |name: &str, run| GoneRow { name: name.into(), run, key: None, moved_to: None };
    let mut tx = world.begin().await;
    tx.note_gone("items", &[gone("A", 5), gone("B", 5)], at(NOW)).await.unwrap();
    tx.note_gone("items", &[gone("A", 7)], at(NOW)).await.unwrap();
    tx.insert_entries("items", &[entry("B", "B")]).await.unwrap();
    tx.commit().await.unwrap();
    let (rows, _) = world.store.gone("items", ALL, ("", 0), 10).await.unwrap();
    assert_eq!(rows, [gone("A", 7)]);
}

async fn a_first_load_is_a_fact_of_its_run(world: &World) {
    let store = &world.store;
    let first = store.start_run("items", Trigger::Start, at(NOW), None).await.unwrap();
    let second = store.start_run("items", Trigger::Schedule, at(NOW), None).await.unwrap();
    store.note_first_load(first).await.unwrap();
    let loads = store.first_loads("items", Span { first, last: second }).await.unwrap();
    assert_eq!(loads, [first]);
    assert_eq!(store.first_loads("others", Span { first, last: second }).await.unwrap(), [0_i64; 0]);
}
