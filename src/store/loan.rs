//! Connections to a server, on loan from its pool.
//!
//! sqlx's pool gives a connection back by a task of its own, after a question whether it still lives, and asks again when
//! it goes out: two more round trips a page, and who asks meanwhile gets another connection, which has no statement
//! prepared yet. Here the one that came back last waits a moment for who asks next, and then goes back to the pool.

use std::sync::{Arc, Mutex as Lock, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, Database, Pool};
use tokio::runtime;
use tokio::time::{Instant, sleep_until, timeout};

use super::connection::PING_TIMEOUT;
use super::error::Error;

/// How long a connection waits.
const LINGER: Duration = Duration::from_millis(200);

/// One that waited for no longer than this, as between two pages, is taken to live.
const FRESH: Duration = Duration::from_millis(1);

/// Who lends the connections to one server; clones share them.
#[derive(Debug)]
pub(super) struct Lender<DB: Database> {
    pool: Pool<DB>,
    spare: Arc<Lock<Spare<DB>>>,
}

/// What waits.
#[derive(Debug)]
struct Spare<DB: Database> {
    /// The connection, and since when.
    waiting: Option<(PoolConnection<DB>, Instant)>,
    /// A task sees to it.
    is_watched: bool,
}

/// A connection on loan.
#[derive(Debug)]
pub(super) struct Loan<DB: Database> {
    /// Taken out only as the loan is dropped.
    connection: Option<PoolConnection<DB>>,
    lender: Lender<DB>,
    is_doubtful: bool,
    is_to_close: bool,
}

impl<DB: Database> Clone for Lender<DB> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone(), spare: Arc::clone(&self.spare) }
    }
}

impl<DB: Database> Lender<DB> {
    /// Of a pool that has its own limits.
    pub(super) fn new(pool: Pool<DB>) -> Self {
        Self { pool, spare: Arc::new(Lock::new(Spare { waiting: None, is_watched: false })) }
    }

    /// A connection.
    ///
    /// # Errors
    /// The pool's: none could be opened.
    pub(super) async fn lend(&self) -> Result<Loan<DB>, Error> {
        let waiting = held(&self.spare).waiting.take();
        let connection = match waiting {
            Some((connection, since)) if since.elapsed() <= FRESH => connection,
            Some((mut connection, _)) => match timeout(PING_TIMEOUT, connection.ping()).await {
                Ok(Ok(())) => connection,
                Ok(Err(_)) | Err(_) => {
                    connection.close_on_drop();
                    drop(connection);
                    self.pool.acquire().await?
                }
            },
            None => self.pool.acquire().await?,
        };
        Ok(Loan { connection: Some(connection), lender: self.clone(), is_doubtful: false, is_to_close: false })
    }

    /// Waits for the connections to come back and closes them.
    pub(super) async fn close(&self) {
        let waiting = held(&self.spare).waiting.take();
        drop(waiting);
        self.pool.close().await;
    }

    fn keep(&self, connection: PoolConnection<DB>) {
        let Ok(runtime) = runtime::Handle::try_current() else { return };
        let mut spare = held(&self.spare);
        if spare.waiting.is_some() || self.pool.is_closed() {
            return;
        }
        spare.waiting = Some((connection, Instant::now()));
        if !spare.is_watched {
            spare.is_watched = true;
            runtime.spawn(watch(Arc::clone(&self.spare)));
        }
    }
}

impl<DB: Database> Loan<DB> {
    /// The connection.
    ///
    /// # Errors
    /// Never, while the loan lasts.
    pub(super) fn get(&mut self) -> Result<&mut DB::Connection, Error> {
        self.connection.as_deref_mut().ok_or(Error::Unavailable(sqlx::Error::PoolClosed))
    }

    /// Has the connection closed, not given back, when the loan is dropped.
    pub(super) fn close_on_drop(&mut self) {
        (self.is_doubtful, self.is_to_close) = (true, true);
        if let Some(connection) = &mut self.connection {
            connection.close_on_drop();
        }
    }

    /// While a statement runs, which may be cancelled, and after one that failed: the pool is to look at the connection
    /// before anybody else gets it.
    pub(super) fn doubt(&mut self, is_doubtful: bool) {
        self.is_doubtful = is_doubtful || self.is_to_close;
    }
}

impl<DB: Database> Drop for Loan<DB> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take()
            && !self.is_doubtful
        {
            self.lender.keep(connection);
        }
    }
}

/// Gives what has waited for too long to the pool.
async fn watch<DB: Database>(spare: Arc<Lock<Spare<DB>>>) {
    loop {
        let until = {
            let mut spare = held(&spare);
            let until = spare.waiting.as_ref().map(|(_, since)| *since + LINGER);
            spare.is_watched = until.is_some();
            until
        };
        let Some(until) = until else { return };
        sleep_until(until).await;
        let tired = held(&spare).waiting.take_if(|(_, since)| since.elapsed() >= LINGER);
        drop(tired);
    }
}

fn held<DB: Database>(spare: &Lock<Spare<DB>>) -> MutexGuard<'_, Spare<DB>> {
    spare.lock().unwrap_or_else(PoisonError::into_inner)
}
