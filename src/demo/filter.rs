//! Filters: how they are read, and which rows they let through.

use std::cmp::Ordering;

use serde_json::Value;

use super::cell::{self, Cell};
use super::clock::{self, Stamp};
use super::collation::{self, Pattern};
use super::doctype::{DocType, Kind};
use super::refusal::Refusal;
use super::row::{Column, Row};

const OPERATORS: &str = "=, !=, >, <, >=, <=, like, not like, in, not in, is, between, timespan, previous, next, \
     ancestors of, descendants of, not ancestors of, not descendants of, descendants of (inclusive)";
/// What a time that cannot be read compares as: below everything (recordings 217-219).
const BELOW_ALL: Stamp = Stamp::MIN;
/// The last microsecond of a day.
const DAY_END: Stamp = 86_400_000_000 - 1;

/// One condition on one column.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    pub(super) column: Column,
    pub(super) test: Test,
}

/// What the column is held against.
#[derive(Debug, Clone)]
pub(super) enum Test {
    /// An order comparison that lets these outcomes through.
    Compare(Comparison, Operand),
    In {
        list: Vec<Operand>,
        /// The places of the list's texts in the collation's order, to be searched: a page of thousands of names is asked of a
        /// table of many more. Empty where not all of the list is text.
        sorted: Vec<Vec<u8>>,
        negated: bool,
    },
    Like {
        pattern: Pattern,
        negated: bool,
    },
    Between(Operand, Operand),
    IsSet(bool),
}

/// The six order comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Greater,
    AtLeast,
    Less,
    AtMost,
}

/// A value made ready for its column's kind.
#[derive(Debug, Clone)]
pub(super) enum Operand {
    Text(String),
    Number(f64),
    Time(Stamp),
}

/// Reads `filters` or `or_filters` (recordings 103, 104, 202, 222, 846).
pub(super) fn read(doctype: &DocType, given: &Value, known: &dyn Fn(&str) -> bool) -> Result<Vec<Filter>, Refusal> {
    match given {
        Value::Null => Ok(Vec::new()),
        Value::Object(map) => map
            .iter()
            .map(|(field, value)| match value.as_array().map(Vec::as_slice) {
                None => one(doctype, field, &Value::from("="), value),
                Some([operator, value]) => one(doctype, field, operator, value),
                Some(_) => Err(Refusal::new(500, "IndexError").detail("list index out of range")),
            })
            .collect(),
        Value::Array(items) => items
            .iter()
            .map(|item| match item {
                Value::Array(parts) => match parts.as_slice() {
                    [field, operator, value] => one(doctype, &cell::text(field), operator, value),
                    [of, field, operator, value, ..] if of.as_str() == Some(&doctype.name) => {
                        one(doctype, &cell::text(field), operator, value)
                    }
                    [of, _, _, _, ..] if known(&cell::text(of)) => Err(Refusal::new(500, "NotImplementedError")
                        .detail("the simulated HQ does not join tables by a filter")),
                    [of, ..] => Err(Refusal::not_found(Some(format!("DocType {} not found", cell::text(of))))),
                    [] => Err(Refusal::new(500, "IndexError").detail("list index out of range")),
                },
                Value::String(text) => {
                    let first: String = text.chars().take(1).collect();
                    Err(Refusal::not_found(Some(format!("DocType {first} not found"))))
                }
                Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {
                    Err(Refusal::new(500, "TypeError").detail("filters must be lists"))
                }
            })
            .collect(),
        Value::String(_) | Value::Bool(_) | Value::Number(_) => {
            Err(Refusal::new(500, "TypeError").detail("filters must be a list or an object"))
        }
    }
}

fn one(doctype: &DocType, field: &str, operator: &Value, value: &Value) -> Result<Filter, Refusal> {
    let field = bare_name(&doctype.name, field);
    let column = Column::of(doctype, field)
        .filter(|column| column.kind() != Kind::Table)
        .ok_or_else(|| not_permitted(field))?;
    let operator = cell::text(operator).to_lowercase();
    let comparison = |comparison| Test::Compare(comparison, Operand::new(column, value));
    let test = match operator.as_str() {
        "=" => comparison(Comparison::Equal),
        "!=" => comparison(Comparison::NotEqual),
        ">" => comparison(Comparison::Greater),
        ">=" => comparison(Comparison::AtLeast),
        "<" => comparison(Comparison::Less),
        "<=" => comparison(Comparison::AtMost),
        "in" | "not in" => {
            let list = members(column, value);
            let keys = list.iter().map(|operand| match operand {
                Operand::Text(text) => Some(collation::key(text)),
                Operand::Number(_) | Operand::Time(_) => None,
            });
            let mut sorted = keys.collect::<Option<Vec<_>>>().unwrap_or_default();
            sorted.sort_unstable();
            Test::In { list, sorted, negated: operator == "not in" }
        }
        "like" | "not like" => {
            Test::Like { pattern: Pattern::new(&cell::text(value)), negated: operator == "not like" }
        }
        "between" => {
            let (low, high) = range(column, value)?;
            Test::Between(low, high)
        }
        "is" => Test::IsSet(value.as_str() == Some("set")),
        _ => {
            return Err(Refusal::thrown(417, "ValidationError", &format!("Operator must be one of {OPERATORS}")));
        }
    };
    Ok(Filter { column, test })
}

/// A field's name without its table: `` `tabItem`.`modified` `` is `modified` (recording 114).
pub(super) fn bare_name<'a>(doctype: &str, field: &'a str) -> &'a str {
    let field = field.trim();
    let bare = field.strip_prefix(&format!("`tab{doctype}`.")).unwrap_or(field);
    bare.trim_matches('`')
}

/// The refusal of a name that is no column (recordings 837, 838).
pub(super) fn not_permitted(field: &str) -> Refusal {
    Refusal::thrown(417, "DataError", &format!("Field not permitted in query: {field}"))
}

/// The elements of an `in` list, trimmed; a text is split at commas (recordings 206-208).
fn members(column: Column, value: &Value) -> Vec<Operand> {
    let texts: Vec<String> = match value {
        Value::Array(items) => items.iter().map(cell::text).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            cell::text(value).split(',').map(str::to_owned).collect()
        }
    };
    texts.iter().map(|text| Operand::new(column, &Value::from(text.trim()))).collect()
}

/// The ends of `between`: bare dates cover whole days (recordings 220, 221).
fn range(column: Column, value: &Value) -> Result<(Operand, Operand), Refusal> {
    let texts: Vec<Value> = match value {
        Value::Array(items) => items.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            cell::text(value).split(',').map(Value::from).collect()
        }
    };
    let [low, high] = texts.as_slice() else {
        return Err(Refusal::new(500, "IndexError").detail("list index out of range"));
    };
    let high_end = match Operand::new(column, high) {
        Operand::Time(day) if high.as_str().is_some_and(clock::is_bare_date) => Operand::Time(day + DAY_END),
        end @ (Operand::Time(_) | Operand::Text(_) | Operand::Number(_)) => end,
    };
    Ok((Operand::new(column, low), high_end))
}

impl Operand {
    fn new(column: Column, value: &Value) -> Self {
        match column.kind() {
            Kind::Whole | Kind::Check | Kind::Real => Self::Number(cell::real(value)),
            Kind::Date | Kind::Datetime => Self::Time(value.as_str().and_then(clock::parse).unwrap_or(BELOW_ALL)),
            Kind::Text | Kind::Table | Kind::Layout => match value {
                Value::Number(_) | Value::Bool(_) => Self::Number(cell::real(value)),
                Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => Self::Text(cell::text(value)),
            },
        }
    }
}

impl Comparison {
    fn allows(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Greater => ordering.is_gt(),
            Self::AtLeast => ordering.is_ge(),
            Self::Less => ordering.is_lt(),
            Self::AtMost => ordering.is_le(),
        }
    }
}

impl Filter {
    /// Whether the row passes. A text or time that is null compares as empty or as year 1, except `creation` and
    /// `modified`, which then pass nothing (recording 412).
    pub(super) fn lets_through(&self, row: &Row) -> bool {
        let stamps = matches!(self.column, Column::Creation | Column::Modified);
        if stamps && !matches!(self.test, Test::IsSet(false)) && row.get(self.column).is_null() {
            return false;
        }
        match &self.test {
            Test::Compare(comparison, operand) => comparison.allows(self.against(row, operand)),
            Test::In { list, sorted, negated } => self.is_among(row, list, sorted) != *negated,
            Test::Like { pattern, negated } => pattern.fits(&cell::text(&row.get(self.column).to_json())) != *negated,
            Test::Between(low, high) => self.against(row, low).is_ge() && self.against(row, high).is_le(),
            Test::IsSet(wanted) => {
                let is_set = match self.column.kind() {
                    Kind::Whole | Kind::Check | Kind::Real => row.get(self.column).as_number() != 0.0,
                    Kind::Date | Kind::Datetime => !row.get(self.column).is_null(),
                    Kind::Text | Kind::Table | Kind::Layout => row
                        .text(self.column)
                        .map_or(!row.get(self.column).is_null(), |text| !text.trim_end().is_empty()),
                };
                is_set == *wanted
            }
        }
    }

    fn is_among(&self, row: &Row, list: &[Operand], sorted: &[Vec<u8>]) -> bool {
        match row.text(self.column) {
            Some(_) if self.column == Column::Name && !sorted.is_empty() => {
                sorted.binary_search_by(|key| key.as_slice().cmp(&row.key)).is_ok()
            }
            Some(text) if !sorted.is_empty() => sorted.binary_search(&collation::key(text)).is_ok(),
            Some(_) | None => list.iter().any(|operand| self.against(row, operand).is_eq()),
        }
    }

    fn against(&self, row: &Row, operand: &Operand) -> Ordering {
        match operand {
            Operand::Text(wanted) => match row.text(self.column) {
                Some(text) => collation::compare(text, wanted),
                None if row.get(self.column).is_null() => collation::compare("", wanted),
                None => {
                    let wanted = Cell::Text(wanted.as_str().into()).as_number();
                    row.get(self.column).as_number().total_cmp(&wanted)
                }
            },
            Operand::Number(wanted) => row.get(self.column).as_number().total_cmp(wanted),
            Operand::Time(wanted) => match row.get(self.column) {
                Cell::Time(stamp) => stamp.cmp(wanted),
                Cell::Text(date) => clock::parse(&date).unwrap_or(BELOW_ALL).cmp(wanted),
                Cell::Null | Cell::Whole(_) | Cell::Real(_) => (BELOW_ALL + 1).cmp(wanted),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item() -> DocType {
        DocType::new("Item").fields([("title", "Data"), ("rate", "Currency"), ("off", "Check"), ("day", "Date")])
    }

    fn row(title: Cell, modified: Option<&str>) -> Row {
        Row {
            name: Cell::Text("ITEM-1".into()),
            key: Row::key_of(&Cell::Text("ITEM-1".into())),
            creation: Some(0),
            modified: modified.and_then(clock::parse),
            owner: "a".into(),
            modified_by: "a".into(),
            docstatus: 0,
            idx: 0,
            parent: None,
            cells: vec![title, Cell::Real(80.0), Cell::Whole(0), Cell::Text("2030-01-01".into())].into(),
        }
    }

    fn passes(filters: Value, row: &Row) -> bool {
        let filters = read(&item(), &filters, &|_| false).unwrap();
        filters.iter().all(|filter| filter.lets_through(row))
    }

    #[test]
    fn every_operator_decides_as_recorded() {
        let row = row(Cell::Text("Été, Sorbet".into()), Some("2024-05-05 10:00:00.000001"));
        for (filter, expected) in [
            (json!([["title", "=", "ete, sorbet  "]]), true),
            (json!([["title", "in", "ete, sorbet"]]), false),
            (json!([["title", "in", [" ETE, SORBET "]]]), true),
            (json!([["title", "not in", ["x"]]]), true),
            (json!([["title", "like", "%sorb%"]]), true),
            (json!([["title", "is", "set"]]), true),
            (json!([["title", "is", "not set"]]), false),
            (json!([["title", ">", 5]]), false),
            (json!([["name", ">", "item-0"]]), true),
            (json!([["rate", ">=", "80"]]), true),
            (json!([["rate", "between", [10, 79]]]), false),
            (json!([["off", "=", false]]), true),
            (json!([["day", "<", "2031-01-01"]]), true),
            (json!({"rate": 80, "title": ["!=", "x"]}), true),
            (json!([["Item", "rate", "=", 80]]), true),
            (json!([["modified", ">", "2024-05-05 10:00:00"]]), true),
            (json!([["modified", ">", "2024-05-05T10:00:00.000Z"]]), true),
            (json!([["modified", "=", "2024-05-05 10:00:00.000001"]]), true),
            (json!([["modified", "<=", "2024-05-05"]]), false),
            (json!([["modified", "between", ["2024-05-05", "2024-05-05"]]]), true),
            (json!([["modified", ">", "yesterday"]]), true),
            (json!([["modified", ">", null]]), true),
        ] {
            assert_eq!(passes(filter.clone(), &row), expected, "{filter}");
        }
    }

    #[test]
    fn a_null_modified_passes_no_filter_on_it() {
        let row = row(Cell::Null, None);
        assert!(!passes(json!([["modified", ">=", "0001-01-01 00:00:00"]]), &row));
        assert!(!passes(json!([["modified", ">", ""]]), &row));
        assert!(passes(json!([["modified", "is", "not set"]]), &row));
        assert!(passes(json!([["title", "!=", "x"]]), &row), "a null text is an empty text");
    }

    #[test]
    fn misread_filters_are_refused_as_recorded() {
        for (filter, status, exc_type) in [
            (json!(["modified", ">", "2024"]), 404, "DoesNotExistError"),
            (json!([["name", "x"]]), 404, "DoesNotExistError"),
            (json!([["name", "~", "x"]]), 417, "ValidationError"),
            (json!([["nosuch", "=", 1]]), 417, "DataError"),
        ] {
            let refusal = read(&item(), &filter, &|_| false).unwrap_err();
            assert_eq!((refusal.status(), refusal.exc_type()), (status, exc_type), "{filter}");
        }
    }
}
