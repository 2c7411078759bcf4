//! Every key of `sync.toml`.
//!
//! The one source of truth for known keys; the defaults and what keys mean together are the checks' to say.

mod job;

use std::time::Duration;

use super::schema::{Kind, Section, Words, may, must};
pub(super) use job::FIELD;
use job::JOB;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The whole file.
pub(super) static FILE: Section = Section {
    title: "sync.toml",
    keys: &[
        must("site", Kind::Table(&SITE), "Who this outlet is."),
        must("hq", Kind::Table(&HQ), "How HQ is reached."),
        must("local", Kind::Table(&LOCAL), "The outlet's own database."),
        may("daemon", Kind::Table(&DAEMON), "The running daemon."),
        must("job", Kind::Tables(&JOB), "One DocType landing in one local table."),
    ],
    later: &[],
};

static SITE: Section = Section {
    title: "[site]",
    keys: &[
        must("name", Kind::Line, "In logs, metrics and the User-Agent; also seeds the splay."),
        must("time_zone", Kind::Zone, "Cron is read in this zone."),
    ],
    later: &[],
};

static HQ: Section = Section {
    title: "[hq]",
    keys: &[
        must("url", Kind::HqUrl, "HQ's address, http:// or https://."),
        must("auth", Kind::Table(&AUTH), "The credentials of HQ's API user."),
        may("tls", Kind::Table(&TLS), "A private CA and a client certificate."),
        must("time_zone", Kind::Zone, "The zone HQ writes its naive timestamps in."),
        may(
            "timeout",
            Kind::Duration { least: Duration::from_millis(100), most: HOUR },
            "How long to wait for the first byte of an answer, and for each further piece.",
        ),
        may("max_requests_per_second", Kind::Integer { least: 0, most: 10_000 }, "Over all jobs; 0 for no bound."),
        may(
            "budget_share",
            Kind::Number { least: 0.01, most: 100.0 },
            "The share of HQ's rate limit that this outlet takes in a window, in percent.",
        ),
        may("retry", Kind::Table(&RETRY), "How a failed request is repeated."),
    ],
    later: &[],
};

static AUTH: Section = Section {
    title: "hq.auth",
    keys: &[
        must(
            "kind",
            Kind::Word(&Words { what: "kind of auth", known: &["token", "basic"], later: &[] }),
            "How the pair is sent.",
        ),
        must("api_key", Kind::Secret, "The API key."),
        must("api_secret", Kind::Secret, "The API secret."),
    ],
    later: &[],
};

static TLS: Section = Section {
    title: "hq.tls",
    keys: &[
        may("ca", Kind::Pem, "Certificates of private CAs, beside those of the system."),
        may("client_cert", Kind::Pem, "The certificate that HQ asks of its clients, and those above it."),
        may("client_key", Kind::Pem, "Its private key, where client_cert does not hold it."),
    ],
    later: &[],
};

static RETRY: Section = Section {
    title: "hq.retry",
    keys: &[
        may("max_attempts", Kind::Integer { least: 1, most: 100 }, "The first time included."),
        may(
            "first_delay",
            Kind::Duration { least: Duration::from_millis(1), most: HOUR },
            "The bound of the first wait; it doubles.",
        ),
        may("max_delay", Kind::Duration { least: Duration::from_millis(1), most: DAY }, "No wait is longer."),
    ],
    later: &[],
};

static LOCAL: Section = Section {
    title: "[local]",
    keys: &[must("url", Kind::LocalUrl, "sqlite://, postgres:// or mysql://.")],
    later: &[],
};

static DAEMON: Section = Section {
    title: "[daemon]",
    keys: &[
        may("listen", Kind::Listen, "Status page, /metrics, /healthz; left out, nothing listens."),
        may(
            "splay",
            Kind::Duration { least: Duration::ZERO, most: DAY },
            "Each outlet starts up to this much later, always by the same amount.",
        ),
    ],
    later: &[],
};

#[cfg(test)]
mod tests {
    use super::*;

    fn sections(section: &'static Section, all: &mut Vec<&'static Section>) {
        all.push(section);
        for key in section.keys {
            if let Kind::Table(below) | Kind::Tables(below) = key.kind {
                sections(below, all);
            }
        }
    }

    #[test]
    fn every_key_is_said_once_and_explained_in_a_sentence() {
        let mut all = vec![&FIELD];
        sections(&FILE, &mut all);
        for section in all {
            for (position, key) in section.keys.iter().enumerate() {
                assert!(key.about.ends_with('.'), "{} {}", section.title, key.name);
                assert!(section.keys[..position].iter().all(|other| other.name != key.name));
                assert!(!section.later.contains(&key.name));
            }
        }
    }

    #[test]
    fn the_types_are_the_words_of_the_row() {
        use crate::row::Type;
        let text = Type::Text { max_length: None };
        let decimal = Type::Decimal { scale: None };
        let all = [
            text,
            Type::Int,
            Type::Float,
            decimal,
            Type::Bool,
            Type::Date,
            Type::Datetime,
            Type::Time,
            Type::Duration,
            Type::Json,
        ];
        assert_eq!(all.map(Type::word), job::TYPE.known);
    }
}
