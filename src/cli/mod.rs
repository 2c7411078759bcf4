//! The command line: what was typed, which command answers, and what the exit code says.
//!
//! Results go to stdout through `output.rs`, logs to stderr.

mod changes;
mod check;
mod completions;
mod conflicts;
mod csv;
mod demo;
mod diff;
mod doctor;
mod guard;
mod init;
mod listing;
mod log;
mod man;
mod moment;
mod output;
mod plan;
mod progress;
mod quarantine;
mod reconcile;
mod reload;
mod run;
mod runs;
mod schema;
mod screen;
mod status;
mod sync;
mod watermark;
mod why;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand, ValueEnum};

use self::output::Output;
use crate::clock::Clock;
use crate::config::{self, Config, Problems};
use crate::daemon::Ground;
use crate::record::{BadStamp, Stamp};
use crate::run::Status;
use crate::sync::{Engine, Watcher};

/// Keeps every outlet in step with its HQ.
#[derive(Debug, Parser)]
#[command(name = "milkrun", version, about, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

/// What every command takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Global {
    /// The configuration
    #[arg(long, global = true, value_name = "FILE", default_value = "sync.toml", env = "MILKRUN_CONFIG")]
    config: PathBuf,
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// When problems of sync.toml are shown in colour; auto minds `NO_COLOR` and `CLICOLOR_FORCE`
    #[arg(long, global = true, value_enum, default_value_t = clap::ColorChoice::Auto, value_name = "WHEN")]
    color: clap::ColorChoice,
    /// How logs are written to stderr
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    log_format: Format,
    /// Say more (-v, -vv)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Say only what went wrong
    #[arg(short, long, global = true)]
    quiet: bool,
}

/// How something is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a sample HQ, an outlet and the status page in one process
    Demo(demo::Options),
    /// Write a sync.toml from HQ's own field lists, or add jobs to the one that is there
    Init(init::Options),
    /// Validate sync.toml, then HQ, credentials, fields and tables
    Check(check::Options),
    /// Show what an edited sync.toml would do, before it does it
    Plan(plan::Options),
    /// Run the daemon
    Run,
    /// Have the running daemon read sync.toml again, and say what came of it
    Reload,
    /// Sync now: all jobs, or those named
    Sync(sync::Options),
    /// Compare all of HQ with all of the outlet, and repair
    Reconcile(reconcile::Options),
    /// Show how the jobs stand: can the shop be opened?
    Status(status::Options),
    /// Show the run log, or all that is known of one run
    Runs(runs::Options),
    /// Show which rows were made, changed or let go of late
    Changes(changes::Options),
    /// See, try again or give up records that could not be taken
    #[command(subcommand)]
    Quarantine(quarantine::Action),
    /// See what both sides changed, and say whose version is taken
    #[command(subcommand)]
    Conflicts(conflicts::Action),
    /// Show what HQ, the last version taken and the table have of one record, and who decides
    Why(why::Options),
    /// Show or move a job's watermark
    #[command(subcommand)]
    Watermark(watermark::Action),
    /// Look at what the outlet stands on: clock, disk, database, line, credentials; changes nothing
    Doctor(doctor::Options),
    /// Print the JSON Schema of sync.toml, for editors
    Schema(schema::Options),
    /// Print a completion script for a shell
    Completions(completions::Options),
    /// Write the manual pages
    #[command(hide = true)]
    Man(man::Options),
}

impl Command {
    /// Whether it goes by a file that a daemon may go by, too, and does nothing where that does not check.
    fn goes_by_the_file(&self) -> bool {
        match self {
            Self::Plan(_)
            | Self::Sync(_)
            | Self::Reconcile(_)
            | Self::Changes(_)
            | Self::Quarantine(_)
            | Self::Conflicts(_)
            | Self::Why(_)
            | Self::Watermark(_) => true,
            Self::Demo(_)
            | Self::Init(_)
            | Self::Check(_)
            | Self::Run
            | Self::Reload
            | Self::Status(_)
            | Self::Runs(_)
            | Self::Doctor(_)
            | Self::Schema(_)
            | Self::Completions(_)
            | Self::Man(_) => false,
        }
    }

    /// Threads beside the one that waits for the command's end; `None` for as many as the machine has processors. Each costs
    /// its start, and more than wait for HQ and the database at once is left idle.
    fn workers(&self) -> Option<usize> {
        match self {
            Self::Demo(_) => None,
            Self::Run => Some(2),
            Self::Init(_)
            | Self::Check(_)
            | Self::Plan(_)
            | Self::Sync(_)
            | Self::Reconcile(_)
            | Self::Reload
            | Self::Status(_)
            | Self::Runs(_)
            | Self::Changes(_)
            | Self::Quarantine(_)
            | Self::Conflicts(_)
            | Self::Why(_)
            | Self::Watermark(_)
            | Self::Doctor(_)
            | Self::Schema(_)
            | Self::Completions(_)
            | Self::Man(_) => Some(1),
        }
    }
}

/// What the exit code of a command says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// All is well.
    Ok,
    /// Something failed and may succeed later.
    Failed,
    /// The configuration or the command line is wrong.
    Usage,
    /// Done, but records are parked or wait for a decision.
    Parked,
    /// Needs a person.
    Blocked,
    /// Asked whether anything is to be done: it is.
    ToDo,
}

impl Exit {
    fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Parked => 3,
            Self::Blocked => 4,
            Self::ToDo => 5,
        })
    }

    /// The exit code of several runs: what needs a person outranks what will be tried again, which outranks the rest.
    fn of(statuses: impl IntoIterator<Item = Status>) -> Self {
        let worst = statuses.into_iter().max();
        match worst {
            None | Some(Status::Ok | Status::Running) => Self::Ok,
            Some(Status::Quarantine | Status::Conflict) => Self::Parked,
            Some(Status::Failed) => Self::Failed,
            Some(Status::Blocked) => Self::Blocked,
        }
    }
}

/// Runs the command.
#[must_use]
pub fn main(arguments: Arguments) -> ExitCode {
    guard::raise();
    let Arguments { command, global } = arguments;
    output::choose_color(global.color);
    let output = Output::new(global.format);
    if let Command::Completions(options) = &command {
        return finish(&output, completions::run(options, &output));
    }
    if let Command::Man(options) = &command {
        return finish(&output, man::run(options, &output));
    }
    if let Command::Schema(options) = &command {
        return finish(&output, schema::run(options, &output));
    }
    log::start(&global, matches!(command, Command::Run));
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = command.workers() {
        runtime.worker_threads(workers);
    }
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return finish(&output, Err(anyhow::Error::new(error).context("starting milkrun"))),
    };
    let ended = runtime.block_on(Box::pin(dispatch(&command, &global, &output)));
    // A task that hangs must not keep the program from ending.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    finish(&output, ended)
}

async fn dispatch(command: &Command, global: &Global, output: &Output) -> anyhow::Result<Exit> {
    let done = Box::pin(carry_out(command, global, output)).await;
    if let Err(error) = &done
        && error.is::<Problems>()
        && command.goes_by_the_file()
        && let Ok(ground) = Ground::of(&global.config).await
    {
        // The problems themselves follow.
        say_whose_word(&ground, false);
    }
    done
}

async fn carry_out(command: &Command, global: &Global, output: &Output) -> anyhow::Result<Exit> {
    match command {
        Command::Demo(options) => demo::run(options, output).await,
        Command::Init(options) => Box::pin(init::run(options, &global.config, output)).await,
        Command::Check(options) => check::run(options, &global.config, output).await,
        Command::Plan(options) => Box::pin(plan::run(options, &global.config, output)).await,
        Command::Run => run::run(&global.config).await,
        Command::Reload => reload::run(&global.config, output).await,
        Command::Sync(options) => Box::pin(sync::run(options, &global.config, output)).await,
        Command::Reconcile(options) => Box::pin(reconcile::run(options, &global.config, output)).await,
        Command::Status(options) => Box::pin(status::run(options, &global.config, output)).await,
        Command::Runs(options) => runs::run(options, &global.config, output).await,
        Command::Changes(options) => Box::pin(changes::run(options, &global.config, output)).await,
        Command::Quarantine(action) => Box::pin(quarantine::run(action, &global.config, output)).await,
        Command::Conflicts(action) => conflicts::run(action, &global.config, output).await,
        Command::Why(options) => why::run(options, &global.config, output).await,
        Command::Watermark(action) => watermark::run(action, &global.config, output).await,
        Command::Doctor(options) => Box::pin(doctor::run(options, &global.config, output)).await,
        Command::Schema(options) => schema::run(options, output),
        Command::Completions(options) => completions::run(options, output),
        Command::Man(options) => man::run(options, output),
    }
}

fn finish(output: &Output, ended: anyhow::Result<Exit>) -> ExitCode {
    match ended {
        Ok(exit) => exit.code(),
        Err(error) => output.error(&error).code(),
    }
}

/// Whose logs a command is to read, by the file or else by the version that the daemon has in force, which is then said.
async fn ground(path: &Path) -> Result<Ground, Problems> {
    let ground = Ground::of(path).await?;
    say_whose_word(&ground, true);
    Ok(ground)
}

fn say_whose_word(ground: &Ground, has_problems: bool) {
    let Some(version) = &ground.version else { return };
    let zone = ground.time_zone;
    let mut said =
        version.sentences(|at| format!("{} {}", at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S"), zone.name()));
    let newer = version.newer.iter().flat_map(|newer| &newer.problems);
    let problems: Vec<&String> = newer.chain(&version.unreadable_here).collect();
    said.retain(|sentence| has_problems || !problems.contains(&sentence));
    tracing::warn!("{}", said.join(" "));
}

fn load(path: &Path) -> Result<Arc<Config>, Problems> {
    config::load(path).map(Arc::new)
}

async fn open(config: &Arc<Config>, watcher: Watcher) -> anyhow::Result<Engine> {
    Ok(Engine::open(Arc::clone(config), Clock::system(), watcher).await?)
}

/// As [`open`], by a process that runs jobs: it looks whether the database is the one of last time.
async fn open_to_run(config: &Arc<Config>, path: &Path, watcher: Watcher) -> anyhow::Result<Engine> {
    Ok(open(config, watcher).await?.guarded(path))
}

/// How long a page that is being written has to come to its end once milkrun is told to stop.
const GRACE: std::time::Duration = std::time::Duration::from_secs(8);

/// Waits for the runs, but not for ever once milkrun is told to stop: what is cut off then is rolled back.
async fn in_time(
    stop: &tokio_util::sync::CancellationToken,
    runs: impl Future<Output = Result<Vec<crate::run::Run>, crate::sync::Error>>,
) -> anyhow::Result<Vec<crate::run::Run>> {
    let too_late = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        runs = Box::pin(runs) => Ok(runs?),
        () = too_late => Err(crate::sync::Error::Stopped.into()),
    }
}

/// The positions of the jobs of these names; all jobs where none is named.
fn chosen(config: &Config, names: &[String]) -> anyhow::Result<Vec<usize>> {
    if names.is_empty() {
        return Ok((0..config.jobs.len()).collect());
    }
    names.iter().map(|name| position(config, name)).collect()
}

/// A moment of HQ's wall clock as an operator writes it; a bare date is its midnight, as HQ would read it (recording 212).
fn stamp(text: &str) -> Result<Stamp, BadStamp> {
    match text.len() {
        10 => Stamp::parse(&format!("{text} 00:00:00")).map_err(|_bad| BadStamp(text.to_owned())),
        _ => Stamp::parse(text),
    }
}

fn position(config: &Config, name: &str) -> anyhow::Result<usize> {
    among(config.jobs.iter().map(|job| job.name.as_str()).collect(), name)
}

/// As [`position`], among the jobs of the ground.
fn known_to(ground: &Ground, name: &str) -> anyhow::Result<usize> {
    among(ground.jobs.iter().map(String::as_str).collect(), name)
}

fn among(known: Vec<&str>, name: &str) -> anyhow::Result<usize> {
    let found = known.iter().position(|known| *known == name);
    found.ok_or_else(|| {
        let hint = config::nearest(name, known.iter().copied())
            .map_or_else(|| format!("; the jobs are {}", known.join(", ")), |near| format!(", did you mean {near:?}?"));
        output::Usage(format!("unknown job {name:?}{hint}")).into()
    })
}
