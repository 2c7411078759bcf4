//! The floor on SQLite: two prepared statements, a row at a time, inside one transaction of several pages.

use anyhow::Result;
use rusqlite::{Connection, OptionalExtension as _, Statement, params};
use xxhash_rust::xxh3::xxh3_64;

use super::feed::Feed;
use super::{Done, PAGES, Task};
use crate::data::table;
use crate::http::Client;
use crate::item::{self, Barcode, Cursor, Item};

pub(super) fn run(task: &Task) -> Result<Done> {
    let database = open(task)?;
    let mut client = Client::connect(&task.hq, task.is_compressed)?;
    let mut done = Done::default();
    for (job, doctype) in task.doctypes.iter().enumerate() {
        let job = i64::try_from(job)?;
        let cursor = cursor(&database, job)?;
        let feed = Feed::start(client, task, doctype, cursor);
        done.records += load(&database, task, job, &feed)?;
        client = feed.end()?;
    }
    done.bytes = client.bytes;
    Ok(done)
}

/// The items' tables are those that milkrun makes.
fn open(task: &Task) -> Result<Connection> {
    let database = Connection::open(task.url.trim_start_matches("sqlite://"))?;
    database.execute_batch(
        "pragma journal_mode = wal; pragma synchronous = normal; pragma temp_store = memory;
         pragma cache_size = -16000; pragma wal_autocheckpoint = 16000;
         create table if not exists floor_ledger (job INTEGER NOT NULL, hq_name TEXT NOT NULL, local_key TEXT,
             hq_modified TEXT NOT NULL, row_hash INTEGER NOT NULL, base TEXT, PRIMARY KEY (job, hq_name)) WITHOUT ROWID;
         create table if not exists barcodes (code TEXT NOT NULL, barcode TEXT, packs INTEGER, idx INTEGER NOT NULL,
             PRIMARY KEY (code, idx));
         create table if not exists floor_state (job INTEGER PRIMARY KEY, modified TEXT NOT NULL, name TEXT NOT NULL)",
    )?;
    for job in 0..task.doctypes.len() {
        database.execute_batch(&format!(
            "create table if not exists {} (code TEXT NOT NULL, title TEXT, category TEXT, description TEXT, colour TEXT,
                 rate TEXT, cost TEXT, weight REAL, shelf_life INTEGER, disabled INTEGER, launched_on TEXT,
                 counted_at TEXT, PRIMARY KEY (code))",
            table(job)
        ))?;
    }
    Ok(database)
}

fn cursor(database: &Connection, job: i64) -> Result<Option<Cursor>> {
    let mut statement = database.prepare("select modified, name from floor_state where job = ?")?;
    let read = |row: &rusqlite::Row<'_>| Ok(Cursor { modified: row.get(0)?, name: row.get(1)? });
    Ok(statement.query_row([job], read).optional()?)
}

fn load(database: &Connection, task: &Task, job: i64, feed: &Feed) -> Result<usize> {
    let mut writer = Writer {
        job,
        has_base: task.has_base,
        row: database.prepare(&format!(
            "insert into {} (code, title, category, description, colour, rate, cost, weight, shelf_life, disabled,
                 launched_on, counted_at) values (?,?,?,?,?,?,?,?,?,?,?,?)
             on conflict (code) do update set title = excluded.title, category = excluded.category,
                 description = excluded.description, colour = excluded.colour, rate = excluded.rate,
                 cost = excluded.cost, weight = excluded.weight, shelf_life = excluded.shelf_life,
                 disabled = excluded.disabled, launched_on = excluded.launched_on, counted_at = excluded.counted_at",
            table(usize::try_from(job)?)
        ))?,
        ledger: database.prepare(
            "insert into floor_ledger (job, hq_name, local_key, hq_modified, row_hash, base) values (?,?,null,?,?,?)
             on conflict (job, hq_name) do update set hq_modified = excluded.hq_modified, row_hash = excluded.row_hash,
                 base = excluded.base",
        )?,
        utc: String::new(),
    };
    let mut state = database.prepare("replace into floor_state (job, modified, name) values (?,?,?)")?;
    let mut records = 0;
    while let Some(first) = feed.next() {
        database.execute_batch("begin immediate")?;
        let mut next = Some(first);
        for written in 1.. {
            let Some(page) = next.take() else { break };
            let rows = item::rows(&page.body)?;
            records +=
                item::each(rows, |item, text| if task.is_read_only { Ok(()) } else { writer.write(&item, text) })?;
            if let Some(children) = &page.children {
                replace_children(database, rows, item::rows(children)?)?;
            }
            state.execute(params![job, page.after.modified, page.after.name])?;
            feed.take_back(page.body);
            next = if written < PAGES { feed.next() } else { None };
        }
        database.execute_batch("commit")?;
    }
    Ok(records)
}

fn replace_children(database: &Connection, parents: &str, children: &str) -> Result<()> {
    let mut delete = database.prepare("delete from barcodes where code = ?")?;
    item::each(parents, |parent: Item<'_>, _text| {
        delete.execute([parent.code.0])?;
        Ok(())
    })?;
    let mut insert = database.prepare("insert into barcodes (code, barcode, packs, idx) values (?,?,?,?)")?;
    item::each(children, |child: Barcode<'_>, _text| {
        insert.execute(params![child.parent.0, child.barcode.0, child.packs, child.idx])?;
        Ok(())
    })?;
    Ok(())
}

/// The statements of one job.
struct Writer<'d> {
    job: i64,
    has_base: bool,
    row: Statement<'d>,
    ledger: Statement<'d>,
    utc: String,
}

impl Writer<'_> {
    fn write(&mut self, item: &Item<'_>, text: &str) -> Result<()> {
        item::to_utc(item.counted_at, &mut self.utc)?;
        self.row.execute(params![
            item.code.0,
            item.title.0,
            item.category.0,
            item.description.0,
            item.colour.as_ref().map(|colour| &colour.0),
            item.rate.get(),
            item.cost.get(),
            item.weight,
            item.shelf_life,
            item.disabled,
            item.launched_on,
            self.utc
        ])?;
        let values = item.values(text);
        let hash = xxh3_64(values.as_bytes()).cast_signed();
        let base = self.has_base.then_some(values);
        self.ledger.execute(params![self.job, item.code.0, item.modified, hash, base])?;
        Ok(())
    }
}
