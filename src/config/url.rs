//! HQ's address and the outlet's database, checked; no message of this module shows the text, which may hold a
//! password.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use reqwest::Url;

use super::syntax::Fault;
use super::words;
use super::{DatabaseKind, Local};

/// The schemes of the database URL and what each means.
const SCHEMES: [(&str, DatabaseKind); 5] = [
    ("sqlite", DatabaseKind::Sqlite),
    ("postgres", DatabaseKind::Postgres),
    ("postgresql", DatabaseKind::Postgres),
    ("mysql", DatabaseKind::Mysql),
    ("mariadb", DatabaseKind::Mysql),
];

/// What other programs call them.
const SCHEMES_ELSEWHERE: [(&str, &str); 6] = [
    ("sqlite3", "sqlite"),
    ("file", "sqlite"),
    ("pgsql", "postgres"),
    ("psql", "postgres"),
    ("mysql2", "mysql"),
    ("jdbc:mysql", "mysql"),
];

/// Databases that milkrun does not write, though their names are near.
const STRANGERS: [&str; 4] = ["mssql", "sqlserver", "oracle", "mongodb"];

/// What the drivers take after the "?". What they do not know they ignore, a misspelt `sslmode` with its protection, or
/// write to the log with its value.
const POSTGRES_PARAMETERS: [&str; 18] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "statement-cache-capacity",
    "ssl-mode",
    "ssl-root-cert",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
];

/// As [`POSTGRES_PARAMETERS`].
const MYSQL_PARAMETERS: [&str; 14] = [
    "ssl-mode",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "sslmode",
    "sslca",
    "sslcert",
    "sslkey",
    "charset",
    "collation",
    "socket",
    "timezone",
    "time-zone",
    "statement-cache-capacity",
];

/// What follows the address of a Frappe site where its pages and its API are.
const PAGES: [&str; 4] = ["api", "app", "desk", "login"];

/// Reads HQ's address and cuts trailing slashes off.
///
/// # Errors
/// Anything but `http(s)://host[:port][/path]`.
pub(super) fn hq(text: &str) -> Result<String, Fault> {
    scheme(text, &["http", "https"], "https://hq.example.com")?;
    let help = "write http(s)://host[:port][/path]";
    let url = Url::parse(text).map_err(|error| match error.to_string().as_str() {
        "invalid port number" => Fault::of("has a port that is none").help("a port goes from 1 to 65535"),
        error => Fault::of(format!("is not a URL: {error}")).help(help),
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Fault::of("must not hold credentials").help("they belong in hq.auth"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Fault::of("must not hold \"?\" or \"#\"").help(help));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(Fault::of("names no host").help(help));
    }
    let page = url.path_segments().and_then(|mut parts| parts.next()).filter(|first| PAGES.contains(first));
    if let Some(page) = page {
        let what = format!("goes on with \"/{page}\", which is a page or a call of HQ's");
        return Err(Fault::of(what).help("write the address of the site alone, as in \"https://hq.example.com\""));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Whether requests to this address of HQ can be read on the way: plain HTTP to another machine.
pub(super) fn is_in_clear(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let is_here = |host: &str| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare == "localhost"
            || bare.ends_with(".localhost")
            || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    url.scheme() == "http" && !url.host_str().is_some_and(is_here)
}

/// Reads the database URL; a relative SQLite path is made relative to `folder`.
///
/// # Errors
/// An unknown scheme, no database, or one in memory, which would forget the watermark.
pub(super) fn local(text: &str, folder: &Path) -> Result<Local, Fault> {
    let schemes = SCHEMES.map(|(scheme, _)| scheme);
    let (scheme, rest) = scheme(text, &schemes, "sqlite://outlet.db")?;
    let kind = SCHEMES.iter().find(|(known, _)| *known == scheme).map(|(_, kind)| *kind);
    let kind = kind.unwrap_or(DatabaseKind::Sqlite);
    let url = match kind {
        DatabaseKind::Sqlite => sqlite(rest, folder)?,
        DatabaseKind::Postgres => server(text, &POSTGRES_PARAMETERS)?,
        DatabaseKind::Mysql => server(text, &MYSQL_PARAMETERS)?,
    };
    Ok(Local { kind, url: url.into() })
}

/// The scheme of a URL, which must be one of `known`, and what follows it.
fn scheme<'t>(text: &'t str, known: &[&str], example: &str) -> Result<(String, &'t str), Fault> {
    let listed: Vec<String> = known.iter().map(|scheme| format!("{scheme}://")).collect();
    let listed: Vec<&str> = listed.iter().map(String::as_str).collect();
    let expected = format!("it begins with {}, as in {example:?}", words::either(&listed));
    // The driver takes `sqlite:outlet.db`, too.
    let short = || text.strip_prefix("sqlite:").map(|rest| ("sqlite", rest));
    let Some((scheme, rest)) = text.split_once("://").or_else(short) else {
        return Err(Fault::of("has no scheme").help(expected).near(with_scheme(text, known)));
    };
    let lower = scheme.to_ascii_lowercase();
    if known.contains(&lower.as_str()) {
        return Ok((lower, rest));
    }
    // `postgresql+psycopg2`
    let plain = lower.split('+').next().unwrap_or(&lower);
    let near = if STRANGERS.contains(&plain) {
        None
    } else {
        words::meant(plain, known.iter().copied(), &SCHEMES_ELSEWHERE).filter(|near| known.contains(near))
    };
    Err(Fault::of("has an unknown scheme").help(expected).near(near.map(|near| format!("{near}://"))))
}

/// The address with the scheme that it lacks, where it holds nothing but a host or a file.
fn with_scheme(text: &str, known: &[&str]) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | ':');
    let bare = text.trim_start_matches("https:/").trim_start_matches("http:/");
    let host = bare.split(['/', ':']).next().unwrap_or_default();
    let is_host = host == "localhost" || host.split('.').filter(|part| !part.is_empty()).count() > 1;
    let is_file = [".db", ".sqlite", ".sqlite3"].iter().any(|ending| text.ends_with(ending)) && !text.contains(':');
    if !text.chars().all(is_plain) {
        return None;
    }
    match known.first()? {
        &"https" | &"http" if is_host => Some(format!("https://{bare}")),
        &"sqlite" if is_file => Some(format!("sqlite://{text}")),
        _ => None,
    }
}

fn sqlite(rest: &str, folder: &Path) -> Result<String, Fault> {
    let is_drive =
        rest.starts_with(|c: char| c.is_ascii_alphabetic()) && rest.get(1..).is_some_and(|rest| rest.starts_with(':'));
    if rest.contains('\\') || is_drive {
        return Err(Fault::of("is a path of Windows")
            .help("folders are parted by \"/\", as in \"sqlite:///var/lib/outlet.db\""));
    }
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    let is_in_memory = path == ":memory:" || query.is_some_and(|query| query.contains("mode=memory"));
    if is_in_memory {
        return Err(Fault::of("is in memory, where the watermark would be forgotten with every restart")
            .help("name a file as in \"sqlite://outlet.db\""));
    }
    if path.is_empty() || path.ends_with('/') {
        return Err(Fault::of("names no file").help("name one as in \"sqlite://outlet.db\""));
    }
    let query = query.map_or_else(String::new, |query| format!("?{query}"));
    let is_relative = PathBuf::from(path).is_relative() && folder != Path::new("");
    if !is_relative {
        return Ok(format!("sqlite://{path}{query}"));
    }
    let Some(folder) = folder.to_str() else {
        return Err(Fault::of("cannot be placed beside sync.toml, whose folder's name is not UTF-8"));
    };
    // The driver decodes the path, so the folder must be encoded where it would be misread.
    let folder = folder.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    Ok(format!("sqlite://{}/{path}{query}", folder.trim_end_matches('/')))
}

fn server(text: &str, parameters: &[&str]) -> Result<String, Fault> {
    let url = Url::parse(text).map_err(|error| {
        let help = "in a password \"@\", \"/\", \"?\", \"#\" and \"%\" are written %40, %2F, %3F, %23 and %25; a port goes to 65535";
        Fault::of(format!("is not a URL: {error}")).help(help)
    })?;
    let has_socket = url.query_pairs().any(|(key, _)| key == "host" || key == "socket");
    if url.host_str().is_none_or(str::is_empty) && !has_socket {
        return Err(Fault::of("names no host").help("write scheme://user:password@host/database"));
    }
    if url.path().trim_matches('/').is_empty() {
        return Err(Fault::of("names no database").help("write scheme://user:password@host/database"));
    }
    let is_known = |name: &str| parameters.contains(&name) || name.starts_with("options[");
    if let Some((name, _)) = url.query_pairs().find(|(name, _)| !is_known(name)) {
        // Not named itself: it may be part of a password that holds "?" or "&".
        let near = words::nearest(&name, parameters.iter().copied());
        let taken = words::either(parameters);
        let fault = Fault::of("has a parameter that would be ignored");
        return Err(fault.help(format!("the driver knows {taken}")).near(near.map(str::to_owned)));
    }
    if url.fragment().is_some() {
        return Err(Fault::of("holds \"#\"").help("in a password it is written %23"));
    }
    Ok(text.to_owned())
}

/// The URL without its password and its parameters, for messages.
pub(super) fn shown(kind: DatabaseKind, url: &str) -> String {
    let bare = url.split('?').next().unwrap_or(url);
    match kind {
        DatabaseKind::Sqlite => bare.to_owned(),
        DatabaseKind::Postgres | DatabaseKind::Mysql => match Url::parse(bare) {
            Ok(mut parsed) => match parsed.set_password(None) {
                // Without a host there is no place for a password.
                Ok(()) | Err(()) => parsed.to_string(),
            },
            Err(_) => "a database".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn hq_said(text: &str) -> String {
        hq(text).unwrap_or_else(|fault| fault.said("the URL", true).sentence())
    }

    fn local_said(text: &str) -> String {
        match local(text, Path::new("/etc/milk run")) {
            Ok(local) => local.url.expose_secret().to_owned(),
            Err(fault) => fault.said("the URL", true).sentence(),
        }
    }

    #[test]
    fn hq_is_an_http_address_without_anything_secret() {
        assert_eq!(hq_said("https://hq.example.com/"), "https://hq.example.com");
        assert_eq!(hq_said("HTTP://127.0.0.1:7879"), "http://127.0.0.1:7879");
        assert_eq!(hq_said("https://hq.example.com/erp//"), "https://hq.example.com/erp");
        assert!(hq_said("htps://hq.example.com").ends_with("did you mean \"https://\"?"));
        assert!(hq_said("hq.example.com").starts_with("the URL has no scheme"));
        assert!(hq_said("https://a:b@hq.example.com").contains("must not hold credentials"));
        assert!(hq_said("https://hq.example.com?x=1").contains("must not hold \"?\""));
        assert!(hq_said("https://").starts_with("the URL is not a URL"));
    }

    #[test]
    fn plain_http_to_another_machine_is_in_clear() {
        for (url, expected) in [
            ("http://hq.example.com", true),
            ("http://10.0.0.5:8000", true),
            ("http://localhost.example.com", true),
            ("https://hq.example.com", false),
            ("http://localhost:7879", false),
            ("http://127.0.0.9", false),
            ("http://[::1]:8000", false),
        ] {
            assert_eq!(is_in_clear(url), expected, "{url}");
        }
    }

    #[test]
    fn a_relative_sqlite_file_stands_beside_the_config() {
        assert_eq!(local_said("sqlite://outlet.db"), "sqlite:///etc/milk run/outlet.db");
        assert_eq!(local_said("sqlite:outlet.db?mode=rwc"), "sqlite:///etc/milk run/outlet.db?mode=rwc");
        assert_eq!(local_said("sqlite:///var/outlet.db"), "sqlite:///var/outlet.db");
        assert!(local_said("sqlite://:memory:").contains("is in memory"));
        assert!(local_said("sqlite://").contains("names no file"));
    }

    #[test]
    fn a_database_server_needs_host_and_database() {
        let url = "postgresql://milk:pw@db:5432/outlet?sslmode=require";
        assert_eq!(local_said(url), url);
        assert_eq!(local_said("mariadb://db/outlet"), "mariadb://db/outlet");
        assert!(local_said("postgres://db").contains("names no database"));
        assert!(local_said("mysql:///outlet").contains("names no host"));
        assert!(local_said("mysql:///outlet?socket=/run/db.sock").starts_with("mysql://"));
        assert!(local_said("mysq://db/outlet").ends_with("did you mean \"mysql://\"?"));
        assert!(local_said("mysql://u:a#b@db/outlet").contains("%23"));
        let misspelt = local_said("postgres://milk@db/outlet?sslmod=hunter22");
        assert!(misspelt.contains("did you mean \"sslmode\"?") && !misspelt.contains("hunter22"), "{misspelt}");
        assert!(local_said("mysql://milk@db/outlet?ssl_mode=REQUIRED").contains("would be ignored"));
    }

    #[test]
    fn a_shown_database_has_no_password() {
        let local = local("postgres://milk:hunter22@db/outlet?password=hunter22", Path::new("")).unwrap();
        assert_eq!(local.shown(), "postgres://milk@db/outlet");
        assert!(!format!("{local:?}").contains("hunter22"));
    }
}
