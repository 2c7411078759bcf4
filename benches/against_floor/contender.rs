//! The two sides: milkrun, the real binary with a `sync.toml` of its own, and the floor, this bench's binary once more.
//! Either gets a folder and a database, is run to its end, and says what it did.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::check::Sum;
use crate::data::{self, COLUMNS};
use crate::database::{Database, Kind};
use crate::floor;
use crate::measure::{self, Cost};

/// One side of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Milkrun,
    Floor,
}

/// What both sides are asked to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job {
    pub(crate) database: Kind,
    /// Jobs, each for a DocType of its own.
    pub(crate) jobs: usize,
    pub(crate) has_children: bool,
    /// Whether both sides may change a record: `conflict = "merge"`, and base values in the ledger.
    pub(crate) is_merged: bool,
    /// Whether the line is so slow that compression pays.
    pub(crate) is_slow: bool,
    /// `max_requests_per_second`; 0 is no limit.
    pub(crate) pace: usize,
    /// So many columns are mapped.
    pub(crate) columns: usize,
}

impl Job {
    /// One job for the items, with nothing special about it.
    pub(crate) fn plain(database: Kind) -> Self {
        Self {
            database,
            jobs: 1,
            has_children: false,
            is_merged: false,
            is_slow: false,
            pace: 0,
            columns: COLUMNS.len(),
        }
    }
}

/// What the floor needs to be told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    /// Records a page: what milkrun came to.
    pub(crate) page: usize,
    /// Whether it only fetches.
    pub(crate) is_read_only: bool,
}

/// A side with its folder and database.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) who: Who,
    job: Job,
    folder: PathBuf,
    database: Database,
}

/// What a run did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) cost: Cost,
    /// Bytes of bodies as they came over the line.
    pub(crate) bytes: u64,
    /// Rows written, where it is known.
    pub(crate) written: Option<u64>,
}

impl Contender {
    pub(crate) fn new(who: Who, job: Job, folder: &std::path::Path) -> Result<Self> {
        let name = if who == Who::Milkrun { "milkrun" } else { "floor" };
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder)?;
        let database = Database::make(job.database, &folder, name)?;
        Ok(Self { who, job, folder, database })
    }

    /// Empties its database.
    pub(crate) fn forget(&self) -> Result<()> {
        self.database.empty()
    }

    /// One run against the HQ at `url`.
    pub(crate) fn run(&self, url: &str, how: How) -> Result<Outcome> {
        match self.who {
            Who::Milkrun => self.sync(url),
            Who::Floor => self.floor(url, how),
        }
    }

    fn sync(&self, url: &str) -> Result<Outcome> {
        self.sync_by(Command::new(env!("CARGO_BIN_EXE_milkrun")), url)
    }

    /// One run of milkrun as `command` starts it.
    pub(crate) fn sync_by(&self, mut command: Command, url: &str) -> Result<Outcome> {
        std::fs::write(self.folder.join("sync.toml"), self.config(url))?;
        command.args(["--format", "json", "--quiet", "sync"]).current_dir(&self.folder);
        let (cost, output) = measure::run(&mut command)?;
        let runs: Vec<Value> = serde_json::from_str(&output).with_context(|| output.clone())?;
        ensure!(runs.iter().all(|run| run.get("status").is_some_and(|status| status == "ok")), "not well:\n{output}");
        let total = |key: &str| runs.iter().filter_map(|run| run.pointer(key)?.as_u64()).sum::<u64>();
        let written = total("/counts/inserted") + total("/counts/updated");
        Ok(Outcome { cost, bytes: total("/counts/bytes"), written: Some(written) })
    }

    fn floor(&self, url: &str, how: How) -> Result<Outcome> {
        let task = floor::Task {
            database: self.job.database,
            url: self.database.url.clone(),
            hq: url.to_owned(),
            doctypes: (0..self.job.jobs).map(data::doctype).collect(),
            page: how.page,
            is_compressed: self.job.is_slow,
            has_base: self.job.is_merged,
            has_children: self.job.has_children,
            is_read_only: how.is_read_only,
        };
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["floor", &serde_json::to_string(&task)?]);
        let (cost, output) = measure::run(&mut command)?;
        let done: floor::Done = serde_json::from_str(&output)?;
        Ok(Outcome { cost, bytes: done.bytes as u64, written: None })
    }

    /// What its table holds.
    pub(crate) fn sum(&self) -> Result<Sum> {
        self.read(&["sum", self.job.database.name(), &self.database.url])
    }

    /// What its table of child rows holds.
    pub(crate) fn children(&self) -> Result<Sum> {
        self.read(&["sum-children", self.job.database.name(), &self.database.url])
    }

    /// How many records its ledger knows.
    pub(crate) fn ledger(&self) -> Result<usize> {
        let table = if self.who == Who::Milkrun { "milkrun_ledger" } else { "floor_ledger" };
        self.read(&["count", self.job.database.name(), &self.database.url, table])
    }

    fn read<T: serde::de::DeserializeOwned>(&self, arguments: &[&str]) -> Result<T> {
        let (_, output) = measure::run(Command::new(std::env::current_exe()?).args(arguments))?;
        Ok(serde_json::from_str(&output)?)
    }

    fn config(&self, url: &str) -> String {
        let mut config = format!(
            r#"[site]
name = "bench"
time_zone = "Asia/Kolkata"
[hq]
url = "{url}"
auth = {{ kind = "token", api_key = "{}", api_secret = "{}" }}
time_zone = "Asia/Kolkata"
max_requests_per_second = {}
[local]
url = "{}"
"#,
            milkrun::demo::data::READER.0,
            milkrun::demo::data::READER.1,
            self.job.pace,
            self.database.url
        );
        for number in 0..self.job.jobs {
            let table = data::table(number);
            config.push_str(&format!(
                "[[job]]\nname = \"{table}\"\ndoctype = \"{}\"\nschedule = \"0 0 0 * * *\"\ntable = \"{table}\"\nkey = \"code\"\n\
                 create_table = true\n{}[job.fields]\n",
                data::doctype(number),
                if self.job.is_merged { "conflict = \"merge\"\n" } else { "" },
            ));
            for (at, (column, ty)) in COLUMNS.into_iter().cycle().take(self.job.columns).enumerate() {
                let field = if column == "code" { "name" } else { column };
                // More columns than HQ has fields: some are there twice.
                let again = if at < COLUMNS.len() { String::new() } else { format!("_{}", at / COLUMNS.len()) };
                config.push_str(&format!("{column}{again} = {{ from = \"{field}\", type = \"{ty}\" }}\n"));
            }
            if self.job.has_children {
                config.push_str(
                    "[[job.children]]\nfield = \"barcodes\"\ntable = \"barcodes\"\nparent_key = \"code\"\n\
                     [job.children.fields]\nbarcode = \"barcode\"\npacks = { from = \"packs\", type = \"int\" }\n",
                );
            }
        }
        config
    }
}
