//! MariaDB's temporary tables, in which a dry run keeps the rows of tables that it would make: they stand in no
//! `information_schema`, but `SHOW` tells of them.

use sqlx::{Executor as _, Row as _};

use crate::config::DatabaseKind;

use super::catalog::{Catalog, Found, found};
use super::connection::Connection;
use super::driver::Driver;
use super::error::Error;
use super::line::Line;
use super::sql::Sql;

/// MariaDB's "table doesn't exist".
const NO_SUCH_TABLE: u16 = 1146;

/// What the database knows of a temporary table; `None` where there is none of that name.
pub(super) async fn read(connection: &mut Connection, table: &str) -> Result<Option<Catalog>, Error> {
    let kind = DatabaseKind::Mysql;
    let Driver::Mysql(loan) = connection.driver() else { return Ok(None) };
    let mut sql = Sql::new(kind, "SHOW COLUMNS FROM ");
    sql.name(table);
    let lines = match loan.get()?.fetch_all(sqlx::raw_sql(sql.into_safe())).await {
        Ok(lines) => lines,
        Err(sqlx::Error::Database(error))
            if error
                .try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()
                .is_some_and(|error| error.number() == NO_SUCH_TABLE) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let text = |row: &sqlx::mysql::MySqlRow, name: &str| row.try_get_unchecked::<Option<String>, _>(name);
    let mut columns: Vec<Found> = Vec::with_capacity(lines.len());
    for line in &lines {
        let full_type = text(line, "Type")?.unwrap_or_default();
        let word: String = full_type.chars().take_while(char::is_ascii_alphanumeric).collect();
        let kind_name = if full_type == "tinyint(1)" { "bool".to_owned() } else { word };
        // milkrun made it and gives every value.
        let cells = [text(line, "Field")?, Some(full_type.clone()), Some(full_type), Some(kind_name), None];
        columns.push(found(kind, Line(cells.into()))?);
    }
    let mut sql = Sql::new(kind, "SHOW INDEX FROM ");
    sql.name(table).push(" WHERE Non_unique = 0");
    let mut unique: Vec<(Option<String>, Vec<String>)> = Vec::new();
    for line in loan.get()?.fetch_all(sqlx::raw_sql(sql.into_safe())).await? {
        let (index, column) = (text(&line, "Key_name")?, text(&line, "Column_name")?.unwrap_or_default());
        match unique.last_mut() {
            Some((last, columns)) if *last == index => columns.push(column),
            Some(_) | None => unique.push((index, vec![column])),
        }
    }
    let unique = unique.into_iter().map(|(_, columns)| columns).collect();
    Ok(Some(Catalog { kind, columns, unique, is_typed: true, has_rowid: false, has_no_triggers: false }))
}
