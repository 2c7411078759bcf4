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
    let key = Key(vec![Cell::Int(id)]);
    let mapped = Mapped { row, key_text: key.text(), key, hash: price };
    let modified = Stamp::parse("2024-05-05 10:00:00").unwrap();
    let (children, children_hash, modified_at, base) = (Vec::new(), 0, None, Base::Hash(price));
    Incoming { hq_name: name.into(), modified, mapped, children, children_hash, modified_at, base }
}

/// A ledger that took `price` for the record, under key `id`.
fn entry(name: &str, id: i64, price: i64) -> Entry {
    let hq_modified = Stamp::parse("2024-05-04 10:00:00").unwrap();
    let (local_key, base) = (id.to_string().into(), Base::Hash(price));
    Entry { hq_name: name.into(), local_key, hq_modified, row_hash: price, children_hash: 0, base }
}

fn local(price: i64, shelf: i64) -> LocalRow {
    let row = vec![Cell::Int(1), Cell::Int(price), Cell::Int(shelf)];
    LocalRow { row, is_marked: false, edited: Edited::Never, version: price, former: vec![] }
}

fn held(entries: &[Entry], rows: &[(i64, LocalRow)]) -> Held {
    Held {
        entries: entries.iter().map(|entry| (entry.hq_name.clone(), entry.clone())).collect(),
        owners: entries.iter().map(|entry| (entry.local_key.clone(), entry.hq_name.clone())).collect(),
        rows: rows.iter().map(|(id, row)| (id.to_string().into(), row.clone())).collect(),
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
    assert_eq!((planned.entries.len(), planned.restamped.len()), (0, 1));
    let mut same = entry("A", 1, 80);
    same.hq_modified = Stamp::parse("2024-05-05 10:00:00").unwrap();
    let again = plan(&[incoming("A", 1, 80)], &held(&[same], &[(1, local(80, 0))]), Care::Repair);
    assert_eq!(again.entries, []);
}

#[test]
fn a_changed_key_moves_the_row() {
    let moved = plan(&[incoming("A", 2, 80)], &held(&[entry("A", 1, 80)], &[(1, local(80, 0))]), Care::News);
    assert_eq!(moved.rekeys, [("1".into(), Key(vec![Cell::Int(2)]))]);
    assert_eq!((moved.updates.len(), moved.entries.len()), (1, 1));
}

#[test]
fn two_records_of_one_key_clash_unless_the_holder_is_dead() {
    let together = plan(&[incoming("A", 1, 1), incoming("B", 1, 2)], &Held::default(), Care::News);
    assert_eq!((together.inserts, together.clashes.len(), together.clashes[0].is_certain), (vec![0], 1, true));
    let mut held = held(&[entry("A", 1, 80)], &[(1, local(80, 0))]);
    let clash = plan(&[incoming("B", 1, 90)], &held, Care::News).clashes.remove(0);
    assert_eq!((clash.holder.as_ref(), clash.claimant.as_ref(), clash.is_certain), ("A", "B", false));
    held.alive.insert("A".to_owned());
    assert!(plan(&[incoming("B", 1, 90)], &held, Care::News).clashes[0].is_certain);
    held.alive.clear();
    held.dead.insert("A".to_owned());
    let taken_over = plan(&[incoming("B", 1, 90)], &held, Care::News);
    assert_eq!((taken_over.dropped, taken_over.updates.len()), (vec!["A".into()], 1));
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
    found.children = Some(vec![HashMap::from([("1".into(), child(1).remove(0))])]);
    assert_eq!(run(with(child(1), 7), &found, Care::Repair).unchanged, 1);
    found.children = Some(vec![HashMap::new()]);
    assert_eq!(run(with(child(1), 7), &found, Care::Repair).children, [0]);
    // A row that is made anew gets its children, though the ledger says they are as before.
    let gone = held(&[Entry { row_hash: 1, ..base }], &[]);
    let remade = run(with(child(1), 7), &gone, Care::News);
    assert_eq!((remade.inserts, remade.children), (vec![0], vec![0]));
}

/// One column apart on both sides, of the given owner and under the given rule as the field's own.
fn judged(rule: Rule, owner: Owner, at_hq: &Changed, here: &Changed, care: Care, told: Option<Side>) -> Verdict {
    let columns = vec![
        Column { name: "id".to_owned(), ty: Type::Int, owner: Owner::Hq, is_private: false },
        Column { name: "price".to_owned(), ty: Type::Int, owner, is_private: false },
    ];
    let rules = Rules { fields: vec![None, Some(rule)], otherwise: Rule::LocalWins, ..Rules::default() };
    let hq = vec![Cell::Int(1), Cell::Int(85)];
    let edited = Edited::read(Some("2024-05-05 10:00:01"));
    let local =
        LocalRow { row: vec![Cell::Int(1), Cell::Int(70)], is_marked: false, edited, version: 7, former: vec![] };
    let hq_modified = Stamp::parse("2024-05-05 10:00:00").ok().map(|stamp| stamp.moment());
    let sides = Sides { hq: &hq, hq_modified, local: &local, at_hq, here, is_new: false, told };
    Terms { columns: &columns, key: &[0], rules: &rules, care }.judge(sides).unwrap()
}

#[test]
fn a_field_goes_the_way_that_the_table_of_cases_says() {
    let (changed, nothing) = (Changed::Columns(vec![1]), Changed::Nothing);
    for rule in Rule::ALL {
        for care in [Care::News, Care::Repair] {
            let of = |at_hq, here| judged(rule, Owner::Hq, at_hq, here, care, None);
            let only_hq = of(&changed, &nothing);
            assert_eq!((only_hq.written, only_hq.rulings.len()), (vec![1], 0), "{rule:?}: only HQ");
            let spelt = of(&nothing, &nothing);
            assert_eq!((spelt.written, spelt.rulings.len()), (vec![], 0), "{rule:?}: the database's spelling");
            let only_here = of(&nothing, &changed);
            let is_repaired = rule == Rule::HqWins && care == Care::Repair;
            assert_eq!(only_here.written == [1], is_repaired, "{rule:?} {care:?}: only here");
            assert_eq!(
                only_here.rulings.len(),
                usize::from(is_repaired),
                "{rule:?} {care:?}: what is overwritten is told"
            );
            let both = of(&changed, &changed);
            let (written, taken) = match rule {
                Rule::HqWins => (vec![1], Some(Side::Hq)),
                // The edit here is a second newer, and `otherwise` keeps it.
                Rule::LocalWins | Rule::NewestWins | Rule::Merge => (vec![], Some(Side::Local)),
                Rule::Manual => (vec![], None),
            };
            let ruling = Ruling { kind: Kind::Edit, rule, taken, columns: vec![1] };
            assert_eq!((both.written, both.rulings, both.waits), (written, vec![ruling], rule == Rule::Manual));
        }
    }
}

#[test]
fn an_operators_word_decides_what_is_manual() {
    let changed = Changed::Columns(vec![1]);
    for (side, written) in [(Side::Hq, vec![1]), (Side::Local, vec![])] {
        let told = judged(Rule::Manual, Owner::Hq, &changed, &changed, Care::News, Some(side));
        assert_eq!((told.written, told.waits, told.rulings[0].taken), (written, false, Some(side)));
    }
}

#[test]
fn a_field_of_until_edited_is_the_outlets_while_it_differs_from_the_base() {
    let (changed, nothing) = (Changed::Columns(vec![1]), Changed::Nothing);
    for care in [Care::News, Care::Repair] {
        for at_hq in [&changed, &nothing] {
            let edited = judged(Rule::HqWins, Owner::UntilEdited, at_hq, &changed, care, None);
            assert_eq!((edited.written, edited.rulings), (vec![], vec![]));
        }
        assert_eq!(judged(Rule::HqWins, Owner::UntilEdited, &changed, &nothing, care, None).written, [1]);
    }
}

#[test]
fn what_an_older_milkrun_left_unknown_is_written_and_not_told() {
    let verdict = judged(Rule::HqWins, Owner::Hq, &Changed::Somewhere, &Changed::Unknown, Care::News, None);
    assert_eq!((verdict.written, verdict.rulings), (vec![1], vec![]));
}

#[test]
fn a_row_removed_here_is_made_again_only_where_the_rule_gives_it_to_hq() {
    let columns = columns();
    for rule in Rule::ALL {
        let rules = Rules { job: rule, otherwise: Rule::Manual, ..Rules::default() };
        let of = |at_hq: &Changed, care| {
            Terms { columns: &columns, key: &[0], rules: &rules, care }.judge_removed(at_hq, None)
        };
        let changed = of(&Changed::Somewhere, Care::News);
        let (gone, waits) = match rule {
            Rule::HqWins | Rule::NewestWins => (false, false),
            Rule::LocalWins => (true, false),
            Rule::Merge | Rule::Manual => (true, true),
        };
        assert_eq!((changed.stays_gone, changed.waits), (gone, waits), "{rule:?}");
        assert!(of(&Changed::Nothing, Care::News).stays_gone);
        assert_eq!(of(&Changed::Nothing, Care::Repair).stays_gone, rule != Rule::HqWins, "{rule:?}");
    }
}

#[test]
fn when_a_row_was_edited_is_read_as_the_outlets_programs_write_it() {
    let ten = Edited::At(Stamp::parse("2024-05-05 10:00:00").unwrap().moment());
    for text in [
        "2024-05-05 10:00:00",
        "2024-05-05T10:00:00Z",
        "2024-05-05 10:00:00.000000+00",
        " 2024-05-05 10:00:00 ",
        "2024-05-05 15:30:00+05:30",
        "2024-05-05T15:30:00.000+0530",
        "1714903200",
        "1714903200000",
    ] {
        assert_eq!(Edited::read(Some(text)), ten, "{text}");
    }
    assert!(matches!(Edited::read(Some("2024-05-05")), Edited::At(_)));
    assert_eq!([Edited::read(None), Edited::read(Some(" "))], [Edited::Never, Edited::Never]);
    assert_eq!(Edited::read(Some("yesterday")), Edited::Unreadable("yesterday".to_owned()));
}

#[test]
fn other_child_rows_alone_are_no_child_rows_of_a_row_that_was_removed_here() {
    let record = Incoming { children: vec![vec![vec![Cell::Int(1)]]], children_hash: 8, ..incoming("A", 1, 80) };
    let base = Entry { children_hash: 7, ..entry("A", 1, 80) };
    for (rule, inserts, children) in [(Rule::HqWins, vec![0], vec![0]), (Rule::LocalWins, vec![], vec![])] {
        let (columns, rules) = (columns(), Rules { job: rule, ..Rules::default() });
        let terms = Terms { columns: &columns, key: &[0], rules: &rules, care: Care::News };
        let planned = super::plan(std::slice::from_ref(&record), &held(std::slice::from_ref(&base), &[]), &terms);
        assert_eq!((planned.inserts, planned.children), (inserts, children), "{rule:?}");
    }
}
