//! The floor on MariaDB: prepared inserts of many rows, with what is to be updated where a row is there.

use anyhow::Result;
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};
use xxhash_rust::xxh3::xxh3_64;

use super::feed::Feed;
use super::{Done, PAGES, Task};
use crate::data::table;
use crate::http::Client;
use crate::item::{self, Barcode, Cursor, Item};

/// Rows of one statement.
const ROWS: usize = 500;

pub(super) async fn run(task: &Task) -> Result<Done> {
    let mut database = MySqlConnection::connect(&task.url).await?;
    create(&mut database, task).await?;
    let mut client = Client::connect(&task.hq, task.is_compressed)?;
    let mut done = Done::default();
    for (job, doctype) in task.doctypes.iter().enumerate() {
        let job = i32::try_from(job)?;
        let cursor = sqlx::query("select modified, name from floor_state where job = ?")
            .bind(job)
            .fetch_optional(&mut database)
            .await?;
        let cursor = cursor.map(|row| Cursor { modified: row.get(0), name: row.get(1) });
        let feed = Feed::start(client, task, doctype, cursor);
        done.records += load(&mut database, task, job, &feed).await?;
        client = feed.end()?;
    }
    done.bytes = client.bytes;
    database.close().await?;
    Ok(done)
}

async fn create(database: &mut MySqlConnection, task: &Task) -> Result<()> {
    // The types and the collation are those of the tables that milkrun makes.
    let text = |ty: &str| format!("{ty} CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin");
    let (key, text) = (text("varchar(140)"), text("longtext"));
    let mut sql = format!(
        "create table if not exists floor_ledger (job int NOT NULL, hq_name {key} NOT NULL, local_key {key},
             hq_modified char(26) CHARACTER SET ascii NOT NULL, row_hash bigint NOT NULL, base {text},
             PRIMARY KEY (job, hq_name)) ENGINE=InnoDB;
         create table if not exists barcodes (code {key} NOT NULL, barcode {text}, packs bigint, idx bigint NOT NULL,
             PRIMARY KEY (code, idx)) ENGINE=InnoDB;
         create table if not exists floor_state (job int PRIMARY KEY, modified {key} NOT NULL, name {key} NOT NULL);"
    );
    for job in 0..task.doctypes.len() {
        sql.push_str(&format!(
            "create table if not exists {} (code {key} NOT NULL, title {text}, category {text}, description {text},
                 colour {text}, rate decimal(38,9), cost decimal(38,9), weight double, shelf_life bigint,
                 disabled tinyint(1), launched_on date, counted_at datetime(6), PRIMARY KEY (code)) ENGINE=InnoDB;",
            table(job)
        ));
    }
    database.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
    Ok(())
}

/// An upsert of so many rows.
fn upsert(head: &str, columns: usize, rows: usize, tail: &str) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    format!("{head} values {} on duplicate key update {tail}", vec![row; rows].join(","))
}

fn row_statement(job: i32, rows: usize) -> Result<String> {
    let head = format!(
        "insert into {} (code, title, category, description, colour, rate, cost, weight, shelf_life, disabled,
         launched_on, counted_at)",
        table(usize::try_from(job)?)
    );
    let tail = "title = values(title), category = values(category), description = values(description),
         colour = values(colour), rate = values(rate), cost = values(cost), weight = values(weight),
         shelf_life = values(shelf_life), disabled = values(disabled), launched_on = values(launched_on),
         counted_at = values(counted_at)";
    Ok(upsert(&head, 12, rows, tail))
}

fn ledger_statement(rows: usize) -> String {
    let head = "insert into floor_ledger (job, hq_name, hq_modified, row_hash, base)";
    let tail = "hq_modified = values(hq_modified), row_hash = values(row_hash), base = values(base)";
    upsert(head, 5, rows, tail)
}

async fn load(database: &mut MySqlConnection, task: &Task, job: i32, feed: &Feed) -> Result<usize> {
    let mut records = 0;
    while let Some(first) = feed.next() {
        let mut transaction = database.begin().await?;
        let mut next = Some(first);
        for written in 1.. {
            let Some(page) = next.take() else { break };
            let rows = read(&page.body, task.has_base)?;
            records += rows.len();
            for chunk in rows.chunks(ROWS).filter(|_| !task.is_read_only) {
                write(&mut transaction, job, chunk).await?;
            }
            if let Some(children) = &page.children {
                replace_children(&mut transaction, &rows, item::rows(children)?).await?;
            }
            let state = sqlx::query("replace into floor_state (job, modified, name) values (?,?,?)");
            transaction.execute(state.bind(job).bind(&page.after.modified).bind(&page.after.name)).await?;
            drop(rows);
            feed.take_back(page.body);
            next = if written < PAGES { feed.next() } else { None };
        }
        transaction.commit().await?;
    }
    Ok(records)
}

/// A row as it is bound.
struct Row<'a> {
    item: Item<'a>,
    utc: String,
    hash: i64,
    base: Option<&'a str>,
}

fn read(body: &[u8], has_base: bool) -> Result<Vec<Row<'_>>> {
    let mut rows = Vec::new();
    item::each(item::rows(body)?, |item: Item<'_>, text| {
        let mut utc = String::new();
        item::to_utc(item.counted_at, &mut utc)?;
        let values = item.values(text);
        let (hash, base) = (xxh3_64(values.as_bytes()).cast_signed(), has_base.then_some(values));
        rows.push(Row { item, utc, hash, base });
        Ok(())
    })?;
    Ok(rows)
}

async fn write(database: &mut MySqlConnection, job: i32, rows: &[Row<'_>]) -> Result<()> {
    let mut query = sqlx::query(AssertSqlSafe(row_statement(job, rows.len())?));
    for Row { item, utc, .. } in rows {
        query = query
            .bind(&*item.code.0)
            .bind(&*item.title.0)
            .bind(&*item.category.0)
            .bind(&*item.description.0)
            .bind(item.colour.as_ref().map(|colour| &*colour.0))
            .bind(item.rate.get())
            .bind(item.cost.get())
            .bind(item.weight)
            .bind(item.shelf_life)
            .bind(item.disabled)
            .bind(item.launched_on)
            .bind(utc);
    }
    database.execute(query).await?;
    let mut query = sqlx::query(AssertSqlSafe(ledger_statement(rows.len())));
    for Row { item, hash, base, .. } in rows {
        query = query.bind(job).bind(&*item.code.0).bind(item.modified).bind(hash).bind(base);
    }
    database.execute(query).await?;
    Ok(())
}

async fn replace_children(database: &mut MySqlConnection, parents: &[Row<'_>], children: &str) -> Result<()> {
    for parents in parents.chunks(ROWS) {
        let list = vec!["?"; parents.len()].join(",");
        let mut delete = sqlx::query(AssertSqlSafe(format!("delete from barcodes where code in ({list})")));
        for parent in parents {
            delete = delete.bind(&*parent.item.code.0);
        }
        database.execute(delete).await?;
    }
    let mut rows = Vec::new();
    item::each(children, |child: Barcode<'_>, _text| {
        rows.push(child);
        Ok(())
    })?;
    for rows in rows.chunks(ROWS) {
        let list = vec!["(?,?,?,?)"; rows.len()].join(",");
        let sql = format!("insert into barcodes (code, barcode, packs, idx) values {list}");
        let mut insert = sqlx::query(AssertSqlSafe(sql));
        for row in rows {
            insert = insert.bind(&*row.parent.0).bind(&*row.barcode.0).bind(row.packs).bind(row.idx);
        }
        database.execute(insert).await?;
    }
    Ok(())
}
