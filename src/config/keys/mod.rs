//! Every key of `sync.toml`.
//!
//! The one source of truth for known keys; the defaults and what keys mean together are the checks' to say.

mod job;

use std::time::Duration;

use super::schema::{Kind, Section, Words, may, must};
pub(super) use job::{CHILD, DELETE_LIMIT, FIELD, JOB};

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
    aka: &[
        ("outlet", "site"),
        ("shop", "site"),
        ("server", "hq"),
        ("remote", "hq"),
        ("source", "hq"),
        ("frappe", "hq"),
        ("erpnext", "hq"),
        ("database", "local"),
        ("db", "local"),
        ("target", "local"),
        ("tasks", "job"),
        ("sync", "job"),
    ],
};

static SITE: Section = Section {
    title: "[site]",
    keys: &[
        must("name", Kind::Line, "In logs, metrics and the User-Agent; also seeds the splay."),
        must("time_zone", Kind::Zone, "Cron is read in this zone."),
    ],
    aka: &[("tz", "time_zone"), ("zone", "time_zone"), ("id", "name"), ("outlet", "name")],
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
        )
        .or("\"30s\""),
        may("max_requests_per_second", Kind::Integer { least: 0, most: 10_000 }, "Over all jobs; 0 for no bound.")
            .or("10"),
        may(
            "budget_share",
            Kind::Number { least: 0.01, most: 100.0 },
            "The share of HQ's rate limit that this outlet takes in a window, in percent.",
        )
        .or("5"),
        may("retry", Kind::Table(&RETRY), "How a failed request is repeated."),
    ],
    aka: &[
        ("host", "url"),
        ("server", "url"),
        ("address", "url"),
        ("base_url", "url"),
        ("tz", "time_zone"),
        ("zone", "time_zone"),
        ("rate_limit", "max_requests_per_second"),
        ("retries", "retry"),
        ("credentials", "auth"),
        ("token", "auth"),
        ("api_token", "auth"),
        ("ssl", "tls"),
    ],
};

static AUTH: Section = Section {
    title: "hq.auth",
    keys: &[
        must("kind", Kind::Word(&AUTH_KIND), "How the pair is sent."),
        must("api_key", Kind::Secret, "The API key."),
        must("api_secret", Kind::Secret, "The API secret."),
    ],
    aka: &[
        ("type", "kind"),
        ("method", "kind"),
        ("key", "api_key"),
        ("username", "api_key"),
        ("user", "api_key"),
        ("secret", "api_secret"),
        ("password", "api_secret"),
        ("token", "api_secret"),
    ],
};

static AUTH_KIND: Words = Words {
    what: "kind of auth",
    known: &["token", "basic"],
    aka: &[("api_key", "token"), ("apikey", "token"), ("key", "token"), ("password", "basic"), ("http_basic", "basic")],
};

static TLS: Section = Section {
    title: "hq.tls",
    keys: &[
        may("ca", Kind::Pem, "Certificates of private CAs, beside those of the system."),
        may("client_cert", Kind::Pem, "The certificate that HQ asks of its clients, and those above it."),
        may("client_key", Kind::Pem, "Its private key, where client_cert does not hold it."),
    ],
    aka: &[("ca_cert", "ca"), ("ca_file", "ca"), ("cert", "client_cert"), ("key", "client_key")],
};

static RETRY: Section = Section {
    title: "hq.retry",
    keys: &[
        may(
            "max_attempts",
            Kind::Integer { least: 1, most: 100 },
            "How often a request is sent, the first time included.",
        )
        .or("6"),
        may(
            "first_delay",
            Kind::Duration { least: Duration::from_millis(1), most: HOUR },
            "The bound of the first wait; it doubles.",
        )
        .or("\"500ms\""),
        may(
            "max_delay",
            Kind::Duration { least: Duration::from_millis(1), most: DAY },
            "No wait is longer; first_delay, where that is longer.",
        )
        .or("\"2m\""),
    ],
    aka: &[
        ("attempts", "max_attempts"),
        ("max_retries", "max_attempts"),
        ("delay", "first_delay"),
        ("initial_delay", "first_delay"),
    ],
};

static LOCAL: Section = Section {
    title: "[local]",
    keys: &[must("url", Kind::LocalUrl, "sqlite://, postgres:// or mysql://.")],
    aka: &[("database", "url"), ("dsn", "url"), ("path", "url"), ("file", "url"), ("connection", "url")],
};

static DAEMON: Section = Section {
    title: "[daemon]",
    keys: &[
        may("listen", Kind::Listen, "Status page, /metrics, /healthz; left out, nothing listens."),
        may(
            "splay",
            Kind::Duration { least: Duration::ZERO, most: DAY },
            "Each outlet starts up to this much later, always by the same amount.",
        )
        .or("\"30s\""),
    ],
    aka: &[("address", "listen"), ("bind", "listen"), ("port", "listen"), ("jitter", "splay")],
};

/// The headers that stand in two brackets, as there may be several: `job`, `job.children`.
pub(super) fn lists() -> Vec<String> {
    let mut all = Vec::new();
    headers_below("", &FILE, &mut |name, kind| {
        if matches!(kind, Kind::Tables(_)) {
            all.push(name.to_owned());
        }
    });
    all
}

/// Everything that a header may name.
pub(super) fn headers() -> Vec<String> {
    let mut all = Vec::new();
    headers_below("", &FILE, &mut |name, _| all.push(name.to_owned()));
    all
}

fn headers_below(above: &str, section: &Section, found: &mut impl FnMut(&str, &Kind)) {
    for key in section.keys {
        let name = if above.is_empty() { key.name.to_owned() } else { format!("{above}.{}", key.name) };
        if let Kind::Table(below) | Kind::Tables(below) = key.kind {
            found(&name, &key.kind);
            headers_below(&name, below, found);
        } else if matches!(key.kind, Kind::Fields(_)) {
            found(&name, &key.kind);
        }
    }
}

/// Every section, each with the way to it as a header would name it: the file itself, `hq.auth`, `job.fields.COLUMN`.
pub(super) fn sections() -> Vec<(String, &'static Section)> {
    let mut all = vec![(String::new(), &FILE)];
    sections_below("", &FILE, &mut all);
    all
}

fn sections_below(above: &str, section: &'static Section, all: &mut Vec<(String, &'static Section)>) {
    for key in section.keys {
        let name = if above.is_empty() { key.name.to_owned() } else { format!("{above}.{}", key.name) };
        // The fields of child tables are those of the job once more.
        let is_fields = matches!(key.kind, Kind::Fields(_)) && above == "job";
        let (name, below) = match key.kind.section() {
            Some(below) => (name, below),
            None if is_fields => (format!("{name}.COLUMN"), &FIELD),
            None => continue,
        };
        all.push((name.clone(), below));
        sections_below(&name, below, all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_said_once_and_explained_in_a_sentence() {
        for (name, section) in sections() {
            for (position, key) in section.keys.iter().enumerate() {
                assert!(key.about.ends_with('.'), "{name} {}", key.name);
                assert!(section.keys[..position].iter().all(|other| other.name != key.name));
            }
            for (other, meant) in section.aka {
                assert!(section.key(other).is_none() && section.key(meant).is_some(), "{name} {other}");
            }
        }
    }

    #[test]
    fn headers_and_lists_are_those_of_the_file() {
        assert_eq!(lists(), ["job", "job.children", "job.test"]);
        assert!(headers().contains(&"job.children.fields".to_owned()) && headers().contains(&"hq.auth".to_owned()));
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
