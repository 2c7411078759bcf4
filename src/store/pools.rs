//! Where the connections of one database come from, and how much a statement may take there.

use std::time::Duration;

use sqlx::{MySql, Postgres};
use tokio::time::timeout;

use crate::config::DatabaseKind;

use super::connection::{Connection, Hold};
use super::driver::Driver;
use super::dry::Dry;
use super::error::Error;
use super::handles::Handles;
use super::loan::Lender;
use super::turns::Turns;

/// Bytes of one statement: a quarter of MariaDB's default `max_allowed_packet`.
const BYTES: usize = 4 << 20;

/// How long an idle connection has to show that it is alive.
pub(super) const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// Idle connections are closed before a firewall forgets them.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The pools of one database.
#[derive(Debug, Clone)]
pub(super) enum Pools {
    /// One connection that writes and some that read.
    Sqlite {
        /// The connections.
        handles: Handles,
        /// What is left to other writers of the file.
        turns: Turns,
    },
    /// PostgreSQL.
    Postgres {
        /// The connections.
        pool: Lender<Postgres>,
        /// Bytes of values that one statement of a batch best takes.
        piece: usize,
    },
    /// MariaDB or MySQL.
    Mysql {
        /// The connections.
        pool: Lender<MySql>,
        /// `max_allowed_packet`: what one statement may take; more would cost the connection.
        packet: usize,
    },
    /// The one connection of a dry run, whatever the database.
    Dry(Dry),
}

impl Pools {
    /// Which database it is.
    pub(super) fn kind(&self) -> DatabaseKind {
        match self {
            Self::Sqlite { .. } => DatabaseKind::Sqlite,
            Self::Postgres { .. } => DatabaseKind::Postgres,
            Self::Mysql { .. } => DatabaseKind::Mysql,
            Self::Dry(dry) => dry.kind(),
        }
    }

    /// A connection for statements that write.
    pub(super) async fn writer(&self) -> Result<Connection, Error> {
        let hold = match self {
            Self::Dry(dry) => Hold::Lent(dry.lend().await?),
            Self::Sqlite { .. } | Self::Postgres { .. } | Self::Mysql { .. } => Hold::Own(self.driver().await?),
        };
        Ok(self.connection(hold))
    }

    /// A connection inside a transaction. Of a server's that has waited, the statement that opens it shows whether it lives.
    pub(super) async fn transaction(&self) -> Result<Connection, Error> {
        let unproven = match self {
            Self::Postgres { pool, .. } => Some(Driver::Postgres(pool.lend_unproven().await?)),
            Self::Mysql { pool, .. } => Some(Driver::Mysql(pool.lend_unproven().await?)),
            Self::Sqlite { .. } | Self::Dry(_) => None,
        };
        if let Some(driver) = unproven {
            let is_unproven = driver.is_unproven();
            let mut connection = self.connection(Hold::Own(driver));
            let patience = if is_unproven { PING_TIMEOUT } else { Duration::MAX };
            match timeout(patience, connection.begin()).await {
                Ok(Ok(())) => return Ok(connection),
                Ok(Err(_)) | Err(_) if is_unproven => drop(connection),
                Ok(Err(error)) => return Err(error),
                Err(_elapsed) => return Err(Error::Unavailable(sqlx::Error::PoolTimedOut)),
            }
        }
        let mut connection = self.writer().await?;
        connection.begin().await?;
        Ok(connection)
    }

    fn connection(&self, hold: Hold) -> Connection {
        let turns = match self {
            Self::Sqlite { turns, .. } => Some(turns.clone()),
            Self::Postgres { .. } | Self::Mysql { .. } | Self::Dry(_) => None,
        };
        Connection::new(hold, self.room(), turns)
    }

    /// A connection of its own, that writes.
    pub(super) async fn driver(&self) -> Result<Driver, Error> {
        Ok(match self {
            Self::Sqlite { handles, .. } => Driver::Sqlite(handles.writer().await?),
            Self::Postgres { pool, .. } => Driver::Postgres(pool.lend().await?),
            Self::Mysql { pool, .. } => Driver::Mysql(pool.lend().await?),
            Self::Dry(_) => return Err(Error::Unavailable(sqlx::Error::PoolClosed)),
        })
    }

    /// A connection for statements that only read.
    pub(super) async fn reader(&self) -> Result<Connection, Error> {
        match self {
            Self::Sqlite { handles, .. } => {
                let reader = Hold::Own(Driver::Sqlite(handles.reader().await?));
                Ok(Connection::new(reader, self.room(), None))
            }
            Self::Postgres { .. } | Self::Mysql { .. } | Self::Dry(_) => self.writer().await,
        }
    }

    /// The same for who may read long: no writer waits for it.
    pub(super) fn aside(&self) -> Self {
        match self {
            Self::Sqlite { handles, turns } => Self::Sqlite { handles: handles.aside(), turns: turns.clone() },
            Self::Postgres { .. } | Self::Mysql { .. } | Self::Dry(_) => self.clone(),
        }
    }

    /// Bytes that one statement takes.
    pub(super) fn room(&self) -> Room {
        match self {
            Self::Sqlite { .. } => Room::SQLITE,
            Self::Postgres { piece, .. } => Room { most: usize::MAX, piece: *piece },
            Self::Mysql { packet, .. } => Room { most: *packet, piece: BYTES.min(*packet / 2) },
            Self::Dry(dry) => dry.room(),
        }
    }

    /// Waits for the connections to come back and closes them.
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite { handles, .. } => handles.close().await,
            Self::Postgres { pool, .. } => pool.close().await,
            Self::Mysql { pool, .. } => pool.close().await,
            Self::Dry(dry) => dry.close().await,
        }
    }
}

/// Bytes that one statement takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// At most; the server refuses more.
    pub(super) most: usize,
    /// Where a batch is cut.
    pub(super) piece: usize,
}

impl Room {
    /// SQLite's, which takes what fits into memory.
    pub(super) const SQLITE: Self = Self { most: usize::MAX, piece: BYTES };
}
