//! What goes wrong with a database, and what is left of it: refused values, lost connections, cut migrations.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use crate::config::DatabaseKind;
use crate::retry::Retry;
use crate::row::{Cell, Row};
use crate::run::Trigger;
use crate::store::{Error, Lease, Opening, Start, Store};

use super::on_every_database;
use super::world::{Plan, TEXT, World, at, key, text};

on_every_database! {
    after_each_kind_of_refusal_and_an_undo_the_rest_of_the_page_commits
    a_value_beyond_what_a_statement_may_take_is_the_values_fault
    a_migration_that_was_cut_off_is_run_again
    connections_that_the_server_closed_are_replaced_unnoticed
    only_where_nothing_can_alter_a_value_is_it_sure_to_read_as_it_was_written
    one_page_after_the_other_goes_over_one_connection
    a_lease_that_ends_too_late_is_seen_as_it_is
    who_loses_a_deadlock_may_repeat_at_once_and_keeps_nothing
    who_waits_for_a_lease_is_in_nobodys_way
    of_two_who_find_no_lease_one_takes_it_and_the_other_is_told
}

/// Several statements, as a script of the outlet's.
async fn script(world: &World, sql: &str) {
    use secrecy::ExposeSecret as _;
    let url = world.local.url.expose_secret();
    let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    match world.kind {
        DatabaseKind::Sqlite => sqlx::SqliteConnection::connect(url).await.unwrap().execute(sql).await.map(drop),
        DatabaseKind::Postgres => sqlx::PgConnection::connect(url).await.unwrap().execute(sql).await.map(drop),
        DatabaseKind::Mysql => sqlx::MySqlConnection::connect(url).await.unwrap().execute(sql).await.map(drop),
    }
    .unwrap();
}

fn items() -> Plan {
    Plan::new("items", &[("code", TEXT), ("title", TEXT), ("qty", crate::row::Type::Int)])
}

fn item(code: &str, title: Cell, qty: Cell) -> Row {
    vec![text(code), title, qty]
}

/// A table with a constraint of each kind, and a trigger that refuses the code `trigger`.
fn guarded(kind: DatabaseKind) -> &'static str {
    match kind {
        DatabaseKind::Sqlite => {
            "CREATE TABLE items (code TEXT NOT NULL PRIMARY KEY, title TEXT NOT NULL UNIQUE CHECK (length(title) <= 8), \
             qty INTEGER CHECK (qty >= 0)) STRICT;
             CREATE TRIGGER guard BEFORE INSERT ON items WHEN NEW.code = 'trigger' BEGIN \
             SELECT RAISE(ABORT, 'the till says no'); END"
        }
        DatabaseKind::Postgres => {
            "CREATE TABLE items (code text NOT NULL PRIMARY KEY, title varchar(8) NOT NULL UNIQUE, qty int CHECK (qty >= 0));
             CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.code = 'trigger' THEN \
             RAISE 'the till says no'; END IF; RETURN NEW; END $$;
             CREATE TRIGGER guard BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION guard()"
        }
        DatabaseKind::Mysql => {
            "CREATE TABLE items (code varchar(20) COLLATE utf8mb4_bin NOT NULL PRIMARY KEY, \
             title varchar(8) COLLATE utf8mb4_bin NOT NULL UNIQUE, qty int CHECK (qty >= 0));
             CREATE TRIGGER guard BEFORE INSERT ON items FOR EACH ROW IF NEW.code = 'trigger' THEN \
             SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'the till says no'; END IF"
        }
    }
}

async fn after_each_kind_of_refusal_and_an_undo_the_rest_of_the_page_commits(world: &World) {
    script(world, guarded(world.kind)).await;
    let table = world.prepare(&items()).await;
    world.insert(&table, &[item("held", text("Cone"), Cell::Int(1))]).await;
    let refused = [
        ("taken key", item("held", text("x"), Cell::Int(1))),
        ("unique", item("unique", text("Cone"), Cell::Int(1))),
        ("check", item("check", text("y"), Cell::Int(-1))),
        ("too long", item("long", text("much too long"), Cell::Int(1))),
        ("null", item("null", Cell::Null, Cell::Int(1))),
        ("another type", item("type", text("z"), text("abc"))),
        ("trigger", item("trigger", text("t"), Cell::Int(1))),
    ];
    let mut tx = world.begin().await;
    tx.insert(&table, &[&item("before", text("before"), Cell::Int(1))]).await.unwrap();
    for (at, (what, row)) in refused.iter().enumerate() {
        let good = |n: usize| item(&format!("g{at}-{n}"), text(&format!("g{at}-{n}")), Cell::Int(0));
        tx.mark().await.unwrap();
        let error = tx.insert(&table, &[&good(0), row, &good(1)]).await.unwrap_err();
        assert!(matches!(&error, Error::Refused { table: Some(name), .. } if name == "items"), "{what}: {error:?}");
        tx.undo().await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        // Halves, as who looks for the bad record would do it.
        tx.insert(&table, &[&good(0)]).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        tx.mark().await.unwrap();
        tx.insert(&table, &[row]).await.unwrap_err();
        tx.undo().await.unwrap();
        tx.insert(&table, &[&good(1)]).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        // An update is refused like an insert, and undone like one.
        if *what == "check" {
            tx.mark().await.unwrap();
            tx.update(&table, &[&item("before", text("before"), Cell::Int(-5))], None).await.unwrap_err();
            tx.undo().await.unwrap();
        }
    }
    tx.commit().await.unwrap();
    assert_eq!(world.count("items").await, 2 + 2 * 7);
}

async fn a_value_beyond_what_a_statement_may_take_is_the_values_fault(world: &World) {
    let table = world.prepare(&items()).await;
    let large = "x".repeat(20 << 20);
    let mut tx = world.begin().await;
    tx.mark().await.unwrap();
    let row = item("large", text(&large), Cell::Int(1));
    let wrote = tx.insert(&table, &[&item("small", text("s"), Cell::Int(1)), &row]).await;
    if world.kind == DatabaseKind::Mysql {
        let error = wrote.unwrap_err();
        assert!(matches!(&error, Error::Refused { reason, .. } if reason.contains("max_allowed_packet")), "{error:?}");
        assert_eq!(error.retry(), Retry::ByPerson);
        tx.undo().await.unwrap();
        tx.insert(&table, &[&item("small", text("s"), Cell::Int(1))]).await.unwrap();
    } else {
        wrote.unwrap();
    }
    tx.commit().await.unwrap();
    assert!(world.row(&table, text("small")).await.is_some());
}

async fn a_migration_that_was_cut_off_is_run_again(world: &World) {
    // On MariaDB each statement of a migration commits by itself, and sqlx notes that it had begun. The others leave
    // nothing of one that was cut off.
    match world.kind {
        DatabaseKind::Mysql => {
            world.outlet("DROP TABLE milkrun_leases").await;
            world.outlet("DELETE FROM milkrun_migrations").await;
            world
                .outlet("INSERT INTO milkrun_migrations (version, description, success, checksum, execution_time) VALUES (1, 'x', FALSE, 'x', -1)")
                .await;
        }
        DatabaseKind::Sqlite | DatabaseKind::Postgres => return,
    }
    let again = Store::open(&world.local).await.unwrap();
    let lease = again.acquire_lease("items", "me", at("2026-11-21T12:00:00Z"), Duration::from_secs(60)).await;
    assert_eq!(lease.unwrap(), Lease::Held);
    again.close().await;
}

async fn connections_that_the_server_closed_are_replaced_unnoticed(world: &World) {
    let table = world.prepare(&items()).await;
    let kill = match world.kind {
        DatabaseKind::Sqlite => return,
        DatabaseKind::Postgres => {
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        }
        // As by `wait_timeout`, for all the connections of this store.
        DatabaseKind::Mysql => "",
    };
    // Some connections at once, so that several lie idle.
    let held = [world.begin().await, world.begin().await, world.begin().await];
    for tx in held {
        tx.rollback().await.unwrap();
    }
    if world.kind == DatabaseKind::Mysql {
        let ids = world
            .value("SELECT CAST(group_concat(id) AS CHAR) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()")
            .await
            .unwrap();
        for id in ids.split(',') {
            script(world, &format!("KILL {id}")).await;
        }
    } else {
        script(world, kill).await;
    }
    for n in 0..4 {
        world.insert(&table, &[item(&format!("i{n}"), text("t"), Cell::Int(n))]).await;
        assert!(world.store.progress("items", crate::store::Stream::Records).await.unwrap().is_none());
    }
    assert_eq!(world.count("items").await, 4);
    assert!(world.row(&table, key("i3").0[0].clone()).await.is_some());
}

async fn one_page_after_the_other_goes_over_one_connection(world: &World) {
    let id = match world.kind {
        DatabaseKind::Sqlite => return,
        DatabaseKind::Postgres => "SELECT pg_backend_pid()::text",
        DatabaseKind::Mysql => "SELECT CAST(CONNECTION_ID() AS CHAR)",
    };
    let mut ids = std::collections::HashSet::new();
    for _ in 0..5 {
        let mut tx = world.begin().await;
        let sql = tx.connection.sql(id);
        ids.insert(tx.connection.fetch(sql, Vec::new()).await.unwrap().pop().unwrap().take(0));
        tx.commit_soon().await.unwrap();
    }
    assert_eq!(ids.len(), 1, "{ids:?}");
}

async fn a_lease_that_ends_too_late_is_seen_as_it_is(world: &World) {
    let (now, ttl) = (at("2026-11-21T12:00:00Z"), Duration::from_secs(60));
    assert_eq!(world.store.lease("items").await.unwrap(), None);
    world.store.acquire_lease("items", "ahead", at("2031-01-01T00:00:00Z"), ttl).await.unwrap();
    let until = at("2031-01-01T00:01:00Z");
    let busy = world.store.acquire_lease("items", "me", now, ttl).await.unwrap();
    assert_eq!(busy, Lease::Busy { holder: "ahead".to_owned(), until });
    assert_eq!(world.store.lease("items").await.unwrap(), Some(("ahead".to_owned(), until)));
}

async fn who_loses_a_deadlock_may_repeat_at_once_and_keeps_nothing(world: &World) {
    if world.kind == DatabaseKind::Sqlite {
        return;
    }
    let table = world.prepare(&items()).await;
    let row = |code: &str, qty| item(code, text(code), Cell::Int(qty));
    world.insert(&table, &[row("a", 0), row("b", 0)]).await;
    let (mut one, mut two) = (world.begin().await, world.begin().await);
    one.mark().await.unwrap();
    two.mark().await.unwrap();
    one.update(&table, &[&row("a", 1)], None).await.unwrap();
    two.update(&table, &[&row("b", 2)], None).await.unwrap();
    let (b, a) = (row("b", 1), row("a", 2));
    let (rows_b, rows_a) = ([&b], [&a]);
    let (first, second) = tokio::join!(one.update(&table, &rows_b, None), two.update(&table, &rows_a, None));
    let (lost, mut loser, winner) = match (first, second) {
        (Err(lost), Ok(())) => (lost, one, two),
        (Ok(()), Err(lost)) => (lost, two, one),
        both => panic!("{both:?}"),
    };
    assert!(lost.is_passing() && lost.retry() == Retry::Later(None), "{lost:?}");
    winner.commit().await.unwrap();
    // PostgreSQL can go back to a mark even so; on MariaDB the whole transaction is gone, and says so.
    match world.kind {
        DatabaseKind::Mysql => {
            let gone = loser.undo().await.unwrap_err();
            assert!(matches!(gone, Error::Unavailable(_)), "{gone:?}");
            loser.commit().await.unwrap_err();
        }
        DatabaseKind::Sqlite | DatabaseKind::Postgres => {
            loser.undo().await.unwrap();
            loser.rollback().await.unwrap();
        }
    }
    let both = world.value("SELECT max(title) FROM items WHERE qty = 1").await;
    let other = world.value("SELECT max(title) FROM items WHERE qty = 2").await;
    assert!(both.is_some() != other.is_some(), "{both:?} {other:?}");
}

fn start(holder: &'static str) -> Start<'static> {
    let now = at("2026-11-21T12:00:00Z");
    let ttl = Duration::from_secs(60);
    Start { job: "items", trigger: Trigger::Sync, started: now, holder, now, ttl, is_cleared: false }
}

async fn who_waits_for_a_lease_is_in_nobodys_way(world: &World) {
    let opened = world.store.open_run(&start("a")).await.unwrap();
    assert!(matches!(opened, Opening::Open(_)), "{opened:?}");
    let is_over = AtomicBool::new(false);
    let pages = async {
        for _ in 0..50 {
            let mut tx = world.begin().await;
            tx.hold_lease("items", "a", at("2026-11-21T12:01:00Z")).await.unwrap();
            tx.commit().await.unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let waits = async || {
        while !is_over.load(Ordering::Relaxed) {
            let opening = world.store.open_run(&start("b")).await.unwrap();
            assert!(matches!(&opening, Opening::Busy { holder, .. } if holder == "a"), "{opening:?}");
        }
    };
    tokio::join!(pages, waits(), waits());
}

async fn of_two_who_find_no_lease_one_takes_it_and_the_other_is_told(world: &World) {
    for _ in 0..20 {
        let (one, two) = (start("a"), start("b"));
        let (one, two) = tokio::join!(world.store.open_run(&one), world.store.open_run(&two));
        let openings = [one.unwrap(), two.unwrap()];
        let open = openings.iter().filter(|opening| matches!(opening, Opening::Open(_))).count();
        let busy = openings.iter().filter(|opening| matches!(opening, Opening::Busy { .. })).count();
        assert_eq!((open, busy), (1, 1), "{openings:?}");
        for holder in ["a", "b"] {
            world.store.release_lease("items", holder).await.unwrap();
        }
    }
}

/// The file as another program left it, and what milkrun says of it.
#[tokio::test]
async fn a_sound_file_is_examined_in_peace_and_a_damaged_one_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("outlet.db");
    let local = crate::config::Local { kind: DatabaseKind::Sqlite, url: format!("sqlite://{}", file.display()).into() };
    let store = Store::open(&local).await.unwrap();
    store.examine().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let sql = tx.connection.sql("CREATE TABLE t AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000) SELECT i, hex(randomblob(40)) AS x FROM n");
    tx.connection.execute(sql, Vec::new()).await.unwrap();
    tx.commit().await.unwrap();
    store.examine().await.unwrap();
    store.close().await;
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 20_000].fill(0x5a);
    std::fs::write(&file, bytes).unwrap();
    let store = Store::open(&local).await.unwrap();
    let damaged = store.examine().await.unwrap_err();
    assert!(matches!(damaged, Error::Damaged(_)), "{damaged:?}");
    assert_eq!(damaged.retry(), Retry::ByPerson);
    store.close().await;
}

async fn only_where_nothing_can_alter_a_value_is_it_sure_to_read_as_it_was_written(world: &World) {
    let is_sqlite = world.kind == DatabaseKind::Sqlite;
    assert_eq!(world.prepare(&items()).await.is_verbatim(), is_sqlite);
    if !is_sqlite {
        return;
    }
    script(world, "CREATE TRIGGER t AFTER INSERT ON Items BEGIN UPDATE items SET title = upper(title); END").await;
    assert!(!world.prepare(&items()).await.is_verbatim(), "a trigger");
    script(world, "DROP TABLE items; CREATE TABLE items (code TEXT PRIMARY KEY, title VARCHAR(80), qty INTEGER)").await;
    assert!(!world.prepare(&items()).await.is_verbatim(), "a type that is not milkrun's own");
}
