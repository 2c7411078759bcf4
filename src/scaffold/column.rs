//! From HQ's fields to columns: the type that loses nothing, or why a field is left out.

use std::fmt;

use super::name::{self, Names};
use super::{Found, PARENT_KEY};
use crate::doctype::{Docfield, Holds, NAME_LENGTH};

/// A column and the field it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(super) name: String,
    pub(super) from: String,
    pub(super) ty: Type,
    pub(super) remark: Option<String>,
}

/// What is declared of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    /// `text`, of HQ's own length where it has one.
    Text(Option<u32>),
    /// Any other, by its word.
    Word(&'static str),
}

/// A field that is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub(super) fieldname: String,
    pub(super) fieldtype: String,
    pub(super) reason: Reason,
    /// The column it would be.
    pub(super) column: Option<Column>,
}

/// Why a field is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The answer to this user lacks it.
    Unreadable { permlevel: u32, user: String },
    /// HQ did not tell who may read it, and not everybody may.
    Untold { permlevel: u32, user: String },
    /// HQ shows asterisks.
    Secret,
    /// No list has it.
    Virtual,
    /// HQ changes it without a stamp.
    Renumbered,
    /// Nothing is known of its type.
    UnknownType,
    /// `sync.toml` cannot name it.
    Unnameable,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { permlevel: 0, user } => write!(f, "HQ does not show it to {user}"),
            Self::Unreadable { permlevel, user } => {
                write!(f, "permission level {permlevel}, which {user} may not read")
            }
            Self::Untold { permlevel, user } => {
                write!(f, "permission level {permlevel}, and HQ does not tell whether {user} may read it")
            }
            Self::Secret => f.write_str("a secret; HQ shows asterisks"),
            Self::Virtual => f.write_str("computed when HQ opens the form; no list has it"),
            Self::Renumbered => f.write_str("HQ renumbers its tree without moving `modified`"),
            Self::UnknownType => f.write_str("of a type that this version of milkrun does not know"),
            Self::Unnameable => f.write_str("milkrun reads field names of ASCII letters, digits and \"_\" only"),
        }
    }
}

/// The bytes of a row on MariaDB that its texts of bounded length may take: 65,535 in all, at four a character.
#[derive(Debug)]
pub(super) struct Budget(u32);

impl Default for Budget {
    fn default() -> Self {
        Self(48_000)
    }
}

impl Budget {
    /// The length to declare: none where the row would grow too long for MariaDB, or the column is no varchar anyway.
    fn length(&mut self, most: Option<u32>) -> Option<u32> {
        let most = most?;
        let bytes = if most <= 255 { most * 4 + 2 } else { 12 };
        let left = self.0.checked_sub(bytes)?;
        self.0 = left;
        Some(most)
    }
}

/// Fields that HQ keeps for a tree.
const OF_TREE: [&str; 3] = ["lft", "rgt", "old_parent"];

/// The columns of a DocType's own table.
pub(super) fn of(found: &Found, budget: &mut Budget, user: &str) -> (Vec<Column>, Vec<LeftOut>) {
    let doctype = &found.doctype;
    let key_type = if doctype.is_numbered() { Type::Word("int") } else { Type::Text(budget.length(Some(NAME_LENGTH))) };
    let key = Column { name: "name".to_owned(), from: "name".to_owned(), ty: key_type, remark: None };
    let mut names = Names::with(&["name", "modified", "docstatus", "deleted_at"]);
    let (fields, left_out) = fields(found, &mut names, budget, user);
    let standard = |name: &str, word, remark: Option<&str>| Column {
        name: name.to_owned(),
        from: name.to_owned(),
        ty: Type::Word(word),
        remark: remark.map(str::to_owned),
    };
    let status = standard("docstatus", "int", Some("0 draft, 1 submitted, 2 cancelled"));
    let status = doctype.is_submittable.then_some(status);
    let modified = standard("modified", "datetime", Some("stored in UTC"));
    (std::iter::once(key).chain(status).chain(fields).chain([modified]).collect(), left_out)
}

/// The columns of a child table.
pub(super) fn of_child(found: &Found, user: &str) -> (Vec<Column>, Vec<LeftOut>) {
    fields(found, &mut Names::with(&[PARENT_KEY, "idx"]), &mut Budget::default(), user)
}

fn fields(found: &Found, names: &mut Names, budget: &mut Budget, user: &str) -> (Vec<Column>, Vec<LeftOut>) {
    let (mut columns, mut left_out) = (Vec::new(), Vec::new());
    for field in &found.doctype.fields {
        if matches!(field.holds(), Holds::Nothing | Holds::Rows) {
            continue;
        }
        let reason = reason(found, field, user);
        let is_sure_no = matches!(
            reason,
            Some(Reason::Secret | Reason::Virtual | Reason::Renumbered | Reason::UnknownType | Reason::Unnameable)
        );
        let column = (!is_sure_no).then(|| Column {
            name: names.free(&name::column(&field.fieldname)),
            from: field.fieldname.clone(),
            ty: ty(field, budget),
            remark: remark(field),
        });
        match (reason, column) {
            (None, Some(column)) => columns.push(column),
            (None, None) => {}
            (Some(reason), column) => left_out.push(LeftOut {
                fieldname: field.fieldname.clone(),
                fieldtype: field.fieldtype.clone(),
                reason,
                column,
            }),
        }
    }
    (columns, left_out)
}

fn reason(found: &Found, field: &Docfield, user: &str) -> Option<Reason> {
    let is_of_tree = found.doctype.is_tree && OF_TREE.contains(&field.fieldname.as_str());
    let is_untold = found.readable.is_none() && field.permlevel > 0;
    let is_missing = found.readable.as_ref().is_some_and(|readable| !readable.contains(&field.fieldname));
    match field.holds() {
        _ if !name::is_field(&field.fieldname) => Some(Reason::Unnameable),
        _ if field.is_virtual => Some(Reason::Virtual),
        Holds::Secret => Some(Reason::Secret),
        Holds::Unknown => Some(Reason::UnknownType),
        _ if is_of_tree => Some(Reason::Renumbered),
        _ if is_missing => Some(Reason::Unreadable { permlevel: field.permlevel, user: user.to_owned() }),
        _ if is_untold => Some(Reason::Untold { permlevel: field.permlevel, user: user.to_owned() }),
        Holds::Text(_)
        | Holds::Int
        | Holds::Check
        | Holds::Number
        | Holds::Date
        | Holds::Datetime
        | Holds::Time
        | Holds::Duration
        | Holds::Json
        | Holds::Rows
        | Holds::Nothing => None,
    }
}

/// The type that keeps every value HQ can have.
fn ty(field: &Docfield, budget: &mut Budget) -> Type {
    match field.holds() {
        Holds::Text(most) => Type::Text(budget.length(most)),
        Holds::Int => Type::Word("int"),
        Holds::Check => Type::Word("bool"),
        Holds::Number => Type::Word("decimal"),
        Holds::Date => Type::Word("date"),
        Holds::Datetime => Type::Word("datetime"),
        Holds::Time => Type::Word("time"),
        Holds::Duration => Type::Word("duration"),
        Holds::Json => Type::Word("json"),
        Holds::Rows | Holds::Secret | Holds::Nothing | Holds::Unknown => Type::Text(None),
    }
}

/// What a reader of the file would not guess: where a link points, what a Select offers, a label of other words.
fn remark(field: &Docfield) -> Option<String> {
    if let Some(doctype) = field.links_to() {
        return Some(format!("-> {doctype}"));
    }
    let choices: Vec<&str> = match field.fieldtype.as_str() {
        "Select" => field.options.as_deref().unwrap_or_default().lines().filter(|line| !line.is_empty()).collect(),
        _ => Vec::new(),
    };
    let choices = choices.join(", ");
    if (1..=60).contains(&choices.chars().count()) {
        return Some(choices);
    }
    let label = field.label.as_deref().unwrap_or_default().trim();
    let is_telling = !label.is_empty() && name::snake(label) != name::snake(&field.fieldname);
    is_telling.then(|| label.chars().take(60).collect())
}
