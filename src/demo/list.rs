//! Answering a list request: which index to walk, which rows pass, and how they are written.
//!
//! A keyset page costs as much as the page, however large the table: the walk starts at the cursor. The start is
//! only a short cut; every row is still held against every filter.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;

use serde_json::Value;

use super::cell::Cell;
use super::collation;
use super::filter::Filter;
use super::json;
use super::query::{Expression, Order, Output, Query};
use super::records::Records;
use super::row::{Column, Row};
use super::table::{RowId, Table};
use super::user::User;
use super::walk::Walk;

/// The rows of an answer, written.
#[derive(Debug)]
pub(super) struct Page {
    /// A JSON array.
    pub(super) body: Vec<u8>,
    pub(super) rows: usize,
}

/// Runs a list request. Duplicated rows are a fault that tests ask for.
pub(super) fn page(records: &Records, table: &Table, user: &User, query: &Query, is_doubled: bool) -> Page {
    if query.is_grouped() {
        return grouped(records, table, user, query);
    }
    let mut ids = select(table, user, query);
    if is_doubled {
        ids = ids.into_iter().flat_map(|id| [id, id]).collect();
    }
    let labels = labels(&query.outputs);
    let mut body = vec![b'['];
    for (place, id) in ids.iter().enumerate() {
        let Some(row) = table.get(*id) else { continue };
        if place > 0 {
            body.push(b',');
        }
        write_row(&mut body, query.as_dict, &labels, |body, place| {
            if let Some(output) = query.outputs.get(place) {
                json::write_cell(body, &value(records, row, &output.expression));
            }
        });
    }
    body.push(b']');
    Page { body, rows: ids.len() }
}

fn labels(outputs: &[Output]) -> Vec<Vec<u8>> {
    outputs
        .iter()
        .map(|output| {
            let mut label = Vec::new();
            json::write_text(&mut label, &output.label);
            label.push(b':');
            label
        })
        .collect()
}

fn write_row(body: &mut Vec<u8>, as_dict: bool, labels: &[Vec<u8>], mut write: impl FnMut(&mut Vec<u8>, usize)) {
    body.push(if as_dict { b'{' } else { b'[' });
    for (place, label) in labels.iter().enumerate() {
        if place > 0 {
            body.push(b',');
        }
        if as_dict {
            body.extend_from_slice(label);
        }
        write(body, place);
    }
    body.push(if as_dict { b'}' } else { b']' });
}

fn value<'a>(records: &'a Records, row: &'a Row, expression: &Expression) -> Cow<'a, Cell> {
    match expression {
        Expression::Column(column) => row.cell(*column),
        Expression::Linked { link, doctype, field } => row
            .text(*link)
            .and_then(|name| {
                let table = records.table(doctype).ok()?;
                Some(table.get(table.named(name)?)?.cell(Column::of(&table.doctype, field)?))
            })
            .unwrap_or(Cow::Owned(Cell::Null)),
        Expression::Count | Expression::Sum(_) | Expression::Average(_) => Cow::Owned(Cell::Null),
    }
}

fn passes(table: &Table, user: &User, query: &Query, row: &Row) -> bool {
    query.filters.iter().all(|filter| filter.lets_through(row))
        && (query.or_filters.is_empty() || query.or_filters.iter().any(|filter| filter.lets_through(row)))
        && (table.doctype.is_child || user.knows(&table.doctype, row))
}

/// The rows of the page, in order.
fn select(table: &Table, user: &User, query: &Query) -> Vec<RowId> {
    let walk = Walk::choose(table, query);
    let keep = |id: &RowId| table.get(*id).is_some_and(|row| passes(table, user, query, row));
    if walk.is_ordered {
        return walk.ids.filter(keep).skip(query.start).take(query.limit.unwrap_or(usize::MAX)).collect();
    }
    if is_by_mark(&query.order) {
        // What a puller asks for, without a key made for each row.
        let mark = |id: &RowId| table.get(*id).map(|row| (row.modified, &row.key));
        let mut ids: Vec<RowId> = walk.ids.filter(keep).collect();
        ids.sort_by(|left, right| mark(left).cmp(&mark(right)));
        return ids.into_iter().skip(query.start).take(query.limit.unwrap_or(usize::MAX)).collect();
    }
    let mut found: Vec<(Vec<Vec<u8>>, RowId)> =
        walk.ids.filter(keep).filter_map(|id| Some((sort_key(table.get(id)?, &query.order), id))).collect();
    found.sort_by(|(left, _), (right, _)| compare(left, right, &query.order));
    found
        .into_iter()
        .map(|(_, id)| id)
        .skip(query.start)
        .take(query.limit.unwrap_or(usize::MAX))
        .collect()
}

fn is_by_mark(order: &[(Order, bool)]) -> bool {
    matches!(order, [(Order::Column(Column::Modified), false), (Order::Column(Column::Name), false)])
}

fn sort_key(row: &Row, order: &[(Order, bool)]) -> Vec<Vec<u8>> {
    let columns = order.iter().map(|(order, _)| match order {
        Order::Column(column) => ordered_bytes(&row.get(*column)),
        Order::Output(_) => Vec::new(),
    });
    columns.collect()
}

/// Bytes that sort as the cells do.
fn ordered_bytes(cell: &Cell) -> Vec<u8> {
    let tagged = |bytes: &[u8]| [&[1], bytes].concat();
    let number = |bits: u64| tagged(&(if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }).to_be_bytes());
    match cell {
        Cell::Null => vec![0],
        Cell::Whole(_) | Cell::Real(_) => number(cell.as_number().to_bits()),
        Cell::Time(stamp) => tagged(&(stamp.cast_unsigned() ^ (1 << 63)).to_be_bytes()),
        Cell::Text(text) => tagged(&collation::key(text)),
    }
}

fn compare(left: &[Vec<u8>], right: &[Vec<u8>], order: &[(Order, bool)]) -> Ordering {
    left.iter()
        .zip(right)
        .zip(order)
        .map(|((left, right), (_, is_descending))| if *is_descending { right.cmp(left) } else { left.cmp(right) })
        .find(|ordering| ordering.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// Counts and sums, by group or over all rows (recordings 405, 1620-1623).
fn grouped(records: &Records, table: &Table, user: &User, query: &Query) -> Page {
    let mut groups: BTreeMap<Vec<Vec<u8>>, Vec<&Row>> = BTreeMap::new();
    if query.group_by.is_empty() {
        groups.insert(Vec::new(), Vec::new());
    }
    for row in Walk::choose(table, query).ids.filter_map(|id| table.get(id)) {
        if passes(table, user, query, row) {
            let key = query.group_by.iter().map(|column| ordered_bytes(&row.get(*column))).collect();
            groups.entry(key).or_default().push(row);
        }
    }
    let mut lines: Vec<Vec<Cell>> = groups
        .values()
        .map(|rows| query.outputs.iter().map(|output| total(records, rows, &output.expression)).collect())
        .collect();
    for (order, is_descending) in query.order.iter().rev() {
        let place = match order {
            Order::Output(place) => Some(*place),
            Order::Column(column) => query
                .outputs
                .iter()
                .position(|output| matches!(output.expression, Expression::Column(known) if known == *column)),
        };
        let key = |line: &Vec<Cell>| place.and_then(|place| line.get(place)).map(ordered_bytes);
        lines.sort_by(|left, right| {
            let ordering = key(left).cmp(&key(right));
            if *is_descending { ordering.reverse() } else { ordering }
        });
    }
    let labels = labels(&query.outputs);
    let mut body = vec![b'['];
    let mut rows = 0;
    for line in lines.iter().skip(query.start).take(query.limit.unwrap_or(usize::MAX)) {
        if rows > 0 {
            body.push(b',');
        }
        rows += 1;
        write_row(&mut body, query.as_dict, &labels, |body, place| {
            json::write_cell(body, line.get(place).unwrap_or(&Cell::Null));
        });
    }
    body.push(b']');
    Page { body, rows }
}

fn total(records: &Records, rows: &[&Row], expression: &Expression) -> Cell {
    let sum = |column: Column| rows.iter().map(|row| row.get(column).as_number()).sum::<f64>();
    let rounded = |number: f64| Cell::Real((number * 1e9).round() / 1e9);
    match expression {
        Expression::Count => Cell::Whole(i64::try_from(rows.len()).unwrap_or(i64::MAX)),
        Expression::Sum(_) | Expression::Average(_) if rows.is_empty() => Cell::Null,
        Expression::Sum(column) => rounded(sum(*column)),
        Expression::Average(column) => {
            let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
            rounded(sum(*column) / f64::from(count))
        }
        Expression::Column(_) | Expression::Linked { .. } => {
            rows.first().map_or(Cell::Null, |row| value(records, row, expression).into_owned())
        }
    }
}

/// How many rows there are, for `frappe.client.get_count`, which asks nobody's permission (recordings 1604, 1703).
pub(super) fn count(table: &Table, filters: &[Filter]) -> Value {
    if filters.is_empty() {
        return table.len().into();
    }
    let ids = table.in_name_order(Bound::Unbounded).filter_map(|id| table.get(id));
    ids.filter(|row| filters.iter().all(|filter| filter.lets_through(row))).count().into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::demo::doctype::{DocType, Field, Naming};
    use crate::demo::edit::{Touch, Write};
    use crate::demo::query::Call;

    /// 600 groups, most under one stamp, named to be as far from byte order as can be.
    fn groups() -> Records {
        let mut records = Records::new(chrono_tz::Asia::Kolkata);
        records.define(
            DocType::new("Item Group")
                .named_by(Naming::Field("title".into()))
                .field(Field::new("title", "Data")),
        );
        let mut made = 0;
        for number in 0..700_u32 {
            let letters = ["a", "É", "_", "z", "Ж", "中", "-", "ø", "😀", " ", "'", "%", "\\", "7"];
            let place = |divisor: u32| letters[usize::try_from(number / divisor).unwrap() % letters.len()];
            let title = format!("{}{}{}x", place(1), place(14), place(196));
            let modified = if number % 10 == 0 { "2024-05-05 10:00:00.000001" } else { "2024-05-05 10:00:00" };
            let row = json!({"title": title, "modified": modified});
            let write = Write { user: "a", touch: Touch::Load(0) };
            made += usize::from(records.insert("Item Group", row.as_object().unwrap(), write).is_ok());
        }
        assert!(made > 400, "{made}");
        records
    }

    fn ask(records: &Records, args: Value) -> Vec<(String, String)> {
        let user = User::system_manager("a", "k", "s");
        let query = Query::read(records, &user, "Item Group", args.as_object().unwrap(), Call::GetList).unwrap();
        let page = page(records, records.table("Item Group").unwrap(), &user, &query, false);
        let rows: Vec<Value> = serde_json::from_slice(&page.body).unwrap();
        let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
        rows.iter().map(|row| (text(row, "modified"), text(row, "name"))).collect()
    }

    #[test]
    fn keyset_pages_of_any_size_bring_every_row_once() {
        let records = groups();
        let all = ask(
            &records,
            json!({"fields": ["name", "modified"], "limit_page_length": 0, "order_by": "modified asc, name asc"}),
        );
        assert_eq!(all.len(), records.table("Item Group").unwrap().len());
        for size in [1, 7, 50] {
            let mut seen = Vec::new();
            let mut cursor = ("2000-01-01 00:00:00".to_owned(), String::new());
            loop {
                let rows = ask(
                    &records,
                    json!({
                        "fields": ["name", "modified"], "limit_page_length": size, "order_by": "modified asc, name asc",
                        "filters": [["modified", ">=", cursor.0]],
                        "or_filters": [["modified", ">", cursor.0], ["name", ">", cursor.1]],
                    }),
                );
                let Some(last) = rows.last() else { break };
                cursor = last.clone();
                seen.extend(rows);
            }
            assert_eq!(seen, all, "page size {size}");
        }
    }

    #[test]
    fn the_walk_that_starts_at_the_cursor_gives_what_a_full_scan_gives() {
        let records = groups();
        let with_order = |order: &str, filters: Value| {
            ask(
                &records,
                json!({"fields": ["name", "modified"], "limit_page_length": 0, "order_by": order, "filters": filters}),
            )
        };
        for filters in [
            json!([["modified", ">", "2024-05-05 10:00:00"]]),
            json!([["modified", "<=", "2024-05-05 10:00:00"]]),
            json!([["modified", "between", ["2024-05-05 10:00:00.000001", "2024-05-06"]], ["name", ">", "É"]]),
            json!([["name", ">=", "中"]]),
        ] {
            let walked = with_order("modified asc, name asc", filters.clone());
            let mut reversed = with_order("modified desc, name desc", filters.clone());
            reversed.reverse();
            // `modified_by` is the same everywhere, so this order is by modified and name too, but is come by by sorting.
            let sorted = with_order("modified_by asc, modified asc, name asc", filters.clone());
            assert!(!walked.is_empty(), "{filters}");
            assert_eq!(walked, sorted, "{filters}");
            assert_eq!(walked, reversed, "{filters}");
        }
    }
}
