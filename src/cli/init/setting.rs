//! What the sections before the jobs say: from the command line, or else from the machine and HQ.

use std::path::Path;

use chrono_tz::Tz;

use super::super::output::Usage;
use super::Options;
use crate::config::{self, Config, Environment, Problems};
use crate::scaffold;

/// The values of the head.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) site: String,
    pub(super) site_zone: String,
    pub(super) url: String,
    pub(super) api_key: String,
    pub(super) api_secret: String,
    pub(super) ca: Option<String>,
    pub(super) hq_zone: String,
    pub(super) local: String,
    /// The zone was neither typed nor is it one that somebody has set on this machine.
    is_zone_guessed: bool,
}

/// An outlet waits at a terminal: a line that is down is worth two tries, not six.
const ATTEMPTS: u32 = 2;

/// A job that lets a file without one be read; it is never run.
const PROBE: &str = "\n[[job]]\nname = \"milkrun-init\"\ndoctype = \"User\"\nschedule = \"@daily\"\ntable = \
                     \"hq_milkrun_init\"\nkey = \"name\"\nfields = { name = \"name\" }\n";

/// Which option stands for which key.
const OPTIONS: [(&str, &str); 7] = [
    ("hq.url", "--hq"),
    ("hq.auth.api_key", "--api-key"),
    ("hq.auth.api_secret", "--api-secret"),
    ("hq.tls", "--ca"),
    ("local", "--local"),
    ("site.name", "--site"),
    ("site.time_zone", "--time-zone"),
];

/// The setting, HQ's zone not yet known, and what the operator should know of it.
pub(super) fn of(options: &Options, path: &Path) -> anyhow::Result<(Setting, Vec<String>)> {
    let Some(url) = &options.hq else {
        let message =
            format!("{} does not exist: name HQ with --hq https://hq.example.com to have it made", path.display());
        return Err(Usage(message).into());
    };
    for (option, place) in [("--api-key", &options.api_key), ("--api-secret", &options.api_secret)] {
        if !(place.starts_with("${") && place.ends_with('}')) {
            let message = format!(
                "{option} takes the place where it is read, ${{NAME}} of the environment or ${{file:PATH}}, not the value \
                 itself: a command line can be read by others"
            );
            return Err(Usage(message).into());
        }
    }
    let mut notes = Vec::new();
    let local = without_password(&options.local, &mut notes);
    let machine = iana_time_zone::get_timezone().ok().filter(|zone| is_set(zone));
    Ok((
        Setting {
            site: options.site.clone().unwrap_or_else(machine_name),
            is_zone_guessed: options.time_zone.is_none() && machine.is_none(),
            site_zone: options.time_zone.clone().or(machine).unwrap_or_else(|| "UTC".to_owned()),
            url: full_url(url),
            api_key: options.api_key.clone(),
            api_secret: options.api_secret.clone(),
            ca: options.ca.clone(),
            hq_zone: "UTC".to_owned(),
            local,
        },
        notes,
    ))
}

impl Setting {
    /// Takes HQ's word for its zone, and for the outlet's where nobody has set one here.
    pub(super) fn take_hq_zone(&mut self, told: &str, notes: &mut Vec<String>) -> anyhow::Result<()> {
        if told.parse::<Tz>().is_err() {
            let message =
                format!("HQ says that its time zone is {told:?}, which is no IANA zone: set it in System Settings");
            return Err(Usage(message).into());
        }
        told.clone_into(&mut self.hq_zone);
        if self.is_zone_guessed {
            told.clone_into(&mut self.site_zone);
            notes.push(format!(
                "site.time_zone is HQ's, {told}, as this machine has none set; if the outlet is elsewhere, say so with \
                 --time-zone or in the file"
            ));
        }
        Ok(())
    }
}

/// The configuration that the head of a new file makes.
pub(super) fn probe(setting: &Setting, folder: &Path, environment: &Environment) -> anyhow::Result<Config> {
    let text = format!("{}{PROBE}", scaffold::head(&setting.head()));
    match config::parse("milkrun init", &text, folder, environment) {
        Ok(config) => Ok(impatient(config)),
        Err(problems) => Err(Usage(by_option(&problems)).into()),
    }
}

/// The configuration of a file, with one job more at its end.
pub(super) fn probe_file(name: &str, text: &str, folder: &Path, environment: &Environment) -> Result<Config, Problems> {
    match config::parse(name, &super::file::lengthened(text, PROBE), folder, environment) {
        Ok(config) => Ok(impatient(config)),
        // Told without the job that is not the file's.
        Err(problems) => Err(config::parse(name, text, folder, environment).err().unwrap_or(problems)),
    }
}

fn impatient(mut config: Config) -> Config {
    config.hq.retry.max_attempts = config.hq.retry.max_attempts.min(ATTEMPTS);
    config
}

/// What is wrong with the command line, by its options: the file that the places are in does not exist.
fn by_option(problems: &Problems) -> String {
    let mut lines: Vec<String> = Vec::new();
    for problem in problems.iter() {
        let option = OPTIONS.iter().find(|(key, _)| problem.key.starts_with(key)).map(|(_, option)| *option);
        lines.push(format!("{}: {}", option.unwrap_or("milkrun init"), problem.message));
    }
    if problems.iter().any(|problem| problem.key.starts_with("hq.auth")) {
        lines.push(
            "  do: at HQ make an API key (the user's page, API Access, Generate Keys), then\n    export HQ_API_KEY=… \
             HQ_API_SECRET=…"
                .to_owned(),
        );
    }
    lines.join("\n")
}

/// The pages of HQ that people copy the address of.
const PAGES: [&str; 4] = ["/app", "/desk", "/login", "/api"];

/// People leave the scheme out, and copy the address of the page they see. A line without TLS has to be asked for.
pub(super) fn full_url(url: &str) -> String {
    let url = if url.contains("://") { url.to_owned() } else { format!("https://{url}") };
    let host_at = url.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = url.split_at_checked(host_at).unwrap_or(("", &url));
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let path = rest.strip_prefix(host).unwrap_or_default();
    let is_page = |page: &str| {
        path.strip_prefix(page).is_some_and(|after| after.is_empty() || after.starts_with(['/', '?', '#']))
    };
    if PAGES.into_iter().any(is_page) { format!("{scheme}{host}") } else { url }
}

/// A machine that is set to UTC is one whose zone nobody has set.
fn is_set(zone: &str) -> bool {
    zone.parse::<Tz>().is_ok()
        && !matches!(zone, "UTC" | "Etc/UTC" | "Etc/UCT" | "UCT" | "Zulu" | "Etc/Zulu" | "GMT" | "Etc/GMT")
}

fn machine_name() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy();
    let name = name.split('.').next().unwrap_or_default().trim();
    if name.is_empty() || name == "localhost" || name.contains(char::is_control) {
        "outlet".to_owned()
    } else {
        name.to_owned()
    }
}

/// A database's password is read from the environment from then on, as no secret is to stand in the file.
fn without_password(url: &str, notes: &mut Vec<String>) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let (authority, path) = rest.split_once('/').map_or((rest, None), |(authority, path)| (authority, Some(path)));
    let mut is_taken_out = false;
    let mut hidden = |password: &str| {
        if password.is_empty() || password.starts_with("${") {
            return password.to_owned();
        }
        is_taken_out = true;
        "${LOCAL_PASSWORD}".to_owned()
    };
    let authority = match authority.rsplit_once('@').map(|(login, host)| (login.split_once(':'), host)) {
        Some((Some((user, password)), host)) => format!("{user}:{}@{host}", hidden(password)),
        Some((None, _)) | None => authority.to_owned(),
    };
    let query = query.map(|query| {
        let parameters = query.split('&').map(|parameter| match parameter.split_once('=') {
            Some(("password", password)) => format!("password={}", hidden(password)),
            Some(_) | None => parameter.to_owned(),
        });
        format!("?{}", parameters.collect::<Vec<_>>().join("&"))
    });
    if is_taken_out {
        notes.push(
            "the password of --local is not written; set LOCAL_PASSWORD in the environment (%-encoded as in the URL), or \
             name a file in local.url: ${file:PATH}"
                .to_owned(),
        );
    }
    let path = path.map(|path| format!("/{path}")).unwrap_or_default();
    format!("{scheme}://{authority}{path}{}", query.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_copied_from_the_browser_is_hqs() {
        for (typed, url) in [
            ("hq.example.com", "https://hq.example.com"),
            ("http://hq:8000/app/item?x=1", "http://hq:8000"),
            ("hq.example.com/login#login", "https://hq.example.com"),
            ("https://hq.example.com/erp", "https://hq.example.com/erp"),
            ("https://hq.example.com/apple", "https://hq.example.com/apple"),
        ] {
            assert_eq!(full_url(typed), url);
        }
    }

    #[test]
    fn a_password_is_taken_out_of_the_url_and_nothing_else() {
        let mut notes = Vec::new();
        let url = without_password("postgres://milkrun:s3cr%40t@db:5432/outlet?sslmode=require", &mut notes);
        assert_eq!(url, "postgres://milkrun:${LOCAL_PASSWORD}@db:5432/outlet?sslmode=require");
        assert_eq!(notes.len(), 1);
        let url = without_password("postgres://db/outlet?user=u&password=s3cret", &mut notes);
        assert_eq!(url, "postgres://db/outlet?user=u&password=${LOCAL_PASSWORD}");
        assert_eq!(notes.len(), 2);
        for same in ["sqlite://outlet.db", "mysql://root@127.0.0.1/x", "mysql://root:${PW}@db/x"] {
            assert_eq!(without_password(same, &mut notes), same);
        }
        assert_eq!(notes.len(), 2);
    }
}
