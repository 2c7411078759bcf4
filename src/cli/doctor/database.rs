//! The outlet's database as it is, who runs jobs in it, and whether a daemon does.

use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::output;
use super::{Report, size};
use crate::clock::Clock;
use crate::config::{Config, DatabaseKind};
use crate::store::{OwnTables, Server, Store, file_of};
use crate::sync::{self, Error, Life};

/// How long the database may take to answer all that it is asked.
const LIMIT: Duration = Duration::from_secs(30);

/// How long a SQLite file is looked through.
const LOOKED_THROUGH: Duration = Duration::from_secs(20);

/// The least that a page's statements need.
const PACKET: u64 = 16 << 20;

/// How long the status page may take.
const PAGE: Duration = Duration::from_secs(5);

pub(super) async fn look(config: &Config, report: &mut Report) {
    let mut works_here = Some(false);
    if file_of(&config.local).is_some_and(|file| !file.exists()) {
        report.note(
            "database",
            format!("{} is not there yet", config.local.shown()),
            "nothing: the first run makes it; if there was one, see local.url",
        );
    } else if let Ok(answer) = timeout(LIMIT, Box::pin(asked(config, report))).await {
        works_here = answer;
    } else {
        works_here = None;
        let message = format!("{} did not answer within {} s", config.local.shown(), LIMIT.as_secs());
        report.fault("database", super::Exit::Failed, message, "see whether it is overloaded, or a table is locked");
    }
    if let Some(listen) = config.daemon.listen {
        daemon(listen, works_here, report).await;
    }
}

/// Asks the database all that there is to ask; gives whether a daemon works with it, where that can be told.
async fn asked(config: &Config, report: &mut Report) -> Option<bool> {
    let step = || Error::store("opening the local database");
    let store = match Store::open_to_look(&config.local).await.map_err(step()) {
        Ok(store) => store,
        Err(error) => {
            report.error("database", &error);
            return None;
        }
    };
    if let Err(error) = questions(&store, config, report).await {
        report.error("database", &error);
    }
    let daemon = store.daemon().await;
    store.close().await;
    let lives = |(holder, _): (String, String)| !matches!(sync::life(&holder), Life::Over);
    // A database that milkrun never wrote to has no such table.
    Some(daemon.is_ok_and(|known| known.is_some_and(lives)))
}

async fn questions(store: &Store, config: &Config, report: &mut Report) -> Result<(), Error> {
    let step = || Error::store("looking at the local database");
    let server = store.server().await.map_err(step())?;
    report.ok("database", format!("{} answers: {}", config.local.shown(), server.version));
    settings(store.kind(), &server, report);
    if store.kind() == DatabaseKind::Sqlite {
        if store.is_sound(LOOKED_THROUGH).await.map_err(Error::store("looking through the local database"))? {
            report.ok("database", "the file is sound (quick_check)");
        } else {
            report.note(
                "database",
                format!("the file is too large to be looked through within {} s", LOOKED_THROUGH.as_secs()),
                "`PRAGMA integrity_check` does it all, at a quiet hour",
            );
        }
    }
    match store.own_tables().await.map_err(step())? {
        OwnTables::None => {
            report.ok("own tables", "none yet; the first run makes them");
            return Ok(());
        }
        OwnTables::Current(count) => report.ok("own tables", format!("up to date ({count} migrations)")),
        OwnTables::Behind(missing) => report.note(
            "own tables",
            format!(
                "of an older milkrun: {} to be applied",
                output::count(missing as u64, "migration is", "migrations are")
            ),
            "nothing: the next command or the daemon's next start does it",
        ),
        OwnTables::Newer => {
            report.problem(
                "own tables",
                "of a newer milkrun, which this one does not open",
                "install the newer one again",
            );
            return Ok(());
        }
    }
    leases(&store.leases().await.map_err(step())?, Clock::system().now(), report);
    Ok(())
}

fn settings(kind: DatabaseKind, server: &Server, report: &mut Report) {
    let value =
        |name: &str| server.settings.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value.as_str());
    match kind {
        DatabaseKind::Sqlite => {}
        DatabaseKind::Postgres => {
            if value("server_encoding") != "UTF8" {
                let message = format!("server_encoding is {}", value("server_encoding"));
                report.problem(
                    "database",
                    message,
                    "make a database with `ENCODING 'UTF8'`: not every text fits this one",
                );
            }
            for name in ["fsync", "full_page_writes"] {
                if value(name) == "off" {
                    report.note(
                        "database",
                        format!("{name} is off"),
                        "set it on: a power cut may cost the whole database",
                    );
                }
            }
        }
        DatabaseKind::Mysql => {
            let packet = value("max_allowed_packet").parse().unwrap_or(PACKET);
            if packet < PACKET {
                let message = format!("max_allowed_packet is {}", size(packet));
                report.note("database", message, "raise it to 16M or more: a record beyond it is parked");
            }
            let set = value("character_set_database");
            if !set.is_empty() && set != "utf8mb4" {
                let remedy = "`ALTER DATABASE … CHARACTER SET utf8mb4`, for tables that are made from now on";
                report.note("database", format!("character_set_database is {set}"), remedy);
            }
        }
    }
    if let Some((open, most)) = server.connections {
        let message = format!("{open} of {most} connections are open");
        if open.saturating_mul(10) >= most.saturating_mul(9) {
            report.note("database", message, "raise max_connections, or see who keeps them: milkrun takes up to 8");
        } else {
            report.ok("database", message);
        }
    }
}

fn leases(leases: &[(String, String, DateTime<Utc>)], now: DateTime<Utc>, report: &mut Report) {
    if leases.is_empty() {
        report.ok("leases", "no job is running");
    }
    for (job, holder, until) in leases {
        let who = sync::process(holder);
        match sync::life(holder) {
            Life::Runs { .. } => report.ok("leases", format!("job {job} is being run by {who}")),
            Life::Over => report.note(
                "leases",
                format!("{who} ended in the middle of job {job}"),
                "nothing: the job's next run takes over and goes on from the last page",
            ),
            Life::Unseen if *until > now => report.ok("leases", format!("job {job} is being run by {who}")),
            Life::Unseen => report.note(
                "leases",
                format!("{who} has not renewed its lease of job {job}"),
                "nothing: the job's next run takes over; if that machine still runs milkrun, only one of the two should",
            ),
        }
    }
}

/// Whether the daemon's page answers on its address, and is that of the daemon that works with this outlet's database.
async fn daemon(listen: SocketAddr, works_here: Option<bool>, report: &mut Report) {
    let is_any = listen.ip().is_unspecified();
    let asked = if is_any { SocketAddr::from(([127, 0, 0, 1], listen.port())) } else { listen };
    match timeout(PAGE, health(asked)).await {
        Ok(Ok(answer)) if answer.contains(" 200 ") && works_here == Some(false) => report.note(
            "daemon",
            format!("a milkrun answers on {asked}, and none has left word in this outlet's database: it may be another outlet's"),
            "see which sync.toml that one has; each outlet's daemon wants an address of its own (`listen` of [daemon])",
        ),
        Ok(Ok(answer)) if answer.contains(" 200 ") => report.ok("daemon", format!("answers on {asked}")),
        Ok(Ok(answer)) if answer.contains(" 503 ") => {
            report.fault(
                "daemon",
                super::Exit::Failed,
                format!("answers on {asked} that it cannot read its database"),
                "see its log (`journalctl -u milkrun`), and the lines above",
            );
        }
        Ok(Ok(_)) => {
            report.problem(
                "daemon",
                format!("something else answers on {asked}"),
                "change `listen` of [daemon], or end it",
            );
        }
        Ok(Err(_)) => {
            let remedy = "if one should: `systemctl status milkrun`, or start `milkrun run`";
            report.note("daemon", format!("none answers on {asked}"), remedy);
        }
        Err(_elapsed) => {
            let remedy = "see its log (`journalctl -u milkrun`); restart it if it stands still";
            report.fault(
                "daemon",
                super::Exit::Failed,
                format!("no answer on {asked} within {} s", PAGE.as_secs()),
                remedy,
            );
        }
    }
}

/// The first line of what `/healthz` answers.
async fn health(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut answer = vec![0; 64];
    let length = stream.read(&mut answer).await?;
    answer.truncate(length);
    Ok(String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned())
}
