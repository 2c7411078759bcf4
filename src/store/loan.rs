//! Connections to a server, on loan from its pool.
//!
//! sqlx's pool gives a connection back by a task of its own, after a question whether it still lives, and asks again when
//! it goes out: two more round trips a page, and who asks meanwhile gets another connection, which has no statement
//! prepared yet. Here the one that came back last waits a moment for who asks next, and then goes back to the pool.
//!
//! The connection that showed that the server can be reached is lent like the pool's, so that a command which needs but one
//! opens but one.

use std::fmt;
use std::sync::{Arc, Mutex as Lock, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, Database, Pool};
use tokio::runtime;
use tokio::time::{Instant, sleep_until, timeout};

use super::error::Error;
use super::pools::PING_TIMEOUT;

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
    waiting: Option<(Held<DB>, Instant)>,
    /// A task sees to it.
    is_watched: bool,
}

/// A connection, by where it is from.
enum Held<DB: Database> {
    /// The pool's.
    Pooled(PoolConnection<DB>),
    /// That which was opened before the pool; in no pool, and closed where the others go back.
    First(DB::Connection),
}

/// A connection on loan.
#[derive(Debug)]
pub(super) struct Loan<DB: Database> {
    /// Taken out only as the loan is dropped.
    connection: Option<Held<DB>>,
    lender: Lender<DB>,
    is_doubtful: bool,
    is_to_close: bool,
    /// It has waited, and nobody has asked whether it lives.
    is_unproven: bool,
}

impl<DB: Database> Clone for Lender<DB> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone(), spare: Arc::clone(&self.spare) }
    }
}

impl<DB: Database> Lender<DB> {
    /// Of a pool that has its own limits and opens nothing before it is asked, and of a connection to the same server.
    pub(super) fn new(pool: Pool<DB>, first: DB::Connection) -> Self {
        let lender = Self { pool, spare: Arc::new(Lock::new(Spare { waiting: None, is_watched: false })) };
        lender.keep(Held::First(first));
        lender
    }

    /// A connection that lives.
    ///
    /// # Errors
    /// The pool's: none could be opened.
    pub(super) async fn lend(&self) -> Result<Loan<DB>, Error> {
        let waiting = held(&self.spare).waiting.take();
        let connection = match waiting {
            Some((connection, since)) if since.elapsed() <= FRESH => connection,
            Some((mut connection, _)) => match timeout(PING_TIMEOUT, connection.get().ping()).await {
                Ok(Ok(())) => connection,
                Ok(Err(_)) | Err(_) => {
                    connection.close_on_drop();
                    drop(connection);
                    self.of_pool().await?
                }
            },
            None => self.of_pool().await?,
        };
        Ok(self.loan(connection, false))
    }

    /// A connection of which its first statement is to show whether it lives.
    ///
    /// # Errors
    /// As [`Lender::lend`].
    pub(super) async fn lend_unproven(&self) -> Result<Loan<DB>, Error> {
        let waiting = held(&self.spare).waiting.take();
        match waiting {
            Some((connection, since)) => Ok(self.loan(connection, since.elapsed() > FRESH)),
            None => Ok(self.loan(self.of_pool().await?, false)),
        }
    }

    /// Waits for the connections to come back and closes them.
    pub(super) async fn close(&self) {
        let waiting = held(&self.spare).waiting.take();
        if let Some((connection, _)) = waiting {
            connection.end().await;
        }
        self.pool.close().await;
    }

    fn loan(&self, connection: Held<DB>, is_unproven: bool) -> Loan<DB> {
        let (lender, is_doubtful, is_to_close) = (self.clone(), false, false);
        Loan { connection: Some(connection), lender, is_doubtful, is_to_close, is_unproven }
    }

    async fn of_pool(&self) -> Result<Held<DB>, Error> {
        Ok(Held::Pooled(self.pool.acquire().await?))
    }

    fn keep(&self, connection: Held<DB>) {
        let Ok(runtime) = runtime::Handle::try_current() else { return };
        let mut spare = held(&self.spare);
        if spare.waiting.is_some() || self.pool.is_closed() {
            drop(spare);
            runtime.spawn(connection.end());
            return;
        }
        spare.waiting = Some((connection, Instant::now()));
        if !spare.is_watched {
            spare.is_watched = true;
            runtime.spawn(watch(Arc::clone(&self.spare)));
        }
    }
}

impl<DB: Database> fmt::Debug for Held<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pooled(_) => "Pooled",
            Self::First(_) => "First",
        })
    }
}

impl<DB: Database> Held<DB> {
    fn get(&mut self) -> &mut DB::Connection {
        match self {
            Self::Pooled(connection) => connection,
            Self::First(connection) => connection,
        }
    }

    fn close_on_drop(&mut self) {
        match self {
            Self::Pooled(connection) => connection.close_on_drop(),
            // Nobody takes it back.
            Self::First(_) => {}
        }
    }

    /// Gives it back to the pool, or takes leave of the server.
    async fn end(self) {
        match self {
            Self::Pooled(connection) => drop(connection),
            Self::First(connection) => {
                if let Err(error) = connection.close().await {
                    tracing::debug!(%error, "a connection to the local database did not close well");
                }
            }
        }
    }
}

impl<DB: Database> Loan<DB> {
    /// The connection.
    ///
    /// # Errors
    /// Never, while the loan lasts.
    pub(super) fn get(&mut self) -> Result<&mut DB::Connection, Error> {
        self.connection.as_mut().map(Held::get).ok_or(Error::Unavailable(sqlx::Error::PoolClosed))
    }

    /// Whether it has waited, and nobody has asked whether it lives.
    pub(super) fn is_unproven(&self) -> bool {
        self.is_unproven
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
        if let Some((connection, _)) = tired {
            connection.end().await;
        }
    }
}

fn held<DB: Database>(spare: &Lock<Spare<DB>>) -> MutexGuard<'_, Spare<DB>> {
    spare.lock().unwrap_or_else(PoisonError::into_inner)
}
