//! Many rows to one statement, cut to what each database takes.
//!
//! SQLite gets few fixed shapes, so that few statements are prepared; PostgreSQL gets one array for each column;
//! MariaDB gets rows up to a size that stays below its `max_allowed_packet`.

use crate::config::DatabaseKind;

use super::bind::{Bind, Elements};
use super::catalog::Stored;
use super::connection::Connection;
use super::error::Error;
use super::sql::Sql;
use super::values::Values;

/// Rows of one statement on SQLite. Each statement goes to the connection's thread and back, which costs as much as writing
/// some twenty rows; few shapes, so that few are prepared.
const SQLITE_SHAPES: [usize; 5] = [500, 100, 20, 4, 1];

/// Bytes of values of one statement on SQLite, which copies them; more only where a single row has them.
const SQLITE_BYTES: usize = 1 << 20;

/// `SQLITE_MAX_VARIABLE_NUMBER` of the bundled library.
const SQLITE_BINDS: usize = 32_766;

/// Below the protocol's 65,535.
const MYSQL_BINDS: usize = 60_000;

/// Rows of one statement on the servers.
const SERVER_ROWS: usize = 2_000;

/// Rows of one statement on MariaDB, where there are so many: each number of rows is a statement of its own to prepare, and
/// larger ones are no quicker.
const MYSQL_ROWS: usize = 500;

/// Rows whose values are bound at once: a page is written in pieces, so that its binds take little beside its rows.
/// On SQLite that is one statement.
pub(super) fn piece(kind: DatabaseKind) -> usize {
    match kind {
        DatabaseKind::Sqlite | DatabaseKind::Mysql => 500,
        DatabaseKind::Postgres => 1_000,
    }
}

/// Names or keys of one `IN` list; the shorter lists are filled up, so that few statements are prepared.
const LISTS: [usize; 4] = [500, 100, 10, 1];

/// Rows to bind, one after the other.
#[derive(Debug, Default)]
pub(super) struct Batch<'a> {
    width: usize,
    binds: Vec<Bind<'a>>,
}

impl<'a> Batch<'a> {
    /// A batch of rows of `width` values.
    pub(super) fn new(width: usize) -> Self {
        Self { width: width.max(1), binds: Vec::new() }
    }

    /// As [`Batch::new`], with room for so many rows.
    pub(super) fn of_rows(width: usize, rows: usize) -> Self {
        Self { width: width.max(1), binds: Vec::with_capacity(width * rows) }
    }

    /// Adds values; the caller adds whole rows.
    pub(super) fn extend(&mut self, row: impl IntoIterator<Item = Bind<'a>>) {
        self.binds.extend(row);
    }

    /// How many rows the batch holds.
    pub(super) fn len(&self) -> usize {
        self.binds.len() / self.width
    }

    /// Cuts the batch into statements: how many rows each takes, and its binds.
    pub(super) fn cut(self, kind: DatabaseKind, most_bytes: usize) -> Vec<(usize, Vec<Bind<'a>>)> {
        let width = self.width;
        let mut left = self.len();
        if left > 0 && rows_of_next(kind, width, left, most_bytes, &self.binds) == left {
            return vec![(left, bound(kind, width, self.binds, Bind::column))];
        }
        let mut binds = self.binds.into_iter();
        let mut pieces = Vec::new();
        while left > 0 {
            let rows = rows_of_next(kind, width, left, most_bytes, binds.as_slice());
            let piece: Vec<_> = binds.by_ref().take(rows * width).collect();
            pieces.push((rows, bound(kind, width, piece, Bind::column)));
            left -= rows;
        }
        pieces
    }

    /// Cuts a batch of keys into `IN` lists; the last key is repeated where that saves preparing another statement.
    pub(super) fn cut_lists(self, kind: DatabaseKind) -> Vec<(usize, Vec<Bind<'a>>)> {
        let width = self.width;
        let mut left = self.len();
        let mut binds = self.binds.into_iter();
        let mut pieces = Vec::new();
        while left > 0 {
            let most = if kind == DatabaseKind::Postgres { 10 * SERVER_ROWS } else { (SERVER_ROWS / 4 / width).max(1) };
            let rows = left.min(most);
            let mut piece: Vec<_> = binds.by_ref().take(rows * width).collect();
            let mut shape = rows;
            if kind != DatabaseKind::Postgres {
                shape = LISTS.iter().rev().copied().find(|shape| *shape >= rows && *shape <= most).unwrap_or(rows);
                let last: Vec<_> = piece.iter().skip((rows - 1) * width).cloned().collect();
                piece.extend(last.iter().cycle().take((shape - rows) * width).cloned());
            }
            pieces.push((shape, bound(kind, width, piece, |keys| Bind::Column(Elements::Texts, keys))));
            left -= rows;
        }
        pieces
    }
}

fn rows_of_next(kind: DatabaseKind, width: usize, left: usize, most_bytes: usize, binds: &[Bind<'_>]) -> usize {
    match kind {
        DatabaseKind::Sqlite => {
            let bytes = |shape: usize| binds.iter().take(shape * width).map(Bind::size).sum::<usize>();
            let fits =
                |shape: &usize| *shape <= left && *shape * width <= SQLITE_BINDS && bytes(*shape) <= SQLITE_BYTES;
            SQLITE_SHAPES.into_iter().find(fits).unwrap_or(1)
        }
        DatabaseKind::Postgres | DatabaseKind::Mysql => {
            let most = if kind == DatabaseKind::Mysql { MYSQL_ROWS.min(MYSQL_BINDS / width) } else { SERVER_ROWS };
            let mut bytes = 0;
            let sizes = binds.chunks(width).take(most.min(left)).take_while(|row| {
                bytes += row.iter().map(Bind::size).sum::<usize>();
                bytes <= most_bytes
            });
            sizes.count().max(1)
        }
    }
}

fn bound<'a>(
    kind: DatabaseKind,
    width: usize,
    binds: Vec<Bind<'a>>,
    column: impl Fn(Vec<Bind<'a>>) -> Bind<'a>,
) -> Vec<Bind<'a>> {
    match kind {
        DatabaseKind::Sqlite | DatabaseKind::Mysql => binds,
        DatabaseKind::Postgres => {
            let rows = binds.len() / width;
            let mut columns: Vec<_> = (0..width).map(|_| Vec::with_capacity(rows)).collect();
            for (at, bind) in binds.into_iter().enumerate() {
                if let Some(column) = columns.get_mut(at % width) {
                    column.push(bind);
                }
            }
            columns.into_iter().map(column).collect()
        }
    }
}

/// Inserts the batch; `columns` name and type its values, `tail` is what to do on a conflict.
pub(super) async fn insert(
    connection: &mut Connection,
    table: &str,
    columns: &[(&str, &Stored)],
    batch: Batch<'_>,
    tail: &'static str,
) -> Result<(), Error> {
    insert_each(connection, table, columns, std::iter::once(batch), tail).await
}

/// As [`insert`], of batches of which the next is put together while one is written.
pub(super) async fn insert_each<'a>(
    connection: &mut Connection,
    table: &str,
    columns: &[(&str, &Stored)],
    batches: impl Iterator<Item = Batch<'a>>,
    tail: &'static str,
) -> Result<(), Error> {
    let (kind, most_bytes) = (connection.kind(), connection.piece());
    let mut last: Option<(usize, Sql)> = None;
    let mut statements = batches.flat_map(|batch| batch.cut(kind, most_bytes)).map(|(rows, binds)| {
        let sql = match last.take() {
            // PostgreSQL's has the types of the arrays in it.
            Some((shape, sql)) if shape == rows && kind != DatabaseKind::Postgres => sql,
            Some(_) | None => insertion(kind, table, columns, (rows, &binds), tail),
        };
        last = Some((rows, sql.clone()));
        (sql, Values::new(kind, binds))
    });
    let mut next = statements.next();
    while let Some((sql, values)) = next {
        // The statement is on its way with the first poll.
        let written = connection.execute_with(sql, values);
        let (written, following) = tokio::join!(biased; written, async { statements.next() });
        written?;
        next = following;
    }
    Ok(())
}

fn insertion(
    kind: DatabaseKind,
    table: &str,
    columns: &[(&str, &Stored)],
    (rows, binds): (usize, &[Bind<'_>]),
    tail: &'static str,
) -> Sql {
    let mut sql = Sql::new(kind, "INSERT INTO ");
    sql.name(table).push(" (").names(columns.iter().map(|(name, _)| *name)).push(") ");
    match sql.kind() {
        DatabaseKind::Sqlite | DatabaseKind::Mysql => sql.push("VALUES ").tuples(rows, columns.len()),
        DatabaseKind::Postgres => {
            sql.push("SELECT ").list(", ", columns.iter().enumerate(), |sql, (at, (_, stored))| {
                sql.push("milkrun_page.c").count(at).push("::").type_name(&stored.type_name);
            });
            sql.push(" FROM ").unnest(binds.iter().map(Bind::array_type))
        }
    };
    sql.push(tail);
    sql
}

/// Adds the condition that a row's `columns` are among `rows` bound keys.
pub(super) fn among(sql: &mut Sql, columns: &[(&str, &Stored)], rows: usize) {
    match (sql.kind(), columns) {
        // Of `IN (SELECT … UNNEST …)` the planner expects a row or so where it has no statistics yet, and loops.
        (DatabaseKind::Postgres, [(only, stored)]) => {
            sql.name(only);
            if is_cast_safe(stored) {
                sql.push(" = ANY (?::text[]::").type_name(&stored.type_name).push("[])");
            } else {
                sql.push("::text = ANY (?::text[])");
            }
        }
        (DatabaseKind::Postgres, _) => {
            sql.push("(").list(", ", columns, |sql, (name, stored)| {
                sql.name(name);
                if !is_cast_safe(stored) {
                    sql.push("::text");
                }
            });
            sql.push(") IN (SELECT ").list(", ", columns.iter().enumerate(), |sql, (at, (_, stored))| {
                sql.push("milkrun_page.c").count(at);
                if is_cast_safe(stored) {
                    sql.push("::").type_name(&stored.type_name);
                }
            });
            sql.push(" FROM ").unnest(columns.iter().map(|_| "text[]")).push(")");
        }
        (DatabaseKind::Sqlite | DatabaseKind::Mysql, [(only, _)]) => {
            sql.name(only).push(" IN (").list(", ", 0..rows, |sql, _| {
                sql.push("?");
            });
            sql.push(")");
        }
        // SQLite reads the whole table for `(a, b) IN (VALUES …)`, but goes by the index for each part of an OR.
        (DatabaseKind::Sqlite | DatabaseKind::Mysql, _) => {
            sql.push("(").list(" OR ", 0..rows, |sql, _| {
                sql.push("(").list(" AND ", columns, |sql, (name, _)| {
                    sql.name(name).push(" = ?");
                });
                sql.push(")");
            });
            sql.push(")");
        }
    }
}

/// A text that is no value of the column (`abc` as a uuid) would break the transaction by its cast; such columns are
/// compared as texts. The values for the others are checked by [`super::bind::canonical`].
pub(super) fn is_cast_safe(stored: &Stored) -> bool {
    use super::catalog::Kind;
    !matches!(stored.kind, Kind::Other | Kind::Json)
}
