//! Random histories of an HQ, an outlet, the line between and milkrun itself; after each, both ends must be as the rules
//! say. `docs/simulation.md` tells how it works and how to run it for a night.

#![expect(clippy::wildcard_enum_match_arm, reason = "a step is taken apart by whose it is")]

mod found;
mod local;
mod oracle;
mod plan;
mod rules;
mod search;
mod step;
mod world;

use milkrun::breakage::Breakage;

use crate::support::{Kind, say};
use search::{Failure, search};

/// Histories on SQLite, and on each of the servers, unless `MILKRUN_TEST_HISTORIES` says otherwise.
const HISTORIES: [u64; 2] = [1_000, 100];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|number| number.parse().unwrap())
}

/// The seeds of a run: the first so many, the one that is asked for, or so many from there.
fn seeds(kind: Kind) -> std::ops::Range<u64> {
    let (first, many) = (number("MILKRUN_TEST_SEED"), number("MILKRUN_TEST_HISTORIES"));
    let usual = if first.is_some() { 1 } else { HISTORIES[usize::from(kind != Kind::Sqlite)] };
    let first = first.unwrap_or_default();
    first..first + many.unwrap_or(usual)
}

fn all_histories_end_as_the_rules_say(kind: Kind) {
    let begun = std::time::Instant::now();
    let (told, failure) = search(kind, seeds(kind));
    say!("{kind:?}: {told} in {:.1} s", begun.elapsed().as_secs_f64());
    if let Some(Failure { seed, steps, error }) = failure {
        panic!(
            "{kind:?}: seed {seed} fails; `MILKRUN_TEST_SEED={seed} cargo test model` repeats it. Shrunk:\n\
             ({seed}, &{steps:?}),\n{error}\njobs {:?}",
            plan::jobs(seed)
        );
    }
}

on_each_database!(all_histories_end_as_the_rules_say);

#[test]
fn histories_that_failed_once_do_so_no_more() {
    for (seed, steps) in found::FOUND {
        search::again(Kind::Sqlite, *seed, steps).unwrap_or_else(|error| panic!("seed {seed}, {steps:?}: {error}"));
    }
}

/// Set in a process whose milkrun is broken on purpose.
const BROKEN: &str = "MILKRUN_BREAK";

#[test]
fn a_milkrun_that_is_broken_on_purpose_is_found_out() {
    if std::env::var_os(BROKEN).is_some() {
        let (_, failure) = search(Kind::Sqlite, 0..HISTORIES[0]);
        let Failure { seed, steps, error } = failure.expect("nothing was found");
        say!("seed {seed}: {steps:?}\n{error}");
        return;
    }
    for breakage in Breakage::ALL {
        let broken = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "model::a_milkrun_that_is_broken_on_purpose_is_found_out", "--nocapture"])
            .env(BROKEN, breakage.name())
            .output()
            .unwrap();
        let told = format!("{}\n{}", String::from_utf8_lossy(&broken.stdout), String::from_utf8_lossy(&broken.stderr));
        assert!(broken.status.success() && told.contains("1 passed"), "{} was not found:\n{told}", breakage.name());
        say!("{}: {}", breakage.name(), told.lines().find(|line| line.contains("seed ")).unwrap_or_default());
    }
}
