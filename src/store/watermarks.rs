//! How far each job has come.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::config::DatabaseKind;
use crate::record::Mark;
use crate::watermark::{Clocks, Pass, Progress, Watermark, Zone};

use super::Store;
use super::bind::Bind;
use super::connection::Connection;
use super::error::Error;
use super::line::{Line, moment_text};
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

const COLUMNS: [&str; 21] = [
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
    "seen_at_hq",
    "settled_as_of_hq",
    "unsteady_at",
    "unsteady_at_hq",
    "zone",
    "zone_is_told",
    "zone_asked_at",
    "zone_asked_at_hq",
    "pass_started_at_hq",
];

impl Store {
    /// How far the job has come; `None` before its first page.
    ///
    /// # Errors
    /// The database's trouble, or a stored watermark that cannot be read.
    pub async fn progress(&self, job: &str, stream: Stream) -> Result<Option<Progress>, Error> {
        load(&mut self.pools.reader().await?, job, stream).await
    }

    /// Up to where each job's stream has settled, by name; the jobs that have begun with it, whatever else of it is known.
    ///
    /// # Errors
    /// The database's trouble, or a stored watermark that cannot be read.
    pub async fn settled(&self, stream: Stream) -> Result<HashMap<String, Option<Mark>>, Error> {
        let mut connection = self.pools.reader().await?;
        let mut sql = connection.sql("SELECT ");
        sql.reads(["settled_modified", "settled_name", "job"])
            .push(" FROM milkrun_watermarks WHERE stream = ?");
        let lines = connection.fetch(sql, vec![Bind::text(stream.word())]).await?;
        let each = |mut line: Line| {
            let settled = line.mark(0, "milkrun_watermarks.settled_modified")?;
            Ok((line.take(2).unwrap_or_default(), settled))
        };
        lines.into_iter().map(each).collect()
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
    lines.first().map(progress).transpose()
}

/// How far the job has come with its records, and with its deletes.
pub(super) async fn load_both(
    connection: &mut Connection,
    job: &str,
) -> Result<(Option<Progress>, Option<Progress>), Error> {
    let mut sql = connection.sql("SELECT ");
    sql.reads(COLUMNS.into_iter().chain(["stream"])).push(" FROM milkrun_watermarks WHERE job = ?");
    let lines = connection.fetch(sql, vec![Bind::text(job)]).await?;
    let of = |stream: Stream| {
        let line = lines.iter().find(|line| line.text(COLUMNS.len()) == Some(stream.word()));
        line.map(progress).transpose()
    };
    Ok((of(Stream::Records)?, of(Stream::Deletes)?))
}

fn progress(line: &Line) -> Result<Progress, Error> {
    let pass = match clocks(line, (9, 20), "milkrun_watermarks.pass_started_at")? {
        None => None,
        Some(started) => Some(Pass {
            cursor: line.mark(6, "milkrun_watermarks.pass_modified")?,
            newest: line.stamp(8, "milkrun_watermarks.pass_newest")?,
            started,
            is_repair: line.int(10, "milkrun_watermarks.pass_is_repair")? != 0,
        }),
    };
    Ok(Progress {
        watermark: Watermark {
            seen: line.mark(0, "milkrun_watermarks.seen_modified")?,
            seen_at: clocks(line, (2, 12), "milkrun_watermarks.seen_at")?,
            settled: line.mark(3, "milkrun_watermarks.settled_modified")?,
            settled_as_of: clocks(line, (5, 13), "milkrun_watermarks.settled_as_of")?,
            unsteady_at: clocks(line, (14, 15), "milkrun_watermarks.unsteady_at")?,
            zone: zone(line)?,
        },
        pass,
        mapping: line.optional_int(11, "milkrun_watermarks.mapping")?,
    })
}

pub(super) async fn save(
    connection: &mut Connection,
    job: &str,
    stream: Stream,
    progress: &Progress,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let mut binds = vec![Bind::text(job), Bind::text(stream.word()), Bind::owned(moment_text(now))];
    let Progress { watermark, pass, mapping } = progress;
    binds.extend(mark(watermark.seen.as_ref()));
    binds.push(moment(watermark.seen_at.map(|at| at.outlet)));
    binds.extend(mark(watermark.settled.as_ref()));
    binds.push(moment(watermark.settled_as_of.map(|at| at.outlet)));
    binds.extend(mark(pass.as_ref().and_then(|pass| pass.cursor.as_ref())));
    let newest = pass.as_ref().and_then(|pass| pass.newest.as_ref());
    binds.push(Bind::Text(newest.map(|newest| newest.as_str().into())));
    let started = pass.as_ref().map(|pass| pass.started);
    binds.push(moment(started.map(|at| at.outlet)));
    binds.push(Bind::Int(pass.as_ref().map(|pass| i64::from(pass.is_repair))));
    binds.push(Bind::Int(*mapping));
    binds.push(moment(watermark.seen_at.map(|at| at.hq)));
    binds.push(moment(watermark.settled_as_of.map(|at| at.hq)));
    binds.extend(both(watermark.unsteady_at));
    binds.push(Bind::Text(watermark.zone.map(|zone| zone.tz.name().into())));
    binds.push(Bind::Int(watermark.zone.map(|zone| i64::from(zone.is_told))));
    binds.extend(both(watermark.zone.map(|zone| zone.asked)));
    binds.push(moment(started.map(|at| at.hq)));
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

/// A moment on both clocks. Rows of before have the outlet's alone, with which HQ's is taken to have agreed.
fn clocks(line: &Line, (outlet, hq): (usize, usize), what: &str) -> Result<Option<Clocks>, Error> {
    let Some(outlet) = line.moment(outlet, what)? else { return Ok(None) };
    Ok(Some(Clocks { outlet, hq: line.moment(hq, what)?.unwrap_or(outlet) }))
}

/// The zone that HQ named. One that this version does not know is asked for again.
fn zone(line: &Line) -> Result<Option<Zone>, Error> {
    let tz = line.text(16).and_then(|name| name.parse().ok());
    let is_told = line.optional_int(17, "milkrun_watermarks.zone_is_told")? == Some(1);
    let asked = clocks(line, (18, 19), "milkrun_watermarks.zone_asked_at")?;
    Ok(tz.zip(asked).map(|(tz, asked)| Zone { tz, is_told, asked }))
}

fn both<'a>(clocks: Option<Clocks>) -> [Bind<'a>; 2] {
    [moment(clocks.map(|at| at.outlet)), moment(clocks.map(|at| at.hq))]
}

fn moment<'a>(moment: Option<DateTime<Utc>>) -> Bind<'a> {
    Bind::Text(moment.map(|moment| moment_text(moment).into()))
}
