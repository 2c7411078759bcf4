//! How far each job has come.

use chrono::{DateTime, Utc};

use crate::config::DatabaseKind;
use crate::record::Mark;
use crate::watermark::{Pass, Progress, Watermark};

use super::Store;
use super::bind::Bind;
use super::connection::Connection;
use super::error::Error;
use super::line::moment_text;
use super::tx::PageTx;

/// What progress is kept of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// The job's records.
    Records,
    /// The deletes of the job's records.
    Deletes,
}

impl Stream {
    fn word(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Deletes => "deletes",
        }
    }
}

const COLUMNS: [&str; 12] = [
    "seen_modified",
    "seen_name",
    "seen_at",
    "settled_modified",
    "settled_name",
    "settled_as_of",
    "pass_modified",
    "pass_name",
    "pass_newest",
    "pass_started_at",
    "pass_is_repair",
    "mapping",
];

impl Store {
    /// How far the job has come; `None` before its first page.
    ///
    /// # Errors
    /// The database's trouble, or a stored watermark that cannot be read.
    pub async fn progress(&self, job: &str, stream: Stream) -> Result<Option<Progress>, Error> {
        load(&mut self.pools.reader().await?, job, stream).await
    }

    /// Keeps how far the job has come, outside of any page.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn save_progress(
        &self,
        job: &str,
        stream: Stream,
        progress: &Progress,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        save(&mut self.pools.writer().await?, job, stream, progress, now).await
    }

    /// Forgets how far the job has come, its deletes included; the next run reads everything.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn reset_progress(&self, job: &str) -> Result<(), Error> {
        let mut connection = self.pools.writer().await?;
        let sql = connection.sql("DELETE FROM milkrun_watermarks WHERE job = ?");
        connection.execute(sql, vec![Bind::text(job)]).await?;
        Ok(())
    }
}

impl PageTx {
    /// How far the job has come, as this transaction sees it.
    ///
    /// # Errors
    /// The database's trouble, or a stored watermark that cannot be read.
    pub async fn progress(&mut self, job: &str, stream: Stream) -> Result<Option<Progress>, Error> {
        load(&mut self.connection, job, stream).await
    }

    /// Keeps how far the job has come, together with the page.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn save_progress(
        &mut self,
        job: &str,
        stream: Stream,
        progress: &Progress,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        save(&mut self.connection, job, stream, progress, now).await
    }
}

async fn load(connection: &mut Connection, job: &str, stream: Stream) -> Result<Option<Progress>, Error> {
    let mut sql = connection.sql("SELECT ");
    sql.reads(COLUMNS).push(" FROM milkrun_watermarks WHERE job = ? AND stream = ?");
    let lines = connection.fetch(sql, vec![Bind::text(job), Bind::text(stream.word())]).await?;
    let Some(line) = lines.first() else { return Ok(None) };
    let pass = match line.moment(9, "milkrun_watermarks.pass_started_at")? {
        None => None,
        Some(started_at) => Some(Pass {
            cursor: line.mark(6, "milkrun_watermarks.pass_modified")?,
            newest: line.stamp(8, "milkrun_watermarks.pass_newest")?,
            started_at,
            is_repair: line.int(10, "milkrun_watermarks.pass_is_repair")? != 0,
        }),
    };
    Ok(Some(Progress {
        watermark: Watermark {
            seen: line.mark(0, "milkrun_watermarks.seen_modified")?,
            seen_at: line.moment(2, "milkrun_watermarks.seen_at")?,
            settled: line.mark(3, "milkrun_watermarks.settled_modified")?,
            settled_as_of: line.moment(5, "milkrun_watermarks.settled_as_of")?,
        },
        pass,
        mapping: line.optional_int(11, "milkrun_watermarks.mapping")?,
    }))
}

async fn save(
    connection: &mut Connection,
    job: &str,
    stream: Stream,
    progress: &Progress,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let mut binds = vec![Bind::text(job), Bind::text(stream.word()), Bind::owned(moment_text(now))];
    let Progress { watermark, pass, mapping } = progress;
    binds.extend(mark(watermark.seen.as_ref()));
    binds.push(moment(watermark.seen_at));
    binds.extend(mark(watermark.settled.as_ref()));
    binds.push(moment(watermark.settled_as_of));
    binds.extend(mark(pass.as_ref().and_then(|pass| pass.cursor.as_ref())));
    let newest = pass.as_ref().and_then(|pass| pass.newest.as_ref());
    binds.push(Bind::Text(newest.map(|newest| newest.as_str().into())));
    binds.push(moment(pass.as_ref().map(|pass| pass.started_at)));
    binds.push(Bind::Int(pass.as_ref().map(|pass| i64::from(pass.is_repair))));
    binds.push(Bind::Int(*mapping));
    let mut sql = connection.sql("INSERT INTO milkrun_watermarks (job, stream, updated_at, ");
    sql.names(COLUMNS).push(") VALUES ").tuples(1, binds.len());
    let set = ["updated_at"].into_iter().chain(COLUMNS);
    match sql.kind() {
        DatabaseKind::Sqlite | DatabaseKind::Postgres => {
            sql.push(" ON CONFLICT (job, stream) DO UPDATE SET ").list(", ", set, |sql, column| {
                sql.push(column).push(" = excluded.").push(column);
            });
        }
        DatabaseKind::Mysql => {
            sql.push(" ON DUPLICATE KEY UPDATE ").list(", ", set, |sql, column| {
                sql.push(column).push(" = VALUES(").push(column).push(")");
            });
        }
    }
    connection.execute(sql, binds).await?;
    Ok(())
}

fn mark(mark: Option<&Mark>) -> [Bind<'_>; 2] {
    let modified = mark.map(|mark| mark.modified.as_str().into());
    [Bind::Text(modified), Bind::Text(mark.map(|mark| mark.name.as_str().into()))]
}

fn moment<'a>(moment: Option<DateTime<Utc>>) -> Bind<'a> {
    Bind::Text(moment.map(|moment| moment_text(moment).into()))
}
