//! The values of one statement in the driver's own form, so that they can be written while another statement runs.

use sqlx::mysql::MySqlArguments;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;

use crate::config::DatabaseKind;

use super::bind::Bind;
use super::error::Error;
use super::{mysql, postgres, sqlite};

/// Values, ready to be sent.
pub(super) struct Values {
    arguments: Arguments,
    /// Roughly how many bytes go over the line.
    pub(super) size: usize,
}

enum Arguments {
    Sqlite(SqliteArguments),
    Postgres(PgArguments),
    Mysql(MySqlArguments),
}

impl Values {
    /// # Errors
    /// A text that the database cannot store.
    pub(super) fn new(kind: DatabaseKind, binds: Vec<Bind<'_>>) -> Result<Self, Error> {
        let size = binds.iter().map(Bind::size).sum();
        let arguments = match kind {
            DatabaseKind::Sqlite => Arguments::Sqlite(sqlite::arguments(binds)?),
            DatabaseKind::Postgres => Arguments::Postgres(postgres::arguments(&binds)?),
            DatabaseKind::Mysql => Arguments::Mysql(mysql::arguments(&binds)?),
        };
        Ok(Self { arguments, size })
    }

    pub(super) fn sqlite(self) -> Result<SqliteArguments, Error> {
        match self.arguments {
            Arguments::Sqlite(arguments) => Ok(arguments),
            Arguments::Postgres(_) | Arguments::Mysql(_) => Err(foreign()),
        }
    }

    pub(super) fn postgres(self) -> Result<PgArguments, Error> {
        match self.arguments {
            Arguments::Postgres(arguments) => Ok(arguments),
            Arguments::Sqlite(_) | Arguments::Mysql(_) => Err(foreign()),
        }
    }

    pub(super) fn mysql(self) -> Result<MySqlArguments, Error> {
        match self.arguments {
            Arguments::Mysql(arguments) => Ok(arguments),
            Arguments::Sqlite(_) | Arguments::Postgres(_) => Err(foreign()),
        }
    }
}

/// Never, as the values are made for the connection's own kind.
fn foreign() -> Error {
    Error::Unavailable(sqlx::Error::Protocol("the values were made for another database".to_owned()))
}
