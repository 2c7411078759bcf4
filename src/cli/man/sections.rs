//! What clap does not know of the program: what its exit codes say, which files it reads, what it takes from the
//! environment.

/// Exit codes, and what they say.
pub(super) const EXIT: [(&str, &str); 5] = [
    ("0", "All is well."),
    ("1", "Something failed and may succeed later: HQ or the database is away, a job is stale."),
    ("2", "The command line or sync.toml is wrong."),
    ("3", "Done, but records are parked in quarantine, or wait for a decision."),
    ("4", "Needs a person: credentials, a permission, the mapping, deletes above the limit. The remedy is printed."),
];

/// Environment variables, and what they do.
pub(super) const ENVIRONMENT: [(&str, &str); 9] = [
    ("MILKRUN_CONFIG", "The configuration, where --config is not given."),
    (
        "MILKRUN__SECTION__KEY",
        "Overrides a value of [site], [hq], [local] or [daemon] in sync.toml, as in MILKRUN__LOCAL__URL.",
    ),
    ("HQ_API_KEY, HQ_API_SECRET", "Whatever sync.toml names as ${NAME} is read from the environment."),
    ("MILKRUN_LOG", "A filter for the log, such as milkrun=debug, in place of -v and -q."),
    ("HTTP_PROXY, HTTPS_PROXY, NO_PROXY", "The proxy towards HQ."),
    ("SSL_CERT_FILE", "Another bundle of certificate authorities than the system's."),
    ("TMPDIR", "Where a dry run copies the SQLite file to if there is no room beside it."),
    ("CREDENTIALS_DIRECTORY", "Set by systemd; sync.toml may name ${file:${CREDENTIALS_DIRECTORY}/api_key}."),
    (
        "NOTIFY_SOCKET, WATCHDOG_USEC",
        "Set by systemd: where the daemon tells that it is ready, and how often that it moves.",
    ),
];

/// Files, and what is in them.
pub(super) const FILES: [(&str, &str); 4] = [
    ("sync.toml", "The configuration; see sync.toml(5). The Debian package has it at /etc/milkrun/sync.toml."),
    ("outlet.db", "A SQLite database that local.url names, with outlet.db-wal and outlet.db-shm while it is open."),
    ("outlet.db.milkrun", "Tells a database that was restored or copied from the one of last time."),
    (".milkrun-instance-…", "The same for a database on a server; it lies beside sync.toml."),
];
