//! A database of its own for each test, on SQLite, PostgreSQL or MariaDB, read and written without milkrun's store.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use super::canary;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};

/// Which database an outlet has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
    Mysql,
}

/// A database that a test made; dropped with it.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) kind: Kind,
    pub(crate) url: String,
    server: String,
    name: String,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// One row, every value as text.
pub(crate) type TextRow = Vec<Option<String>>;

impl Database {
    pub(crate) fn make(kind: Kind, folder: &Path) -> Self {
        let name = format!("milkrun_t{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        Self::make_on(kind, folder, server(kind), name)
    }

    /// On a server of the test's own.
    pub(crate) fn make_at(kind: Kind, folder: &Path, server: &str) -> Self {
        Self::make_on(kind, folder, server.to_owned(), format!("milkrun_t{}", NUMBER.fetch_add(1, Ordering::Relaxed)))
    }

    fn make_on(kind: Kind, folder: &Path, server: String, name: String) -> Self {
        let url = match kind {
            Kind::Sqlite => format!("sqlite://{}", folder.join("outlet.db").display()),
            // Under `trust` a password is not asked for, and is a secret all the same.
            Kind::Postgres => with_login(&format!("{server}/{name}"), None),
            Kind::Mysql => with_login(&format!("{server}/{name}"), Some(&name)),
        };
        let database = Self { kind, url, server, name };
        database.on_server(&format!("create database {}", database.name));
        if kind == Kind::Mysql {
            // An anonymous user of this machine would be taken before one of any machine.
            for user in database.users() {
                database.on_server(&format!("create user {user} identified by '{}'", canary::PASSWORD));
                database.on_server(&format!("grant all on {}.* to {user}", database.name));
            }
        }
        database
    }

    fn users(&self) -> [String; 2] {
        ["%", "localhost"].map(|host| format!("'{}'@'{host}'", self.name))
    }

    fn on_server(&self, sql: &str) {
        if self.kind != Kind::Sqlite {
            let own = if self.kind == Kind::Postgres { "/postgres" } else { "" };
            execute(self.kind, &format!("{}{own}", self.server), sql);
        }
    }

    /// Runs a statement as the outlet's own programs would.
    pub(crate) fn execute(&self, sql: &str) {
        execute(self.kind, &self.url, sql);
    }

    /// Reads columns of a table as text, in the order given.
    pub(crate) fn rows(&self, table: &str, columns: &[&str], order_by: &str) -> Vec<TextRow> {
        let text = |column: &&str| match self.kind {
            Kind::Sqlite => format!("cast({column} as text)"),
            Kind::Postgres => format!("({column})::text"),
            Kind::Mysql => format!("cast({column} as char)"),
        };
        let list: Vec<String> = columns.iter().map(text).collect();
        self.query(&format!("select {} from {table} order by {order_by}", list.join(", ")), columns.len())
    }

    /// The number of rows of a table.
    pub(crate) fn count(&self, table: &str) -> usize {
        let count = self.rows(table, &["count(*)"], "1");
        count[0][0].as_ref().unwrap().parse().unwrap()
    }

    /// The canaries in milkrun's own tables; none where the database cannot be read (yet, or any more). The ledger is left
    /// out: it holds the key of every row, a private one too.
    pub(crate) fn canaries(&self) -> Vec<String> {
        let (columns, cast, like) = match self.kind {
            Kind::Sqlite => (
                "select m.name, c.name from sqlite_master m join pragma_table_info(m.name) c \
                 where m.type = 'table' and m.name like 'milkrun%' and m.name <> 'milkrun_ledger'",
                "text",
                "like",
            ),
            Kind::Postgres => (
                "select table_name::text, column_name::text from information_schema.columns \
                 where table_schema = current_schema() and table_name like 'milkrun%' and table_name <> 'milkrun_ledger'",
                "text",
                "ilike",
            ),
            Kind::Mysql => (
                "select convert(table_name, char), convert(column_name, char) from information_schema.columns \
                 where table_schema = database() and table_name like 'milkrun%' and table_name <> 'milkrun_ledger'",
                "char",
                "like",
            ),
        };
        let Ok(columns) = self.try_query(columns, 2) else { return Vec::new() };
        let quote = if self.kind == Kind::Mysql { '`' } else { '"' };
        let texts = columns.into_iter().map(|row| {
            let [table, column] = [0, 1].map(|at| row[at].clone().unwrap());
            let text = format!("cast({quote}{column}{quote} as {cast})");
            let words = canary::WORDS.map(|word| format!("{text} {like} '%{word}%'")).join(" or ");
            format!("select '{table}.{column}', {text} from {table} where {words}")
        });
        let texts: Vec<String> = texts.collect();
        if texts.is_empty() {
            return Vec::new();
        }
        let found = self.try_query(&texts.join(" union all "), 2).unwrap_or_default();
        found.into_iter().map(|row| row.into_iter().flatten().collect::<Vec<_>>().join(": ")).collect()
    }

    /// Every row of every table, milkrun's own too, as text in some fixed order.
    pub(crate) fn dump(&self) -> BTreeMap<String, Vec<TextRow>> {
        let columns = match self.kind {
            Kind::Sqlite => {
                "select m.name, c.name from sqlite_master m join pragma_table_info(m.name) c \
                 where m.type = 'table' and m.name not like 'sqlite%' order by m.name, c.cid"
            }
            Kind::Postgres => {
                "select table_name::text, column_name::text from information_schema.columns \
                 where table_schema = current_schema() order by table_name, ordinal_position"
            }
            Kind::Mysql => {
                "select convert(table_name, char), convert(column_name, char) from information_schema.columns \
                 where table_schema = database() order by table_name, ordinal_position"
            }
        };
        let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let quote = if self.kind == Kind::Mysql { '`' } else { '"' };
        for row in self.query(columns, 2) {
            let [table, column] = [0, 1].map(|at| row[at].clone().unwrap());
            let column = format!("{quote}{column}{quote}");
            // A blob is no text.
            let column = if self.kind == Kind::Sqlite { format!("quote({column})") } else { column };
            tables.entry(table).or_default().push(column);
        }
        let dumped = tables.into_iter().map(|(table, columns)| {
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            let mut rows = self.rows(&table, &columns, "1");
            rows.sort();
            (table, rows)
        });
        dumped.collect()
    }

    fn query(&self, sql: &str, width: usize) -> Vec<TextRow> {
        self.try_query(sql, width).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    fn try_query(&self, sql: &str, width: usize) -> Result<Vec<TextRow>, sqlx::Error> {
        let sql = sql.to_owned();
        macro_rules! fetch {
            ($connection:ty) => {{
                let url = self.url.clone();
                block_on(async move {
                    let mut connection = <$connection>::connect(&url).await?;
                    let rows = connection.fetch_all(sqlx::query(AssertSqlSafe(sql))).await?;
                    connection.close().await?;
                    Ok(rows
                        .iter()
                        .map(|row| (0..width).map(|at| row.try_get_unchecked(at).unwrap()).collect())
                        .collect())
                })
            }};
        }
        match self.kind {
            Kind::Sqlite => fetch!(sqlx::SqliteConnection),
            Kind::Postgres => fetch!(sqlx::PgConnection),
            Kind::Mysql => fetch!(sqlx::MySqlConnection),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let force = if self.kind == Kind::Postgres { " with (force)" } else { "" };
        self.on_server(&format!("drop database if exists {}{force}", self.name));
        if self.kind == Kind::Mysql {
            self.users().iter().for_each(|user| self.on_server(&format!("drop user if exists {user}")));
        }
    }
}

/// The server that the tests share, as a URL without a database.
pub(crate) fn server(kind: Kind) -> String {
    match kind {
        Kind::Sqlite => String::new(),
        Kind::Postgres => address("MILKRUN_TEST_POSTGRES", "postgres://postgres@127.0.0.1:5432"),
        Kind::Mysql => address("MILKRUN_TEST_MYSQL", "mysql://root@127.0.0.1:3306"),
    }
}

/// The address with the canary for a password, unless it has one; with another user where one is named.
fn with_login(url: &str, user: Option<&str>) -> String {
    let mut url = reqwest::Url::parse(url).unwrap();
    if let Some(user) = user {
        url.set_username(user).unwrap();
    }
    if user.is_some() || url.password().is_none() {
        url.set_password(Some(canary::PASSWORD)).unwrap();
    }
    url.into()
}

fn address(variable: &str, usual: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| usual.to_owned())
}

fn execute(kind: Kind, url: &str, sql: &str) {
    let mode = if kind == Kind::Sqlite { "?mode=rwc" } else { "" };
    let (url, sql) = (format!("{url}{mode}"), sql.to_owned());
    macro_rules! run {
        ($connection:ty) => {
            block_on(async move {
                let mut connection = <$connection>::connect(&url).await.unwrap_or_else(|e| panic!("{url}: {e}"));
                // Unprepared: several statements may come in one text.
                let done = connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.clone()))).await;
                done.unwrap_or_else(|error| panic!("{sql}: {error}"));
                connection.close().await.unwrap();
            })
        };
    }
    match kind {
        Kind::Sqlite => run!(sqlx::SqliteConnection),
        Kind::Postgres => run!(sqlx::PgConnection),
        Kind::Mysql => run!(sqlx::MySqlConnection),
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
