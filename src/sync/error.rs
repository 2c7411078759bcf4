//! Why a run did not end well, and what that means for its status.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::instance::Foreign;
use super::restored::Setback;
use crate::quarantine::LIMIT;
use crate::record::Stamp;
use crate::retry::{Retry, Teller};
use crate::run::Status;
use crate::{source, store};

/// A run's end before its time. What was committed before stays and is right.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// HQ did not give what was asked for.
    #[error("{step}")]
    Source {
        /// What was being done.
        step: String,
        /// HQ's part.
        #[source]
        cause: source::Error,
    },
    /// The local database did not do what was asked.
    #[error("{step}")]
    Store {
        /// What was being done.
        step: String,
        /// The database's part.
        #[source]
        cause: store::Error,
    },
    /// What several jobs of a round asked for together was not had.
    #[error("{0}")]
    Shared(Arc<Error>),
    /// So many records cannot be taken that the mapping must be wrong.
    #[error("more than {LIMIT} records cannot be taken, the last of them {hq_name:?}: {reason}")]
    TooManyParked {
        /// HQ's `name` of one of them.
        hq_name: String,
        /// Why it cannot be taken.
        reason: String,
    },
    /// So many records wait for a decision that nobody will make them one by one.
    #[error("more than {} records wait for a decision, the last of them {hq_name:?}", crate::conflict::LIMIT)]
    TooManyWaiting {
        /// HQ's `name` of one of them.
        hq_name: String,
        /// The job.
        job: String,
    },
    /// More rows would go than the operator allows unasked.
    #[error(
        "{gone} of {rows} rows are gone at HQ or outside the filters now, more than delete_limit allows ({} rows and {} %); {}",
        .limit.rows, .limit.percent, kept(*.already)
    )]
    TooManyGone {
        /// Rows that would go.
        gone: u64,
        /// Rows that came from HQ.
        rows: u64,
        /// The job's limit.
        limit: crate::config::DeleteLimit,
        /// The job.
        job: String,
        /// Those that went in this run before the others were found.
        already: u64,
        /// The command that takes the operator's word.
        command: &'static str,
    },
    /// HQ counts records that it does not show: a permission was lost.
    #[error(
        "HQ has {hidden} records that it does not show to this user (it counts {counted} and shows {shown}): a lost \
         permission, not deletes; nothing was deleted"
    )]
    Hidden {
        /// Records that are hidden.
        hidden: u64,
        /// Records that HQ counts, of those that were asked about.
        counted: u64,
        /// Records of them that it shows.
        shown: u64,
        /// The job.
        job: String,
    },
    /// HQ's newest stamp is lower than what was seen, and HQ shows older versions than were taken.
    #[error(transparent)]
    WentBack(Box<Setback>),
    /// The outlet's database is not the one of last time.
    #[error(transparent)]
    Foreign(Foreign),
    /// A whole reading met no record although rows came from HQ before: a fault or a lost permission, more likely than
    /// an HQ that was emptied without a trace.
    #[error("HQ shows none of the {entries} records that it gave before; nothing was deleted")]
    Vanished {
        /// Records that came from HQ.
        entries: u64,
        /// The job.
        job: String,
    },
    /// Names that were asked for and that HQ does not show.
    #[error("HQ shows no record named {}", .0.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "))]
    NotAtHq(Vec<String>),
    /// `--since` would read nothing, and a watermark there would hide all that is stamped until then.
    #[error(
        "{0} lies ahead of HQ's clock: nothing is stamped after it, and a watermark there would hide every change until then"
    )]
    AheadOfHq(Stamp),
    /// Names that were asked for, that HQ has, and that the job's filters leave out.
    #[error("the job's filters leave out {}", .0.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "))]
    OutsideFilters(Vec<String>),
    /// Another process runs this job.
    #[error(
        "the job is being run by {}{}, which has until {} to say that it goes on",
        process(.holder), running_since(*.since), shown(*.until)
    )]
    Busy {
        /// Who holds the lease.
        holder: String,
        /// When its run started.
        since: Option<DateTime<Utc>>,
        /// When its lease ends if it does not go on.
        until: DateTime<Utc>,
    },
    /// A job that this one waits for did not end well.
    #[error("not started: it waits for job {0:?}, which did not end well")]
    Waits(String),
    /// milkrun was told to stop; the next run goes on from the last page.
    #[error("stopped before the end; the next run goes on from the last page")]
    Stopped,
}

/// Whose trouble an error is: what all jobs share needs to be told once, not once a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concern {
    /// HQ, or the line to it.
    Hq,
    /// The outlet's database.
    Database,
    /// This one job.
    Job,
    /// A job that this one waits for, which has said so itself.
    Predecessor,
    /// Nobody's: milkrun was told to stop.
    Stop,
}

/// `process 8505 on vm`, of a holder's `host/boot/namespace/pid/start`.
#[must_use]
pub fn process(holder: &str) -> String {
    match holder.split('/').collect::<Vec<_>>().as_slice() {
        [host, _, _, pid, _] => format!("process {pid} on {host}"),
        _ => holder.to_owned(),
    }
}

/// ` since …`, where it is known.
pub(super) fn running_since(since: Option<DateTime<Utc>>) -> String {
    since.map(|since| format!(" since {}", shown(since))).unwrap_or_default()
}

fn kept(already: u64) -> String {
    match already {
        0 => "none of them was deleted".to_owned(),
        1 => "one of them went before the others were found, these stay".to_owned(),
        some => format!("{some} of them went before the others were found, these stay"),
    }
}

fn shown(moment: DateTime<Utc>) -> impl std::fmt::Display {
    moment.format("%Y-%m-%d %H:%M:%S UTC")
}

impl Error {
    pub(crate) fn source(step: impl Into<String>) -> impl FnOnce(source::Error) -> Self {
        move |cause| Self::Source { step: step.into(), cause }
    }

    pub(crate) fn store(step: impl Into<String>) -> impl FnOnce(store::Error) -> Self {
        move |cause| Self::Store { step: step.into(), cause }
    }

    /// The status of a run that ends with this.
    #[must_use]
    pub fn status(&self) -> Status {
        let by_retry = |retry| match retry {
            Retry::Later(_) => Status::Failed,
            Retry::ByPerson => Status::Blocked,
        };
        match self {
            Self::Source { cause, .. } => by_retry(cause.retry()),
            Self::Store { cause, .. } => by_retry(cause.retry()),
            Self::Shared(error) => error.status(),
            Self::TooManyParked { .. }
            | Self::TooManyWaiting { .. }
            | Self::TooManyGone { .. }
            | Self::Hidden { .. }
            | Self::WentBack(_)
            | Self::Foreign(_)
            | Self::Vanished { .. } => Status::Blocked,
            Self::NotAtHq(_)
            | Self::OutsideFilters(_)
            | Self::AheadOfHq(_)
            | Self::Busy { .. }
            | Self::Waits(_)
            | Self::Stopped => Status::Failed,
        }
    }

    /// Whose trouble it is.
    #[must_use]
    pub fn concern(&self) -> Concern {
        match self {
            Self::Source { cause, .. } => match cause {
                source::Error::Unreachable { .. }
                | source::Error::Certificate { .. }
                | source::Error::ClientCertificate { .. }
                | source::Error::TimedOut { .. }
                | source::Error::Busy { .. }
                | source::Error::Broken { .. }
                | source::Error::Unreadable(_)
                | source::Error::CutOff { .. }
                | source::Error::WrongScheme { .. }
                | source::Error::Maintenance { .. }
                | source::Error::Down { .. }
                | source::Error::NotYet { .. }
                | source::Error::Unauthorized { .. }
                | source::Error::Redirected { .. } => Concern::Hq,
                source::Error::TooLarge { .. }
                | source::Error::Forbidden { .. }
                | source::Error::Unknown { .. }
                | source::Error::ChildTable { .. }
                | source::Error::Refused { .. }
                | source::Error::Page(_)
                | source::Error::Stuck { .. } => Concern::Job,
            },
            Self::Store { cause, .. } => match cause {
                store::Error::Unavailable(_)
                | store::Error::Full(_)
                | store::Error::Denied(_)
                | store::Error::Absent { .. }
                | store::Error::Damaged(_)
                | store::Error::Migrate(_) => Concern::Database,
                store::Error::Schema(_) | store::Error::Refused { .. } | store::Error::Lost { .. } => Concern::Job,
            },
            Self::Shared(error) => error.concern(),
            Self::Foreign(_) => Concern::Database,
            Self::Waits(_) => Concern::Predecessor,
            Self::Stopped => Concern::Stop,
            Self::TooManyParked { .. }
            | Self::TooManyWaiting { .. }
            | Self::TooManyGone { .. }
            | Self::Hidden { .. }
            | Self::WentBack(_)
            | Self::Vanished { .. }
            | Self::NotAtHq(_)
            | Self::OutsideFilters(_)
            | Self::AheadOfHq(_)
            | Self::Busy { .. } => Concern::Job,
        }
    }

    /// The operator's next step, and what comes by itself.
    #[must_use]
    pub fn remedy(&self, teller: Teller) -> String {
        let later = || teller.or("nothing to do; milkrun tries again on schedule", "run the command again");
        match self {
            Self::Source { cause, .. } => cause.remedy(teller),
            Self::Store { cause, .. } => match (cause.remedy(), cause.retry()) {
                (Some(remedy), _) => remedy.to_owned(),
                (None, Retry::Later(_)) => later(),
                (None, Retry::ByPerson) => "do what it says; `milkrun check` tells when it fits".to_owned(),
            },
            Self::Shared(error) => error.remedy(teller),
            Self::TooManyWaiting { job, .. } => format!(
                "give the job another rule than \"manual\" for now, or decide: `milkrun conflicts list {job}`, then \
                 `milkrun conflicts resolve ID… --take hq|local`"
            ),
            Self::TooManyParked { .. } => {
                "let the mapping take them (`default`, another `type`, another `key`); the run goes on from this page"
                    .to_owned()
            }
            Self::TooManyGone { job, command, .. } => {
                format!("if they are to go, say so: `milkrun {command} {job} --confirm-deletes`")
            }
            Self::Hidden { job, .. } => format!(
                "give the user back what it may no longer see (roles, User Permissions); if the rows are to go all the \
                 same, say so: `milkrun reconcile {job} --confirm-deletes`"
            ),
            Self::Foreign(_) => {
                "see that local.url names this outlet's own database; if it is to be this outlet's from \
                                 now on, say so: `milkrun sync --confirm-database`, which reads everything again"
                    .to_owned()
            }
            Self::WentBack(setback) => format!(
                "see whether HQ was restored from a backup, or hq.url is another site; if it is to be taken as it is now, \
                 say so: `milkrun reconcile {} --confirm-restore`",
                setback.job
            ),
            Self::Vanished { job, .. } => format!(
                "see whether hq.url is your HQ and the user may still read the DocType; if HQ was really emptied, say \
                 so: `milkrun reconcile {job} --confirm-deletes`"
            ),
            Self::NotAtHq(_) => "check the names; a deleted record goes by its tombstone".to_owned(),
            Self::AheadOfHq(_) => "give a moment that has been, in HQ's wall time".to_owned(),
            Self::OutsideFilters(_) => "change the record at HQ, or the job's filters, if it belongs here".to_owned(),
            Self::Busy { holder, .. } => match teller {
                Teller::Daemon => format!(
                    "nothing to do if that is a command; milkrun tries again on schedule. If it is another daemon, end one of \
                     the two ({})",
                    process(holder)
                ),
                Teller::Command => "run the command again when it has ended".to_owned(),
            },
            Self::Waits(job) => format!("see `milkrun runs {job}`"),
            Self::Stopped => "nothing to do".to_owned(),
        }
    }

    /// The sentence with all its causes.
    #[must_use]
    pub fn chain(&self) -> String {
        if let Self::Shared(error) = self {
            return error.chain();
        }
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let sentence = error.to_string();
            // A transparent variant repeats its cause.
            if !text.ends_with(&sentence) {
                text.push_str(": ");
                text.push_str(&sentence);
            }
            cause = error.source();
        }
        text
    }
}
