use crate::mapping::{Column, Owner};
use std::collections::{HashMap, HashSet};

use super::*;
use crate::row::{Cell, Type};

fn columns() -> Vec<Column> {
    let column = |name: &str, owner| Column { name: name.to_owned(), ty: Type::Int, owner, is_private: false };
    vec![column("id", Owner::Hq), column("price", Owner::Hq), column("shelf", Owner::Once)]
}

fn incoming(name: &str, id: i64, price: i64) -> Incoming {
    let row = vec![Cell::Int(id), Cell::Int(price), Cell::Int(0)];
    let mapped = Mapped { row, key: Key(vec![Cell::Int(id)]), hash: price };
    let modified = Stamp::parse("2024-05-05 10:00:00").unwrap();
    let (children, children_hash, modified_at, base) = (Vec::new(), 0, None, Base::Hash(price));
    Incoming { hq_name: name.to_owned(), modified, mapped, children, children_hash, modified_at, base }
}

/// A ledger that took `price` for the record, under key `id`.
fn entry(name: &str, id: i64, price: i64) -> Entry {
    let hq_modified = Stamp::parse("2024-05-04 10:00:00").unwrap();
    let (local_key, base) = (id.to_string(), Base::Hash(price));
    Entry { hq_name: name.to_owned(), local_key, hq_modified, row_hash: price, children_hash: 0, base }
}

fn local(price: i64, shelf: i64) -> LocalRow {
    let row = vec![Cell::Int(1), Cell::Int(price), Cell::Int(shelf)];
    LocalRow { row, is_marked: false, edited: Edited::Never, version: price }
}

fn held(entries: &[Entry], rows: &[(i64, LocalRow)]) -> Held {
    Held {
        entries: entries.iter().map(|entry| (entry.hq_name.clone(), entry.clone())).collect(),
        owners: entries.iter().map(|entry| (entry.local_key.clone(), entry.hq_name.clone())).collect(),
        rows: rows.iter().map(|(id, row)| (id.to_string(), row.clone())).collect(),
        children: None,
        dead: HashSet::new(),
        alive: HashSet::new(),
        changes: HashMap::new(),
        told: HashMap::new(),
    }
}

/// Where HQ wins, as the job says or by default.
fn plan(incoming: &[Incoming], held: &Held, care: Care) -> Plan {
    let (columns, rules) = (columns(), Rules::default());
    super::plan(incoming, held, &Terms { columns: &columns, key: &[0], rules: &rules, care })
}

#[derive(Debug, PartialEq)]
enum Does {
    Insert,
    Update,
    Nothing,
}

fn decide(held: &Held, care: Care) -> Does {
    let planned = plan(&[incoming("A", 1, 80)], held, care);
    match (planned.inserts.len(), planned.updates.len(), planned.unchanged) {
        (1, 0, 0) => Does::Insert,
        (0, 1, 0) => Does::Update,
        (0, 0, 1) => Does::Nothing,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_state_has_its_decision() {
    let (taken, older) = (entry("A", 1, 80), entry("A", 1, 70));
    let cases = [
        // What the ledger took, what the row holds, what news does, what repair does.
        (None, None, Does::Insert, Does::Insert),
        (None, Some(local(80, 0)), Does::Nothing, Does::Nothing),
        (None, Some(local(5, 0)), Does::Update, Does::Update),
        // HQ changed nothing that is mapped: an edit or a delete made here stays, unless repair is asked for.
        (Some(&taken), Some(local(80, 0)), Does::Nothing, Does::Nothing),
        (Some(&taken), Some(local(5, 0)), Does::Nothing, Does::Update),
        (Some(&taken), None, Does::Nothing, Does::Insert),
        // HQ changed the record: HQ wins, and a column of the outlet's own does not count.
        (Some(&older), Some(local(70, 0)), Does::Update, Does::Update),
        (Some(&older), Some(local(5, 0)), Does::Update, Does::Update),
        (Some(&older), Some(local(80, 9)), Does::Nothing, Does::Nothing),
        (Some(&older), None, Does::Insert, Does::Insert),
    ];
    for (base, row, news, repair) in cases {
        let entries: Vec<Entry> = base.cloned().into_iter().collect();
        let rows: Vec<(i64, LocalRow)> = row.clone().into_iter().map(|row| (1, row)).collect();
        let held = held(&entries, &rows);
        assert_eq!(decide(&held, Care::News), news, "news of {base:?} and {row:?}");
        assert_eq!(decide(&held, Care::Repair), repair, "repair of {base:?} and {row:?}");
    }
}

#[test]
fn a_row_marked_as_deleted_comes_back_with_its_record() {
    let marked = LocalRow { is_marked: true, ..local(80, 0) };
    assert_eq!(decide(&held(&[], &[(1, marked)]), Care::News), Does::Update);
}

#[test]
fn an_unchanged_record_of_a_new_stamp_costs_a_ledger_entry_and_no_row() {
    let planned = plan(&[incoming("A", 1, 80)], &held(&[entry("A", 1, 80)], &[(1, local(80, 0))]), Care::News);
    assert_eq!(planned.entries.len(), 1);
    let mut same = entry("A", 1, 80);
    same.hq_modified = Stamp::parse("2024-05-05 10:00:00").unwrap();
    let again = plan(&[incoming("A", 1, 80)], &held(&[same], &[(1, local(80, 0))]), Care::Repair);
    assert_eq!(again.entries, []);
}

#[test]
fn a_changed_key_moves_the_row() {
    let moved = plan(&[incoming("A", 2, 80)], &held(&[entry("A", 1, 80)], &[(1, local(80, 0))]), Care::News);
    assert_eq!(moved.rekeys, [("1".to_owned(), Key(vec![Cell::Int(2)]))]);
    assert_eq!((moved.updates.len(), moved.entries.len()), (1, 1));
}

#[test]
fn two_records_of_one_key_clash_unless_the_holder_is_dead() {
    let together = plan(&[incoming("A", 1, 1), incoming("B", 1, 2)], &Held::default(), Care::News);
    assert_eq!((together.inserts, together.clashes.len(), together.clashes[0].is_certain), (vec![0], 1, true));
    let mut held = held(&[entry("A", 1, 80)], &[(1, local(80, 0))]);
    let clash = plan(&[incoming("B", 1, 90)], &held, Care::News).clashes.remove(0);
    assert_eq!((clash.holder.as_str(), clash.claimant.as_str(), clash.is_certain), ("A", "B", false));
    held.alive.insert("A".to_owned());
    assert!(plan(&[incoming("B", 1, 90)], &held, Care::News).clashes[0].is_certain);
    held.alive.clear();
    held.dead.insert("A".to_owned());
    let taken_over = plan(&[incoming("B", 1, 90)], &held, Care::News);
    assert_eq!((taken_over.dropped, taken_over.updates.len()), (vec!["A".to_owned()], 1));
}

#[test]
fn child_rows_are_replaced_when_they_or_their_parents_row_are_new() {
    let child = |barcode: i64| vec![vec![vec![Cell::Int(barcode)]]];
    let with = |children: Vec<ChildRows>, children_hash| Incoming { children, children_hash, ..incoming("A", 1, 80) };
    let base = Entry { children_hash: 7, ..entry("A", 1, 80) };
    let run = |record: Incoming, held: &Held, care| plan(&[record], held, care);
    let held_here = held(std::slice::from_ref(&base), &[(1, local(80, 0))]);
    assert_eq!(run(with(child(1), 7), &held_here, Care::News).children, [] as [usize; 0]);
    let changed = run(with(child(2), 8), &held_here, Care::News);
    assert_eq!((changed.children, changed.updates.len(), changed.unchanged), (vec![0], 0, 0));
    // Repair compares with the rows that are there.
    let mut found = held(std::slice::from_ref(&base), &[(1, local(80, 0))]);
    found.children = Some(vec![HashMap::from([("1".to_owned(), child(1).remove(0))])]);
    assert_eq!(run(with(child(1), 7), &found, Care::Repair).unchanged, 1);
    found.children = Some(vec![HashMap::new()]);
    assert_eq!(run(with(child(1), 7), &found, Care::Repair).children, [0]);
    // A row that is made anew gets its children, though the ledger says they are as before.
    let gone = held(&[Entry { row_hash: 1, ..base }], &[]);
    let remade = run(with(child(1), 7), &gone, Care::News);
    assert_eq!((remade.inserts, remade.children), (vec![0], vec![0]));
}
