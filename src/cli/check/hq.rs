//! HQ as a whole: does it answer, what time is it there, as whom does it know us, does it show deletes?

use super::job;
use super::report::Report;
use crate::cli::Exit;
use crate::clock::Clock;
use crate::config::Config;
use crate::source::frappe::{DELETED_DOCUMENT, Frappe};
use crate::source::{self, Meter, in_clear};
use crate::sync::clocks::{CLOCK_TOLERANCE, is_same_zone};
use crate::sync::{Concern, Error};
use crate::watermark::Clocks;

/// Looks at HQ and then at each job there; whether it answers us. Where it cannot be reached or does not know us, the rest is
/// not asked.
pub(super) async fn look(config: &Config, report: &mut Report) -> bool {
    if in_clear::is_to_be_said(&config.hq) {
        report.note("hq", format!("{}; {}", in_clear::IN_CLEAR, in_clear::REMEDY));
    }
    let hq = match Frappe::new(&config.hq, &config.site.name, Clock::system()) {
        Ok(hq) => hq,
        Err(error) => {
            report.source("hq", "setting up HQ", error);
            return false;
        }
    };
    let meter = Meter::default();
    match hq.time_zone(&meter).await {
        Ok((zone, asked)) => clocks(config, &zone, asked, report),
        Err(error) => {
            if let Some(address) = before_desk(&config.hq.url) {
                let message = format!("hq.url ends in /app, which is HQ's desk; write {address:?}");
                report.problem("hq", Exit::Blocked, message);
                return false;
            }
            let error = Error::Source { step: "asking HQ for its time zone".to_owned(), cause: error };
            report.error("hq", &error);
            // The next question would meet the same.
            if error.concern() == Concern::Hq || is_no_frappe(&error) {
                return false;
            }
        }
    }
    match hq.user(&meter).await {
        Ok(user) => report.ok("hq", format!("{} knows us as {user}", config.hq.url)),
        // Frappe 14 takes a wrong secret for nobody's, who may not ask.
        Err(source::Error::Forbidden { .. }) => {
            report.source("hq", "logging in", source::Error::Unauthorized { status: 403 });
            return false;
        }
        Err(error) => {
            report.source("hq", "logging in", error);
            return false;
        }
    }
    match hq.newest(DELETED_DOCUMENT, &[], "creation", None, &meter).await {
        Ok(_) => report.ok("hq", "the user may list Deleted Document, so deletes are noticed"),
        Err(source::Error::Forbidden { .. }) => report.note(
            "hq",
            "the user may not list Deleted Document: deletes at HQ stay unnoticed until a reconcile; give it read \
             permission there",
        ),
        Err(error) => report.source("hq", "listing Deleted Document", error),
    }
    for job in &config.jobs {
        let mut fields = Report::default();
        // What keeps all of the DocType from being read comes before what is wrong with a field of it.
        if let Err(error) = job::look(&hq, job, &meter, &mut fields).await {
            report.source(&job.name, &format!("reading {}", job.doctype), error);
        }
        report.append(fields);
    }
    true
}

/// HQ's address, where `url` is that of its desk as it stands in a browser.
fn before_desk(url: &str) -> Option<&str> {
    url.trim_end_matches('/').strip_suffix("/app")
}

/// Whether what answers knows not even the questions that any Frappe answers.
fn is_no_frappe(error: &Error) -> bool {
    matches!(error, Error::Source { cause: source::Error::Unknown { .. }, .. })
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
