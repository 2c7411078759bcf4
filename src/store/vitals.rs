//! A look at a database as it is, for a doctor: nothing is made, nothing brought up to date, nothing written.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::config::{DatabaseKind, Local};

use super::Store;
use super::connection::Connection;
use super::driver::Driver;
use super::error::Error;
use super::migrate::{applied, has_begun, migrator};
use super::{exact_collation, mysql, postgres, sqlite};

/// How far milkrun's own tables are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnTables {
    /// There are none: no command has opened the database yet.
    None,
    /// The next command that opens the database brings them up to date, by so many migrations.
    Behind(usize),
    /// As this milkrun needs them, after so many migrations.
    Current(usize),
    /// A newer milkrun made them; this one does not open the database.
    Newer,
}

/// What a database server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Name and version.
    pub version: String,
    /// Connections that are open, and that may be.
    pub connections: Option<(u64, u64)>,
    /// Settings that milkrun depends on.
    pub settings: Vec<(&'static str, String)>,
}

impl Store {
    /// Opens the database only to look at it. What it may be used for is in this file, and reading.
    ///
    /// # Errors
    /// The database cannot be reached, or lets nobody in.
    pub async fn open_to_look(local: &Local) -> Result<Self, Error> {
        let pools = match local.kind {
            DatabaseKind::Sqlite => sqlite::open_to_look(&local.url)?,
            DatabaseKind::Postgres => postgres::open(&local.url).await?,
            DatabaseKind::Mysql => mysql::open(&local.url).await?,
        };
        Ok(Self { collation: exact_collation(&pools).await?, pools })
    }

    /// Whether a SQLite file is sound, or as far as could be seen in this time; servers see to that themselves.
    ///
    /// # Errors
    /// [`Error::Damaged`], or the database's trouble.
    pub async fn is_sound(&self, limit: Duration) -> Result<bool, Error> {
        match self.pools.aside().reader().await?.driver() {
            Driver::Sqlite(handle) => sqlite::examine_within(handle.get()?, limit).await,
            Driver::Postgres(_) | Driver::Mysql(_) => Ok(true),
        }
    }

    /// How far milkrun's own tables are.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn own_tables(&self) -> Result<OwnTables, Error> {
        let mut connection = self.pools.reader().await?;
        if !has_begun(&mut connection).await? {
            return Ok(OwnTables::None);
        }
        let applied = applied(&mut connection).await?;
        let migrator = migrator(self.kind());
        let known: Vec<i64> = migrator.iter().map(|migration| migration.version).collect();
        Ok(if applied.iter().any(|version| !known.contains(version)) {
            OwnTables::Newer
        } else {
            match known.len().saturating_sub(applied.len()) {
                0 => OwnTables::Current(applied.len()),
                missing => OwnTables::Behind(missing),
            }
        })
    }

    /// Who has the leases: job, holder, and until when.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn leases(&self) -> Result<Vec<(String, String, DateTime<Utc>)>, Error> {
        let mut connection = self.pools.reader().await?;
        let mut sql = connection.sql("SELECT ");
        sql.reads(["job", "holder", "expires_at"]).push(" FROM milkrun_leases ORDER BY milkrun_leases.job");
        let lines = connection.fetch(sql, Vec::new()).await?;
        let read = |line: &super::line::Line| {
            let until = line.moment(2, "milkrun_leases.expires_at")?.unwrap_or_default();
            let text = |at, what| line.required(at, what).map(str::to_owned);
            Ok((text(0, "milkrun_leases.job")?, text(1, "milkrun_leases.holder")?, until))
        };
        lines.iter().map(read).collect()
    }

    /// What the database says of itself.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn server(&self) -> Result<Server, Error> {
        let mut connection = self.pools.reader().await?;
        let asked = match self.kind() {
            DatabaseKind::Sqlite => SQLITE,
            DatabaseKind::Postgres => POSTGRES,
            DatabaseKind::Mysql => MYSQL,
        };
        let version = one(&mut connection, asked.version).await?.unwrap_or_default();
        let mut settings = Vec::with_capacity(asked.settings.len());
        for (name, question) in asked.settings {
            if let Some(value) = one(&mut connection, question).await? {
                settings.push((*name, value));
            }
        }
        let connections = match asked.connections {
            Some((open, most)) => {
                let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
                number(one(&mut connection, open).await?).zip(number(one(&mut connection, most).await?))
            }
            None => None,
        };
        Ok(Server { version: format!("{}{version}", asked.name), connections, settings })
    }
}

/// What is asked of one kind of database.
struct Questions {
    name: &'static str,
    version: &'static str,
    settings: &'static [(&'static str, &'static str)],
    /// Connections that are open, and that may be.
    connections: Option<(&'static str, &'static str)>,
}

const SQLITE: Questions =
    Questions { name: "SQLite ", version: "SELECT sqlite_version()", settings: &[], connections: None };

const POSTGRES: Questions = Questions {
    name: "PostgreSQL ",
    version: "SELECT current_setting('server_version')",
    settings: &[
        ("server_encoding", "SELECT current_setting('server_encoding')"),
        ("fsync", "SELECT current_setting('fsync')"),
        ("full_page_writes", "SELECT current_setting('full_page_writes')"),
    ],
    connections: Some((
        "SELECT CAST(count(*) AS text) FROM pg_stat_activity WHERE backend_type = 'client backend'",
        "SELECT current_setting('max_connections')",
    )),
};

const MYSQL: Questions = Questions {
    name: "",
    version: "SELECT CAST(CONCAT(@@version_comment, ' ', @@version) AS CHAR)",
    settings: &[
        ("max_allowed_packet", "SELECT CAST(@@max_allowed_packet AS CHAR)"),
        ("character_set_database", "SELECT CAST(@@character_set_database AS CHAR)"),
        ("innodb_flush_log_at_trx_commit", "SELECT CAST(@@innodb_flush_log_at_trx_commit AS CHAR)"),
    ],
    connections: Some((
        "SELECT CAST(COUNT(*) AS CHAR) FROM information_schema.processlist",
        "SELECT CAST(@@max_connections AS CHAR)",
    )),
};

async fn one(connection: &mut Connection, question: &'static str) -> Result<Option<String>, Error> {
    let sql = connection.sql(question);
    let lines = connection.fetch(sql, Vec::new()).await?;
    Ok(lines.first().and_then(|line| line.text(0)).map(str::to_owned))
}
