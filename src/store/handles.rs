//! The connections to a SQLite file: one that writes, and some that read while that one is taken.
//!
//! A pool of sqlx's gives a connection back by a task of its own, after a question whether it still lives. That is more work
//! than most statements here, and who asks meanwhile makes one connection more. Here a connection is back when it is dropped.
//!
//! Who only reads is lent the one that writes where that is free: its cache holds what was written last, which others would
//! read from the file again. Invariant: whoever holds a connection to read asks for none to write.

use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::error::Error;

/// How long to wait for a connection; longer than the longest wait for a lock, or it would hide it.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(40);

/// Connections that only read, at once: for the status page beside the runs.
const READERS: usize = 4;

/// Of these, one is kept open when nobody reads.
const KEPT: usize = 1;

/// The connections to one file; clones share them.
#[derive(Debug, Clone)]
pub(super) struct Handles {
    shared: Arc<Shared>,
    /// Who reads keeps out of the writer's way.
    is_aside: bool,
}

#[derive(Debug)]
struct Shared {
    options: SqliteConnectOptions,
    writer: Arc<Mutex<Writer>>,
    readers: Arc<Semaphore>,
    idle: Lock<Vec<SqliteConnection>>,
}

/// The connection that writes; SQLite has one writer at a time, and waiting in line is fairer than its busy handler.
#[derive(Debug, Default)]
struct Writer {
    connection: Option<SqliteConnection>,
    is_closed: bool,
}

/// A connection on loan.
#[derive(Debug)]
pub(super) struct Handle {
    /// Taken out only as the handle is dropped.
    connection: Option<SqliteConnection>,
    owner: Owner,
    is_to_close: bool,
}

/// Whose the connection is.
#[derive(Debug)]
enum Owner {
    /// The only one that writes.
    Writer(OwnedMutexGuard<Writer>),
    /// One of those that read.
    Reader { shared: Arc<Shared>, _permit: OwnedSemaphorePermit },
    /// Nobody else's.
    Holder,
}

impl Handles {
    /// Nothing is opened yet.
    pub(super) fn new(options: SqliteConnectOptions) -> Self {
        let readers = Arc::new(Semaphore::new(READERS));
        let shared = Arc::new(Shared { options, writer: Arc::default(), readers, idle: Lock::default() });
        Self { shared, is_aside: false }
    }

    /// The same for who may read long: no writer waits for it.
    pub(super) fn aside(&self) -> Self {
        Self { is_aside: true, ..self.clone() }
    }

    /// The connection that writes, when it is free.
    pub(super) async fn writer(&self) -> Result<Handle, Error> {
        let writer = timeout(ACQUIRE_TIMEOUT, Arc::clone(&self.shared.writer).lock_owned()).await;
        self.taken(writer.map_err(|_elapsed| sqlx::Error::PoolTimedOut)?).await
    }

    /// A connection to read: the one that writes, or another where that is taken, or not to be kept waiting.
    pub(super) async fn reader(&self) -> Result<Handle, Error> {
        let writer = Arc::clone(&self.shared.writer);
        match if self.is_aside { None } else { writer.try_lock_owned().ok() } {
            Some(writer) => self.taken(writer).await,
            None => self.onlooker().await,
        }
    }

    async fn onlooker(&self) -> Result<Handle, Error> {
        let permit = timeout(ACQUIRE_TIMEOUT, Arc::clone(&self.shared.readers).acquire_owned()).await;
        let permit = permit.map_err(|_elapsed| sqlx::Error::PoolTimedOut)?;
        let permit = permit.map_err(|_closed| sqlx::Error::PoolClosed)?;
        let idle = self.shared.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => {
                let options = self.shared.options.clone().create_if_missing(false);
                options.connect().await?
            }
        };
        let owner = Owner::Reader { shared: Arc::clone(&self.shared), _permit: permit };
        Ok(Handle { connection: Some(connection), owner, is_to_close: false })
    }

    /// Waits for the connections to come back and closes them.
    pub(super) async fn close(&self) {
        let readers = u32::try_from(READERS).unwrap_or(u32::MAX);
        let all = self.shared.readers.acquire_many(readers).await;
        self.shared.readers.close();
        drop(all);
        let idle = std::mem::take(&mut *self.shared.idle());
        let writer = {
            let mut writer = self.shared.writer.lock().await;
            writer.is_closed = true;
            writer.connection.take()
        };
        // The writer last: the last one takes the log over into the file.
        for connection in idle.into_iter().chain(writer) {
            if let Err(error) = connection.close().await {
                tracing::debug!(%error, "a connection to the local database did not close well");
            }
        }
    }

    async fn taken(&self, mut writer: OwnedMutexGuard<Writer>) -> Result<Handle, Error> {
        if writer.is_closed {
            return Err(sqlx::Error::PoolClosed.into());
        }
        let connection = match writer.connection.take() {
            Some(connection) => connection,
            None => self.shared.options.connect().await?,
        };
        Ok(Handle { connection: Some(connection), owner: Owner::Writer(writer), is_to_close: false })
    }
}

impl Shared {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<SqliteConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handle {
    /// A connection that goes back to nobody.
    pub(super) fn alone(connection: SqliteConnection) -> Self {
        Self { connection: Some(connection), owner: Owner::Holder, is_to_close: true }
    }

    /// The connection.
    pub(super) fn get(&mut self) -> Result<&mut SqliteConnection, Error> {
        Ok(self.connection.as_mut().ok_or(sqlx::Error::PoolClosed)?)
    }

    /// Has the connection closed, not given back, when it is dropped.
    pub(super) fn close_on_drop(&mut self) {
        self.is_to_close = true;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // One that is dropped is closed by its own thread, which rolls back.
        let Some(connection) = self.connection.take().filter(|_| !self.is_to_close) else { return };
        match &mut self.owner {
            Owner::Writer(writer) => writer.connection = Some(connection),
            Owner::Reader { shared, .. } => {
                let mut idle = shared.idle();
                if idle.len() < KEPT {
                    idle.push(connection);
                }
            }
            Owner::Holder => {}
        }
    }
}
