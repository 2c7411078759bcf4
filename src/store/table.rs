//! The layout of a job's tables: what the mapping asks for, matched with what the database has.

use std::collections::{BTreeSet, HashMap};

use crate::config::{DatabaseKind, Deletes, Job};
use crate::mapping::{Column, LookupSpec};
use crate::row::{Cell, Key, Row, Type};

use super::bind::canonical;
use super::catalog::{Catalog, Kind, Stored, same_name};
use super::check;
use super::connection::Connection;
use super::create;
use super::dry;
use super::error::Error;
use super::line::Line;

/// The column that a job with `deletes = "mark"` sets.
pub(super) const DELETED_AT: &str = "deleted_at";

/// The column of a child table that keeps the order of the rows.
pub(super) const IDX: &str = "idx";

/// What a job asks of the outlet's tables.
#[derive(Debug, Clone)]
pub(super) struct Wish<'a> {
    pub(super) parent: Part<'a>,
    pub(super) key: &'a [usize],
    pub(super) children: Vec<Part<'a>>,
    pub(super) create_table: bool,
    pub(super) deletes: Deletes,
    /// The column that says when the outlet last edited a row.
    pub(super) local_modified: Option<&'a str>,
}

/// What a job asks of its table, or of one of its child tables.
#[derive(Debug, Clone)]
pub(super) struct Part<'a> {
    pub(super) table: &'a str,
    pub(super) columns: &'a [Column],
    pub(super) lookups: &'a [LookupSpec],
    /// For each column the lookup that fills it; columns beyond the end have none.
    pub(super) looked_up: Vec<Option<usize>>,
    /// For a child table: the column that names the parent.
    pub(super) parent_key: &'a str,
}

impl<'a> From<&'a Job> for Wish<'a> {
    fn from(job: &'a Job) -> Self {
        let mapping = &job.mapping;
        let children = mapping.children().iter().map(|child| Part {
            table: &child.table,
            columns: &child.columns,
            lookups: child.lookups(),
            looked_up: (0..child.columns.len()).map(|at| child.lookup_of(at)).collect(),
            parent_key: &child.parent_key,
        });
        Self {
            parent: Part {
                table: &job.table,
                columns: mapping.columns(),
                lookups: mapping.lookups(),
                looked_up: (0..mapping.columns().len()).map(|at| mapping.lookup_of(at)).collect(),
                parent_key: "",
            },
            key: mapping.key(),
            children: children.collect(),
            create_table: job.create_table,
            deletes: job.deletes,
            local_modified: job.rules.local_modified.as_deref(),
        }
    }
}

impl Wish<'_> {
    /// The key's columns, in the order of `key`.
    pub(super) fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.key.iter().filter_map(|at| self.parent.columns.get(*at))
    }

    /// The column a child row names its parent by: as the parent's key.
    pub(super) fn parent_type(&self) -> Type {
        self.key_columns().next().map_or(Type::Text { max_length: None }, |column| column.ty)
    }
}

/// The layout of a job's tables, as [`super::Store::prepare`] found or made them.
#[derive(Debug, Clone)]
pub struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<TableColumn>,
    pub(super) key: Vec<usize>,
    /// Where the job marks its deletes.
    pub(super) deleted_at: Option<Stored>,
    /// The column that says when the outlet last edited a row.
    pub(super) local_modified: Option<String>,
    pub(super) children: Vec<Child>,
    pub(super) lookups: Vec<Lookup>,
    /// What is written reads back as it was written.
    pub(super) is_verbatim: bool,
    /// The columns of mappings that the job had before, where rows are read as those would, too ([`super::Store::recall`]).
    pub(super) former: Vec<Vec<TableColumn>>,
}

/// A mapped column and how the database stores it.
#[derive(Debug, Clone)]
pub(super) struct TableColumn {
    pub(super) name: String,
    pub(super) ty: Type,
    pub(super) stored: Stored,
    /// HQ's own after the row was made, too.
    pub(super) is_hq: bool,
}

/// The layout of a child table.
#[derive(Debug, Clone)]
pub(super) struct Child {
    pub(super) name: String,
    pub(super) parent_key: TableColumn,
    pub(super) columns: Vec<TableColumn>,
    /// The table has a column `idx` that the mapping does not fill.
    pub(super) idx: Option<Stored>,
    pub(super) order: Order,
    pub(super) lookups: Vec<Lookup>,
}

/// How the rows of one parent are read back in the order they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// By a column: `idx`, or the table's own number.
    Column(String),
    /// By where the row lies; the best there is in a table without a column that tells.
    Place(&'static str),
    /// As the database likes.
    Unknown,
}

/// The layout of a lookup.
#[derive(Debug, Clone)]
pub(super) struct Lookup {
    pub(super) table: String,
    pub(super) match_column: String,
    pub(super) take_column: String,
    /// How the two columns are stored; `None` while the table does not exist.
    pub(super) stored: Option<(Stored, Stored)>,
}

impl Table {
    /// The table's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether what is written is known to read back as it was written: on SQLite in columns of the types that milkrun itself
    /// gives them, and without triggers. Others are read to know.
    #[must_use]
    pub fn is_verbatim(&self) -> bool {
        self.is_verbatim
    }

    /// Whether `hq` and `local` are one value to the column at `at`. They may differ as cells where the mapping declares
    /// no type: an undeclared `80.0` reads back as `80.00` from a column of two decimals, and `1` as `true`.
    #[must_use]
    pub fn agrees(&self, database: DatabaseKind, at: usize, hq: &Cell, local: &Cell) -> bool {
        if hq == local {
            return true;
        }
        let (Some(hq), Some(local), Some(column)) = (hq.text(), local.text(), self.columns.get(at)) else {
            return false;
        };
        let hq = canonical(database, &hq, &column.stored);
        hq.is_some() && hq == canonical(database, &local, &column.stored)
    }

    pub(super) fn key_columns(&self) -> impl Iterator<Item = &TableColumn> {
        self.key.iter().filter_map(|at| self.columns.get(*at))
    }

    pub(super) fn named_key(&self) -> Vec<(&str, &Stored)> {
        self.key_columns().map(TableColumn::named).collect()
    }

    /// The key of a row.
    pub(super) fn key_of(&self, row: &Row) -> Key {
        Key(self.key.iter().map(|at| row.get(*at).cloned().unwrap_or(Cell::Null)).collect())
    }

    /// The columns an update writes, with their places in the row: all that HQ owns, or those of them that are `wanted`.
    pub(super) fn updated_columns(&self, wanted: Option<&[usize]>) -> Vec<(usize, &TableColumn)> {
        let columns = self.columns.iter().enumerate();
        let is_wanted = |at: &usize| wanted.is_none_or(|wanted| wanted.contains(at));
        columns.filter(|(at, column)| column.is_hq && !self.key.contains(at) && is_wanted(at)).collect()
    }
}

impl TableColumn {
    pub(super) fn named(&self) -> (&str, &Stored) {
        (&self.name, &self.stored)
    }

    /// The cell that `text` stands for. What the outlet stored and is no value of the type stays text, so that it
    /// compares unequal to anything of HQ's.
    pub(super) fn cell(&self, text: Option<&str>) -> Cell {
        match text {
            None => Cell::Null,
            Some(text) => Cell::from_text(text, self.ty).unwrap_or_else(|| Cell::Text(text.into())),
        }
    }
}

/// Reads `columns` from the line, from its value `start` on.
pub(super) fn row_of(columns: &[TableColumn], line: &Line, start: usize) -> Row {
    columns.iter().enumerate().map(|(at, column)| column.cell(line.text(start + at))).collect()
}

/// What the database has of all tables a job touches.
#[derive(Debug)]
pub(super) struct Inventory(HashMap<String, Catalog>);

impl Inventory {
    async fn read(connection: &mut Connection, wish: &Wish<'_>) -> Result<Self, Error> {
        let parts = || std::iter::once(&wish.parent).chain(&wish.children);
        let looked_up = parts().flat_map(|part| part.lookups).map(|lookup| lookup.table.as_str());
        let tables: BTreeSet<_> = parts().map(|part| part.table).chain(looked_up).collect();
        let mut inventory = HashMap::new();
        for table in tables {
            if let Some(catalog) = Catalog::read(connection, table).await? {
                inventory.insert(table.to_owned(), catalog);
            }
        }
        Ok(Self(inventory))
    }

    /// The table of that name, where it exists.
    pub(super) fn table(&self, name: &str) -> Option<&Catalog> {
        self.0.get(name)
    }
}

/// What keeps the job from working with its tables as they are; a sentence with its remedy for each.
pub(super) async fn inspect(
    connection: &mut Connection,
    wish: &Wish<'_>,
    collation: &'static str,
) -> Result<Vec<String>, Error> {
    let inventory = Inventory::read(connection, wish).await?;
    Ok(check::findings(connection.kind(), wish, &inventory, collation))
}

/// The statements that make what is missing, where the job says so.
pub(super) async fn to_make(
    connection: &mut Connection,
    wish: &Wish<'_>,
    collation: &'static str,
) -> Result<Vec<String>, Error> {
    if !wish.create_table {
        return Ok(Vec::new());
    }
    let inventory = Inventory::read(connection, wish).await?;
    let types = create::Types { kind: connection.kind(), collation, inventory: &inventory };
    Ok(create::missing(types, wish, false).into_iter().map(|(_, sql)| sql.text().to_owned()).collect())
}

/// Checks what is there and gives the layout; `None` where something is missing that the job makes itself.
pub(super) async fn lay_out(
    connection: &mut Connection,
    wish: &Wish<'_>,
    collation: &'static str,
) -> Result<Option<Table>, Error> {
    let kind = connection.kind();
    if connection.is_dry() && kind == DatabaseKind::Mysql {
        let tables: Vec<&str> = std::iter::once(&wish.parent).chain(&wish.children).map(|part| part.table).collect();
        dry::check_engines(connection, &tables).await?;
    }
    let inventory = Inventory::read(connection, wish).await?;
    let findings = check::findings(kind, wish, &inventory, collation);
    if !findings.is_empty() {
        return Err(Error::Schema(findings));
    }
    let types = create::Types { kind, collation, inventory: &inventory };
    if !create::missing(types, wish, connection.is_dry()).is_empty() {
        return Ok(None);
    }
    layout(kind, wish, &inventory).map(Some)
}

/// Makes what is missing where the job says so, checks the rest, and gives the layout.
pub(super) async fn prepare(
    connection: &mut Connection,
    wish: &Wish<'_>,
    collation: &'static str,
) -> Result<Table, Error> {
    if let Some(table) = lay_out(connection, wish, collation).await? {
        return Ok(table);
    }
    let inventory = Inventory::read(connection, wish).await?;
    let types = create::Types { kind: connection.kind(), collation, inventory: &inventory };
    for (table, sql) in create::missing(types, wish, connection.is_dry()) {
        if let Err(error) = connection.execute(sql, Vec::new()).await {
            // Another process may have made it at the same moment.
            if Catalog::read(connection, table).await?.is_none() {
                return Err(error.for_table(table));
            }
        }
    }
    let vanished = || Error::Schema(vec![format!("Table {} vanished while it was prepared.", wish.parent.table)]);
    lay_out(connection, wish, collation).await?.ok_or_else(vanished)
}

/// Mapped columns that the tables which are there do not have, each with its table.
pub(super) async fn absent_columns(
    connection: &mut Connection,
    wish: &Wish<'_>,
) -> Result<Vec<(String, String)>, Error> {
    let inventory = Inventory::read(connection, wish).await?;
    let mut absent = Vec::new();
    for part in std::iter::once(&wish.parent).chain(&wish.children) {
        let Some(catalog) = inventory.table(part.table) else { continue };
        let gone = part.columns.iter().filter(|column| catalog.column(&column.name).is_none());
        absent.extend(gone.map(|column| (part.table.to_owned(), column.name.clone())));
    }
    Ok(absent)
}

/// Tables that the job looks values up in and that are not there.
pub(super) async fn absent_lookups(connection: &mut Connection, wish: &Wish<'_>) -> Result<BTreeSet<String>, Error> {
    let inventory = Inventory::read(connection, wish).await?;
    let lookups = std::iter::once(&wish.parent).chain(&wish.children).flat_map(|part| part.lookups);
    let absent = lookups.filter(|lookup| inventory.table(&lookup.table).is_none());
    Ok(absent.map(|lookup| lookup.table.clone()).collect())
}

fn layout(kind: DatabaseKind, wish: &Wish<'_>, inventory: &Inventory) -> Result<Table, Error> {
    let existing = |part: &Part<'_>| {
        let gone = || Error::Schema(vec![format!("Table {} vanished while it was prepared.", part.table)]);
        inventory.table(part.table).ok_or_else(gone)
    };
    let catalog = existing(&wish.parent)?;
    let children = wish
        .children
        .iter()
        .map(|child| Ok(child_layout(kind, child, wish.parent_type(), existing(child)?, lookups(child, inventory))));
    Ok(Table {
        name: wish.parent.table.to_owned(),
        columns: table_columns(wish.parent.columns, catalog),
        key: wish.key.to_vec(),
        deleted_at: match wish.deletes {
            Deletes::Mark => Some(stored(catalog, DELETED_AT)),
            Deletes::Delete | Deletes::Keep => None,
        },
        local_modified: wish.local_modified.map(str::to_owned),
        children: children.collect::<Result<_, Error>>()?,
        lookups: lookups(&wish.parent, inventory),
        is_verbatim: is_verbatim(kind, &wish.parent, catalog),
        former: Vec::new(),
    })
}

fn is_verbatim(kind: DatabaseKind, part: &Part<'_>, catalog: &Catalog) -> bool {
    let is_own_type = |column: &Column| {
        let found = catalog.column(&column.name);
        found.is_some_and(|found| found.stored.full_type.eq_ignore_ascii_case(create::sqlite_type(column.ty)))
    };
    kind == DatabaseKind::Sqlite && catalog.has_no_triggers && part.columns.iter().all(is_own_type)
}

fn child_layout(kind: DatabaseKind, child: &Part<'_>, parent: Type, found: &Catalog, lookups: Vec<Lookup>) -> Child {
    let is_mapped = child.columns.iter().any(|column| same_name(kind, &column.name, IDX));
    let idx = found.column(IDX).map(|column| column.stored.clone());
    let order = match (&idx, kind) {
        (Some(_), _) => Order::Column(IDX.to_owned()),
        (None, DatabaseKind::Sqlite) if found.has_rowid => Order::Place("rowid"),
        (None, DatabaseKind::Postgres) => numbered(found).unwrap_or(Order::Place("ctid")),
        (None, DatabaseKind::Sqlite | DatabaseKind::Mysql) => numbered(found).unwrap_or(Order::Unknown),
    };
    Child {
        name: child.table.to_owned(),
        parent_key: TableColumn {
            name: child.parent_key.to_owned(),
            ty: parent,
            stored: stored(found, child.parent_key),
            is_hq: true,
        },
        columns: table_columns(child.columns, found),
        idx: idx.filter(|_| !is_mapped),
        order,
        lookups,
    }
}

/// The column by which the database itself numbers the rows: unique, whole, and filled without being asked.
fn numbered(found: &Catalog) -> Option<Order> {
    let numbers = found.unique.iter().filter_map(|index| match index.as_slice() {
        [only] => found.column(only).filter(|column| column.stored.kind == Kind::Int && !column.is_needed),
        _ => None,
    });
    numbers.map(|column| Order::Column(column.name.clone())).next()
}

fn lookups(part: &Part<'_>, inventory: &Inventory) -> Vec<Lookup> {
    let lookups = part.lookups.iter().map(|lookup| Lookup {
        table: lookup.table.clone(),
        match_column: lookup.match_column.clone(),
        take_column: lookup.take_column.clone(),
        stored: inventory
            .table(&lookup.table)
            .map(|found| (stored(found, &lookup.match_column), stored(found, &lookup.take_column))),
    });
    lookups.collect()
}

fn table_columns(columns: &[Column], catalog: &Catalog) -> Vec<TableColumn> {
    let columns = columns.iter().map(|column| TableColumn {
        name: column.name.clone(),
        ty: column.ty,
        stored: stored(catalog, &column.name),
        is_hq: column.owner.is_hqs(),
    });
    columns.collect()
}

fn stored(catalog: &Catalog, column: &str) -> Stored {
    catalog.column(column).map_or_else(Stored::text, |column| column.stored.clone())
}
