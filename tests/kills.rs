//! Killed at random moments: milkrun by `kill -9`, the line by a proxy, the database server by `kill -9`.
//!
//! The moments are numbers of bytes that HQ has sent, drawn from a seed that is printed; `MILKRUN_TEST_SEED` repeats one,
//! `MILKRUN_TEST_KILLS` asks for more than the usual number.

use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use milkrun::demo::Site;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::support::databases::server;
use crate::support::proxy::Then;
use crate::support::say;
use crate::support::{Kind, Outlet, Proxy, Server, Shop};

const ITEMS: usize = 600;
const PAGE: u64 = 100;

struct Scene {
    shop: Shop,
    proxy: Proxy,
    dice: StdRng,
    /// Bytes of a first load.
    load: u64,
    made: usize,
}

impl Scene {
    fn begin(kind: Kind) -> Self {
        let seed = std::env::var("MILKRUN_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed: u64 = seed.unwrap_or_else(|| rand::rng().random());
        say!("MILKRUN_TEST_SEED={seed}");
        let mut shop = Shop::empty(kind);
        shop.items(ITEMS);
        let proxy = Proxy::to(shop.address());
        shop.move_to(Outlet::new(kind), &proxy.url());
        shop.outlet.sync_well(&[]);
        let load = proxy.passed();
        Self { shop, proxy, dice: StdRng::seed_from_u64(seed), load, made: 0 }
    }

    /// HQ's people at work: some edits now, and one after every third list that is read.
    fn work_at_hq(&mut self) {
        let edits = self.dice.random_range(1..150);
        for _ in 0..edits {
            let n = self.dice.random_range(0..ITEMS);
            edit(&self.shop.hq, n, &mut self.dice);
        }
        self.made += 1;
        self.shop.item(&format!("NEW-{}", self.made), json!({}));
        if self.made > 2 {
            self.shop.hq.delete("Item", &format!("NEW-{}", self.made - 2)).unwrap();
        }
        let mut dice = StdRng::seed_from_u64(self.dice.random());
        let mut lists = 0;
        self.shop.hq.after_every_list("Item", move |hq| {
            lists += 1;
            if lists % 3 == 0 {
                let n = dice.random_range(0..ITEMS);
                edit(hq, n, &mut dice);
            }
        });
    }

    /// Another outlet, which has nothing yet, or more edits for the one that there is; gives the moment of the blow.
    fn next(&mut self, round: usize, outlet: impl Fn(Kind) -> Outlet) -> u64 {
        let is_load = round.is_multiple_of(3);
        if is_load {
            let kind = self.shop.outlet.database.kind;
            self.shop.move_to(outlet(kind), &self.proxy.url());
        }
        self.work_at_hq();
        self.dice.random_range(1..if is_load { self.load } else { self.load / 4 })
    }

    /// HQ falls quiet, one plain run, and both ends are equal.
    #[track_caller]
    fn recover(&mut self) -> Vec<Value> {
        self.proxy.heal();
        self.shop.hq.clear_hooks();
        let runs = self.shop.outlet.sync_well(&[]);
        self.shop.assert_in_step();
        let database = &self.shop.outlet.database;
        assert_eq!(database.count("milkrun_leases"), 0);
        if database.kind == Kind::Sqlite {
            let found = database.rows("pragma_integrity_check", &["integrity_check"], "1");
            assert_eq!(found, [[Some("ok".to_owned())]]);
        }
        runs
    }
}

fn edit(hq: &Site, n: usize, dice: &mut StdRng) {
    let name = format!("ICE-{n:04}");
    let price = dice.random_range(1..10_000);
    match dice.random_range(0..4) {
        // In and out of the job's filter.
        0 => hq.update("Item", &name, json!({"is_sales_item": i32::from(price % 8 != 0)})).unwrap(),
        1 => hq.update("Item", &name, json!({"barcodes": [{"barcode": format!("{n}-{price}")}]})).unwrap(),
        _ => hq.update("Item", &name, json!({"standard_rate": f64::from(price) / 4.0})).unwrap(),
    }
}

fn kills(usual: usize) -> usize {
    std::env::var("MILKRUN_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(usual)
}

/// Waits for the blow's moment; false if the process ended before it came.
fn comes(moment: &Receiver<()>, child: &mut Child) -> bool {
    loop {
        match moment.recv_timeout(Duration::from_millis(20)) {
            Ok(()) => return true,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                if child.try_wait().unwrap().is_some() {
                    return false;
                }
            }
        }
    }
}

fn milkrun_is_killed(kind: Kind, usual: usize) {
    let mut scene = Scene::begin(kind);
    let rounds = kills(usual);
    let mut hit = 0;
    for round in 0..rounds {
        let moment = scene.next(round, Outlet::new);
        let told = scene.proxy.after(moment, Then::Tell);
        let mut child = scene.shop.outlet.start(&["sync"]);
        let is_hit = comes(&told, &mut child);
        if is_hit {
            child.kill().unwrap();
        }
        child.wait().unwrap();
        hit += usize::from(is_hit);
        let is_load = round.is_multiple_of(3);
        let committed = if is_load { committed(&scene.shop) } else { 0 };
        let known = scene.shop.hq.count("Item") as u64;
        let runs = scene.recover();
        if let (true, Some(items)) = (is_load && is_hit, runs.iter().find(|run| run["job"] == "items")) {
            // What was edited meanwhile comes twice by right: one in three lists, and the lists are fewer than 30.
            let fetched = items["counts"]["fetched"].as_u64().unwrap();
            assert!(fetched + committed <= known + PAGE + 10, "{committed} committed and {fetched} fetched of {known}");
        }
    }
    say!("{hit} of {rounds} runs were killed");
    assert!(hit * 2 >= rounds, "only {hit} of {rounds} runs were killed: the moments are chosen too late");
}

/// What the log says that the killed run had committed.
fn committed(shop: &Shop) -> u64 {
    let runs = shop.outlet.run(&["--format", "json", "runs", "items", "--limit", "1"]).json();
    let Some(run) = runs.as_array().unwrap().first() else { return 0 };
    assert_ne!(run["status"], "running", "{run:#}");
    run["counts"]["inserted"].as_u64().unwrap()
}

#[test]
fn milkrun_is_killed_at_random_moments_on_sqlite() {
    milkrun_is_killed(Kind::Sqlite, 12);
}

#[test]
fn milkrun_is_killed_at_random_moments_on_postgres() {
    milkrun_is_killed(Kind::Postgres, 6);
}

#[test]
fn milkrun_is_killed_at_random_moments_on_mysql() {
    milkrun_is_killed(Kind::Mysql, 6);
}

#[test]
fn the_line_is_cut_at_random_moments() {
    let mut scene = Scene::begin(Kind::Sqlite);
    let rounds = kills(9);
    let mut hit = 0;
    for round in 0..rounds {
        let moment = scene.next(round, Outlet::new);
        let told = scene.proxy.after(moment, Then::Cut);
        let outcome = scene.shop.outlet.run(&["sync"]);
        if told.try_recv().is_ok() {
            hit += 1;
            outcome.expect_code(1);
            assert!(outcome.stdout.contains("do: "), "{outcome}");
        }
        scene.recover();
    }
    assert!(hit * 2 >= rounds, "only {hit} of {rounds} runs met the cut");
}

fn the_line_to_the_database_is_cut(kind: Kind) {
    use std::net::ToSocketAddrs as _;
    let server = server(kind);
    let (head, host) = server.rsplit_once('@').unwrap();
    let line = Proxy::to(host.to_socket_addrs().unwrap().next().unwrap());
    let url = format!("{head}@{}", line.address());
    let mut scene = Scene::begin(kind);
    scene.shop.move_to(Outlet::at(kind, &url), &scene.proxy.url());
    let before = line.passed();
    scene.recover();
    let load = line.passed() - before;
    let (rounds, mut hit) = (kills(4), 0);
    for round in 0..rounds {
        scene.next(round, |kind| Outlet::at(kind, &url));
        let moment = scene.dice.random_range(load / 10..load / 2);
        let told = line.after(moment, Then::Cut);
        let outcome = scene.shop.outlet.run(&["sync"]);
        line.heal();
        if told.try_recv().is_ok() {
            hit += 1;
            // A transaction that lost its connection is repeated at once, which may be all that it takes.
            assert!(matches!(outcome.code, 0 | 1), "{outcome}");
            let is_told = format!("{outcome}").contains("the local database cannot be used right now");
            assert!(is_told || outcome.code == 0, "{outcome}");
        }
        scene.recover();
    }
    assert!(hit * 2 >= rounds, "only {hit} of {rounds} runs met the cut");
}

#[test]
fn the_line_to_postgres_is_cut_at_random_moments() {
    the_line_to_the_database_is_cut(Kind::Postgres);
}

#[test]
fn the_line_to_mysql_is_cut_at_random_moments() {
    the_line_to_the_database_is_cut(Kind::Mysql);
}

fn the_server_is_killed(kind: Kind) {
    let server = Server::start(kind);
    let mut server = match server {
        Ok(server) => server,
        Err(missing) => {
            say!("skipped, the {kind:?} server is not killed: {missing}");
            return;
        }
    };
    let mut scene = Scene::begin(kind);
    let url = server.url();
    for round in 0..kills(4) {
        let moment = scene.next(round, |kind| Outlet::at(kind, &url));
        let told = scene.proxy.after(moment, Then::Tell);
        let mut child = scene.shop.outlet.start(&["sync"]);
        let is_hit = comes(&told, &mut child);
        if is_hit {
            server.kill();
            server.run();
        }
        // Whether it came through depends on where the blow fell; the next run must.
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{:?}\n{told}", output.status);
        say!("round {round}: {}", told.lines().take(3).collect::<Vec<_>>().join(" | "));
        scene.recover();
    }
    // The databases go with the server.
    scene.shop.move_to(Outlet::new(Kind::Sqlite), &scene.proxy.url());
}

#[test]
fn the_postgres_server_is_killed_in_the_middle() {
    the_server_is_killed(Kind::Postgres);
}

#[test]
fn the_mysql_server_is_killed_in_the_middle() {
    the_server_is_killed(Kind::Mysql);
}
