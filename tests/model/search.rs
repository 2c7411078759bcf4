//! Playing histories, some beside each other, until one fails; and making that one as short as it can be.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::FutureExt as _;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::local::Local;
use super::step::{Step, history};
use super::world::{Told, World, words};
use crate::support::{Database, Kind};

/// A history that fails.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) seed: u64,
    pub(crate) steps: Vec<Step>,
    pub(crate) error: String,
}

/// What was played.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Played {
    histories: usize,
    told: Told,
}

impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { histories, told: Told { rounds, cut, not_done, unsure } } = self;
        write!(
            f,
            "{histories} histories, {rounds} rounds ({cut} cut), {not_done} runs not done, {unsure} rows unsure at the end"
        )
    }
}

impl Played {
    fn add(&mut self, told: Option<&Told>) {
        self.histories += 1;
        if let Some(told) = told {
            self.told.rounds += told.rounds;
            self.told.cut += told.cut;
            self.told.not_done += told.not_done;
            self.told.unsure += told.unsure;
        }
    }
}

/// What histories are played on: a thread's own database, emptied for each.
struct Bench {
    runtime: Runtime,
    local: Option<Local>,
    database: Database,
    _folder: TempDir,
}

impl Bench {
    fn new(kind: Kind) -> Self {
        // Where it is in memory, what is measured is not the disk.
        let memory = std::path::Path::new("/dev/shm");
        let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap();
        let database = Database::make(kind, folder.path());
        if kind == Kind::Postgres {
            // Nothing here is about the disk.
            database.execute("do 'begin execute format(''alter database %I set synchronous_commit = off'', current_database()); end'");
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, local: None, database, _folder: folder }
    }

    fn play(&mut self, seed: u64, steps: &[Step]) -> Result<Told, String> {
        let Self { runtime, local, database, .. } = self;
        runtime.block_on(async {
            let is_new = local.is_none();
            if is_new {
                let made = local.insert(Local::open(database).await);
                made.make_tables().await;
            }
            let local = local.as_mut().unwrap();
            let mut world = World::new(seed, local, &database.url);
            world.empty(is_new).await;
            match Box::pin(AssertUnwindSafe(world.play(steps)).catch_unwind()).await {
                Ok(ended) => ended,
                Err(panic) => Err(format!("a panic: {}", words(panic.as_ref()))),
            }
        })
    }
}

/// Plays one history.
pub(crate) fn again(kind: Kind, seed: u64, steps: &[Step]) -> Result<(), String> {
    Bench::new(kind).play(seed, steps).map(drop)
}

/// Plays the histories of these seeds up to the first that fails, which is given shrunk.
pub(crate) fn search(kind: Kind, seeds: std::ops::Range<u64>) -> (Played, Option<Failure>) {
    let next = AtomicU64::new(seeds.start);
    let is_over = AtomicBool::new(false);
    let played = Mutex::new((Played::default(), None::<Failure>));
    let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get).max(2);
    // A server takes its time on its disk.
    let threads = if kind == Kind::Sqlite { processors } else { 3 * processors };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut bench = Bench::new(kind);
                while !is_over.load(Ordering::SeqCst) {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end {
                        break;
                    }
                    let steps = history(seed);
                    let ended = bench.play(seed, &steps);
                    played.lock().unwrap().0.add(ended.as_ref().ok());
                    if let Err(error) = ended
                        && !is_over.swap(true, Ordering::SeqCst)
                    {
                        let failure = shrink(&mut bench, seed, steps, error);
                        played.lock().unwrap().1 = Some(failure);
                    }
                }
            });
        }
    });
    played.into_inner().unwrap()
}

/// Leaves out steps, many at once and then fewer, as long as the history still fails.
fn shrink(bench: &mut Bench, seed: u64, mut steps: Vec<Step>, mut error: String) -> Failure {
    let mut size = steps.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        let mut is_shorter = false;
        while at < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(at..(at + size).min(steps.len()));
            match bench.play(seed, &fewer) {
                Err(said) => (steps, error, is_shorter) = (fewer, said, true),
                Ok(_) => at += size,
            }
        }
        match (size, is_shorter) {
            (1, false) => return Failure { seed, steps, error },
            (1, true) => {}
            _ => size = size.div_ceil(2),
        }
    }
}
