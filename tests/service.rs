//! A service manager is told the truth: ready when the first look is done, alive only while the daemon moves.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use sqlx::{Connection as _, Executor as _};

use crate::support::daemon::Daemon;
use crate::support::{Kind, Outlet, Shop};

/// Longer than any of these tests takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Milliseconds of a watchdog: a third of it is three times as long as the ticker waits between two looks.
const WATCHDOG: u64 = 4_500;

/// What systemd would hear.
struct Manager(UnixDatagram);

impl Manager {
    /// Has the outlet's daemon tell this one; with a watchdog of so many milliseconds.
    fn of(outlet: &mut Outlet, watchdog: u64) -> Self {
        let path = outlet.path("notify.socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        outlet.set_env("NOTIFY_SOCKET", path.to_str().unwrap());
        outlet.set_env("WATCHDOG_USEC", &(watchdog * 1_000).to_string());
        Self(socket)
    }

    /// The next message.
    #[track_caller]
    fn next(&self) -> String {
        let mut message = [0; 4096];
        let length = self.0.recv(&mut message).expect("the daemon says nothing");
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    /// The messages up to one that has all of `words`.
    #[track_caller]
    fn until(&self, words: &[&str]) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            let message = self.next();
            let is_it = words.iter().all(|word| message.contains(word));
            heard.push(message);
            if is_it {
                return heard;
            }
        }
    }

    /// What is there to be read at once.
    fn waiting(&self) -> Vec<String> {
        self.0.set_nonblocking(true).unwrap();
        let mut heard = Vec::new();
        let mut message = [0; 4096];
        loop {
            match self.0.recv(&mut message) {
                Ok(length) => heard.push(String::from_utf8(message[..length].to_vec()).unwrap()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        self.0.set_nonblocking(false).unwrap();
        heard
    }
}

fn a_manager_hears_ready_how_the_jobs_stand_signs_of_life_and_the_end(kind: Kind) {
    let mut shop = Shop::empty(kind);
    shop.items(50);
    let manager = Manager::of(&mut shop.outlet, WATCHDOG);
    let daemon = Daemon::start(&shop.outlet, &[]);
    let first = manager.next();
    assert!(first.starts_with("READY=1\nSTATUS=2 jobs, not yet here: item_groups items"), "{first}");
    let heard = manager.until(&["STATUS=2 jobs, as of 20"]);
    assert!(!heard.iter().any(|message| message.contains("READY")), "{heard:?}");
    for _ in 0..3 {
        manager.until(&["WATCHDOG=1"]);
    }
    daemon.signal("-TERM");
    manager.until(&["STOPPING=1", "STATUS=ending the runs"]);
    let (code, log) = daemon.end();
    assert_eq!(code, Some(0), "{log}");
    let after = manager.waiting();
    assert!(!after.iter().any(|message| message.contains("WATCHDOG")), "{after:?}");
}

on_each_database! { a_manager_hears_ready_how_the_jobs_stand_signs_of_life_and_the_end }

#[test]
fn what_a_job_has_come_to_is_told() {
    let mut shop = Shop::empty(Kind::Sqlite);
    shop.items(10);
    let manager = Manager::of(&mut shop.outlet, 60_000);
    shop.hq.fault_always(
        milkrun::demo::When::doctype("Item"),
        milkrun::demo::Fault::Exception(403, "PermissionError".to_owned()),
    );
    let daemon = Daemon::start(&shop.outlet, &[]);
    manager.until(&["STATUS=2 jobs, blocked: items, as of 20"]);
    daemon.signal("-TERM");
    assert_eq!(daemon.end().0, Some(0));
}

#[test]
fn a_daemon_that_waits_for_its_database_is_not_ready_and_asks_for_time() {
    let mut outlet = Outlet::new(Kind::Sqlite);
    outlet.configure("http://127.0.0.1:9", ("k", "s"), crate::support::shop::JOBS);
    let port = crate::support::daemon::free_port();
    let nowhere = format!("postgres://root@127.0.0.1:{port}/none");
    outlet.write_config(&outlet.config().replacen(&outlet.database.url, &nowhere, 1));
    let manager = Manager::of(&mut outlet, 60_000);
    let daemon = Daemon::start(&outlet, &[]);
    let heard = manager.until(&["EXTEND_TIMEOUT_USEC=180000000", "STATUS=waiting for the local database: opening"]);
    assert!(!heard.iter().any(|message| message.contains("READY")), "{heard:?}");
    daemon.signal("-TERM");
    assert_eq!(daemon.end().0, Some(0));
    assert!(!manager.waiting().iter().any(|message| message.contains("READY")));
}

/// Keeps every look at milkrun's leases waiting, until it is dropped.
struct Standstill {
    runtime: tokio::runtime::Runtime,
    connection: Option<Held>,
}

enum Held {
    Postgres(sqlx::PgConnection),
    Mysql(sqlx::MySqlConnection),
}

impl Standstill {
    fn of(shop: &Shop) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let url = &shop.outlet.database.url;
        let held = runtime.block_on(async {
            if url.starts_with("postgres") {
                let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
                connection.execute("begin").await.unwrap();
                connection.execute("lock table milkrun_leases in access exclusive mode").await.unwrap();
                Held::Postgres(connection)
            } else {
                let mut connection = sqlx::MySqlConnection::connect(url).await.unwrap();
                connection.execute(sqlx::raw_sql("lock tables milkrun_leases write")).await.unwrap();
                Held::Mysql(connection)
            }
        });
        Self { runtime, connection: Some(held) }
    }

    fn end(mut self) {
        let held = self.connection.take();
        self.runtime.block_on(async {
            match held {
                Some(Held::Postgres(connection)) => connection.close().await.unwrap(),
                Some(Held::Mysql(connection)) => connection.close().await.unwrap(),
                None => {}
            }
        });
    }
}

fn a_daemon_whose_database_stands_still_does_not_feed_the_watchdog(kind: Kind) {
    let mut shop = Shop::empty(kind);
    shop.items(20);
    let manager = Manager::of(&mut shop.outlet, WATCHDOG);
    let mut daemon = Daemon::start(&shop.outlet, &["-v"]);
    daemon.wait_for(&["run ended well", "job=\"items\""]);
    manager.until(&["WATCHDOG=1"]);
    let standstill = Standstill::of(&shop);
    daemon.wait_for(&["ERROR", "the local database gave no sign of life"]);
    manager.waiting();
    // Three times more, which takes longer than the watchdog waits.
    for _ in 0..3 {
        daemon.wait_for(&["ERROR", "the local database gave no sign of life"]);
    }
    let heard = manager.waiting();
    assert!(!heard.iter().any(|message| message.contains("WATCHDOG")), "{heard:?}");
    standstill.end();
    manager.until(&["WATCHDOG=1"]);
    daemon.signal("-TERM");
    assert_eq!(daemon.end().0, Some(0));
}

mod servers {
    use crate::support::Kind;

    #[test]
    fn a_daemon_whose_postgresql_stands_still_does_not_feed_the_watchdog() {
        super::a_daemon_whose_database_stands_still_does_not_feed_the_watchdog(Kind::Postgres);
    }

    #[test]
    fn a_daemon_whose_mariadb_stands_still_does_not_feed_the_watchdog() {
        super::a_daemon_whose_database_stands_still_does_not_feed_the_watchdog(Kind::Mysql);
    }
}
