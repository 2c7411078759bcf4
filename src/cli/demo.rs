//! `milkrun demo`: a sample HQ, an outlet and the status page in one process, and what both do as it happens.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::output::Output;
use super::{Exit, open, sync};
use crate::config;
use crate::daemon;
use crate::demo;
use crate::sync::{Event, Watcher};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// End by itself after so many seconds
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
}

/// The configuration that the demo runs: the commented example of the project.
const EXAMPLE: &str = include_str!("../../sync.toml");

/// The demo's own database, made anew each time, so that it never meets an outlet's.
const DATABASE: &str = "milkrun-demo.db";

/// Where the example looks for its HQ.
const PORT_OF_EXAMPLE: ([u8; 4], u16) = ([127, 0, 0, 1], 7879);

/// Where the example shows its status page.
const STATUS_OF_EXAMPLE: &str = "127.0.0.1:7878";

/// The same records and edits every time.
const SEED: u64 = 42;

/// How often the sample HQ edits something.
const EDIT_EVERY: Duration = Duration::from_secs(3);

pub(super) async fn run(options: &Options, output: &Output) -> anyhow::Result<Exit> {
    for suffix in ["", "-wal", "-shm"] {
        match std::fs::remove_file(format!("{DATABASE}{suffix}")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(anyhow::Error::new(error).context(format!("removing the last demo's {DATABASE}{suffix}")));
            }
            _removed => {}
        }
    }
    let site = demo::data::ice_cream(SEED)?;
    let server = serve(&site)?;
    let url = server.url();
    let (api_key, api_secret) = demo::data::MANAGER;
    let environment: config::Environment = [
        ("HQ_API_KEY", api_key.to_owned()),
        ("HQ_API_SECRET", api_secret.to_owned()),
        ("MILKRUN__HQ__URL", url.clone()),
        ("MILKRUN__LOCAL__URL", format!("sqlite://{DATABASE}")),
        ("MILKRUN__DAEMON__LISTEN", free_address(STATUS_OF_EXAMPLE)?),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    let config = Arc::new(config::parse("sync.toml", EXAMPLE, Path::new("."), &environment)?);
    output.line(&format!("HQ      a sample Frappe site on {url}, with an edit every {} s", EDIT_EVERY.as_secs()))?;
    output
        .line(&format!("outlet  {DATABASE}; look into it with  sqlite3 {DATABASE} \"select * from items limit 5\""))?;
    if let Some(listen) = config.daemon.listen {
        output.line(&format!("status  http://{listen}/"))?;
    }
    output.line("Ctrl-C ends it.\n")?;

    let (watcher, ends) = daemon::Ends::heard(&config, teller(*output));
    let engine = Arc::new(open(&config, watcher).await?.of_daemon());
    let stop = CancellationToken::new();
    daemon::stop_on_signals(&stop);
    if let Some(seconds) = options.seconds {
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            stop.cancel();
        });
    }
    let editing = edit(&site, *output, &stop);
    let syncing = Box::pin(daemon::run_until(Arc::clone(&engine), ends, stop.clone()));
    let ((), ended) = tokio::join!(editing, async {
        let ended = syncing.await;
        stop.cancel();
        ended
    });
    server.shutdown();
    engine.store().close().await;
    ended?;
    Ok(Exit::Ok)
}

/// On the port that the example names, or on any free one where that is taken.
fn serve(site: &demo::Site) -> std::io::Result<demo::Server> {
    demo::serve(site, PORT_OF_EXAMPLE.into()).or_else(|_taken| demo::serve(site, ([127, 0, 0, 1], 0).into()))
}

/// The usual address, or another of this machine where that is taken, perhaps by a second demo.
fn free_address(usual: &str) -> std::io::Result<String> {
    let listener = TcpListener::bind(usual).or_else(|_taken| TcpListener::bind("127.0.0.1:0"))?;
    Ok(listener.local_addr()?.to_string())
}

async fn edit(site: &demo::Site, output: Output, stop: &CancellationToken) {
    let mut edits = demo::data::edits(site, SEED);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EDIT_EVERY) => {}
        }
        let Some(edit) = edits.next() else { return };
        let edit = edit.strip_prefix("HQ: ").unwrap_or(&edit).to_owned();
        if output.line(&format!("HQ      {edit}")).is_err() {
            return;
        }
    }
}

/// Tells of every run that changed something or did not end well.
fn teller(output: Output) -> Watcher {
    Arc::new(move |event| {
        let Event::Ended(run, _) = event else { return };
        let changes = run.counts.inserted + run.counts.updated + run.counts.deleted;
        if changes > 0 || run.error.is_some() {
            // Nobody is there to read it any more; the runs go on.
            output.line(&format!("outlet  {}", sync::line(run).trim_end())).ok();
        }
    })
}
