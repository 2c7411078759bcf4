//! For `milkrun plan`: what HQ would refuse a job that is new or changed.

use super::job;
use super::report::Report;
use crate::clock::Clock;
use crate::config::Config;
use crate::source::Meter;
use crate::source::frappe::Frappe;
use crate::sync::{Concern, Error, Plan, What};

/// Asks HQ about the jobs that are new or changed, and adds to what a plan needs what would block its next run.
///
/// # Errors
/// HQ answers nobody, or not us.
pub(in crate::cli) async fn look_at_edits(config: &Config, plans: &mut [Plan]) -> Result<(), Error> {
    let is_edited = |plan: &Plan| matches!(plan.what, What::New | What::Changed);
    if !plans.iter().any(is_edited) {
        return Ok(());
    }
    let hq = Frappe::new(&config.hq, &config.site.name, Clock::system()).map_err(Error::source("setting up HQ"))?;
    let meter = Meter::default();
    for plan in plans.iter_mut().filter(|plan| is_edited(plan)) {
        let Some(job) = config.jobs.iter().find(|job| job.name == plan.job) else { continue };
        let mut report = Report::default();
        let looked = job::look(&hq, job, &meter, &mut report).await;
        match looked.map_err(Error::source(format!("reading {}", job.doctype))) {
            Ok(()) => {}
            Err(error) if error.concern() == Concern::Hq => return Err(error),
            Err(error) => report.error(&job.name, &error),
        }
        plan.needs.extend(report.problems());
    }
    Ok(())
}
