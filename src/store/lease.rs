//! A job runs once at a time, over all processes of the outlet: by a lease that runs out if its holder dies.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::config::DatabaseKind;

use super::Store;
use super::bind::Bind;
use super::connection::Connection;
use super::error::Error;
use super::line::moment_text;

/// The answer to asking for a job's lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lease {
    /// It is ours; who had it before has given it back.
    Held,
    /// It is ours; who had it before has not given it back.
    Left,
    /// It is ours, and was before: we have not given it back.
    Kept,
    /// Another process runs the job.
    Busy {
        /// Who.
        holder: String,
        /// When its lease runs out unless it is renewed.
        until: DateTime<Utc>,
    },
}

impl Store {
    /// Takes the job's lease until `now + ttl` if nobody has it, if it has run out, or if `holder` has it already.
    /// `holder` must be another text for every process, and `now` the outlet's clock.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn acquire_lease(
        &self,
        job: &str,
        holder: &str,
        now: DateTime<Utc>,
        ttl: Duration,
    ) -> Result<Lease, Error> {
        acquire(&mut self.pools.writer().await?, job, holder, now, ttl).await
    }

    /// Who has the job's lease, and until when.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn lease(&self, job: &str) -> Result<Option<(String, DateTime<Utc>)>, Error> {
        let mut connection = self.pools.reader().await?;
        let mut sql = connection.sql("SELECT ");
        sql.reads(["holder", "expires_at"]).push(" FROM milkrun_leases WHERE job = ?");
        let lines = connection.fetch(sql, vec![Bind::text(job)]).await?;
        let Some(line) = lines.first() else { return Ok(None) };
        let until = line.moment(1, "milkrun_leases.expires_at")?.unwrap_or_default();
        Ok(Some((line.required(0, "milkrun_leases.holder")?.to_owned(), until)))
    }

    /// Keeps the lease until `now + ttl`.
    ///
    /// # Errors
    /// [`Error::Lost`] where it is no longer ours.
    pub async fn renew_lease(&self, job: &str, holder: &str, now: DateTime<Utc>, ttl: Duration) -> Result<(), Error> {
        let mut connection = self.pools.writer().await?;
        let sql = connection.sql("UPDATE milkrun_leases SET expires_at = ? WHERE job = ? AND holder = ?");
        let binds = vec![Bind::owned(moment_text(until(now, ttl))), Bind::text(job), Bind::text(holder)];
        match connection.execute(sql, binds).await? {
            0 => Err(Error::Lost { job: job.to_owned() }),
            _ => Ok(()),
        }
    }

    /// Lets go of the lease without giving it back, for us or for one who is dead: it is anybody's, and [`Lease::Left`] to
    /// who takes it. Nothing happens where it is another's by now.
    ///
    /// # Errors
    /// The database's trouble; the lease then runs out by itself.
    pub async fn leave_lease(&self, job: &str, holder: &str) -> Result<(), Error> {
        let mut connection = self.pools.writer().await?;
        let sql = connection.sql("UPDATE milkrun_leases SET holder = '', expires_at = ? WHERE job = ? AND holder = ?");
        let over = moment_text(DateTime::UNIX_EPOCH);
        connection.execute(sql, [&over, job, holder].map(Bind::text).to_vec()).await?;
        Ok(())
    }

    /// Gives the lease back; nothing happens where it is not ours.
    ///
    /// # Errors
    /// The database's trouble; the lease then runs out by itself.
    pub async fn release_lease(&self, job: &str, holder: &str) -> Result<(), Error> {
        release(&mut self.pools.writer().await?, job, holder).await.map(|_was_ours| ())
    }
}

/// As [`Store::acquire_lease`].
pub(super) async fn acquire(
    connection: &mut Connection,
    job: &str,
    holder: &str,
    now: DateTime<Utc>,
    ttl: Duration,
) -> Result<Lease, Error> {
    let until = moment_text(until(now, ttl));
    match make(connection, job, holder, &until).await? {
        Made::Ours => return Ok(Lease::Held),
        Made::WasThere => {
            let sql = connection.sql("UPDATE milkrun_leases SET expires_at = ? WHERE job = ? AND holder = ?");
            if connection.execute(sql, [&until, job, holder].map(Bind::text).to_vec()).await? > 0 {
                return Ok(Lease::Kept);
            }
            // Of those who come at once, the database lets one find the lease as it was.
            let mut sql = connection.sql("UPDATE milkrun_leases SET holder = ?, expires_at = ? WHERE job = ?");
            sql.push(" AND expires_at <= ?");
            connection.execute(sql, [holder, &until, job, &moment_text(now)].map(Bind::text).to_vec()).await?;
        }
        Made::Others => {}
    }
    let mut sql = connection.sql("SELECT ");
    sql.reads(["holder", "expires_at"]).push(" FROM milkrun_leases WHERE job = ?");
    let lines = connection.fetch(sql, vec![Bind::text(job)]).await?;
    let Some(line) = lines.first() else {
        // Given back between the two statements; the next try may have it.
        return Ok(Lease::Busy { holder: "another process".to_owned(), until: now });
    };
    let found = line.required(0, "milkrun_leases.holder")?;
    if found == holder {
        return Ok(Lease::Left);
    }
    let until = line.moment(1, "milkrun_leases.expires_at")?.unwrap_or(now);
    Ok(Lease::Busy { holder: found.to_owned(), until })
}

/// What making a lease came to.
enum Made {
    /// There was none, and it is ours.
    Ours,
    /// It was there.
    WasThere,
    /// There was none, and somebody else was quicker.
    Others,
}

/// Makes the lease where there is none.
///
/// On MariaDB an insert that finds it there shares its row with whoever does the same, and keeps it from its holder; a
/// statement that would change it then waits behind the holder's, which waits for it: a deadlock. So it is looked for first,
/// with a lock that is nobody else's, and who was too late with the insert changes nothing.
async fn make(connection: &mut Connection, job: &str, holder: &str, until: &str) -> Result<Made, Error> {
    let binds = || [job, holder, until].map(Bind::text).to_vec();
    let values = " milkrun_leases (job, holder, expires_at) VALUES (?, ?, ?)";
    match connection.kind() {
        DatabaseKind::Sqlite | DatabaseKind::Postgres => {
            let mut sql = connection.sql("INSERT INTO");
            sql.push(values).push(" ON CONFLICT (job) DO NOTHING");
            let made = connection.execute(sql, binds()).await?;
            Ok(if made > 0 { Made::Ours } else { Made::WasThere })
        }
        DatabaseKind::Mysql => {
            let mut sql = connection.sql("SELECT ");
            sql.reads(["holder"]).push(" FROM milkrun_leases WHERE job = ? FOR UPDATE");
            if !connection.fetch(sql, vec![Bind::text(job)]).await?.is_empty() {
                return Ok(Made::WasThere);
            }
            let mut sql = connection.sql("INSERT IGNORE INTO");
            sql.push(values);
            let made = connection.execute(sql, binds()).await?;
            Ok(if made > 0 { Made::Ours } else { Made::Others })
        }
    }
}

/// Gives the lease back; whether it was ours.
pub(super) async fn release(connection: &mut Connection, job: &str, holder: &str) -> Result<bool, Error> {
    let sql = connection.sql("DELETE FROM milkrun_leases WHERE job = ? AND holder = ?");
    Ok(connection.execute(sql, vec![Bind::text(job), Bind::text(holder)]).await? > 0)
}

fn until(now: DateTime<Utc>, ttl: Duration) -> DateTime<Utc> {
    let ttl = chrono::Duration::from_std(ttl).unwrap_or(chrono::Duration::MAX);
    now.checked_add_signed(ttl).unwrap_or(now)
}
