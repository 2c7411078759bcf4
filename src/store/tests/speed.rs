//! How fast pages go in; for a person to read, not a claim. Set `MILKRUN_TEST_ROWS` (200000, say) to measure.

use std::time::Instant;

use crate::ledger::Entry;
use crate::row::{Cell, Key, Row, Type, decimal};

use super::on_every_database;
use super::world::{Plan, TEXT, World, stamp, text};

on_every_database! { pages_of_five_hundred_go_in_and_are_changed }

#[expect(clippy::print_stderr, reason = "the measurement is for who runs the test")]
async fn pages_of_five_hundred_go_in_and_are_changed(world: &World) {
    let rows: usize = std::env::var("MILKRUN_TEST_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(1_000);
    let price = Type::Decimal { scale: Some(2) };
    let columns = [
        ("code", TEXT),
        ("title", TEXT),
        ("price", price),
        ("unit", TEXT),
        ("active", Type::Bool),
        ("changed", Type::Datetime),
        ("qty", Type::Int),
        ("weight", Type::Float),
        ("family", TEXT),
        ("note", TEXT),
        ("made", Type::Date),
        ("rank", Type::Int),
    ];
    let table = world.prepare(&Plan::new("items", &columns)).await;
    let changed = Cell::from_text("2024-05-05 10:00:00.000001", Type::Datetime).unwrap();
    let made = Cell::from_text("2024-05-05", Type::Date).unwrap();
    let row = |n: usize, round: i64| -> Row {
        vec![
            text(&format!("ITEM-{n:07}")),
            text("A cone of ice, large"),
            Cell::Decimal(decimal("80.25").unwrap()),
            text("each"),
            Cell::Bool(true),
            changed.clone(),
            Cell::Int(round),
            Cell::Float(0.25),
            text("Ices"),
            Cell::Null,
            made.clone(),
            Cell::Int(7),
        ]
    };
    for round in 0..2 {
        let start = Instant::now();
        for page in (0..rows).collect::<Vec<_>>().chunks(500) {
            let page: Vec<Row> = page.iter().map(|n| row(*n, round)).collect();
            let names: Vec<String> = page.iter().map(|row| row[0].to_string()).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let keys: Vec<Key> = page.iter().map(|row| Key(vec![row[0].clone()])).collect();
            let entries: Vec<Entry> = names
                .iter()
                .map(|name| Entry {
                    hq_name: (*name).into(),
                    local_key: (*name).into(),
                    hq_modified: stamp("2024-05-05 10:00:00.000001"),
                    row_hash: round,
                    children_hash: 0,
                    base: crate::ledger::Base::Hash(1),
                })
                .collect();
            let mut tx = world.begin().await;
            tx.entries("items", &names, &[], false).await.unwrap();
            let held = tx.rows(&table, &keys).await.unwrap();
            let page: Vec<&Row> = page.iter().collect();
            if held.is_empty() {
                tx.insert(&table, &page).await.unwrap()
            } else {
                tx.update(&table, &page, None).await.unwrap()
            }
            tx.upsert_entries("items", &entries).await.unwrap();
            tx.commit().await.unwrap();
        }
        let took = start.elapsed().as_secs_f64();
        eprintln!("{:?} round {round}: {rows} rows in {took:.2} s", world.kind);
    }
    assert_eq!(usize::try_from(world.count("items").await).unwrap(), rows);
}
