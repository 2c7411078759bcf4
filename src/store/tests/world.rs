//! A database for one test, and the words tests are written in.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, Utc};

use crate::config::{DatabaseKind, Deletes, Local};
use crate::mapping::{Column, LookupSpec, Owner};
use crate::record::Stamp;
use crate::row::{Cell, Key, Row, Type};
use crate::store::sql::Sql;
use crate::store::table::{Part, Wish};
use crate::store::{Error, PageTx, Store, Table};

pub(super) const TEXT: Type = Type::Text { max_length: None };

/// A database of its own for one test.
pub(super) struct World {
    pub(super) store: Store,
    pub(super) local: Local,
    pub(super) kind: DatabaseKind,
    _folder: tempfile::TempDir,
}

/// Runs one claim in a world of its own, and takes the world down whatever came of it.
pub(super) async fn hold(
    kind: DatabaseKind,
    claim: impl FnOnce(Arc<World>) -> Pin<Box<dyn Future<Output = ()> + Send>>,
) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("milkrun_store_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let folder = tempfile::tempdir().unwrap();
    let server = server(kind);
    if let Some(server) = &server {
        administer(kind, server, &format!("CREATE DATABASE {name}")).await;
    }
    let url = match &server {
        Some(server) => format!("{server}/{name}"),
        None => format!("sqlite://{}", folder.path().join("outlet.db").display()),
    };
    let local = Local { kind, url: url.into() };
    let store = Store::open(&local).await.unwrap();
    let world = Arc::new(World { store: store.clone(), local, kind, _folder: folder });
    let outcome = tokio::spawn(claim(world)).await;
    store.close().await;
    if let Some(server) = &server {
        administer(kind, server, &format!("DROP DATABASE {name}")).await;
    }
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic.into_panic());
    }
}

fn server(kind: DatabaseKind) -> Option<String> {
    let (variable, usual) = match kind {
        DatabaseKind::Sqlite => return None,
        DatabaseKind::Postgres => ("MILKRUN_TEST_POSTGRES", "postgres://postgres@127.0.0.1:5432"),
        DatabaseKind::Mysql => ("MILKRUN_TEST_MYSQL", "mysql://root@127.0.0.1:3306"),
    };
    Some(std::env::var(variable).unwrap_or_else(|_| usual.to_owned()))
}

async fn administer(kind: DatabaseKind, server: &str, statement: &str) {
    use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
    let statement = AssertSqlSafe(statement.to_owned());
    match kind {
        DatabaseKind::Sqlite => {}
        DatabaseKind::Postgres => {
            let mut connection = sqlx::PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
            connection.execute(statement).await.unwrap();
        }
        DatabaseKind::Mysql => {
            let mut connection = sqlx::MySqlConnection::connect(server).await.unwrap();
            connection.execute(statement).await.unwrap();
        }
    }
}

impl World {
    /// The outlet's own software runs a statement.
    pub(super) async fn outlet(&self, statement: &str) {
        self.try_outlet(statement).await.unwrap();
    }

    pub(super) async fn try_outlet(&self, statement: &str) -> Result<u64, Error> {
        let sql = Sql::new(self.kind, Box::leak(statement.to_owned().into_boxed_str()));
        self.store.pools.writer().await.unwrap().execute(sql, Vec::new()).await
    }

    /// One value as the outlet's own software reads it.
    pub(super) async fn value(&self, query: &str) -> Option<String> {
        let sql = Sql::new(self.kind, Box::leak(query.to_owned().into_boxed_str()));
        let lines = self.store.pools.reader().await.unwrap().fetch(sql, Vec::new()).await.unwrap();
        lines.first().and_then(|line| line.text(0)).map(str::to_owned)
    }

    pub(super) async fn count(&self, table: &str) -> i64 {
        let query = match self.kind {
            DatabaseKind::Sqlite => format!("SELECT count(*) FROM {table}"),
            DatabaseKind::Postgres => format!("SELECT count(*)::text FROM {table}"),
            DatabaseKind::Mysql => format!("SELECT CAST(count(*) AS CHAR) FROM {table}"),
        };
        self.value(&query).await.unwrap().parse().unwrap()
    }

    pub(super) async fn prepare(&self, plan: &Plan) -> Table {
        self.store.prepare_wish(&plan.wish()).await.unwrap()
    }

    pub(super) async fn findings(&self, plan: &Plan) -> Vec<String> {
        self.store.inspect_wish(&plan.wish()).await.unwrap()
    }

    pub(super) async fn begin(&self) -> PageTx {
        self.store.begin().await.unwrap()
    }

    pub(super) async fn insert(&self, table: &Table, rows: &[Row]) {
        let mut tx = self.begin().await;
        tx.insert(table, &rows.iter().collect::<Vec<_>>()).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// The row of that key, as a page would find it.
    pub(super) async fn row(&self, table: &Table, key: Cell) -> Option<Row> {
        let mut tx = self.begin().await;
        let mut rows = tx.rows(table, &[Key(vec![key.clone()])]).await.unwrap();
        tx.rollback().await.unwrap();
        rows.remove(&Key(vec![key]).text()).map(|held| held.row)
    }
}

/// What a job asks of its tables.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) table: &'static str,
    pub(super) columns: Vec<Column>,
    pub(super) key: Vec<usize>,
    pub(super) child: Option<(&'static str, &'static str, Vec<Column>)>,
    pub(super) lookups: Vec<LookupSpec>,
    pub(super) looked_up: Vec<Option<usize>>,
    pub(super) create_table: bool,
    pub(super) deletes: Deletes,
}

impl Plan {
    /// A job that makes its table; the first column is the key.
    pub(super) fn new(table: &'static str, columns: &[(&str, Type)]) -> Self {
        Self {
            table,
            columns: columns.iter().map(|(name, ty)| column(name, *ty)).collect(),
            key: vec![0],
            child: None,
            lookups: Vec::new(),
            looked_up: Vec::new(),
            create_table: true,
            deletes: Deletes::Delete,
        }
    }

    pub(super) fn wish(&self) -> Wish<'_> {
        let children = self.child.iter().map(|(table, parent_key, columns)| Part {
            table,
            columns,
            lookups: &[],
            looked_up: Vec::new(),
            parent_key,
        });
        Wish {
            parent: Part {
                table: self.table,
                columns: &self.columns,
                lookups: &self.lookups,
                looked_up: self.looked_up.clone(),
                parent_key: "",
            },
            key: &self.key,
            children: children.collect(),
            create_table: self.create_table,
            deletes: self.deletes,
            local_modified: None,
        }
    }
}

pub(super) fn column(name: &str, ty: Type) -> Column {
    Column { name: name.to_owned(), ty, owner: Owner::Hq, is_private: false }
}

pub(super) fn text(text: &str) -> Cell {
    Cell::Text(text.into())
}

pub(super) fn key(text: &str) -> Key {
    Key(vec![Cell::Text(text.into())])
}

pub(super) fn stamp(text: &str) -> Stamp {
    Stamp::parse(text).unwrap()
}

pub(super) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}
