//! `milkrun init`: a sync.toml from HQ's own field lists, or more jobs for the one that is there.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `setting.rs` | what was typed, and what the machine and HQ say where nothing was |
//! | `finding.rs` | the DocTypes at HQ, or why one of them cannot be a job |
//! | `file.rs` | the file: made whole or not at all, or lengthened without a touched byte |

mod file;
mod finding;
mod setting;

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Exit;
use super::output::{self, Output};
use crate::clock::Clock;
use crate::config::{self, Config, Environment};
use crate::scaffold::{self, Present, PresentJob};
use crate::source::Meter;
use crate::source::frappe::Frappe;
use crate::sync::Error;

use self::finding::Refusal;
use self::setting::Setting;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// HQ's DocTypes, as HQ spells them: "Item Price"
    #[arg(value_name = "DOCTYPE", required = true)]
    doctypes: Vec<String>,
    /// HQ's address; needed for a new file
    #[arg(long, value_name = "URL")]
    hq: Option<String>,
    /// The file to write, in place of --config's
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The outlet's name; this machine's where it is left out
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// The outlet's time zone; this machine's, or HQ's, where it is left out
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// The outlet's database
    #[arg(long, value_name = "URL", default_value = "sqlite://outlet.db")]
    local: String,
    #[arg(
        long,
        value_name = "PLACE",
        default_value = "${HQ_API_KEY}",
        help = "Where the API key is read from: ${NAME} or ${file:PATH}"
    )]
    api_key: String,
    /// Where the API secret is read from
    #[arg(long, value_name = "PLACE", default_value = "${HQ_API_SECRET}")]
    api_secret: String,
    /// A PEM file with the certificates of a private CA
    #[arg(long, value_name = "FILE")]
    ca: Option<String>,
}

/// What was written.
#[derive(Debug, Serialize)]
struct Told {
    file: String,
    is_new: bool,
    hq: String,
    user: String,
    jobs: Vec<ToldJob>,
    notes: Vec<String>,
    next: &'static str,
}

#[derive(Debug, Serialize)]
struct ToldJob {
    name: String,
    doctype: String,
    table: String,
    columns: usize,
    after: Vec<String>,
    children: Vec<ToldChild>,
    left_out: Vec<ToldField>,
}

#[derive(Debug, Serialize)]
struct ToldChild {
    table: String,
    columns: usize,
}

#[derive(Debug, Serialize)]
struct ToldField {
    field: String,
    reason: String,
}

/// What to do once the file is there.
const NEXT: &str = "milkrun check, then milkrun sync --dry-run";

pub(super) async fn run(options: &Options, config: &Path, output: &Output) -> anyhow::Result<Exit> {
    let path = options.output.as_deref().unwrap_or(config);
    let environment: Environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    match file::read(path)? {
        Some(text) => add(options, path, &text, &environment, output).await,
        None => create(options, path, &environment, output).await,
    }
}

/// A new file.
async fn create(options: &Options, path: &Path, environment: &Environment, output: &Output) -> anyhow::Result<Exit> {
    let folder = file::folder(path);
    let (mut setting, mut notes) = setting::of(options, path)?;
    let config = setting::probe(&setting, &folder, environment)?;
    let (hq, meter) = (connect(&config)?, Meter::default());
    let user = log_in(&hq, options, &meter).await?;
    let (zone, _) = hq.time_zone(&meter).await.map_err(at("asking HQ for its time zone"))?;
    setting.take_hq_zone(&zone, &mut notes)?;
    let found = match finding::find(&hq, &options.doctypes, &user, &meter).await? {
        Ok(found) => found,
        Err(refusals) => return refused(&refusals, output),
    };
    let jobs = scaffold::jobs(&found, &Present::default(), &user);
    let head = scaffold::head(&setting.head());
    let text = format!("{head}{}", scaffold::text(&jobs));
    // What is written has to be what `check` takes; anything else is a fault of this program, and nothing is written.
    config::parse(&path.display().to_string(), &text, &folder, environment)?;
    file::create(path, &text)?;
    let told = Told::of(path, true, &config, user, &jobs, notes);
    tell(&told, output)
}

/// More jobs for a file that is there.
async fn add(
    options: &Options,
    path: &Path,
    text: &str,
    environment: &Environment,
    output: &Output,
) -> anyhow::Result<Exit> {
    let folder = file::folder(path);
    let name = path.display().to_string();
    let config = setting::probe_file(&name, text, &folder, environment)?;
    if let Some(url) = &options.hq
        && setting::full_url(url).trim_end_matches('/') != config.hq.url
    {
        let message = format!(
            "{name} exists, and its hq.url is {}: leave --hq out to add jobs to it, or name another file with --output",
            config.hq.url
        );
        return Err(output::Usage(message).into());
    }
    let present = present(&config);
    let has = |doctype: &String| present.jobs.iter().find(|job| job.doctype.eq_ignore_ascii_case(doctype));
    let doubles: Vec<Refusal> = options
        .doctypes
        .iter()
        .filter_map(|doctype| Some(Refusal::double(doctype, &has(doctype)?.name, &name)))
        .collect();
    if !doubles.is_empty() {
        return refused(&doubles, output);
    }
    let (hq, meter) = (connect(&config)?, Meter::default());
    let user = log_in(&hq, options, &meter).await?;
    let found = match finding::find(&hq, &options.doctypes, &user, &meter).await? {
        Ok(found) => found,
        Err(refusals) => return refused(&refusals, output),
    };
    let jobs = scaffold::jobs(&found, &present, &user);
    let longer = file::lengthened(text, &scaffold::text(&jobs));
    if config::parse(&name, &longer, &folder, environment).is_err() {
        let message = format!(
            "{name} cannot be lengthened (perhaps its jobs stand in one line, `job = […]`): write them as [[job]], or \
             have a file of its own made with --output"
        );
        return Err(output::Usage(message).into());
    }
    file::replace(path, text, &longer)?;
    let notes = linked(&hq, &present, &jobs, &meter).await;
    let told = Told::of(path, false, &config, user, &jobs, notes);
    tell(&told, output)
}

/// Which jobs of the file have links to the new ones: they are not touched, so what they lack is said.
async fn linked(hq: &Frappe, present: &Present, jobs: &[scaffold::Job], meter: &Meter) -> Vec<String> {
    let mut notes = Vec::new();
    for before in &present.jobs {
        // One that HQ does not describe is `check`'s to speak of.
        let Ok(doctype) = hq.doctype(&before.doctype, meter).await else { continue };
        let is_linked =
            |job: &&scaffold::Job| doctype.fields.iter().any(|field| field.links_to() == Some(&job.doctype));
        for job in jobs.iter().filter(is_linked).filter(|job| !job.after.contains(&before.name)) {
            notes.push(format!("{} links to {}: give it after = [{:?}], too", before.name, job.doctype, job.name));
        }
    }
    notes
}

/// The jobs of the file; the last is not its own but the one that it was probed with.
fn present(config: &Config) -> Present {
    let jobs = config.jobs.split_last().map(|(_probe, jobs)| jobs).unwrap_or_default();
    let job = |job: &std::sync::Arc<config::Job>| PresentJob {
        name: job.name.clone(),
        doctype: job.doctype.clone(),
        table: job.table.clone(),
        schedule: job.schedule.text.clone(),
    };
    let tables = jobs.iter().flat_map(|job| job.mapping.children()).map(|child| child.table.clone());
    Present { jobs: jobs.iter().map(job).collect(), tables: tables.collect() }
}

fn connect(config: &Config) -> anyhow::Result<Frappe> {
    Ok(Frappe::new(&config.hq, &config.site.name, Clock::system()).map_err(at("setting up HQ"))?)
}

async fn log_in(hq: &Frappe, options: &Options, meter: &Meter) -> anyhow::Result<String> {
    use crate::source::Error as Cause;
    match hq.user(meter).await {
        Ok(user) => Ok(user),
        // Frappe 14 takes a wrong secret for nobody's, who may not ask.
        Err(Cause::Unauthorized { .. } | Cause::Forbidden { .. }) => {
            let Options { api_key, api_secret, .. } = options;
            Err(output::Refused {
                exit: Exit::Blocked,
                message: "HQ refused the credentials".to_owned(),
                remedy: format!(
                    "check {api_key} and {api_secret}: the pair of an enabled user (at HQ the user's page, API Access, \
                     Generate Keys)"
                ),
            }
            .into())
        }
        Err(Cause::Unknown { .. }) => Err(output::Refused {
            exit: Exit::Blocked,
            message: "what answers at HQ's address is no Frappe".to_owned(),
            remedy: "check the address: it is what stands before /app in the browser, https://hq.example.com"
                .to_owned(),
        }
        .into()),
        Err(cause) => Err(at("logging in at HQ")(cause).into()),
    }
}

fn at(step: &'static str) -> impl Fn(crate::source::Error) -> Error {
    move |cause| Error::Source { step: step.to_owned(), cause }
}

/// Nothing was written; all reasons at once.
fn refused(refusals: &[Refusal], output: &Output) -> anyhow::Result<Exit> {
    let exit = refusals.iter().map(|refusal| refusal.exit).max_by_key(|exit| *exit == Exit::Blocked);
    output.refusals(refusals, || {
        let line = |refusal: &Refusal| format!("error: {}\n  do: {}\n", refusal.message, refusal.remedy);
        refusals.iter().map(line).collect()
    })?;
    Ok(exit.unwrap_or(Exit::Usage))
}

impl Told {
    fn of(
        path: &Path,
        is_new: bool,
        config: &Config,
        user: String,
        jobs: &[scaffold::Job],
        notes: Vec<String>,
    ) -> Self {
        let job = |job: &scaffold::Job| ToldJob {
            name: job.name.clone(),
            doctype: job.doctype.clone(),
            table: job.table.clone(),
            columns: job.columns(),
            after: job.after.clone(),
            children: job.children().map(|(table, columns)| ToldChild { table: table.to_owned(), columns }).collect(),
            left_out: job.left_out().map(|(field, reason)| ToldField { field, reason }).collect(),
        };
        Self {
            file: path.display().to_string(),
            is_new,
            hq: config.hq.url.clone(),
            user,
            jobs: jobs.iter().map(job).collect(),
            notes,
            next: NEXT,
        }
    }

    fn text(&self) -> String {
        let jobs = output::count(self.jobs.len() as u64, "job", "jobs");
        let what = if self.is_new { "written with" } else { "lengthened by" };
        let mut text = format!("{} {what} {jobs}, from {} as {}\n", self.file, self.hq, self.user);
        for job in &self.jobs {
            let columns = output::count(job.columns as u64, "column", "columns");
            text.push_str(&format!("\n  {} ({}): {columns}", job.name, job.doctype));
            for child in &job.children {
                text.push_str(&format!(", {} with {}", child.table, child.columns));
            }
            if !job.after.is_empty() {
                text.push_str(&format!("; after {}", job.after.join(", ")));
            }
            let mut reasons: Vec<&str> = Vec::new();
            for left in &job.left_out {
                if !reasons.contains(&left.reason.as_str()) {
                    reasons.push(&left.reason);
                }
            }
            for reason in reasons {
                let of_reason = job.left_out.iter().filter(|left| left.reason == reason);
                let fields: Vec<&str> = of_reason.map(|left| left.field.as_str()).collect();
                text.push_str(&format!("\n    without {}: {reason}", fields.join(", ")));
            }
        }
        for note in &self.notes {
            text.push_str(&format!("\n\nnote: {note}"));
        }
        text.push_str(&format!("\n\nnext: {}", self.next));
        text
    }
}

fn tell(told: &Told, output: &Output) -> anyhow::Result<Exit> {
    output.result(told, || told.text())?;
    Ok(Exit::Ok)
}

impl Setting {
    fn head(&self) -> scaffold::Head<'_> {
        scaffold::Head {
            site: &self.site,
            site_zone: &self.site_zone,
            url: &self.url,
            api_key: &self.api_key,
            api_secret: &self.api_secret,
            ca: self.ca.as_deref(),
            hq_zone: &self.hq_zone,
            local: &self.local,
        }
    }
}
