//! Which index a list request walks, and where it starts.
//!
//! A walk never passes over a row that fits; it may bring rows that do not, which the filters then stop.

use std::ops::Bound;
use std::sync::Arc;

use super::clock::Stamp;
use super::collation;
use super::doctype::Naming;
use super::filter::{Comparison, Filter, Operand, Test};
use super::query::{Order, Query};
use super::row::Column;
use super::table::{Mark, RowId, Table};

/// Up to so many parents MariaDB looks child rows up by parent.
const FEW_PARENTS: usize = 200;

/// The way rows are come by, and whether that is already the order asked for.
pub(super) struct Walk<'a> {
    pub(super) ids: Box<dyn Iterator<Item = RowId> + 'a>,
    pub(super) is_ordered: bool,
}

impl<'a> Walk<'a> {
    /// Picks the index that serves a request best.
    pub(super) fn choose(table: &'a Table, query: &Query) -> Self {
        if let Some(ids) = looked_up(table, query) {
            return Self { ids: Box::new(ids.into_iter()), is_ordered: false };
        }
        let has_modified = !table.doctype.is_child;
        match query.order.as_slice() {
            [(Order::Column(Column::Modified), down)] if has_modified => Self::by_modified(table, query, *down),
            [(Order::Column(Column::Modified), down), (Order::Column(Column::Name), name_down)]
                if has_modified && down == name_down =>
            {
                Self::by_modified(table, query, *down)
            }
            [(Order::Column(Column::Name), down)] => Self::by_name(table, query, *down),
            [] if has_modified && query.is_covered_by_modified() => Self::by_modified(table, query, false),
            [] => Self::by_name(table, query, false),
            _ if has_modified => Self { is_ordered: false, ..Self::by_modified(table, query, false) },
            _ => Self { is_ordered: false, ..Self::by_name(table, query, false) },
        }
    }

    fn by_modified(table: &'a Table, query: &Query, is_descending: bool) -> Self {
        let ids = table.in_modified_order(start_of_modified(query));
        let last = end_of_modified(query);
        let is_within =
            move |id: &RowId| last.is_none_or(|last| table.get(*id).is_some_and(|row| row.modified <= Some(last)));
        let ids: Box<dyn Iterator<Item = RowId>> = if is_descending {
            Box::new(ids.rev().skip_while(move |id| !is_within(id)))
        } else {
            Box::new(ids.take_while(is_within))
        };
        Self { ids, is_ordered: true }
    }

    fn by_name(table: &'a Table, query: &Query, is_descending: bool) -> Self {
        let start = query.filters.iter().find_map(|filter| match (&filter.column, &filter.test) {
            (Column::Name, Test::Compare(Comparison::Greater | Comparison::AtLeast, Operand::Text(name))) => {
                Some(Bound::Included(Arc::from(collation::key(name))))
            }
            _ => None,
        });
        let ids = table.in_name_order(start.unwrap_or(Bound::Unbounded));
        let ids: Box<dyn Iterator<Item = RowId>> = if is_descending { Box::new(ids.rev()) } else { Box::new(ids) };
        Self { ids, is_ordered: true }
    }
}

/// Rows named by the filters themselves, or children of the parents named, in name order.
fn looked_up(table: &Table, query: &Query) -> Option<Vec<RowId>> {
    let texts = |filter: &Filter| -> Option<Vec<Vec<u8>>> {
        let operands: Vec<&Operand> = match &filter.test {
            Test::Compare(Comparison::Equal, operand) => vec![operand],
            Test::In { list, negated: false, .. } => list.iter().collect(),
            Test::Compare(..) | Test::In { .. } | Test::Like { .. } | Test::Between(..) | Test::IsSet(_) => {
                return None;
            }
        };
        operands
            .into_iter()
            .map(|operand| match operand {
                Operand::Text(text) => Some(collation::key(text)),
                Operand::Number(_) | Operand::Time(_) => None,
            })
            .collect()
    };
    let of = |column: Column| query.filters.iter().filter(|filter| filter.column == column).find_map(texts);
    let (mut ids, parents) = match of(Column::Name) {
        Some(names) if table.doctype.naming != Naming::Autoincrement => {
            (names.iter().filter_map(|name| table.find(name)).collect(), usize::MAX)
        }
        _ => {
            let parents = of(Column::Parent)?;
            (table.under(&parents), parents.len())
        }
    };
    // The children of a few parents come parent by parent, those of many in name order (recordings 1705, 541).
    let is_by_parent = parents <= FEW_PARENTS;
    ids.sort_by_cached_key(|id| {
        let row = table.get(*id);
        let parent = row.and_then(|row| row.parent.as_ref()).filter(|_| is_by_parent);
        (parent.map(|parent| collation::key(&parent.name)), row.map(|row| Arc::clone(&row.key)))
    });
    ids.dedup();
    Some(ids)
}

/// Where a walk over `modified` may start without passing over a row that fits. For a keyset request that is the
/// cursor itself (recording 201).
fn start_of_modified(query: &Query) -> Bound<Mark> {
    let low = query.filters.iter().filter_map(|filter| match (filter.column, &filter.test) {
        (Column::Modified, Test::Compare(Comparison::AtLeast | Comparison::Equal, Operand::Time(stamp))) => {
            Some(*stamp)
        }
        (Column::Modified, Test::Compare(Comparison::Greater, Operand::Time(stamp))) => Some(stamp.saturating_add(1)),
        (Column::Modified, Test::Between(Operand::Time(stamp), _)) => Some(*stamp),
        _ => None,
    });
    let Some(low) = low.max() else {
        return Bound::Unbounded;
    };
    let mut after = None;
    let mut name = None;
    for filter in &query.or_filters {
        match (filter.column, &filter.test) {
            (Column::Modified, Test::Compare(Comparison::Greater, Operand::Time(stamp))) if *stamp == low => {
                after = Some(())
            }
            (Column::Name, Test::Compare(Comparison::Greater, Operand::Text(text))) => {
                name = Some(collation::key(text))
            }
            _ => {}
        }
    }
    match (after, name) {
        (Some(()), Some(name)) if query.or_filters.len() == 2 => Bound::Excluded((Some(low), name.into())),
        _ => Bound::Included((Some(low), Arc::from([]))),
    }
}

fn end_of_modified(query: &Query) -> Option<Stamp> {
    let high = query.filters.iter().filter_map(|filter| match (filter.column, &filter.test) {
        (
            Column::Modified,
            Test::Compare(Comparison::AtMost | Comparison::Less | Comparison::Equal, Operand::Time(stamp)),
        )
        | (Column::Modified, Test::Between(_, Operand::Time(stamp))) => Some(*stamp),
        _ => None,
    });
    high.min()
}
