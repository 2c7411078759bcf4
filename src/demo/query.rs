//! A list request, read and checked: fields, filters, order and page.

use serde_json::{Map, Value};

use super::cell;
use super::doctype::{DocType, Field, Kind};
use super::filter::{self, Filter};
use super::records::Records;
use super::refusal::Refusal;
use super::row::{Column, STANDARD};
use super::user::User;

/// What a request was sent with: query, form or JSON body, one value a key.
pub(super) type Args = Map<String, Value>;

/// How many rows a list holds unless it asks otherwise (recording 101).
const PAGE_LENGTH: usize = 20;

/// Which of the two list calls was made; they differ in what they accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// `/api/resource/X`: `limit` is taken, `fields` must be JSON text (recordings 106, 528).
    Resource,
    /// `frappe.client.get_list`: `limit` is ignored, real lists are taken (recordings 520, 524).
    GetList,
}

/// A list request.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) outputs: Vec<Output>,
    pub(super) filters: Vec<Filter>,
    /// Any one of these must pass too, unless there are none (recordings 105, 201).
    pub(super) or_filters: Vec<Filter>,
    pub(super) order: Vec<(Order, bool)>,
    pub(super) group_by: Vec<Column>,
    pub(super) start: usize,
    /// `None` is the whole table (recording 108).
    pub(super) limit: Option<usize>,
    pub(super) as_dict: bool,
}

/// One value of each row answered.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) label: String,
    pub(super) expression: Expression,
}

/// How a value is come by.
#[derive(Debug)]
pub(super) enum Expression {
    Column(Column),
    Count,
    Sum(Column),
    Average(Column),
    /// A field of the record a Link field points to (recording 119b).
    Linked {
        link: Column,
        doctype: String,
        field: String,
    },
}

/// What rows are ordered by; the flag beside it says descending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Column(Column),
    /// The place of an aggregate among the outputs (recording 405).
    Output(usize),
}

impl Query {
    /// Reads a list request as the user who sent it may have it answered.
    pub(super) fn read(records: &Records, user: &User, name: &str, args: &Args, call: Call) -> Result<Self, Refusal> {
        let table = records.table(name)?;
        let doctype = &*table.doctype;
        check_access(records, user, doctype, args)?;
        let outputs = outputs(records, user, doctype, args, call)?;
        let known = |name: &str| records.table(name).is_ok();
        let filters = filter::read(doctype, &structured(args.get("filters"))?, &known)?;
        let or_filters = filter::read(doctype, &structured(args.get("or_filters"))?, &known)?;
        let group_by = match args.get("group_by").map(cell::text) {
            None => Vec::new(),
            Some(text) => text
                .split(',')
                .map(|name| filter::bare_name(&doctype.name, name))
                .map(|name| {
                    let readable = Column::of(doctype, name);
                    readable.ok_or_else(|| filter::not_permitted(name))
                })
                .collect::<Result<_, _>>()?,
        };
        let order = order(doctype, &outputs, &args.get("order_by").map(cell::text).unwrap_or_default())?;
        let length = args.get("limit_page_length").or_else(|| args.get("limit").filter(|_| call == Call::Resource));
        let limit = match length.filter(|value| !value.is_null()).map(cell::whole) {
            None => Some(PAGE_LENGTH),
            Some(0) => None,
            Some(length) => Some(usize::try_from(length).map_err(|_refused| negative(length))?),
        };
        let start = args.get("limit_start").map_or(0, cell::whole);
        let as_dict = args.get("as_dict").map(cell::text).is_none_or(|text| !matches!(&*text, "false" | "0" | "no"));
        Ok(Self {
            outputs,
            filters,
            or_filters,
            order,
            group_by,
            start: usize::try_from(start).unwrap_or(0),
            limit,
            as_dict,
        })
    }

    /// Whether every column the request touches is in the index on `modified`, which MariaDB then reads instead of
    /// the table: without `order_by` rows come in that index's order (recordings 101, 524). A filter on the name
    /// makes it read the primary key instead (recording 116).
    pub(super) fn is_covered_by_modified(&self) -> bool {
        let covered = |column: Column| matches!(column, Column::Name | Column::Modified);
        self.outputs
            .iter()
            .all(|output| matches!(output.expression, Expression::Column(column) if covered(column)))
            && self.filters.iter().chain(&self.or_filters).all(|filter| filter.column == Column::Modified)
    }

    /// Whether rows are counted or summed instead of listed.
    pub(super) fn is_grouped(&self) -> bool {
        !self.group_by.is_empty()
            || self.outputs.iter().any(|output| {
                matches!(output.expression, Expression::Count | Expression::Sum(_) | Expression::Average(_))
            })
    }
}

/// JSON text is parsed, real JSON taken as it is, nothing is null.
fn structured(given: Option<&Value>) -> Result<Value, Refusal> {
    match given {
        None => Ok(Value::Null),
        Some(Value::String(text)) if text.is_empty() => Ok(Value::Null),
        Some(Value::String(text)) => {
            serde_json::from_str(text).map_err(|error| Refusal::bad_json(&format!("Expecting value: {error}")))
        }
        Some(other) => Ok(other.clone()),
    }
}

/// A child DocType needs `parent`, naming a DocType that holds it and that the user may read (recordings 510-514).
fn check_access(records: &Records, user: &User, doctype: &DocType, args: &Args) -> Result<(), Refusal> {
    if !doctype.is_child {
        return if user.reads(&doctype.name) {
            Ok(())
        } else {
            let refusal = Refusal::no_access(&user.email, &doctype.name);
            Err(refusal.error_message(format!("No permission for {}", doctype.name)))
        };
    }
    let plain = || Refusal::new(403, "frappe.exceptions.PermissionError");
    let parent = args.get("parent").map(cell::text).ok_or_else(plain)?;
    let table = records.table(&parent).map_err(|_unknown| plain())?;
    if !table.doctype.tables().any(|(_, child)| child == doctype.name) {
        return Err(plain());
    }
    if user.reads(&parent) { Ok(()) } else { Err(Refusal::no_access(&user.email, &parent)) }
}

fn outputs(records: &Records, user: &User, doctype: &DocType, args: &Args, call: Call) -> Result<Vec<Output>, Refusal> {
    let given = args.get("fields").filter(|given| !given.is_null());
    if call == Call::Resource && given.is_some_and(|given| !given.is_string()) {
        let words = "the JSON object must be str, bytes or bytearray, not list";
        return Err(Refusal::new(500, "TypeError").detail(words));
    }
    let wanted = match structured(given)? {
        Value::Null => vec!["name".to_owned()],
        Value::Array(names) => names.iter().map(cell::text).collect(),
        Value::String(name) => vec![name],
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => vec!["name".to_owned()],
    };
    let mut outputs = Vec::new();
    for field in &wanted {
        let (expression, alias) = split_alias(field);
        let expression_text = expression;
        if expression == "*" {
            outputs.extend(all_columns(user, doctype));
            continue;
        }
        let name = filter::bare_name(&doctype.name, expression);
        if let Some(column) = Column::of(doctype, name) {
            let is_shown = |field: &Field| user.sees(&doctype.name, field) && !field.is_virtual;
            let readable = doctype.get(name).is_none_or(is_shown);
            if readable && column.kind() != Kind::Table {
                outputs
                    .push(Output { label: alias.unwrap_or(name).to_owned(), expression: Expression::Column(column) });
            }
            continue;
        }
        let expression = aggregate(doctype, expression).or_else(|| linked(records, doctype, expression));
        let expression = expression.ok_or_else(|| filter::not_permitted(culprit(doctype, expression_text)))?;
        let label = match &expression {
            Expression::Linked { field, .. } => alias.unwrap_or(field),
            Expression::Column(_) | Expression::Count | Expression::Sum(_) | Expression::Average(_) => {
                alias.unwrap_or(field)
            }
        };
        outputs.push(Output { label: label.to_owned(), expression });
    }
    Ok(outputs)
}

fn split_alias(field: &str) -> (&str, Option<&str>) {
    match field.split_once(" as ") {
        Some((expression, alias)) => (expression.trim(), Some(alias.trim().trim_matches('`'))),
        None => (field.trim(), None),
    }
}

/// What `*` stands for: of a child DocType only the name (recordings 512, 517).
fn all_columns(user: &User, doctype: &DocType) -> Vec<Output> {
    let output = |name: &str, column| Output { label: name.to_owned(), expression: Expression::Column(column) };
    if doctype.is_child {
        return vec![output("name", Column::Name)];
    }
    let standard = STANDARD.iter().map(|(name, column)| output(name, *column));
    let fields = doctype.fields.iter().filter(|field| user.sees(&doctype.name, field)).filter_map(|field| {
        let column = Column::of(doctype, &field.fieldname)?;
        (column.kind() != Kind::Table).then(|| output(&field.fieldname, column))
    });
    standard.chain(fields).collect()
}

/// `count(name)`, `sum(x)` and `avg(x)`; everything else is refused (recordings 1602-1613).
fn aggregate(doctype: &DocType, expression: &str) -> Option<Expression> {
    let (function, rest) = expression.split_once('(')?;
    let column = Column::of(doctype, filter::bare_name(&doctype.name, rest.strip_suffix(')')?))?;
    match function.trim().to_lowercase().as_str() {
        "count" => Some(Expression::Count),
        "sum" => Some(Expression::Sum(column)),
        "avg" => Some(Expression::Average(column)),
        _ => None,
    }
}

/// What of a refused expression HQ names: inside a known function, only what it was applied to (recordings 1602-1610).
fn culprit<'a>(doctype: &DocType, expression: &'a str) -> &'a str {
    let inner = expression
        .split_once('(')
        .filter(|(function, _)| matches!(*function, "count" | "sum" | "avg"))
        .and_then(|(_, rest)| rest.strip_suffix(')'))
        .filter(|inner| Column::of(doctype, inner).is_none());
    inner.unwrap_or(expression)
}

fn linked(records: &Records, doctype: &DocType, expression: &str) -> Option<Expression> {
    let (link, field) = expression.split_once('.')?;
    let target = doctype.get(link).filter(|field| field.fieldtype == "Link")?.options.clone()?;
    Column::of(&records.table(&target).ok()?.doctype, field)?;
    let link = Column::of(doctype, link)?;
    Some(Expression::Linked { link, doctype: target, field: field.to_owned() })
}

/// Reads `order_by` (recordings 114, 839-841).
fn order(doctype: &DocType, outputs: &[Output], text: &str) -> Result<Vec<(Order, bool)>, Refusal> {
    if text.contains('(') && text.to_lowercase().contains("select") {
        return Err(Refusal::thrown(417, "ValidationError", "Cannot use sub-query in order by"));
    }
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '_' | '`' | '.' | ',');
    if !text.chars().all(is_plain) {
        return Err(Refusal::thrown(417, "ValidationError", "Illegal SQL Query"));
    }
    let mut order = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let lower = part.to_lowercase();
        let is_descending = lower.ends_with(" desc");
        let name = if is_descending || lower.ends_with(" asc") {
            part.rsplit_once(' ').map_or(part, |(name, _)| name)
        } else {
            part
        };
        let name = filter::bare_name(&doctype.name, name);
        let name = name.strip_prefix(&format!("tab{}.", doctype.name)).unwrap_or(name);
        let aggregate = outputs
            .iter()
            .position(|output| output.label == name)
            .filter(|_| Column::of(doctype, name).is_none());
        let key = match (Column::of(doctype, name), aggregate) {
            (Some(column), _) => Order::Column(column),
            (None, Some(place)) => Order::Output(place),
            (None, None) => {
                let words = format!("(1054, \"Unknown column '{name}' in 'ORDER BY'\")");
                return Err(Refusal::database("OperationalError", &words));
            }
        };
        order.push((key, is_descending));
    }
    Ok(order)
}

fn negative(length: i64) -> Refusal {
    let words = format!(
        "(1064, \"You have an error in your SQL syntax; check the manual that corresponds to your MariaDB server version \
         for the right syntax to use near '{length} offset 0' at line 6\")"
    );
    Refusal::database("ProgrammingError", &words)
}
