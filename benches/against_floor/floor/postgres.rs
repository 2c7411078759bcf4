//! The floor on PostgreSQL: a page's columns as arrays, unnested by one prepared statement a table.

use anyhow::Result;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};

use super::columns::Columns;
use super::feed::Feed;
use super::{Done, PAGES, Task};
use crate::data::table;
use crate::http::Client;
use crate::item::{self, Barcode, Cursor};

pub(super) async fn run(task: &Task) -> Result<Done> {
    let mut options: PgConnectOptions = task.url.parse()?;
    // As milkrun does where `sslmode` leaves it the choice: on the machine itself TLS protects nothing.
    if matches!(options.get_host(), "localhost" | "127.0.0.1" | "::1") {
        options = options.ssl_mode(PgSslMode::Disable);
    }
    let mut database = PgConnection::connect_with(&options).await?;
    create(&mut database, task).await?;
    let mut client = Client::connect(&task.hq, task.is_compressed)?;
    let mut done = Done::default();
    for (job, doctype) in task.doctypes.iter().enumerate() {
        let job = i32::try_from(job)?;
        let cursor = sqlx::query("select modified, name from floor_state where job = $1")
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

async fn create(database: &mut PgConnection, task: &Task) -> Result<()> {
    let mut sql = "set client_min_messages = warning;
        create table if not exists floor_ledger (job int NOT NULL, hq_name text NOT NULL, local_key text,
            hq_modified text NOT NULL, row_hash bigint NOT NULL, base text, PRIMARY KEY (job, hq_name));
        create table if not exists barcodes (code text NOT NULL, barcode text, packs bigint, idx bigint NOT NULL,
            PRIMARY KEY (code, idx));
        create table if not exists floor_state (job int PRIMARY KEY, modified text NOT NULL, name text NOT NULL);"
        .to_owned();
    for job in 0..task.doctypes.len() {
        sql.push_str(&format!(
            "create table if not exists {} (code text NOT NULL, title text, category text, description text, colour text,
                 rate numeric, cost numeric, weight double precision, shelf_life bigint, disabled boolean,
                 launched_on date, counted_at timestamptz(6), PRIMARY KEY (code));",
            table(job)
        ));
    }
    database.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
    Ok(())
}

async fn load(database: &mut PgConnection, task: &Task, job: i32, feed: &Feed) -> Result<usize> {
    let upsert = upsert(&table(usize::try_from(job)?));
    let mut records = 0;
    while let Some(first) = feed.next() {
        let mut transaction = database.begin().await?;
        let mut next = Some(first);
        for written in 1.. {
            let Some(page) = next.take() else { break };
            let columns = Columns::read(&page.body, task.has_base)?;
            records += columns.code.len();
            if !task.is_read_only {
                write(&mut transaction, &upsert, job, &columns).await?;
            }
            if let Some(children) = &page.children {
                replace_children(&mut transaction, &columns, item::rows(children)?).await?;
            }
            let state = sqlx::query(
                "insert into floor_state (job, modified, name) values ($1, $2, $3)
                 on conflict (job) do update set modified = excluded.modified, name = excluded.name",
            );
            transaction.execute(state.bind(job).bind(&page.after.modified).bind(&page.after.name)).await?;
            drop(columns);
            feed.take_back(page.body);
            next = if written < PAGES { feed.next() } else { None };
        }
        transaction.commit().await?;
    }
    Ok(records)
}

/// The statement that takes a page's columns.
fn upsert(table: &str) -> String {
    format!(
        "insert into {table} (code, title, category, description, colour, rate, cost, weight, shelf_life, disabled,
             launched_on, counted_at)
         select code, title, category, description, colour, rate::numeric, cost::numeric, weight, shelf_life, disabled,
             launched_on::date, counted_at::timestamp at time zone 'Asia/Kolkata'
         from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::float8[],
             $9::int8[], $10::bool[], $11::text[], $12::text[])
             as page (code, title, category, description, colour, rate, cost, weight, shelf_life, disabled, launched_on,
             counted_at)
         on conflict (code) do update set title = excluded.title, category = excluded.category,
             description = excluded.description, colour = excluded.colour, rate = excluded.rate, cost = excluded.cost,
             weight = excluded.weight, shelf_life = excluded.shelf_life, disabled = excluded.disabled,
             launched_on = excluded.launched_on, counted_at = excluded.counted_at"
    )
}

async fn write(database: &mut PgConnection, upsert: &str, job: i32, page: &Columns<'_>) -> Result<()> {
    let rows = sqlx::query(AssertSqlSafe(upsert))
        .bind(&page.code)
        .bind(&page.title)
        .bind(&page.category)
        .bind(&page.description)
        .bind(&page.colour)
        .bind(&page.rate)
        .bind(&page.cost)
        .bind(&page.weight)
        .bind(&page.shelf_life)
        .bind(&page.disabled)
        .bind(&page.launched_on)
        .bind(&page.counted_at);
    database.execute(rows).await?;
    let ledger = sqlx::query(
        "insert into floor_ledger (job, hq_name, hq_modified, row_hash, base)
         select $1, hq_name, hq_modified, row_hash, base
         from unnest($2::text[], $3::text[], $4::int8[], $5::text[]) as page (hq_name, hq_modified, row_hash, base)
         on conflict (job, hq_name) do update set hq_modified = excluded.hq_modified, row_hash = excluded.row_hash,
             base = excluded.base",
    );
    let ledger = ledger.bind(job).bind(&page.code).bind(&page.modified).bind(&page.hash).bind(&page.base);
    database.execute(ledger).await?;
    Ok(())
}

async fn replace_children(database: &mut PgConnection, parents: &Columns<'_>, children: &str) -> Result<()> {
    let delete = sqlx::query("delete from barcodes where code = any($1)");
    database.execute(delete.bind(&parents.code)).await?;
    let (mut code, mut barcode, mut packs, mut idx) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    item::each(children, |child: Barcode<'_>, _text| {
        code.push(child.parent.0);
        barcode.push(child.barcode.0);
        packs.push(child.packs);
        idx.push(child.idx);
        Ok(())
    })?;
    let insert = sqlx::query(
        "insert into barcodes (code, barcode, packs, idx)
         select * from unnest($1::text[], $2::text[], $3::int8[], $4::int8[])",
    );
    database.execute(insert.bind(code).bind(barcode).bind(packs).bind(idx)).await?;
    Ok(())
}
