//! One record as stored, and the columns it can be asked by.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::cell::Cell;
use super::clock::Stamp;
use super::collation;
use super::doctype::{DocType, Kind};

/// A record, or a child row.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// Text, or a number for `autoincrement` DocTypes.
    pub(super) name: Cell,
    /// The name's place in the server's order; equal keys are one name.
    pub(super) key: Arc<[u8]>,
    pub(super) creation: Option<Stamp>,
    /// `None` for a row loaded by SQL (recordings 412, 413).
    pub(super) modified: Option<Stamp>,
    pub(super) owner: Arc<str>,
    pub(super) modified_by: Arc<str>,
    pub(super) docstatus: i64,
    pub(super) idx: i64,
    /// Where a child row belongs.
    pub(super) parent: Option<Box<Parent>>,
    /// One for each field of the DocType, in its order.
    pub(super) cells: Box<[Cell]>,
}

/// The parent of a child row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) name: Box<str>,
    pub(super) doctype: Arc<str>,
    pub(super) field: Arc<str>,
}

/// A column of a DocType's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Name,
    Owner,
    Creation,
    Modified,
    ModifiedBy,
    Docstatus,
    Idx,
    Parent,
    ParentField,
    ParentType,
    /// A field, by its place in the DocType.
    Field(usize, Kind),
}

/// The columns every record has, in the order Frappe prints them (recording 102).
pub(super) const STANDARD: [(&str, Column); 7] = [
    ("name", Column::Name),
    ("owner", Column::Owner),
    ("creation", Column::Creation),
    ("modified", Column::Modified),
    ("modified_by", Column::ModifiedBy),
    ("docstatus", Column::Docstatus),
    ("idx", Column::Idx),
];

/// The columns only child rows have, in the order Frappe prints them (recording 501).
pub(super) const OF_CHILDREN: [(&str, Column); 3] =
    [("parent", Column::Parent), ("parentfield", Column::ParentField), ("parenttype", Column::ParentType)];

impl Column {
    /// The column of that name, if the DocType has one.
    pub(super) fn of(doctype: &DocType, name: &str) -> Option<Self> {
        let known =
            |columns: &[(&str, Self)]| columns.iter().find(|(known, _)| *known == name).map(|(_, column)| *column);
        known(&STANDARD).or_else(|| doctype.is_child.then(|| known(&OF_CHILDREN)).flatten()).or_else(|| {
            let place = doctype.place(name)?;
            let kind = doctype.fields.get(place)?.kind();
            (kind != Kind::Layout).then_some(Self::Field(place, kind))
        })
    }

    /// How the column's values compare.
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Creation | Self::Modified => Kind::Datetime,
            Self::Docstatus | Self::Idx => Kind::Whole,
            Self::Name | Self::Owner | Self::ModifiedBy | Self::Parent | Self::ParentField | Self::ParentType => {
                Kind::Text
            }
            Self::Field(_, kind) => kind,
        }
    }
}

impl Row {
    /// The collation key of a name.
    pub(super) fn key_of(name: &Cell) -> Arc<[u8]> {
        match name {
            Cell::Whole(number) => number.to_be_bytes().into(),
            Cell::Text(text) => collation::key(text).into(),
            Cell::Null | Cell::Real(_) | Cell::Time(_) => Arc::from([]),
        }
    }

    /// The value in a column; texts are copied.
    pub(super) fn get(&self, column: Column) -> Cell {
        self.cell(column).into_owned()
    }

    /// The value in a column, borrowed where the row holds it as a cell.
    pub(super) fn cell(&self, column: Column) -> Cow<'_, Cell> {
        Cow::Owned(match column {
            Column::Name => return Cow::Borrowed(&self.name),
            Column::Field(place, _) => return self.cells.get(place).map_or(Cow::Owned(Cell::Null), Cow::Borrowed),
            Column::Owner => Cell::Text((*self.owner).into()),
            Column::Creation => self.creation.map_or(Cell::Null, Cell::Time),
            Column::Modified => self.modified.map_or(Cell::Null, Cell::Time),
            Column::ModifiedBy => Cell::Text((*self.modified_by).into()),
            Column::Docstatus => Cell::Whole(self.docstatus),
            Column::Idx => Cell::Whole(self.idx),
            Column::Parent => self.parent.as_ref().map_or(Cell::Null, |parent| Cell::Text(parent.name.clone())),
            Column::ParentField => self.parent.as_ref().map_or(Cell::Null, |parent| Cell::Text((*parent.field).into())),
            Column::ParentType => {
                self.parent.as_ref().map_or(Cell::Null, |parent| Cell::Text((*parent.doctype).into()))
            }
        })
    }

    /// The text in a column without copying it; `None` where it holds no text.
    pub(super) fn text(&self, column: Column) -> Option<&str> {
        match column {
            Column::Name => self.name.as_text(),
            Column::Owner => Some(&self.owner),
            Column::ModifiedBy => Some(&self.modified_by),
            Column::Parent => self.parent.as_ref().map(|parent| &*parent.name),
            Column::ParentField => self.parent.as_ref().map(|parent| &*parent.field),
            Column::ParentType => self.parent.as_ref().map(|parent| &*parent.doctype),
            Column::Field(place, _) => self.cells.get(place).and_then(Cell::as_text),
            Column::Creation | Column::Modified | Column::Docstatus | Column::Idx => None,
        }
    }

    /// Sets a field's value; an unknown place is nothing to set.
    pub(super) fn set(&mut self, place: usize, cell: Cell) {
        if let Some(slot) = self.cells.get_mut(place) {
            *slot = cell;
        }
    }

    /// All columns as one object: standard ones, fields, and what places a child row.
    pub(super) fn to_map(&self, doctype: &DocType) -> Map<String, Value> {
        let mut map = Map::new();
        for (name, column) in STANDARD {
            map.insert(name.to_owned(), self.get(column).to_json());
        }
        for (field, cell) in doctype.fields.iter().zip(&self.cells) {
            if !matches!(field.kind(), Kind::Table | Kind::Layout) {
                map.insert(field.fieldname.clone(), cell.to_json());
            }
        }
        if doctype.is_child {
            for (name, column) in OF_CHILDREN {
                map.insert(name.to_owned(), self.get(column).to_json());
            }
        }
        map
    }
}
