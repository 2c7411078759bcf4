//! What is measured: a table of workloads, each a plan that the rounds carry out.

use std::time::Duration;

use crate::data;
use crate::database::Kind;
use crate::line::Line;

/// A workload, by the name it has on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Workload {
    /// First load of 200,000 records of 12 columns
    FirstLoad,
    /// First load of 1,000,000
    FirstLoadMillion,
    /// First load of 200,000 whose stamps have nothing to do with the order of their names
    Shuffled,
    /// First load of 200,000 at the usual `max_requests_per_second` of 10
    Paced,
    /// Nothing changed among 200,000
    Idle,
    /// 2,000 changed of 200,000
    Changed,
    /// 200,000 stamped alike by HQ, no mapped field changed; the floor only downloads them
    Stamped,
    /// First load of 200,000 over a line of 50 ms
    #[value(name = "line-50ms")]
    Line50,
    /// First load of 20,000 over a line of 300 ms and 2 Mbit/s
    #[value(name = "line-300ms-2mbit")]
    Line300,
    /// First load of 20,000 with 80,000 child rows
    Children,
    /// First load of 200,000 for `conflict = "merge"`: the ledger keeps the values
    Merge,
    /// Nothing changed for 50 jobs
    IdleJobs,
}

/// What HQ does before a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edit {
    Nothing,
    /// Changes a mapped field of so many records.
    Touch(usize),
    /// Stamps all records alike and changes nothing that is mapped.
    Stamp,
}

/// How a workload goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) kind: data::Kind,
    /// Records, or DocTypes for [`data::Kind::Doctypes`].
    pub(crate) count: usize,
    /// None: every round is a first load. Else both sides have loaded all, and HQ does this before each round.
    pub(crate) edit: Option<Edit>,
    pub(crate) line: Option<Line>,
    pub(crate) has_children: bool,
    pub(crate) is_merged: bool,
    pub(crate) pace: usize,
    /// Unless others are named.
    pub(crate) databases: &'static [Kind],
    /// Unless another number is given.
    pub(crate) rounds: usize,
}

const ALL: &[Kind] = &[Kind::Sqlite, Kind::Postgres, Kind::Mariadb];

impl Workload {
    /// Those that are run where none is named.
    pub(crate) const USUAL: [Self; 6] =
        [Self::FirstLoad, Self::Idle, Self::Changed, Self::Stamped, Self::Line50, Self::IdleJobs];

    pub(crate) fn plan(self) -> Plan {
        let usual = Plan {
            kind: data::Kind::Items,
            count: 200_000,
            edit: None,
            line: None,
            has_children: false,
            is_merged: false,
            pace: 0,
            databases: &[Kind::Sqlite],
            rounds: 3,
        };
        let line = |milliseconds, bits_per_second| {
            Some(Line { round_trip: Duration::from_millis(milliseconds), bits_per_second })
        };
        match self {
            Self::FirstLoad => Plan { databases: ALL, ..usual },
            Self::FirstLoadMillion => Plan { count: 1_000_000, rounds: 2, ..usual },
            Self::Shuffled => Plan { kind: data::Kind::Shuffled, databases: ALL, ..usual },
            Self::Paced => Plan { pace: 10, rounds: 1, ..usual },
            Self::Idle => Plan { edit: Some(Edit::Nothing), rounds: 9, ..usual },
            Self::Changed => Plan { edit: Some(Edit::Touch(2_000)), databases: ALL, rounds: 5, ..usual },
            Self::Stamped => Plan { edit: Some(Edit::Stamp), ..usual },
            Self::Line50 => Plan { line: line(50, 0), ..usual },
            Self::Line300 => Plan { count: 20_000, line: line(300, 2_000_000), rounds: 1, ..usual },
            Self::Children => {
                Plan { kind: data::Kind::Children, count: 20_000, has_children: true, databases: ALL, ..usual }
            }
            Self::Merge => Plan { is_merged: true, databases: ALL, ..usual },
            Self::IdleJobs => {
                Plan { kind: data::Kind::Doctypes, count: 50, edit: Some(Edit::Nothing), rounds: 9, ..usual }
            }
        }
    }

    pub(crate) fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self)
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }
}

impl Plan {
    /// How many jobs there are.
    pub(crate) fn jobs(&self) -> usize {
        if self.kind == data::Kind::Doctypes { self.count } else { 1 }
    }

    /// How many records HQ has in all.
    pub(crate) fn records(&self) -> usize {
        if self.kind == data::Kind::Doctypes { self.count * data::OF_A_DOCTYPE } else { self.count }
    }
}
