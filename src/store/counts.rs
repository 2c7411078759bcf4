//! Lines of milkrun's own tables, counted by job.

use std::collections::HashMap;

use crate::config::DatabaseKind;

use super::connection::Connection;
use super::error::Error;
use super::line::Line;

/// How many lines each job has; `lines` is the table and, after `WHERE`, which of them.
pub(super) async fn by_job(connection: &mut Connection, lines: &'static str) -> Result<HashMap<String, u64>, Error> {
    let mut sql = connection.sql("SELECT ");
    sql.read("job");
    match sql.kind() {
        DatabaseKind::Sqlite => sql.push(", count(*)"),
        DatabaseKind::Postgres => sql.push(", count(*)::text"),
        DatabaseKind::Mysql => sql.push(", CAST(count(*) AS CHAR)"),
    };
    sql.push(" FROM ").push(lines).push(" GROUP BY job");
    let count = |mut line: Line| {
        let count = line.int(1, "a count")?;
        Ok((line.take(0).unwrap_or_default(), u64::try_from(count).unwrap_or_default()))
    };
    connection.fetch(sql, Vec::new()).await?.into_iter().map(count).collect()
}
