//! The command line, and the roles in which the bench starts itself.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum as _};

use crate::data;
use crate::database::Kind;
use crate::workload::Workload;

/// milkrun against the floor
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    /// What to measure; the usual few where none is named
    #[arg(value_enum, value_name = "WORKLOAD")]
    named: Vec<Workload>,
    /// Measure all workloads
    #[arg(long)]
    all: bool,
    /// On this database; may be given several times
    #[arg(long, value_enum)]
    pub(crate) database: Vec<Kind>,
    /// Rounds of each workload
    #[arg(long)]
    pub(crate) rounds: Option<usize>,
    /// Records at HQ instead of the workload's own number
    #[arg(long)]
    pub(crate) records: Option<usize>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Print a table of Markdown, as `docs/performance.md` has it
    #[arg(long, conflicts_with = "json")]
    pub(crate) markdown: bool,
    /// Given by cargo
    #[arg(long, hide = true, global = true)]
    bench: bool,
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
}

/// What a process of the bench is for.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Counts the instructions a record of a first load, and compares them with the last known figure
    Callgrind {
        /// Make the figure the known one
        #[arg(long)]
        save: bool,
        /// Map only so many of the columns
        #[arg(long, default_value_t = data::COLUMNS.len())]
        columns: usize,
    },
    /// Measures how the cost of a first load grows with the records, the columns, the jobs and the way to HQ
    Curves {
        #[arg(long, value_enum, default_value = "sqlite")]
        database: Kind,
        #[arg(long, default_value_t = 3)]
        rounds: usize,
    },
    /// Draws where the time of a first load goes
    Flame {
        #[arg(long, value_enum, default_value = "sqlite")]
        database: Kind,
        #[arg(long, default_value_t = 200_000)]
        records: usize,
        /// The SVG to write
        #[arg(long, default_value = "target/flame.svg")]
        to: PathBuf,
    },
    /// The simulated HQ
    #[command(hide = true)]
    Hq { kind: data::Kind, count: usize },
    /// The floor, once
    #[command(hide = true)]
    Floor { task: String },
    /// What HQ's items add up to
    #[command(hide = true)]
    Read {
        url: String,
        #[arg(long)]
        compressed: bool,
    },
    /// What HQ's child rows add up to
    #[command(hide = true)]
    ReadChildren { url: String },
    /// What a table of items adds up to
    #[command(hide = true)]
    Sum { database: Kind, url: String },
    /// What a table of child rows adds up to
    #[command(hide = true)]
    SumChildren { database: Kind, url: String },
    /// How many rows a table has
    #[command(hide = true)]
    Count { database: Kind, url: String, table: String },
}

impl Arguments {
    pub(crate) fn workloads(&self) -> Vec<Workload> {
        if self.all {
            Workload::value_variants().to_vec()
        } else if self.named.is_empty() {
            Workload::USUAL.to_vec()
        } else {
            self.named.clone()
        }
    }
}
