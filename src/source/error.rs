//! What can go wrong at HQ, cut by what is to be done about it.

use std::time::Duration;

use crate::record::BadPage;
use crate::retry::Retry;

/// An answer that was not had, or cannot be used. Nothing of it was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or one that broke: the line, DNS, HQ or its proxy is down.
    #[error("HQ cannot be reached ({step})")]
    Unreachable {
        /// What was being done.
        step: &'static str,
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
    /// HQ wants a certificate of its clients, and was shown none or one that it does not accept.
    #[error("HQ did not accept this outlet's client certificate, or wants one and was shown none")]
    ClientCertificate {
        /// The TLS library's own error.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// HQ took too long.
    #[error("HQ did not {step} within {} s", .limit.as_secs_f32())]
    TimedOut {
        /// What was waited for.
        step: &'static str,
        /// How long was waited.
        limit: Duration,
    },
    /// HQ asks to wait: 429, or 503 while in maintenance (recordings 871 and 880).
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

impl Error {
    /// Whether the same may succeed later by itself.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Busy { after, .. } => Retry::Later(*after),
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Broken { .. }
            | Self::Unreadable(_)
            | Self::Stuck { .. }
            // A captive portal's login goes away by itself; a moved HQ shows its remedy until somebody follows it.
            | Self::Redirected { .. }
            | Self::Page(BadPage::Shape(_)) => Retry::Later(None),
            Self::Certificate { .. }
            | Self::ClientCertificate { .. }
            | Self::TooLarge { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::Unknown { .. }
            | Self::Refused { .. }
            | Self::Page(BadPage::Missing(_) | BadPage::Width { .. } | BadPage::Record { .. }) => Retry::ByPerson,
        }
    }

    /// The operator's next step.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "check the line and hq.url; milkrun tries again on schedule",
            Self::Certificate { .. } => {
                "check hq.url, this machine's clock, and the certificate at HQ; a private CA is named by hq.tls.ca"
            }
            Self::ClientCertificate { .. } => {
                "set hq.tls.client_cert and hq.tls.client_key to a pair that HQ accepts; one that has expired is renewed at HQ"
            }
            Self::TimedOut { .. } => {
                "milkrun tries again on schedule; if it stays, lower page_size or raise hq.timeout"
            }
            Self::Busy { .. } => "nothing to do; milkrun waits and tries again on schedule",
            Self::Broken { .. } => "see HQ's error log; milkrun tries again on schedule",
            Self::Unreadable(_) => {
                "see whether a proxy or a login page answers in HQ's place; milkrun tries again on schedule"
            }
            Self::TooLarge { .. } => "one record is this large; leave its largest field out of the mapping",
            Self::Unauthorized { .. } => "check hq.auth: the API key and secret of an enabled user at HQ",
            Self::Forbidden { .. } => "give the user a role at HQ that may read it",
            Self::Unknown { .. } => "check hq.url and the job's doctype",
            Self::Refused { .. } => "check the job's fields and filters against the DocType at HQ (`milkrun check`)",
            Self::Redirected { .. } => {
                "if that is your HQ, set hq.url to it; if it is a login of the line here, log in"
            }
            Self::Page(BadPage::Missing(_) | BadPage::Width { .. }) => {
                "give the user permission to read the field at HQ, or take it out of the mapping; nothing was overwritten"
            }
            Self::Page(BadPage::Record { .. }) => "mend the record at HQ",
            Self::Page(BadPage::Shape(_)) => {
                "see whether a proxy answers in HQ's place; milkrun tries again on schedule"
            }
            Self::Stuck { .. } => "see whether a cache stands before HQ; milkrun tries again on schedule",
        }
    }
}
