//! What the values mean together, and the checked form made of them.
//!
//! Each value by itself was judged by the walk already; a missing one is `None` here and was reported there.

mod between;
mod examples;
mod fields;
mod filters;
mod hq;
mod job;
mod lookups;
mod rules;
pub(super) mod tls;

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use super::findings::Findings;
use super::path::Path;
use super::raw::{Raw, RawDaemon, RawSite};
use super::said::{Code, Said};
use super::{Config, Daemon, Local, Site, url};

/// Wide enough that a thousand outlets on one cron minute come as 33 a second, short enough that nobody waits for it.
const DEFAULT_SPLAY: Duration = Duration::from_secs(30);

/// Makes the checked form; `None` where something is missing. Problems go to `findings`.
pub(super) fn file(raw: Raw, folder: &FilePath, findings: &mut Findings<'_>) -> Option<Config> {
    let site = site(raw.site);
    let local = raw.local.url.as_deref().and_then(|url| local(url, folder, findings));
    let daemon = daemon(&raw.daemon);
    let hq_zone = raw.hq.time_zone;
    let hq = hq::hq(raw.hq, folder, findings);
    between::jobs(&raw.job, findings);
    lookups::lookups(&raw.job, findings);
    let names: Vec<Option<String>> = raw.job.iter().map(|job| job.name.clone()).collect();
    if raw.job.is_empty() && !findings.is_damaged(&Path::of(["job"])) {
        let said = Said::new(Code::MissingKey, "there is no [[job]], so nothing would be synced");
        findings.at_value(&Path::of(["job"]), said.help("each DocType that is to be synced is a [[job]]"));
    }
    let numbered = raw.job.into_iter().enumerate();
    let jobs: Vec<Option<super::Job>> =
        numbered.map(|(index, raw)| job::job(raw, index, &names, hq_zone, findings)).collect();
    Some(Config {
        site: site?,
        hq: hq?,
        local: local?,
        daemon,
        jobs: jobs.into_iter().map(|job| job.map(Arc::new)).collect::<Option<_>>()?,
        doubts: Vec::new(),
    })
}

fn site(raw: RawSite) -> Option<Site> {
    Some(Site { name: raw.name?, time_zone: raw.time_zone? })
}

fn local(text: &str, folder: &FilePath, findings: &mut Findings<'_>) -> Option<Local> {
    match url::local(text, folder) {
        Ok(local) => Some(local),
        Err(fault) => {
            findings.at_value(&Path::of(["local", "url"]), fault.said("the value", false));
            None
        }
    }
}

fn daemon(raw: &RawDaemon) -> Daemon {
    Daemon { listen: raw.listen, splay: raw.splay.map_or(DEFAULT_SPLAY, |time| time.0) }
}
