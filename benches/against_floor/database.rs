//! A database for each side of the comparison, on SQLite, PostgreSQL or MariaDB, and what its tables hold.
//!
//! The servers are those of the tests: `MILKRUN_TEST_POSTGRES` and `MILKRUN_TEST_MYSQL`, or what answers on this machine.

use std::path::Path;

use anyhow::{Context as _, Result};
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};

use crate::check::{self, Sum};
use crate::data::{CHILD_COLUMNS, COLUMNS};

/// Which database an outlet has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
    Mariadb,
}

/// A database that the bench made; dropped with it.
#[derive(Debug)]
pub(crate) struct Database {
    kind: Kind,
    name: String,
    pub(crate) url: String,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Mariadb => "mariadb",
        }
    }

    fn server(self) -> String {
        let given = |variable: &str, usual: &str| std::env::var(variable).unwrap_or_else(|_| usual.to_owned());
        match self {
            Self::Sqlite => String::new(),
            Self::Postgres => given("MILKRUN_TEST_POSTGRES", "postgres://postgres@127.0.0.1:5432"),
            Self::Mariadb => given("MILKRUN_TEST_MYSQL", "mysql://root@127.0.0.1:3306"),
        }
    }

    fn on_server(self, sql: &str) -> Result<()> {
        let own = if self == Self::Postgres { "/postgres" } else { "" };
        execute(self, &format!("{}{own}", self.server()), sql)
    }

    /// Why nothing can be measured on this one.
    pub(crate) fn missing(self) -> Option<String> {
        if self == Self::Sqlite {
            return None;
        }
        let error = self.on_server("select 1").err()?;
        Some(format!("no {} answers at {} ({error:#})", self.name(), self.server()))
    }
}

impl Database {
    /// An empty one; on SQLite a file in `folder`.
    pub(crate) fn make(kind: Kind, folder: &Path, whose: &str) -> Result<Self> {
        let name = format!("milkrun_bench_{}_{whose}", std::process::id());
        let url = match kind {
            Kind::Sqlite => format!("sqlite://{}", folder.join(format!("{whose}.db")).display()),
            Kind::Postgres | Kind::Mariadb => format!("{}/{name}", kind.server()),
        };
        let database = Self { kind, name, url };
        database.empty()?;
        Ok(database)
    }

    /// Makes it anew.
    pub(crate) fn empty(&self) -> Result<()> {
        self.drop()?;
        match self.kind {
            Kind::Sqlite => Ok(()),
            Kind::Postgres | Kind::Mariadb => self.kind.on_server(&format!("create database {}", self.name)),
        }
    }

    fn drop(&self) -> Result<()> {
        match self.kind {
            Kind::Sqlite => {
                for suffix in ["", "-wal", "-shm"] {
                    let file = format!("{}{suffix}", self.url.trim_start_matches("sqlite://"));
                    match std::fs::remove_file(&file) {
                        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).context(file),
                        Err(_) | Ok(()) => {}
                    }
                }
                Ok(())
            }
            Kind::Postgres => self.kind.on_server(&format!("drop database if exists {} with (force)", self.name)),
            Kind::Mariadb => self.kind.on_server(&format!("drop database if exists {}", self.name)),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Err(error) = Self::drop(self) {
            println!("{} is left behind: {error:#}", self.name);
        }
    }
}

pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

fn execute(kind: Kind, url: &str, sql: &str) -> Result<()> {
    let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    macro_rules! run {
        ($connection:ty) => {{
            <$connection>::connect(url).await?.execute(sql).await?;
            Ok(())
        }};
    }
    block_on(async {
        match kind {
            Kind::Sqlite => run!(sqlx::SqliteConnection),
            Kind::Postgres => run!(sqlx::PgConnection),
            Kind::Mariadb => run!(sqlx::MySqlConnection),
        }
    })
}

/// What the table of items holds.
pub(crate) fn sum(kind: Kind, url: &str) -> Result<Sum> {
    sum_of(kind, url, "items", &COLUMNS)
}

/// What the table of child rows holds.
pub(crate) fn sum_children(kind: Kind, url: &str) -> Result<Sum> {
    sum_of(kind, url, "barcodes", &CHILD_COLUMNS)
}

fn sum_of(kind: Kind, url: &str, table: &str, columns: &[(&str, &str)]) -> Result<Sum> {
    let texts: Vec<String> = columns.iter().map(|(column, ty)| as_text(kind, column, ty)).collect();
    let sql = AssertSqlSafe(format!("select {} from {table}", texts.join(", ")));
    macro_rules! read {
        ($connection:ty) => {{
            let mut connection = <$connection>::connect(url).await?;
            let mut rows = connection.fetch(sqlx::query(sql));
            let mut sum = Sum::default();
            while let Some(row) = rows.try_next().await? {
                let mut values = Vec::with_capacity(columns.len());
                for (at, (_, ty)) in columns.iter().enumerate() {
                    values.push(match *ty {
                        "float" => row.try_get_unchecked::<Option<f64>, _>(at)?.map(check::float),
                        "decimal" | "datetime" => {
                            row.try_get_unchecked::<Option<&str>, _>(at)?.map(|text| check::trimmed(text).to_owned())
                        }
                        _ => row.try_get_unchecked::<Option<String>, _>(at)?,
                    });
                }
                sum.add(values.iter().map(Option::as_deref));
            }
            Ok(sum)
        }};
    }
    block_on(async {
        match kind {
            Kind::Sqlite => read!(sqlx::SqliteConnection),
            Kind::Postgres => read!(sqlx::PgConnection),
            Kind::Mariadb => read!(sqlx::MySqlConnection),
        }
    })
}

/// A column as a text that reads the same from every database; floats come as they are, to the end of their digits.
fn as_text(kind: Kind, column: &str, ty: &str) -> String {
    match (kind, ty) {
        (_, "float") => column.to_owned(),
        (Kind::Sqlite, _) => format!("cast({column} as text)"),
        (Kind::Postgres, "bool") => format!("{column}::int::text"),
        (Kind::Postgres, "datetime") => format!("to_char({column} at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"),
        (Kind::Postgres, _) => format!("{column}::text"),
        (Kind::Mariadb, _) => format!("convert({column}, char)"),
    }
}

/// How many rows a table has.
pub(crate) fn count(kind: Kind, url: &str, table: &str) -> Result<usize> {
    let sql = AssertSqlSafe(format!("select count(*) from {table}"));
    let count: i64 = block_on(async {
        Ok(match kind {
            Kind::Sqlite => sqlx::query_scalar(sql).fetch_one(&mut sqlx::SqliteConnection::connect(url).await?).await?,
            Kind::Postgres => sqlx::query_scalar(sql).fetch_one(&mut sqlx::PgConnection::connect(url).await?).await?,
            Kind::Mariadb => sqlx::query_scalar(sql).fetch_one(&mut sqlx::MySqlConnection::connect(url).await?).await?,
        })
    })?;
    Ok(usize::try_from(count)?)
}
