//! What the file says of itself: its examples, when its jobs run next, and who has to wait for whom.

use chrono::{DateTime, Utc};

use super::report::Report;
use crate::config::{Config, Job};
use crate::daemon::schedule::{Schedule, splay};

/// Looks at each job of the file.
pub(super) fn look(config: &Config, now: DateTime<Utc>, report: &mut Report) {
    let splay = splay(&config.site.name, config.daemon.splay);
    if splay.as_secs() > 0 {
        report
            .ok("config", format!("daemon.splay has this outlet start {} s after each of its times", splay.as_secs()));
    }
    let (schedules, reconciles) = (Schedule::all(config), Schedule::reconciles(config));
    for ((job, schedule), reconcile) in config.jobs.iter().zip(&schedules).zip(&reconciles) {
        examples(job, report);
        times(config, job, schedule, reconcile.as_ref(), now, report);
        waits(config, job, report);
    }
}

/// Those that do not hold were told before anything else.
fn examples(job: &Job, report: &mut Report) {
    for example in &job.tests {
        report.ok(&job.name, format!("test at line {} holds", example.line));
    }
}

/// When the daemon would start the job: what a pattern says is best seen in its next three times.
fn times(
    config: &Config,
    job: &Job,
    schedule: &Schedule,
    reconcile: Option<&Schedule>,
    now: DateTime<Utc>,
    report: &mut Report,
) {
    let zone = config.site.time_zone;
    let next = |schedule: &Schedule, number| {
        let times = std::iter::successors(schedule.next(now), |last| schedule.next(*last)).take(number);
        times.map(|time| time.with_timezone(&zone)).collect::<Vec<_>>()
    };
    let today = now.with_timezone(&zone).date_naive();
    let shown = |times: Vec<DateTime<chrono_tz::Tz>>| {
        let is_today = times.iter().all(|time| time.date_naive() == today);
        let format = if is_today { "%H:%M:%S" } else { "%a %d %b %H:%M:%S" };
        times.iter().map(|time| time.format(format).to_string()).collect::<Vec<_>>().join(", ")
    };
    let runs = format!("runs next {} ({})", shown(next(schedule, 3)), zone.name());
    match reconcile {
        Some(reconcile) => report.ok(&job.name, format!("{runs}; reconciles next {}", shown(next(reconcile, 1)))),
        None => report.ok(&job.name, runs),
    }
}

/// A lookup into a table that another job fills wants that job first: else its new records wait in quarantine for theirs.
fn waits(config: &Config, job: &Job, report: &mut Report) {
    let lookups = job.mapping.lookups().iter().chain(job.mapping.children().iter().flat_map(|child| child.lookups()));
    let mut said: Vec<&str> = Vec::new();
    for lookup in lookups {
        let fills = |other: &Job| {
            let is_named = |table: &str| table.eq_ignore_ascii_case(&lookup.table);
            is_named(&other.table) || other.mapping.children().iter().any(|child| is_named(&child.table))
        };
        let Some(filler) = config.jobs.iter().find(|other| fills(other) && other.name != job.name) else { continue };
        if waits_for(config, job, &filler.name) || said.contains(&filler.name.as_str()) {
            continue;
        }
        said.push(&filler.name);
        let remedy = if waits_for(config, filler, &job.name) {
            "which waits for this job, so records may be parked until the other has run".to_owned()
        } else {
            format!("add after = [{:?}], so that a new record finds its row", filler.name)
        };
        report.note(&job.name, format!("looks up in {}, which the job {} fills: {remedy}", lookup.table, filler.name));
    }
}

/// Whether `job` waits for the job of that name, directly or not; the configuration has no circles.
fn waits_for(config: &Config, job: &Job, name: &str) -> bool {
    let before = job.after.iter().filter_map(|at| config.jobs.get(*at));
    before.into_iter().any(|other| other.name == name || waits_for(config, other, name))
}
