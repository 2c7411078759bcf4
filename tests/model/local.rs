//! The outlet's database as its own programs use it, on one connection that stays open.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, PgConnection, Row as _, SqliteConnection};

use super::plan::{COLUMNS, JOBS};
use crate::support::{Database, Kind};

/// A row of a job's table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Row {
    pub(crate) columns: [Option<String>; 4],
    /// Of `owner = "once"`.
    pub(crate) once: Option<String>,
    /// The outlet's own.
    pub(crate) own: Option<String>,
    pub(crate) is_marked: bool,
    pub(crate) parts: Vec<String>,
}

enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
    Mysql(MySqlConnection),
}

pub(crate) struct Local {
    kind: Kind,
    connection: Connection,
}

/// milkrun's own tables, in an order in which they can be emptied.
const OWN: [&str; 8] = [
    "milkrun_reconciles",
    "milkrun_watermarks",
    "milkrun_ledger",
    "milkrun_tombstones",
    "milkrun_runs",
    "milkrun_quarantine",
    "milkrun_conflicts",
    "milkrun_leases",
];

impl Local {
    pub(crate) async fn open(database: &Database) -> Self {
        let url = &database.url;
        let connection = match database.kind {
            Kind::Sqlite => {
                let mut connection = SqliteConnection::connect(&format!("{url}?mode=rwc")).await.unwrap();
                connection.execute("pragma busy_timeout = 30000; pragma synchronous = off").await.unwrap();
                Connection::Sqlite(connection)
            }
            Kind::Postgres => Connection::Postgres(PgConnection::connect(url).await.unwrap()),
            Kind::Mysql => Connection::Mysql(MySqlConnection::connect(url).await.unwrap()),
        };
        Self { kind: database.kind, connection }
    }

    /// Makes the tables of the jobs, with the outlet's own columns beside HQ's.
    pub(crate) async fn make_tables(&mut self) {
        let [key, text, price, moment] = match self.kind {
            Kind::Sqlite => ["text", "text", "text", "text"],
            Kind::Postgres => ["text", "text", "numeric(38,2)", "timestamptz(6)"],
            Kind::Mysql => [
                "varchar(140) character set utf8mb4 collate utf8mb4_nopad_bin",
                "varchar(140) character set utf8mb4 collate utf8mb4_nopad_bin",
                "decimal(38,2)",
                "datetime(6)",
            ],
        };
        let engine = if self.kind == Kind::Mysql { " engine=InnoDB default charset=utf8mb4" } else { "" };
        for nth in 0..JOBS {
            self.run(&format!(
                "create table t{nth} (code {key} not null primary key, title {text}, price {price}, grp {text}, \
                 phone {text}, shelf {text}, note {text}, touched {moment}, deleted_at {moment}){engine}"
            ))
            .await;
            let number = if self.kind == Kind::Sqlite { "integer" } else { "bigint" };
            self.run(&format!(
                "create table p{nth} (code {key} not null, label {text}, idx {number} not null, \
                 primary key (code, idx)){engine}"
            ))
            .await;
        }
    }

    /// Empties all tables.
    pub(crate) async fn reset(&mut self) {
        let own = OWN.map(|table| format!("delete from {table}"));
        let jobs = (0..JOBS).flat_map(|nth| ["t", "p"].map(|table| format!("delete from {table}{nth}")));
        let all: Vec<String> = own.into_iter().chain(jobs).collect();
        self.run(&format!("begin; {}; commit", all.join("; "))).await;
    }

    pub(crate) async fn run(&mut self, sql: &str) {
        let query = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        let done = match &mut self.connection {
            Connection::Sqlite(connection) => connection.execute(query).await.map(drop),
            Connection::Postgres(connection) => connection.execute(query).await.map(drop),
            Connection::Mysql(connection) => connection.execute(query).await.map(drop),
        };
        done.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Rows of texts.
    pub(crate) async fn query(&mut self, sql: &str, width: usize) -> Vec<Vec<Option<String>>> {
        macro_rules! fetch {
            ($connection:expr) => {{
                let rows = $connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await;
                let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
                rows.iter().map(|row| (0..width).map(|at| row.try_get_unchecked(at).unwrap()).collect()).collect()
            }};
        }
        match &mut self.connection {
            Connection::Sqlite(connection) => fetch!(connection),
            Connection::Postgres(connection) => fetch!(connection),
            Connection::Mysql(connection) => fetch!(connection),
        }
    }

    /// A column as text.
    pub(crate) fn text(&self, column: &str) -> String {
        match self.kind {
            Kind::Sqlite => format!("cast({column} as text)"),
            Kind::Postgres => format!("({column})::text"),
            Kind::Mysql => format!("cast({column} as char)"),
        }
    }

    /// The rows of a job's table by their keys.
    pub(crate) async fn rows(&mut self, nth: usize) -> BTreeMap<String, Row> {
        let columns = ["code", "title", "price", "grp", "phone", "shelf", "note", "deleted_at"];
        let columns = columns.map(|column| self.text(column));
        let found = self.query(&format!("select {} from t{nth}", columns.join(", ")), columns.len()).await;
        let mut rows: BTreeMap<String, Row> = found
            .into_iter()
            .map(|mut row| {
                let is_marked = row.pop().unwrap().is_some();
                let [own, once] = [row.pop().unwrap(), row.pop().unwrap()];
                let columns = [row[1].take(), row[2].take(), row[3].take(), row[4].take()];
                (row[0].take().unwrap(), Row { columns, once, own, is_marked, parts: Vec::new() })
            })
            .collect();
        let (label, code) = (self.text("label"), self.text("code"));
        for part in self.query(&format!("select {code}, {label} from p{nth} order by code, idx"), 2).await {
            let [code, label] = [0, 1].map(|at| part[at].clone().unwrap_or_default());
            rows.get_mut(&code)
                .unwrap_or_else(|| panic!("p{nth} has a part of {code:?}, which t{nth} has not"))
                .parts
                .push(label);
        }
        rows
    }

    /// The names that the ledger holds for a job.
    pub(crate) async fn entries(&mut self, nth: usize) -> Vec<String> {
        let name = self.text("hq_name");
        let rows = self.query(&format!("select {name} from milkrun_ledger where job = 'j{nth}' order by 1"), 1).await;
        rows.into_iter().map(|mut row| row[0].take().unwrap()).collect()
    }

    /// Writes a column, and when that was.
    pub(crate) async fn edit(&mut self, nth: usize, key: &str, column: usize, value: Option<&str>, now: &str) {
        let value = value.map_or("null".to_owned(), quoted);
        let column = COLUMNS[column];
        self.run(&format!("update t{nth} set {column} = {value}, touched = '{now}' where code = {}", quoted(key)))
            .await;
    }

    pub(crate) async fn set(&mut self, nth: usize, key: &str, column: &str, value: &str) {
        self.run(&format!("update t{nth} set {column} = {} where code = {}", quoted(value), quoted(key)))
            .await;
    }

    pub(crate) async fn insert(&mut self, nth: usize, key: &str, row: &Row) {
        let [title, price, grp, phone] =
            row.columns.each_ref().map(|value| value.as_deref().map_or("null".to_owned(), quoted));
        let own = row.own.as_deref().map_or("null".to_owned(), quoted);
        let key = quoted(key);
        self.run(&format!(
            "insert into t{nth} (code, title, price, grp, phone, note) values ({key}, {title}, {price}, {grp}, {phone}, {own})"
        ))
        .await;
    }

    pub(crate) async fn delete(&mut self, nth: usize, key: &str) {
        let key = quoted(key);
        self.run(&format!("delete from p{nth} where code = {key}; delete from t{nth} where code = {key}"))
            .await;
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
