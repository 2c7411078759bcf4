//! `milkrun check`: is the configuration right, and do HQ and the local database agree with it?

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;

use super::output::{self, Output};
use super::{Exit, load};
use crate::clock::Clock;
use crate::config::{self, Config, Job};
use crate::run::Status;
use crate::source::frappe::{DELETED_DOCUMENT, Docfield, Frappe};
use crate::source::{self, Meter, PageSize};
use crate::store::Store;
use crate::sync::Error;
use crate::sync::clocks::{CLOCK_TOLERANCE, is_same_zone};
use crate::watermark::Clocks;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Check only the file and the examples in it; contact nothing
    #[arg(long)]
    offline: bool,
}

/// Fields that every DocType has and that no field list names.
const STANDARD_FIELDS: [&str; 9] =
    ["name", "creation", "modified", "modified_by", "owner", "docstatus", "idx", "parent", "doctype"];

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    /// What was looked at: `hq`, `local`, or a job's name.
    subject: String,
    /// How it stands.
    level: Level,
    /// One sentence.
    message: String,
    #[serde(skip)]
    exit: Exit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    Ok,
    Note,
    Problem,
}

#[derive(Debug, Default)]
struct Report(Vec<Finding>);

impl Report {
    fn ok(&mut self, subject: &str, message: impl Into<String>) {
        self.add(subject, Level::Ok, Exit::Ok, message);
    }

    fn note(&mut self, subject: &str, message: impl Into<String>) {
        self.add(subject, Level::Note, Exit::Ok, message);
    }

    fn problem(&mut self, subject: &str, exit: Exit, message: impl Into<String>) {
        self.add(subject, Level::Problem, exit, message);
    }

    fn source(&mut self, subject: &str, step: &str, error: source::Error) {
        let error = Error::Source { step: step.to_owned(), cause: error };
        self.error(subject, &error);
    }

    fn error(&mut self, subject: &str, error: &Error) {
        let exit = if error.status() == Status::Blocked { Exit::Blocked } else { Exit::Failed };
        self.problem(subject, exit, format!("{}; {}", error.chain(), error.remedy()));
    }

    fn add(&mut self, subject: &str, level: Level, exit: Exit, message: impl Into<String>) {
        self.0.push(Finding { subject: subject.to_owned(), level, message: message.into(), exit });
    }

    fn exit(&self) -> Exit {
        let worst = |exit| self.0.iter().any(|finding| finding.exit == exit);
        [Exit::Usage, Exit::Blocked, Exit::Failed].into_iter().find(|exit| worst(*exit)).unwrap_or(Exit::Ok)
    }

    fn text(&self) -> String {
        let line = |finding: &Finding| {
            let level = match finding.level {
                Level::Ok => "ok     ",
                Level::Note => "note   ",
                Level::Problem => "problem",
            };
            format!("{level}  {:<16} {}\n", finding.subject, finding.message)
        };
        self.0.iter().map(line).collect()
    }
}

pub(super) async fn run(options: &Options, path: &Path, output: &Output) -> anyhow::Result<Exit> {
    let config = load(path)?;
    let mut report = Report::default();
    report.ok("config", format!("{}: {}", path.display(), output::count(config.jobs.len() as u64, "job", "jobs")));
    examples(&config, &mut report);
    if !options.offline {
        hq(&config, &mut report).await;
        local(&config, &mut report).await;
    }
    output.result(&report.0, || report.text())?;
    Ok(report.exit())
}

fn examples(config: &Config, report: &mut Report) {
    for job in &config.jobs {
        for example in &job.tests {
            let mismatches = job.mapping.example(&example.given, &example.expect);
            for mismatch in &mismatches {
                report.problem(&job.name, Exit::Usage, format!("test at line {}: {mismatch}", example.line));
            }
            if mismatches.is_empty() {
                report.ok(&job.name, format!("test at line {} holds", example.line));
            }
        }
    }
}

async fn hq(config: &Config, report: &mut Report) {
    if config.hq.is_in_clear() {
        report.note("hq", "hq.url is http://: the API secret and all records go over the line in clear; use https://");
    }
    let hq = match Frappe::new(&config.hq, &config.site.name, Clock::system()) {
        Ok(hq) => hq,
        Err(error) => return report.source("hq", "setting up HQ", error),
    };
    let meter = Meter::default();
    match hq.time_zone(&meter).await {
        Ok((zone, asked)) => clocks(config, &zone, asked, report),
        Err(error @ (source::Error::Unreachable { .. } | source::Error::TimedOut { .. })) => {
            return report.source("hq", "asking HQ for its time zone", error);
        }
        Err(error) => report.source("hq", "asking HQ for its time zone", error),
    }
    match hq.user(&meter).await {
        Ok(user) => report.ok("hq", format!("{} knows us as {user}", config.hq.url)),
        Err(error) => return report.source("hq", "logging in", error),
    }
    match hq.newest(DELETED_DOCUMENT, &[], "creation", None, &meter).await {
        Ok(_) => report.ok("hq", "the user may list Deleted Document, so deletes are noticed"),
        Err(source::Error::Forbidden { .. }) => report.note(
            "hq",
            "the user may not list Deleted Document: deletes at HQ stay unnoticed; give it read permission there",
        ),
        Err(error) => report.source("hq", "listing Deleted Document", error),
    }
    for job in &config.jobs {
        if let Err(error) = job_at_hq(&hq, job, &meter, report).await {
            report.source(&job.name, &format!("reading {}", job.doctype), error);
        }
    }
}

fn clocks(config: &Config, zone: &str, asked: Clocks, report: &mut Report) {
    let configured = config.hq.time_zone;
    let is_same = zone.parse().is_ok_and(|told| is_same_zone(configured, told, asked.hq));
    if is_same {
        report.ok("hq", format!("writes its stamps in {zone}, as hq.time_zone says"));
    } else {
        let configured = configured.name();
        let message = format!("hq.time_zone is {configured:?}, but HQ writes its stamps in {zone:?}: set it so");
        report.problem("hq", Exit::Blocked, message);
    }
    let apart = asked.hq - asked.outlet;
    if apart.abs() > CLOCK_TOLERANCE {
        let (seconds, which) =
            (apart.num_seconds(), if apart < chrono::Duration::zero() { "behind" } else { "ahead of" });
        let (hq, here) = (asked.hq.format("%Y-%m-%d %H:%M:%S UTC"), asked.outlet.format("%Y-%m-%d %H:%M:%S UTC"));
        report.note(
            "hq",
            format!(
                "HQ's clock ({hq}) is {} s {which} this machine's ({here}): set the one that is wrong; schedules go by \
                 this machine's, stamps by HQ's",
                seconds.abs()
            ),
        );
    }
}

async fn job_at_hq(hq: &Frappe, job: &Job, meter: &Meter, report: &mut Report) -> Result<(), source::Error> {
    let wanted = job.mapping.fields().names();
    let mut by_doctype: HashMap<String, Vec<Docfield>> = HashMap::new();
    // Without the field list a wrong name is still found, by HQ's refusal, only without a suggestion.
    if let Ok(fields) = hq.docfields(&job.doctype, meter).await {
        let is_known = unknown_fields(&job.name, &job.doctype, wanted, &fields, report);
        by_doctype.insert(job.doctype.clone(), fields);
        if !is_known {
            return Ok(());
        }
    }
    let page = hq.page(job, None, &mut PageSize::fixed(1), meter).await?.page;
    for child in job.mapping.children() {
        let doctype = hq.child_doctype(&job.doctype, &child.field, meter).await?;
        if let Ok(fields) = hq.docfields(&doctype, meter).await {
            unknown_fields(&job.name, &doctype, child.fields.names(), &fields, report);
        }
        let parents: Vec<&str> = page.marks().iter().map(|mark| mark.name.as_str()).collect();
        hq.children(job, &doctype, child, &parents, &mut PageSize::fixed(1), meter).await?;
    }
    let children = job.mapping.children().len();
    let with = if children == 0 {
        String::new()
    } else {
        format!(" and {}", output::count(children as u64, "child table", "child tables"))
    };
    report.ok(&job.name, format!("{}: {} fields{with} can be read", job.doctype, wanted.len()));
    Ok(())
}

/// Whether all of `wanted` are fields of the DocType; says which are not.
fn unknown_fields(job: &str, doctype: &str, wanted: &[String], fields: &[Docfield], report: &mut Report) -> bool {
    let known = || fields.iter().map(|field| field.fieldname.as_str()).chain(STANDARD_FIELDS);
    let unknown: Vec<&String> = wanted.iter().filter(|field| !known().any(|known| known == field.as_str())).collect();
    for field in &unknown {
        let hint = config::nearest(field, known()).map(|near| format!(", did you mean {near:?}?")).unwrap_or_default();
        report.problem(job, Exit::Blocked, format!("HQ's {doctype} has no field {field:?}{hint}"));
    }
    unknown.is_empty()
}

async fn local(config: &Config, report: &mut Report) {
    let store = match Store::open(&config.local).await {
        Ok(store) => store,
        Err(cause) => {
            return report.error("local", &Error::Store { step: "opening the local database".to_owned(), cause });
        }
    };
    report.ok("local", format!("{} answers", config.local.shown()));
    for job in &config.jobs {
        match store.inspect(job).await {
            Ok(findings) if findings.is_empty() => report.ok(&job.name, format!("table {} fits", job.table)),
            Ok(findings) => {
                for finding in findings {
                    report.problem(&job.name, Exit::Blocked, finding);
                }
            }
            Err(cause) => report.error(&job.name, &Error::Store { step: format!("table {}", job.table), cause }),
        }
    }
    store.close().await;
}
