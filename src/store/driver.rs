//! A connection of one of the three kinds, and what is alike about them: a statement goes in, an answer comes in time.

use std::time::Duration;

use sqlx::{Executor as _, MySql, Postgres};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::config::DatabaseKind;

use super::error::Error;
use super::handles::Handle;
use super::line::Line;
use super::loan::Loan;
use super::sql::Sql;
use super::values::Values;
use super::{mysql, postgres, sqlite};

/// A server that has not answered a statement by now is gone, or its line is. Longer than any lock is waited for.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// A connection of one of the databases' own kinds.
#[derive(Debug)]
pub(super) enum Driver {
    Sqlite(Handle),
    Postgres(Loan<Postgres>),
    Mysql(Loan<MySql>),
}

/// What a statement came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    /// Rows that it found to write.
    pub(super) rows: u64,
    /// The number that the database gave to the row it made, where it tells by itself.
    pub(super) number: Option<i64>,
}

impl Driver {
    /// Which database it is.
    pub(super) fn kind(&self) -> DatabaseKind {
        match self {
            Self::Sqlite(_) => DatabaseKind::Sqlite,
            Self::Postgres(_) => DatabaseKind::Postgres,
            Self::Mysql(_) => DatabaseKind::Mysql,
        }
    }

    /// Runs a statement.
    pub(super) async fn execute(&mut self, sql: Sql, values: Values) -> Result<Result<Done, Error>, Elapsed> {
        self.doubt(true);
        match self {
            Self::Sqlite(handle) => Ok(async { sqlite::execute(handle, sql, values.sqlite()?).await }.await),
            Self::Postgres(loan) => {
                in_time(async { postgres::execute(loan.get()?, sql, values.postgres()?).await }).await
            }
            Self::Mysql(loan) => in_time(async { mysql::execute(loan.get()?, sql, values.mysql()?).await }).await,
        }
    }

    /// Runs a query.
    pub(super) async fn fetch(&mut self, sql: Sql, values: Values) -> Result<Result<Vec<Line>, Error>, Elapsed> {
        self.doubt(true);
        match self {
            Self::Sqlite(handle) => Ok(async { sqlite::fetch(handle, sql, values.sqlite()?).await }.await),
            Self::Postgres(loan) => {
                in_time(async { postgres::fetch(loan.get()?, sql, values.postgres()?).await }).await
            }
            Self::Mysql(loan) => in_time(async { mysql::fetch(loan.get()?, sql, values.mysql()?).await }).await,
        }
    }

    /// Runs statements without values, as one message.
    pub(super) async fn run(&mut self, statements: &'static str) -> Result<Result<(), Error>, Elapsed> {
        self.doubt(true);
        let sql = sqlx::raw_sql(statements);
        let run = async {
            match self {
                Self::Sqlite(handle) => handle.get()?.execute(sql).await.map(drop),
                Self::Postgres(loan) => loan.get()?.execute(sql).await.map(drop),
                Self::Mysql(loan) => loan.get()?.execute(sql).await.map(drop),
            }
            .map_err(Error::from)
        };
        in_time(run).await
    }

    /// Whether it has waited, and nobody has asked whether it lives.
    pub(super) fn is_unproven(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(loan) => loan.is_unproven(),
            Self::Mysql(loan) => loan.is_unproven(),
        }
    }

    /// Has the connection closed, not given back, when it is dropped.
    pub(super) fn close_on_drop(&mut self) {
        match self {
            Self::Sqlite(handle) => handle.close_on_drop(),
            Self::Postgres(loan) => loan.close_on_drop(),
            Self::Mysql(loan) => loan.close_on_drop(),
        }
    }

    /// Whether it is to be looked at before anybody else gets it; SQLite's has no line that could break.
    pub(super) fn doubt(&mut self, is_doubtful: bool) {
        match self {
            Self::Sqlite(_) => {}
            Self::Postgres(loan) => loan.doubt(is_doubtful),
            Self::Mysql(loan) => loan.doubt(is_doubtful),
        }
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, Error>>) -> Result<Result<T, Error>, Elapsed> {
    timeout(ANSWER_TIMEOUT, work).await
}
