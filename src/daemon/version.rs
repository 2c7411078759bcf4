//! Which version of `sync.toml` is in force, and what keeps a newer one from it: what the daemon says of itself, and what
//! anybody else makes of that and of the file as it lies on the disk.

use std::path::Path;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::roster::Roster;
use crate::config::{self, Config, Problem, Problems};
use crate::sync::{Life, life, process};

/// Problems that are kept; the rest are counted.
const SHOWN: usize = 20;

/// A version of the text of `sync.toml`, by a hash of it, short enough to be read out.
#[must_use]
pub fn id_of(text: &str) -> String {
    format!("{:08x}", xxh3_64(text.as_bytes()) >> 32_u32)
}

/// The version by which the jobs run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// Of its text.
    pub id: String,
    /// Since when.
    pub loaded_at: DateTime<Utc>,
}

/// A newer version, which is not in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newer {
    /// Of its text; `None` where there is none, as the file is gone or cannot be read.
    pub id: Option<String>,
    /// What keeps it from being in force.
    pub why: Why,
    /// Since when it is known.
    pub since: DateTime<Utc>,
    /// What is wrong with it, a sentence each, with the place: the first of them.
    pub problems: Vec<String>,
    /// How many there are.
    pub count: usize,
}

/// What keeps a newer version from being in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It was not looked at yet; the daemon does within seconds.
    Unseen,
    /// It is good, and takes over as soon as the runs that are going on have ended.
    Waiting,
    /// It was refused; a person has to mend the file.
    Refused,
}

impl Newer {
    /// A version that is refused for these reasons.
    #[must_use]
    pub fn refused(id: Option<String>, problems: &[String], since: DateTime<Utc>) -> Self {
        let shown = problems.iter().take(SHOWN).cloned().collect();
        Self { id, why: Why::Refused, since, problems: shown, count: problems.len() }
    }

    pub(super) fn without_problems(id: String, why: Why, since: DateTime<Utc>) -> Self {
        Self { id: Some(id), why, since, problems: Vec::new(), count: 0 }
    }
}

/// What a daemon keeps in the database of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) file: String,
    pub(super) started_at: DateTime<Utc>,
    pub(super) stopped_at: Option<DateTime<Utc>>,
    pub(super) in_force: InForce,
    pub(super) newer: Option<Newer>,
    /// How often it was asked to look at the file, and has.
    pub(super) answered: u64,
    /// The jobs of the version in force.
    pub(super) roster: Roster,
}

/// What is known of the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Daemon {
    /// It runs.
    Runs {
        /// Which process, in words.
        process: String,
        /// Its number on this machine.
        #[serde(skip)]
        pid: i32,
        /// Since when.
        since: DateTime<Utc>,
    },
    /// It runs or ran on another machine, or in another container: whether it still does cannot be seen from here.
    Unseen {
        /// Which process, in words.
        process: String,
        /// Since when.
        since: DateTime<Utc>,
    },
    /// None runs: nothing starts by itself.
    Stopped {
        /// When the last one ended; `None` where it was killed.
        at: Option<DateTime<Utc>>,
    },
    /// None has ever worked with this database. One may run by an older file that names another.
    Never,
}

/// Which version is in force, and why a newer one is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Version {
    /// The file.
    pub file: String,
    /// Whether a daemon runs.
    pub daemon: Daemon,
    /// The version by which the daemon runs the jobs; `None` where none runs: each command goes by the file as it is.
    pub in_force: Option<InForce>,
    /// The version on the disk; `None` where it cannot be read.
    pub on_disk: Option<String>,
    /// The one on the disk, where it is another than the one in force; or one that is wrong, whoever would read it.
    pub newer: Option<Newer>,
    /// What keeps this process from reading the very version that the daemon goes by, or last went by: a variable, say, that
    /// is set for that and not in this shell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unreadable_here: Vec<String>,
    /// The outlet's, as far as it is known.
    #[serde(skip)]
    pub time_zone: Tz,
}

impl Version {
    /// One sentence for how things are, and one for each thing that an operator should know; the first problems of a refused
    /// version, and what to do.
    #[must_use]
    pub fn sentences(&self, show: impl Fn(DateTime<Utc>) -> String) -> Vec<String> {
        let file = Path::new(&self.file)
            .file_name()
            .map_or_else(|| self.file.clone(), |name| name.display().to_string());
        let mut said = Vec::new();
        let daemon = match &self.daemon {
            Daemon::Runs { process, since, .. } => format!("the daemon runs since {} ({process})", show(*since)),
            Daemon::Unseen { process, since } => format!(
                "the daemon is {process}, started {}; whether it still runs cannot be seen from here",
                show(*since)
            ),
            Daemon::Stopped { at: Some(at) } => format!("no daemon runs; it was stopped {}", show(*at)),
            Daemon::Stopped { at: None } => "no daemon runs".to_owned(),
            Daemon::Never => "no daemon has worked with this database yet".to_owned(),
        };
        said.push(match &self.in_force {
            Some(InForce { id, loaded_at }) => {
                format!("{daemon}; version {id} of {file} is in force since {}", show(*loaded_at))
            }
            None => daemon,
        });
        if let Some(newer) = &self.newer {
            said.extend(newer.sentences(&file, self.in_force.is_some()));
        }
        if !self.unreadable_here.is_empty() {
            let whose = if self.in_force.is_some() { "is in force" } else { "the last daemon went by" };
            said.push(format!(
                "the version of {file} that {whose} cannot be read by this shell, which lacks what it names:"
            ));
            said.extend(self.unreadable_here.iter().cloned());
        }
        said
    }
}

impl Newer {
    fn sentences(&self, file: &str, has_older: bool) -> Vec<String> {
        let on_disk = self
            .id
            .as_ref()
            .map_or_else(|| file.to_owned(), |id| format!("version {id} of {file}, on the disk,"));
        match self.why {
            Why::Unseen => vec![format!("{on_disk} has not been looked at yet; the daemon does within seconds")],
            Why::Waiting => {
                vec![format!("{on_disk} is good, and takes over as soon as the runs that are going on have ended")]
            }
            Why::Refused if self.id.is_none() => {
                let mut said = vec![match has_older {
                    true => format!("{file} is gone or cannot be read; the daemon goes on by the version in force:"),
                    false => format!("{file} is gone or cannot be read:"),
                }];
                said.extend(self.problems.iter().cloned());
                said
            }
            Why::Refused => {
                let many = if self.count == 1 { "problem".to_owned() } else { format!("{} problems", self.count) };
                let stays = if has_older { ", and the one in force stays" } else { "" };
                let mut said = vec![format!("{on_disk} is refused for its {many}{stays}:")];
                said.extend(self.problems.iter().take(3).cloned());
                if self.count > 3 {
                    said.push(format!("… and {} more: `milkrun check --offline` shows all", self.count - 3));
                }
                said
            }
        }
    }
}

/// The file as it lies on the disk.
pub(super) struct OnDisk {
    pub(super) id: Option<String>,
    pub(super) config: Result<Config, Problems>,
}

impl OnDisk {
    /// Reads and checks it.
    pub(super) fn read(path: &Path) -> Self {
        match config::read(path) {
            Ok(text) => Self { id: Some(id_of(&text)), config: config::load_text(path, &text) },
            Err(problems) => Self { id: None, config: Err(problems) },
        }
    }
}

/// What is to be said of the daemon that has kept this, and of the file on the disk.
pub(super) fn judge(kept: Option<&(String, Kept)>, path: &Path, disk: &OnDisk, now: DateTime<Utc>) -> Version {
    let file = path.display().to_string();
    let daemon = match kept {
        None => Daemon::Never,
        Some((_, Kept { stopped_at: Some(at), .. })) => Daemon::Stopped { at: Some(*at) },
        Some((holder, kept)) => {
            let (process, since) = (process(holder), kept.started_at);
            match life(holder) {
                Life::Runs { pid } => Daemon::Runs { process, pid, since },
                Life::Unseen => Daemon::Unseen { process, since },
                Life::Over => Daemon::Stopped { at: None },
            }
        }
    };
    let last = kept.map(|(_, kept)| kept);
    let time_zone = match (&disk.config, last) {
        (_, Some(kept)) => kept.roster.time_zone,
        (Ok(config), None) => config.site.time_zone,
        (Err(_), None) => Tz::UTC,
    };
    let unreadable_here = match &disk.config {
        Err(problems) if last.is_some_and(|kept| disk.id.as_ref() == Some(&kept.in_force.id)) => sentences(problems),
        Ok(_) | Err(_) => Vec::new(),
    };
    let kept = last.filter(|_| matches!(daemon, Daemon::Runs { .. } | Daemon::Unseen { .. }));
    let is_other = |kept: &&Kept| disk.id.as_ref() != Some(&kept.in_force.id);
    let newer = match (kept, &disk.config) {
        (None, Ok(_)) => None,
        (None, Err(_)) if !unreadable_here.is_empty() => None,
        (None, Err(problems)) => Some(Newer::refused(disk.id.clone(), &sentences(problems), now)),
        (Some(kept), _) => kept.newer.clone().filter(|newer| newer.id == disk.id).or_else(|| {
            let id = disk.id.clone().filter(|_| is_other(&kept))?;
            Some(Newer::without_problems(id, Why::Unseen, now))
        }),
    };
    let (in_force, on_disk) = (kept.map(|kept| kept.in_force.clone()), disk.id.clone());
    Version { file, daemon, in_force, on_disk, newer, unreadable_here, time_zone }
}

/// Each problem as one sentence with its place, fit for the log, the database and a page that anybody may read.
pub(super) fn sentences(problems: &Problems) -> Vec<String> {
    problems.iter().map(Problem::in_public).collect()
}
