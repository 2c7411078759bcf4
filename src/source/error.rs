//! What can go wrong at HQ, cut by what is to be done about it.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::gate::Why;
use crate::record::BadPage;
use crate::retry::{Retry, Teller};

/// What HQ was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A connection, TLS included.
    Connect,
    /// The first byte of its answer.
    FirstByte,
    /// The next piece of its answer.
    NextPiece,
    /// The end of its answer, although pieces kept coming.
    Whole,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "accept a connection",
            Self::FirstByte => "begin to answer",
            Self::NextPiece => "go on with its answer",
            Self::Whole => "come to the end of its answer",
        })
    }
}

/// Whether an error tells that HQ is down altogether, or only that one question was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outage {
    /// HQ itself has answered.
    No,
    /// Nothing: the line broke off, or what answered was not understood.
    Untold,
    /// One question too heavy for it looks the same; a `ping` tells.
    Perhaps,
    /// Nobody is served.
    Surely,
}

/// The step of [`Error::Unreachable`] before there is a connection.
pub(super) const CONNECTING: &str = "connecting";

/// An answer that was not had, or cannot be used. Nothing of it was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or one that broke before an answer began: the line, DNS, HQ or its proxy is down.
    #[error("HQ cannot be reached ({step})")]
    Unreachable {
        /// What was being done.
        step: &'static str,
        /// The transport's own error.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The connection broke in the middle of an answer.
    #[error("HQ's answer broke off")]
    CutOff {
        /// The transport's own error.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// HQ's certificate was not accepted.
    #[error("HQ's certificate was not accepted")]
    Certificate {
        /// The TLS library's own error.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// HTTP where TLS was spoken, or the other way round.
    #[error("what answers at hq.url does not speak {expected}")]
    WrongScheme {
        /// What `hq.url` says: `https`, or plain `http`.
        expected: &'static str,
    },
    /// HQ wants a certificate of its clients, and was shown none or one that it does not accept.
    #[error("HQ did not accept this outlet's client certificate, or wants one and was shown none")]
    ClientCertificate {
        /// The TLS library's own error.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// HQ took too long.
    #[error("HQ did not {stage} within {} s", .limit.as_secs_f32())]
    TimedOut {
        /// What was waited for.
        stage: Stage,
        /// How long was waited.
        limit: Duration,
    },
    /// HQ was found to be down a moment ago; nothing was sent.
    #[error("HQ is down since {} UTC, last: {last}", clock(.since))]
    Down {
        /// When it was found to be down.
        since: DateTime<Utc>,
        /// What its last answer was.
        last: String,
        /// Before which moment nothing is sent.
        probe_at: DateTime<Utc>,
    },
    /// No request is welcome for longer than a run may wait; nothing was sent.
    #[error("{} {} UTC", welcome(.why), clock(.until))]
    NotYet {
        /// Why.
        why: Why,
        /// Before which moment nothing is sent.
        until: DateTime<Utc>,
    },
    /// HQ is down for maintenance (recordings 880-885).
    #[error("HQ is down for maintenance (HTTP 503, {exc_type})")]
    Maintenance {
        /// Frappe's exception class.
        exc_type: String,
        /// `Retry-After`, where sent.
        after: Option<Duration>,
    },
    /// HQ or a proxy asks to wait: 429, or 503 (recording 871).
    #[error("HQ asks to wait (HTTP {status}{})", .after.map(|after| format!(", Retry-After {} s", after.as_secs())).unwrap_or_default())]
    Busy {
        /// The HTTP status.
        status: u16,
        /// `Retry-After`, where sent.
        after: Option<Duration>,
    },
    /// HQ or a proxy before it failed.
    #[error("HQ failed (HTTP {status}{})", named(.exc_type))]
    Broken {
        /// The HTTP status.
        status: u16,
        /// Frappe's exception class, where the answer came from Frappe.
        exc_type: Option<String>,
    },
    /// The answer is no JSON of the expected shape: a proxy's page, a login form, a cut answer.
    #[error("HQ's answer cannot be read: {0}")]
    Unreadable(String),
    /// The answer is larger than milkrun takes at once.
    #[error("HQ's answer is larger than {} MiB", .limit >> 20)]
    TooLarge {
        /// The bound, in bytes.
        limit: usize,
    },
    /// The credentials were refused (recordings 801-807).
    #[error("HQ refused the credentials (HTTP {status})")]
    Unauthorized {
        /// The HTTP status.
        status: u16,
    },
    /// The user may not read this (recordings 810 and 705).
    #[error("the user at HQ may not read {what}")]
    Forbidden {
        /// What was asked for.
        what: String,
    },
    /// There is no such DocType or API path at this address (recordings 820 and 824).
    #[error("HQ knows no {what}")]
    Unknown {
        /// What was asked for.
        what: String,
    },
    /// A child table was asked for as if it were a list.
    #[error("{doctype} is a child table: its rows come with its parent's records, and no list has them")]
    ChildTable {
        /// Its DocType.
        doctype: String,
        /// A DocType that has it, and in which field; where HQ tells.
        parent: Option<(String, String)>,
    },
    /// HQ refused the request itself: an unknown field, a bad filter (recordings 837-853). The same request will be
    /// refused again.
    #[error("HQ refused the request for {what} (HTTP {status}{}): {message}", named(.exc_type))]
    Refused {
        /// What was asked for.
        what: String,
        /// The HTTP status.
        status: u16,
        /// Frappe's exception class.
        exc_type: Option<String>,
        /// The last line of Frappe's exception.
        message: String,
    },
    /// HQ answered with a redirect, which milkrun does not follow: credentials would go along.
    #[error("HQ redirects to {to}")]
    Redirected {
        /// Where to.
        to: String,
    },
    /// A list lacks fields, or a record its stamp.
    #[error(transparent)]
    Page(#[from] BadPage),
    /// A full page ended where it began; reading on would never end.
    #[error("HQ sent the page after {mark} again instead of the next one")]
    Stuck {
        /// Where the page was asked from.
        mark: String,
    },
}

fn named(exc_type: &Option<String>) -> String {
    exc_type.as_ref().map(|class| format!(", {class}")).unwrap_or_default()
}

/// A moment as messages show it.
fn clock(moment: &DateTime<Utc>) -> impl fmt::Display + use<> {
    moment.format("%Y-%m-%d %H:%M:%S")
}

fn welcome(why: &Why) -> &'static str {
    match why {
        Why::Budget => "HQ's time budget is used up until",
        Why::Share => "this outlet's share of HQ's time budget is used up until",
        Why::Asked | Why::Down(_) => "HQ asked for no request before",
    }
}

impl Error {
    /// Whether the same may succeed later by itself.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Busy { after, .. } | Self::Maintenance { after, .. } => Retry::Later(*after),
            Self::Unreachable { .. }
            | Self::CutOff { .. }
            | Self::Down { .. }
            | Self::NotYet { .. }
            | Self::TimedOut { .. }
            | Self::Broken { .. }
            | Self::Unreadable(_)
            | Self::Stuck { .. }
            // A captive portal's login goes away by itself; a moved HQ shows its remedy until somebody follows it.
            | Self::Redirected { .. }
            | Self::Page(BadPage::Shape(_) | BadPage::Damaged(_)) => Retry::Later(None),
            Self::Certificate { .. }
            | Self::WrongScheme { .. }
            | Self::ClientCertificate { .. }
            | Self::TooLarge { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::Unknown { .. }
            | Self::ChildTable { .. }
            | Self::Refused { .. }
            | Self::Page(BadPage::Missing(_) | BadPage::Width { .. } | BadPage::Record { .. }) => Retry::ByPerson,
        }
    }

    /// Whether it is worth sending the same request again within seconds. A redirect stays for longer than that, and
    /// names its remedy.
    pub(super) fn is_worth_repeating(&self) -> bool {
        let is_lasting = matches!(self, Self::Redirected { .. } | Self::Down { .. } | Self::NotYet { .. });
        matches!(self.retry(), Retry::Later(_)) && !is_lasting
    }

    /// Whether a smaller question may be answered where this one was not: one that took too long, that was too large on
    /// the way, or that cost HQ's worker its life (a 502 of the proxy before it).
    pub(super) fn asks_for_less(&self) -> bool {
        let is_late = matches!(self, Self::TimedOut { stage, .. } if *stage != Stage::Connect);
        let is_heavy = matches!(self, Self::Broken { status, exc_type }
            if matches!(status, 502 | 504) || exc_type.as_deref() == Some("QueryTimeoutError"));
        is_late || is_heavy || matches!(self, Self::CutOff { .. }) || self.is_too_large()
    }

    /// Whether the size alone was at fault: the same question will never be answered.
    pub(super) fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::Refused { status: 413, .. })
    }

    /// What it tells about HQ as a whole.
    pub(super) fn outage(&self) -> Outage {
        match self {
            Self::TimedOut { stage: Stage::Connect, .. }
            | Self::Unreachable { step: CONNECTING, .. }
            | Self::Maintenance { .. }
            | Self::Busy { status: 503, .. } => Outage::Surely,
            Self::Unreachable { .. }
            | Self::TimedOut { stage: Stage::FirstByte, .. }
            | Self::Broken { status: 502 | 504, .. }
            | Self::Unreadable(_) => Outage::Perhaps,
            Self::CutOff { .. }
            | Self::Certificate { .. }
            | Self::ClientCertificate { .. }
            | Self::WrongScheme { .. }
            | Self::TimedOut { .. }
            | Self::Down { .. }
            | Self::NotYet { .. } => Outage::Untold,
            Self::Busy { .. }
            | Self::Broken { .. }
            | Self::TooLarge { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::Unknown { .. }
            | Self::ChildTable { .. }
            | Self::Refused { .. }
            | Self::Redirected { .. }
            | Self::Page(_)
            | Self::Stuck { .. } => Outage::No,
        }
    }

    /// Whether HQ was waited for in vain.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::TimedOut { .. })
    }

    /// The sentence with all its causes.
    pub(super) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        text
    }

    /// The operator's next step, and what comes by itself.
    #[must_use]
    pub fn remedy(&self, teller: Teller) -> String {
        let person = |step: &str| step.to_owned();
        match self {
            Self::Unreachable { .. } => teller.again("check the line and hq.url"),
            Self::CutOff { .. } => teller.or(
                "check the line; milkrun asks for less at once, and tries again on schedule",
                "check the line, then run the command again",
            ),
            Self::WrongScheme { expected: "https" } => person(
                "it speaks plain HTTP: if HQ has no TLS there, begin hq.url with http:// (only in a network you trust); \
                 else check its port",
            ),
            Self::WrongScheme { .. } => person("it speaks TLS: begin hq.url with https://, or check its port"),
            Self::Down { probe_at, .. } => match teller {
                Teller::Daemon => format!(
                    "nothing to do but to bring HQ back; milkrun asks it again by itself, next at {} UTC, and `milkrun sync` \
                     does at once",
                    clock(probe_at)
                ),
                Teller::Command => person("bring HQ back, then run the command again"),
            },
            Self::NotYet { why, .. } => {
                let now = teller.or("nothing to do; milkrun goes on then", "run the command again then");
                let falling = "If it keeps falling behind, raise";
                match why {
                    Why::Share => format!("{now}. {falling} hq.budget_share"),
                    Why::Budget | Why::Asked | Why::Down(_) => format!("{now}. {falling} HQ's rate limit"),
                }
            }
            Self::Maintenance { .. } => {
                teller.or("nothing to do; milkrun goes on when HQ is back", "run the command again when HQ is back")
            }
            Self::Certificate { .. } => person(
                "check hq.url, this machine's clock, and the certificate at HQ; a private CA is named by hq.tls.ca",
            ),
            Self::ClientCertificate { .. } => person(
                "set hq.tls.client_cert and hq.tls.client_key to a pair that HQ accepts; one that has expired is renewed at \
                 HQ",
            ),
            Self::TimedOut { stage: Stage::Connect, .. } => {
                teller.again("check the line and hq.url (host, port, https:// or http://)")
            }
            Self::TimedOut { .. } => teller.or(
                "milkrun asks for less at once, and tries again on schedule; if it stays, raise hq.timeout",
                "run the command again; if it stays, raise hq.timeout",
            ),
            Self::Busy { .. } => teller
                .or("nothing to do; milkrun waits and tries again on schedule", "run the command again in a while"),
            Self::Broken { .. } => teller.again("see HQ's error log"),
            Self::Unreadable(_) => teller.again("see whether a proxy or a login page answers in HQ's place"),
            Self::TooLarge { .. } => person("one record is this large; leave its largest field out of the mapping"),
            Self::Unauthorized { .. } => person("check hq.auth: the API key and secret of an enabled user at HQ"),
            Self::Forbidden { .. } => person("give the user a role at HQ that may read it"),
            Self::Unknown { .. } => person("check hq.url and the job's doctype"),
            Self::ChildTable { parent: Some((parent, field)), .. } => {
                format!("take the job out, and give the job of {parent} a [[job.children]] with field = {field:?}")
            }
            Self::ChildTable { parent: None, .. } => person(
                "take the job out, and give the job of the DocType that has it as a table a [[job.children]] (`milkrun init` \
                 writes one)",
            ),
            Self::Refused { .. } => {
                person("check the job's fields and filters against the DocType at HQ (`milkrun check`)")
            }
            Self::Redirected { .. } => {
                person("if that is your HQ, set hq.url to it; if it is a login of the line here, log in")
            }
            Self::Page(BadPage::Missing(_) | BadPage::Width { .. }) => person(
                "give the user permission to read the field at HQ, or take it out of the mapping; nothing was overwritten",
            ),
            Self::Page(BadPage::Record { .. }) => person("mend the record at HQ"),
            Self::Page(BadPage::Shape(_) | BadPage::Damaged(_)) => {
                teller.again("see whether a proxy answers in HQ's place")
            }
            Self::Stuck { .. } => teller.again("see whether a cache stands before HQ"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_daemon_promises_that_something_comes_by_itself() {
        let at = DateTime::UNIX_EPOCH;
        let cause = || Box::new(std::io::Error::other("x"));
        for error in [
            Error::Unreachable { step: CONNECTING, cause: cause() },
            Error::CutOff { cause: cause() },
            Error::TimedOut { stage: Stage::Connect, limit: Duration::ZERO },
            Error::TimedOut { stage: Stage::Whole, limit: Duration::ZERO },
            Error::Down { since: at, last: String::new(), probe_at: at },
            Error::NotYet { why: Why::Share, until: at },
            Error::NotYet { why: Why::Asked, until: at },
            Error::Maintenance { exc_type: String::new(), after: None },
            Error::Busy { status: 429, after: None },
            Error::Broken { status: 502, exc_type: None },
            Error::Unreadable(String::new()),
            Error::Page(BadPage::Shape(String::new())),
            Error::Stuck { mark: String::new() },
        ] {
            let by = |teller| format!("{error}; {}", error.remedy(teller));
            let (daemon, command) = (by(Teller::Daemon), by(Teller::Command));
            assert!(daemon.contains("milkrun "), "{daemon}");
            assert!(command.contains("run the command again"), "{command}");
            for promise in ["milkrun ", "schedule", "probe", "nothing to do"] {
                assert!(!command.contains(promise), "{command}");
            }
        }
    }
}
