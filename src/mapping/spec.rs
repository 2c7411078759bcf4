//! The mapping as `sync.toml` words it, after its syntax was checked and before it is compiled.

use crate::row::Type;

/// A scalar written in `sync.toml`.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// A string.
    Text(String),
    /// An integer.
    Int(i64),
    /// A float, as it was written (`0.10` keeps its digits).
    Float(String),
    /// `true` or `false`.
    Bool(bool),
}

/// Who owns a column once the row is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Owner {
    /// HQ: every change at HQ is written.
    #[default]
    Hq,
    /// Written when the row is made, then the outlet's own.
    Once,
    /// HQ's until the outlet changes it, and HQ's again once the outlet puts HQ's value back.
    UntilEdited,
}

impl Owner {
    /// Whether changes at HQ may be written to the column.
    #[must_use]
    pub fn is_hqs(self) -> bool {
        match self {
            Self::Hq | Self::UntilEdited => true,
            Self::Once => false,
        }
    }
}

/// Where a column's value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// An HQ field.
    Field(String),
    /// A Jinja expression over HQ fields.
    Expr(String),
    /// A constant.
    Const(Literal),
}

/// A value that is replaced by a column of another local table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupSpec {
    /// The local table to look into.
    pub table: String,
    /// The column that must equal HQ's value.
    pub match_column: String,
    /// The column whose value is taken.
    pub take_column: String,
}

/// One entry of `[job.fields]` or `[job.children.fields]`.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldSpec {
    /// The local column.
    pub column: String,
    /// Where the value comes from.
    pub origin: Origin,
    /// The declared type; text where none is (an integer column of an existing table takes what fits it).
    pub ty: Option<Type>,
    /// Cut white space at both ends.
    pub trim: bool,
    /// HQ's text to the outlet's.
    pub map: Option<Vec<(String, Literal)>>,
    /// Stands in for null, and for a text that `map` does not list.
    pub default: Option<Literal>,
    /// Replace the value by another local table's.
    pub lookup: Option<LookupSpec>,
    /// Who owns the column.
    pub owner: Owner,
    /// The value is shown nowhere.
    pub is_private: bool,
}

/// One `[[job.children]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ChildSpec {
    /// The Table field at HQ.
    pub field: String,
    /// The local child table.
    pub table: String,
    /// The child column that holds the parent's key.
    pub parent_key: String,
    /// The child's fields.
    pub fields: Vec<FieldSpec>,
}

/// Something in a mapping that cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which child table, by position; `None` for the parent's fields.
    pub child: Option<usize>,
    /// The column concerned; `None` for the mapping as a whole.
    pub column: Option<String>,
    /// The sub-key of the column's entry that is at fault (`expr`, `default`, `map` …), where one is.
    pub part: Option<&'static str>,
    /// What is wrong and what to do.
    pub message: String,
}
