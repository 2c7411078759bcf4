//! What the database says of a table: its columns, and which of them identify a row.

use crate::config::DatabaseKind;
use crate::row::Type;

use super::bind::Bind;
use super::connection::Connection;
use super::error::Error;
use super::line::Line;
use super::sql::{Sql, TypeName};
use super::temporary;

/// What kind of value a column is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Int,
    Float,
    Decimal,
    Bool,
    Date,
    Datetime,
    Time,
    Json,
    /// Something else, or nothing particular; values go in and out as text.
    Other,
}

impl Kind {
    /// The type that reads the column's values best.
    pub(super) fn best_type(self) -> Type {
        match self {
            Self::Text | Self::Other => Type::Text { max_length: None },
            Self::Int => Type::Int,
            Self::Float => Type::Float,
            Self::Decimal => Type::Decimal { scale: None },
            Self::Bool => Type::Bool,
            Self::Date => Type::Date,
            Self::Datetime => Type::Datetime,
            Self::Time => Type::Time,
            Self::Json => Type::Json,
        }
    }
}

/// How a column stores its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    /// The type for casts.
    pub(super) type_name: TypeName,
    /// The type as an operator would write it.
    pub(super) full_type: String,
    pub(super) kind: Kind,
    /// The characters that the declaration allows, where SQLite would take more.
    pub(super) length: Option<usize>,
}

impl Stored {
    /// A column of milkrun's own, or one nothing is known of.
    pub(super) fn text() -> Self {
        Self { type_name: TypeName::from("text"), full_type: "text".to_owned(), kind: Kind::Text, length: None }
    }

    /// A whole number of milkrun's own.
    pub(super) fn int() -> Self {
        Self { type_name: TypeName::from("bigint"), full_type: "bigint".to_owned(), kind: Kind::Int, length: None }
    }
}

/// A column as the database has it.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) stored: Stored,
    /// A row cannot be made without a value for it.
    pub(super) is_needed: bool,
}

/// A table as the database has it.
#[derive(Debug, Clone)]
pub(super) struct Catalog {
    pub(super) kind: DatabaseKind,
    pub(super) columns: Vec<Found>,
    /// The columns of the PRIMARY KEY and of each UNIQUE index without conditions.
    pub(super) unique: Vec<Vec<String>>,
    /// Values must be of the column's type; on SQLite only where the table is STRICT.
    pub(super) is_typed: bool,
    /// The rows of one parent can be read in the order they were written by `rowid`.
    pub(super) has_rowid: bool,
    /// Nothing of the table's own changes what is written; only looked for on SQLite.
    pub(super) has_no_triggers: bool,
}

impl Catalog {
    /// Reads what the database knows of `table`; `None` where there is no such table.
    pub(super) async fn read(connection: &mut Connection, table: &str) -> Result<Option<Self>, Error> {
        let kind = connection.kind();
        let mut catalog = Self {
            kind,
            columns: Vec::new(),
            unique: Vec::new(),
            is_typed: true,
            has_rowid: false,
            has_no_triggers: false,
        };
        let name = || vec![Bind::text(table)];
        for line in connection.fetch(columns_query(kind), name()).await? {
            catalog.columns.push(found(kind, line)?);
        }
        if catalog.columns.is_empty() {
            return if connection.is_dry() && kind == DatabaseKind::Mysql {
                temporary::read(connection, table).await
            } else {
                Ok(None)
            };
        }
        let mut last = None;
        for mut line in connection.fetch(unique_query(kind), name()).await? {
            let index = line.take(0);
            let column = line.required(1, "an index column")?.to_owned();
            match catalog.unique.last_mut() {
                Some(columns) if last == index => columns.push(column),
                Some(_) | None => catalog.unique.push(vec![column]),
            }
            last = index;
        }
        if kind == DatabaseKind::Sqlite {
            let sql = connection.sql(
                "SELECT strict, wr, NOT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'trigger' \
                 AND tbl_name = ?1 COLLATE NOCASE) FROM pragma_table_list(?1)",
            );
            let lines = connection.fetch(sql, name()).await?;
            let is_set = |at| lines.first().and_then(|line| line.text(at)) == Some("1");
            catalog.is_typed = is_set(0);
            catalog.has_rowid = !is_set(1);
            catalog.has_no_triggers = is_set(2);
        }
        Ok(Some(catalog))
    }

    /// The column of that name, by the database's own rule about upper and lower case.
    pub(super) fn column(&self, name: &str) -> Option<&Found> {
        self.columns.iter().find(|column| same_name(self.kind, &column.name, name))
    }

    /// Whether exactly these columns identify a row.
    pub(super) fn is_unique(&self, columns: &[&str]) -> bool {
        self.unique.iter().any(|index| {
            index.len() == columns.len()
                && columns.iter().all(|name| index.iter().any(|part| same_name(self.kind, part, name)))
        })
    }
}

/// Whether two names are one to the database.
pub(super) fn same_name(kind: DatabaseKind, a: &str, b: &str) -> bool {
    match kind {
        DatabaseKind::Sqlite | DatabaseKind::Mysql => a.eq_ignore_ascii_case(b),
        DatabaseKind::Postgres => a == b,
    }
}

/// Name, type for casts, full type, type for the kind, whether a value is needed.
fn columns_query(kind: DatabaseKind) -> Sql {
    Sql::new(
        kind,
        match kind {
            DatabaseKind::Sqlite => {
                "SELECT c.name, c.type, c.type, c.type, c.\"notnull\" = 1 AND c.dflt_value IS NULL AND c.hidden = 0 \
                 AND NOT (c.pk = 1 AND upper(c.type) = 'INTEGER' \
                 AND (SELECT count(*) FROM pragma_table_xinfo(?1) AS k WHERE k.pk > 0) = 1) \
                 FROM pragma_table_xinfo(?1) AS c ORDER BY c.cid"
            }
            DatabaseKind::Postgres => {
                "SELECT a.attname::text, format_type(a.atttypid, -1)::text, format_type(a.atttypid, a.atttypmod)::text, \
                 COALESCE(b.typname, t.typname)::text, \
                 CASE WHEN a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' THEN '1' ELSE '0' END \
                 FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type b ON b.oid = t.typbasetype \
                 WHERE a.attrelid = to_regclass(quote_ident(?)) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
            }
            DatabaseKind::Mysql => {
                "SELECT CAST(column_name AS CHAR), CAST(column_type AS CHAR), CAST(column_type AS CHAR), \
                 CAST(CASE WHEN column_type = 'tinyint(1)' THEN 'bool' ELSE data_type END AS CHAR), \
                 CAST(CASE WHEN is_nullable = 'NO' AND column_default IS NULL AND extra NOT LIKE '%auto_increment%' \
                 AND extra NOT LIKE '%GENERATED%' THEN '1' ELSE '0' END AS CHAR) \
                 FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ? \
                 ORDER BY ordinal_position"
            }
        },
    )
}

/// Index and column, in order.
fn unique_query(kind: DatabaseKind) -> Sql {
    Sql::new(
        kind,
        match kind {
            DatabaseKind::Sqlite => {
                "SELECT l.name AS part, i.name, i.seqno AS place FROM pragma_index_list(?1) AS l, \
                 pragma_index_info(l.name) AS i WHERE l.\"unique\" = 1 AND l.partial = 0 \
                 UNION ALL SELECT '', name, pk FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY 1, 3"
            }
            DatabaseKind::Postgres => {
                "SELECT i.indexrelid::text, a.attname::text FROM pg_index i \
                 CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place) \
                 JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
                 WHERE i.indrelid = to_regclass(quote_ident(?)) AND i.indisunique AND i.indisvalid \
                 AND i.indpred IS NULL AND i.indexprs IS NULL AND k.place <= i.indnkeyatts ORDER BY i.indexrelid, k.place"
            }
            DatabaseKind::Mysql => {
                "SELECT CAST(index_name AS CHAR), CAST(column_name AS CHAR) FROM information_schema.statistics AS s \
                 WHERE table_schema = DATABASE() AND table_name = ? AND non_unique = 0 \
                 ORDER BY index_name, seq_in_index"
            }
        },
    )
}

pub(super) fn found(database: DatabaseKind, mut line: Line) -> Result<Found, Error> {
    let mut text = |at| line.take(at).unwrap_or_default();
    let (name, type_name, full_type, kind_name) = (text(0), text(1), text(2), text(3));
    let is_needed = text(4) == "1";
    if name.is_empty() {
        return Err(Error::Damaged("the catalog lists a column without a name".to_owned()));
    }
    let kind = match database {
        DatabaseKind::Sqlite => sqlite_kind(&kind_name),
        DatabaseKind::Postgres | DatabaseKind::Mysql => server_kind(&kind_name),
    };
    let length = (database == DatabaseKind::Sqlite).then(|| super::declared::length(&full_type)).flatten();
    let stored = Stored { type_name: TypeName::from_catalog(type_name), full_type, kind, length };
    Ok(Found { name, stored, is_needed })
}

fn server_kind(name: &str) -> Kind {
    match name.to_ascii_lowercase().as_str() {
        "text" | "varchar" | "bpchar" | "name" | "char" | "tinytext" | "mediumtext" | "longtext" => Kind::Text,
        "int2" | "int4" | "int8" | "oid" | "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" => {
            Kind::Int
        }
        "float4" | "float8" | "float" | "double" => Kind::Float,
        "numeric" | "decimal" => Kind::Decimal,
        "bool" => Kind::Bool,
        "date" => Kind::Date,
        "timestamp" | "timestamptz" | "datetime" => Kind::Datetime,
        "time" => Kind::Time,
        "json" | "jsonb" => Kind::Json,
        _ => Kind::Other,
    }
}

/// SQLite goes by parts of the declared type (<https://www.sqlite.org/datatype3.html>, section 3.1); what has numeric
/// affinity only by name is told apart first.
fn sqlite_kind(declared: &str) -> Kind {
    let declared = declared.to_ascii_uppercase();
    let has = |part: &str| declared.contains(part);
    if has("INT") {
        Kind::Int
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        Kind::Text
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        Kind::Float
    } else if has("NUMERIC") || has("DECIMAL") {
        Kind::Decimal
    } else if has("BOOL") {
        Kind::Bool
    } else if has("DATETIME") || has("TIMESTAMP") {
        Kind::Datetime
    } else if has("DATE") {
        Kind::Date
    } else {
        Kind::Other
    }
}
