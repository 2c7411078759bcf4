//! What can go wrong with the outlet's database, cut by what the caller does about it.
//!
//! The database's own codes are turned into these variants here and nowhere else; no decision goes by message text.

use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;
use sqlx::mysql::MySqlDatabaseError;
use sqlx::postgres::PgDatabaseError;

use crate::retry::Retry;

use super::sql::Sql;

/// The outlet's database did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be reached or is busy: refused or lost connection, restart, lock, deadlock, too many connections.
    /// Nothing of the transaction was kept; the same succeeds later.
    #[error("the local database cannot be used right now: {}", words(.0))]
    Unavailable(sqlx::Error),
    /// It has no room left. The next run tries again, but somebody should make room.
    #[error("the local database has no room left: {}", words(.0))]
    Full(sqlx::Error),
    /// It does not let milkrun in, or not do that: login, privileges, a read-only or missing file or database.
    #[error("the local database refuses access: {}", words(.0))]
    Denied(sqlx::Error),
    /// The server has no database of this name.
    #[error("the local database does not exist: {}", words(.cause))]
    Absent {
        /// What the server said.
        cause: sqlx::Error,
        /// How it is made.
        remedy: String,
    },
    /// The tables are not as the job needs them; one sentence, with its remedy, for each finding.
    #[error("the local tables do not fit: {}", .0.join(" "))]
    Schema(Vec<String>),
    /// The database refuses the values of a statement: a constraint, a length, a range, a trigger. Which record is
    /// meant shows when they are written one by one.
    #[error("the local database refuses the values{}: {reason}", .table.as_ref().map(|table| format!(" for table {table}")).unwrap_or_default())]
    Refused {
        /// The table written to, where one is concerned.
        table: Option<String>,
        /// What the database said.
        reason: String,
    },
    /// Another process took over the job's lease; nothing more may be written in this run.
    #[error("another process has taken over job {job}")]
    Lost {
        /// The job.
        job: String,
    },
    /// The database file is damaged, or a table of milkrun's own holds something unreadable.
    #[error("the local database is damaged: {0}")]
    Damaged(String),
    /// milkrun's own tables could not be brought up to date.
    #[error("milkrun's own tables cannot be brought up to date")]
    Migrate(#[source] Box<MigrateError>),
}

impl Error {
    /// Whether the same may succeed later by itself.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Unavailable(_) | Self::Full(_) | Self::Lost { .. } => Retry::Later(None),
            Self::Denied(_)
            | Self::Absent { .. }
            | Self::Schema(_)
            | Self::Refused { .. }
            | Self::Damaged(_)
            | Self::Migrate(_) => Retry::ByPerson,
        }
    }

    /// Whether the transaction may well succeed if it is repeated at once: it lost a deadlock, or its connection, and
    /// nothing of it was kept. (Where `COMMIT` was lost, it may have been kept; a page that comes again changes nothing.)
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unavailable(cause) => is_passing(cause),
            Self::Full(_)
            | Self::Denied(_)
            | Self::Absent { .. }
            | Self::Schema(_)
            | Self::Refused { .. }
            | Self::Lost { .. }
            | Self::Damaged(_)
            | Self::Migrate(_) => false,
        }
    }

    /// What a person can do about it, where the message does not say so itself.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        match self {
            Self::Unavailable(_) => {
                Some("If it lasts, see whether the database of `local.url` runs, is not locked, and has a sound disk.")
            }
            Self::Full(_) => Some("Free disk space where the local database lies, or raise its quota."),
            Self::Denied(_) => Some("Check `local.url` in sync.toml, and the rights of its user or file."),
            Self::Absent { remedy, .. } => Some(remedy),
            Self::Refused { .. } => Some(
                "Change the mapping, the constraint, the record at HQ, or what refers to it; then run the job again.",
            ),
            Self::Damaged(_) => {
                Some("Restore the local database from a backup; `milkrun sync --full` then brings it up to date.")
            }
            Self::Migrate(_) => Some(
                "See that the user may create tables, and that this milkrun is not older than the one that ran before.",
            ),
            Self::Schema(_) | Self::Lost { .. } => None,
        }
    }

    /// Of a return to a savepoint: "there is none" means that the database has given up the transaction.
    #[must_use]
    pub(super) fn of_a_transaction_that_is_gone(self) -> Self {
        match self {
            Self::Schema(findings) => Self::Unavailable(sqlx::Error::Protocol(findings.join(" "))),
            other @ (Self::Unavailable(_)
            | Self::Full(_)
            | Self::Denied(_)
            | Self::Absent { .. }
            | Self::Refused { .. }
            | Self::Lost { .. }
            | Self::Damaged(_)
            | Self::Migrate(_)) => other,
        }
    }

    /// The same with the database's own words replaced by what `scrub` makes of them.
    #[must_use]
    pub fn said(self, scrub: impl Fn(&str) -> String) -> Self {
        let quoted = |error: sqlx::Error| {
            let said = error.as_database_error().map(|source| source.message().to_owned());
            match said.map(|said| (scrub(&said), said)) {
                Some((scrubbed, said)) if scrubbed != said => sqlx::Error::Io(std::io::Error::other(scrubbed)),
                Some(_) | None => error,
            }
        };
        match self {
            Self::Unavailable(error) => Self::Unavailable(quoted(error)),
            Self::Full(error) => Self::Full(quoted(error)),
            Self::Denied(error) => Self::Denied(quoted(error)),
            Self::Absent { cause, remedy } => Self::Absent { cause: quoted(cause), remedy },
            Self::Schema(findings) => Self::Schema(findings.iter().map(|finding| scrub(finding)).collect()),
            Self::Refused { table, reason } => Self::Refused { table, reason: scrub(&reason) },
            Self::Damaged(reason) => Self::Damaged(scrub(&reason)),
            Self::Lost { .. } | Self::Migrate(_) => self,
        }
    }

    /// Of a database that is not there: the statement that makes it.
    #[must_use]
    pub(super) fn made_by(self, statement: &Sql) -> Self {
        match self {
            Self::Absent { cause, .. } => {
                Self::Absent { cause, remedy: format!("Make it first, empty: {};", statement.text()) }
            }
            other @ (Self::Unavailable(_)
            | Self::Full(_)
            | Self::Denied(_)
            | Self::Schema(_)
            | Self::Refused { .. }
            | Self::Lost { .. }
            | Self::Damaged(_)
            | Self::Migrate(_)) => other,
        }
    }

    /// Names the table that refused values.
    #[must_use]
    pub(super) fn for_table(self, name: &str) -> Self {
        match self {
            Self::Refused { reason, .. } => Self::Refused { table: Some(name.to_owned()), reason },
            Self::Unavailable(_)
            | Self::Full(_)
            | Self::Denied(_)
            | Self::Absent { .. }
            | Self::Schema(_)
            | Self::Lost { .. }
            | Self::Damaged(_)
            | Self::Migrate(_) => self,
        }
    }
}

/// What the database or the driver said; without the line of the server's own source, which PostgreSQL's driver appends.
fn words(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| error.to_string(), |said| said.message().to_owned())
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "sqlx::Error is non-exhaustive; the rest is connection trouble"
        )]
        match &error {
            sqlx::Error::Database(source) => match verdict(source.as_ref()) {
                Verdict::Unavailable => Self::Unavailable(error),
                Verdict::Full => Self::Full(error),
                Verdict::Denied => Self::Denied(error),
                Verdict::Absent => Self::Absent {
                    cause: error,
                    remedy: "Make it first, empty, by CREATE DATABASE and the name in `local.url`.".to_owned(),
                },
                Verdict::Schema => Self::Schema(vec![format!(
                    "The database says: {}. Has a table been changed since the job was checked? Run `milkrun check`.",
                    source.message().trim_end_matches('.')
                )]),
                Verdict::Refused => Self::Refused { table: None, reason: source.message().to_owned() },
                Verdict::Damaged => Self::Damaged(source.message().to_owned()),
            },
            sqlx::Error::Configuration(_) => Self::Denied(error),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnIndexOutOfBounds { .. } => {
                Self::Damaged(error.to_string())
            }
            _ => Self::Unavailable(error),
        }
    }
}

impl From<MigrateError> for Error {
    fn from(error: MigrateError) -> Self {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "MigrateError is non-exhaustive; only these hold a database error"
        )]
        match error {
            MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => match Self::from(source) {
                Self::Schema(findings) => Self::Migrate(Box::new(MigrateError::Source(findings.join(" ").into()))),
                other => other,
            },
            other => Self::Migrate(Box::new(other)),
        }
    }
}

fn is_passing(cause: &sqlx::Error) -> bool {
    #[expect(clippy::wildcard_enum_match_arm, reason = "sqlx::Error is non-exhaustive; the rest would fail again")]
    match cause {
        // A connection that was cut; a server that does not answer has had its time.
        sqlx::Error::Io(error) => error.kind() != std::io::ErrorKind::TimedOut,
        sqlx::Error::Database(error) => {
            let error = error.as_ref();
            if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
                // Serialization, deadlock; shut down, crashed or ended by an administrator; idle for too long.
                return matches!(error.code(), "40001" | "40P01" | "57P01" | "57P02" | "57P05" | "25P03");
            }
            if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
                // Deadlock, changed since it was read; shut down, killed.
                return matches!(error.number(), 1213 | 1020 | 1053 | 1927);
            }
            // SQLITE_BUSY_SNAPSHOT
            error.code().as_deref() == Some("517")
        }
        _ => false,
    }
}

/// What a database's own error code asks of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Unavailable,
    Full,
    Denied,
    Absent,
    Schema,
    Refused,
    Damaged,
}

fn verdict(error: &dyn DatabaseError) -> Verdict {
    if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
        return by_sqlstate(error.code());
    }
    if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
        return by_mysql_number(error.number(), error.code().unwrap_or_default());
    }
    let code = error.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or_default();
    by_sqlite_code(code)
}

/// SQLite: the low byte is the primary code (<https://www.sqlite.org/rescode.html>).
fn by_sqlite_code(code: u32) -> Verdict {
    match code & 0xff {
        // TOOBIG, CONSTRAINT, MISMATCH.
        18..=20 => Verdict::Refused,
        13 => Verdict::Full,
        // PERM, READONLY, CANTOPEN, AUTH.
        3 | 8 | 14 | 23 => Verdict::Denied,
        // CORRUPT, NOTADB.
        11 | 26 => Verdict::Damaged,
        // ERROR (no such table or column), SCHEMA.
        1 | 17 => Verdict::Schema,
        // BUSY, LOCKED, NOMEM, INTERRUPT, IOERR, PROTOCOL and what may come.
        _ => Verdict::Unavailable,
    }
}

/// PostgreSQL, by SQLSTATE (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn by_sqlstate(code: &str) -> Verdict {
    match code {
        "53100" => Verdict::Full,
        // Privileges on an object.
        "42501" => Verdict::Denied,
        // The database does not exist.
        "3D000" => Verdict::Absent,
        "XX001" | "XX002" => Verdict::Damaged,
        // A value too long for an index; a trigger's own RAISE.
        "54000" | "P0001" => Verdict::Refused,
        _ => match code.get(..2).unwrap_or_default() {
            "22" | "23" | "44" | "P0" => Verdict::Refused,
            "28" => Verdict::Denied,
            "42" | "0A" | "3F" => Verdict::Schema,
            // 08 connection, 25 read-only standby, 40 rollback, 53 resources, 55 locks, 57 operator and what may come.
            _ => Verdict::Unavailable,
        },
    }
}

/// MariaDB and MySQL, by error number, as their SQLSTATE is often just HY000
/// (<https://mariadb.com/kb/en/mariadb-error-code-reference/>).
fn by_mysql_number(number: u16, sqlstate: &str) -> Verdict {
    match number {
        // Disk full, table full, quota.
        1021 | 1114 | 3675 => Verdict::Full,
        // No such database.
        1049 => Verdict::Absent,
        // Access to database, user, table, column, command; host not allowed; no such user.
        1044 | 1045 | 1130 | 1142 | 1143 | 1227 | 1370 | 1410 | 1698 => Verdict::Denied,
        // Constraints and values: not null, duplicates, foreign keys, ranges, truncation, wrong values, checks, JSON,
        // a row beyond max_allowed_packet or the row size, a trigger's SIGNAL.
        1048 | 1062 | 1118 | 1153 | 1169 | 1216 | 1217 | 1264 | 1265 | 1292 | 1366 | 1406 | 1411 | 1441 | 1451
        | 1452 | 1557 | 1586 | 1644 | 1690 | 3140 | 3141 | 3819 | 4025 | 4038 => Verdict::Refused,
        // No default for a column; generated columns are not written.
        1364 | 1906 | 3105 => Verdict::Schema,
        1034 | 1194 | 1195 | 1712 => Verdict::Damaged,
        // Too many connections (08004) and user limits (42000) look like other classes.
        1040 | 1203 | 1226 => Verdict::Unavailable,
        _ => match sqlstate.get(..2).unwrap_or_default() {
            "22" | "23" | "45" => Verdict::Refused,
            "28" => Verdict::Denied,
            "42" => Verdict::Schema,
            // Locks (1205), deadlocks (1213), read-only servers (1290, 1836), shutdown, kills and what may come.
            _ => Verdict::Unavailable,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_databases_codes_say_what_is_to_be_done() {
        // Shut down by an administrator, starting up, too many connections, deadlock, serialization, lock timeout.
        for code in ["57P01", "57P03", "53300", "40P01", "40001", "55P03", "25P03", "08006", "25006"] {
            assert_eq!(by_sqlstate(code), Verdict::Unavailable, "{code}");
        }
        for (code, verdict) in [
            ("53100", Verdict::Full),
            ("23505", Verdict::Refused),
            ("22001", Verdict::Refused),
            ("22P02", Verdict::Refused),
            ("P0001", Verdict::Refused),
            ("28P01", Verdict::Denied),
            ("3D000", Verdict::Absent),
            ("42P01", Verdict::Schema),
            ("XX001", Verdict::Damaged),
        ] {
            assert_eq!(by_sqlstate(code), verdict, "{code}");
        }
        // Deadlock, lock wait, shutdown, killed, too many connections, read-only server.
        for (number, sqlstate) in
            [(1213, "40001"), (1205, "HY000"), (1053, "08S01"), (1927, "70100"), (1040, "08004"), (1290, "HY000")]
        {
            assert_eq!(by_mysql_number(number, sqlstate), Verdict::Unavailable, "{number}");
        }
        for (number, sqlstate, verdict) in [
            (1021, "HY000", Verdict::Full),
            (1062, "23000", Verdict::Refused),
            (1406, "22001", Verdict::Refused),
            (4025, "23000", Verdict::Refused),
            (1644, "45000", Verdict::Refused),
            (1045, "28000", Verdict::Denied),
            (1049, "42000", Verdict::Absent),
            (1146, "42S02", Verdict::Schema),
        ] {
            assert_eq!(by_mysql_number(number, sqlstate), verdict, "{number}");
        }
        // BUSY, BUSY_SNAPSHOT, IOERR, FULL, READONLY, CANTOPEN, CORRUPT, NOTADB, CONSTRAINT_TRIGGER.
        for (code, verdict) in [
            (5, Verdict::Unavailable),
            (517, Verdict::Unavailable),
            (10, Verdict::Unavailable),
            (13, Verdict::Full),
            (8, Verdict::Denied),
            (14, Verdict::Denied),
            (11, Verdict::Damaged),
            (26, Verdict::Damaged),
            (1811, Verdict::Refused),
        ] {
            assert_eq!(by_sqlite_code(code), verdict, "{code}");
        }
    }
}
