//! The outlet of a history: its jobs, their rules, and what a record at HQ is to each of them.

use std::fmt::Write as _;

use chrono::{DateTime, NaiveDateTime, Utc};
use milkrun::demo::data;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Map, Value};

/// The DocTypes; links of either point to the second.
pub(crate) const DOCTYPES: [&str; 2] = ["Item", "Item Group"];

/// The names that records have: in HQ's order, which is not that of the bytes.
pub(crate) const NAMES: [&str; 8] = ["a1", "B2", "c 3", "D4", "é5", "F6", "g7", "Z8"];

/// HQ's columns beside the key.
pub(crate) const COLUMNS: [&str; 4] = ["title", "price", "grp", "phone"];
pub(crate) const PRICE: usize = 1;
pub(crate) const PHONE: usize = 3;

/// The longest title that the mapping takes.
pub(crate) const LONGEST: usize = 20;

/// Jobs of an outlet.
pub(crate) const JOBS: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    HqWins,
    LocalWins,
    NewestWins,
    Merge,
    Manual,
}

const RULES: [Rule; 5] = [Rule::HqWins, Rule::LocalWins, Rule::NewestWins, Rule::Merge, Rule::Manual];

impl Rule {
    fn word(self) -> &'static str {
        match self {
            Self::HqWins => "hq_wins",
            Self::LocalWins => "local_wins",
            Self::NewestWins => "newest_wins",
            Self::Merge => "merge",
            Self::Manual => "manual",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deletes {
    Delete,
    Mark,
    Keep,
}

/// A job of the outlet.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) doctype: usize,
    /// The rule as written; `None` is `hq_wins` without base values.
    pub(crate) rule: Option<Rule>,
    pub(crate) otherwise: Option<Rule>,
    /// The price's own.
    pub(crate) of_price: Option<Rule>,
    /// The phone is `until_edited`.
    pub(crate) is_until_edited: bool,
    pub(crate) deletes: Deletes,
    pub(crate) is_filtered: bool,
    pub(crate) is_narrowed: bool,
    pub(crate) is_remapped: bool,
    pub(crate) has_parts: bool,
    pub(crate) page_size: usize,
    pub(crate) waits_for: Option<usize>,
}

/// A record at HQ, as a job takes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Version {
    pub(crate) columns: [Option<String>; 4],
    pub(crate) parts: Vec<String>,
    pub(crate) modified: Option<DateTime<Utc>>,
    /// The mapping refuses it.
    pub(crate) is_bad: bool,
}

impl Job {
    /// The rule of a column where both sides changed it; `None` where none is needed, as the outlet's edit stays.
    pub(crate) fn deciding(&self, column: usize) -> Option<Rule> {
        if column == PHONE && self.is_until_edited {
            return None;
        }
        let own = if column == PRICE { self.of_price } else { None };
        Some(self.resolved(own.or(self.rule)))
    }

    /// The rule for the row as a whole.
    pub(crate) fn deciding_for_row(&self) -> Rule {
        self.resolved(self.rule)
    }

    fn resolved(&self, rule: Option<Rule>) -> Rule {
        match rule {
            None => Rule::HqWins,
            Some(Rule::Merge) => self.otherwise.unwrap_or(Rule::HqWins),
            Some(rule) => rule,
        }
    }

    /// Whether the column takes HQ's value whenever a change of HQ's is written: `hq_wins`, not `merge`.
    pub(crate) fn is_hqs_with_the_record(&self, column: usize) -> bool {
        let own = if column == PRICE { self.of_price } else { None };
        self.deciding(column).is_some() && matches!(own.or(self.rule), None | Some(Rule::HqWins))
    }

    /// What the job takes of a document; `None` where it is outside the filters.
    pub(crate) fn version(&self, document: &Map<String, Value>) -> Option<Version> {
        let is = |field: &str| document[field] == 1;
        if (self.is_filtered && !is("sold")) || (self.is_narrowed && !is("grade")) {
            return None;
        }
        let text = |field: &str| document[field].as_str().map(str::to_owned);
        let title = text(if self.is_remapped { "remark" } else { "title" });
        let price = Some(format!("{:.2}", document["rate"].as_f64().unwrap_or_default()));
        let parts = document["parts"].as_array().into_iter().flatten();
        let modified =
            text("modified").and_then(|text| NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f").ok());
        Some(Version {
            is_bad: title.as_ref().is_some_and(|title| title.len() > LONGEST),
            columns: [title, price, text("grp"), text("phone")],
            parts: if self.has_parts {
                parts.map(|part| part["label"].as_str().unwrap_or_default().to_owned()).collect()
            } else {
                Vec::new()
            },
            // HQ stamps in Kolkata's wall time.
            modified: modified.map(|wall| (wall - chrono::Duration::minutes(330)).and_utc()),
        })
    }

    fn write(&self, nth: usize, text: &mut String) {
        let own = |rule: Option<Rule>| rule.map(|rule| format!(", conflict = \"{}\"", rule.word())).unwrap_or_default();
        let mut line = |words: String| writeln!(text, "{words}").unwrap();
        line(format!(
            "[[job]]\nname = \"j{nth}\"\ndoctype = \"{}\"\nschedule = \"0 * * * * *\"",
            DOCTYPES[self.doctype]
        ));
        line(format!("table = \"t{nth}\"\nkey = \"code\"\noverlap = \"30m\"\npage_size = {}", self.page_size));
        line("delete_limit = { rows = 1000, percent = 100 }".to_owned());
        let deletes = match self.deletes {
            Deletes::Delete => "delete",
            Deletes::Mark => "mark",
            Deletes::Keep => "keep",
        };
        line(format!("deletes = \"{deletes}\""));
        if let Some(other) = self.waits_for {
            line(format!("after = [\"j{other}\"]"));
        }
        let filters = [(self.is_filtered, "[\"sold\", \"=\", 1]"), (self.is_narrowed, "[\"grade\", \"=\", 1]")];
        let filters: Vec<&str> = filters.iter().filter(|(is_on, _)| *is_on).map(|(_, filter)| *filter).collect();
        line(format!("filters = [{}]", filters.join(", ")));
        if let Some(rule) = self.rule {
            line(format!("conflict = \"{}\"", rule.word()));
        }
        if let Some(otherwise) = self.otherwise {
            line(format!("otherwise = \"{}\"", otherwise.word()));
        }
        if [self.rule, self.otherwise, self.of_price].contains(&Some(Rule::NewestWins)) {
            line("local_modified = \"touched\"".to_owned());
        }
        line("[job.fields]\ncode = \"name\"".to_owned());
        let title = if self.is_remapped { "remark" } else { "title" };
        line(format!("title = {{ from = \"{title}\", max_length = {LONGEST} }}"));
        line(format!("price = {{ from = \"rate\", type = \"decimal\", scale = 2{} }}", own(self.of_price)));
        line("grp = \"grp\"".to_owned());
        let owner = if self.is_until_edited { ", owner = \"until_edited\"" } else { "" };
        line(format!("phone = {{ from = \"phone\"{owner} }}"));
        line("shelf = { const = \"new\", owner = \"once\" }".to_owned());
        if self.has_parts {
            line(format!("[[job.children]]\nfield = \"parts\"\ntable = \"p{nth}\"\nparent_key = \"code\""));
            line("[job.children.fields]\nlabel = \"label\"".to_owned());
        }
    }
}

/// The jobs that a seed picks.
pub(crate) fn jobs(seed: u64) -> Vec<Job> {
    let random = &mut StdRng::seed_from_u64(seed);
    (0..JOBS).map(|nth| job(random, nth)).collect()
}

fn job(random: &mut StdRng, nth: usize) -> Job {
    let some = |random: &mut StdRng, rules: &[Rule]| *rules.choose(random).unwrap();
    let rule = random.random_bool(0.8).then(|| some(random, &RULES));
    let is_merge = rule == Some(Rule::Merge);
    let otherwise = [Rule::HqWins, Rule::LocalWins, Rule::NewestWins, Rule::Manual];
    Job {
        // Two of the three share a DocType.
        doctype: nth % 2,
        rule,
        otherwise: (is_merge && random.random_bool(0.7)).then(|| some(random, &otherwise)),
        of_price: (random.random_bool(0.3)).then(|| some(random, &RULES)).filter(|rule| *rule != Rule::Merge),
        is_until_edited: random.random_bool(0.3),
        deletes: *[Deletes::Delete, Deletes::Delete, Deletes::Mark, Deletes::Keep].choose(random).unwrap(),
        is_filtered: random.random_bool(0.5),
        is_narrowed: false,
        is_remapped: false,
        has_parts: random.random_bool(0.4),
        page_size: random.random_range(1..4),
        waits_for: (nth == 2 && random.random_bool(0.3)).then_some(1),
    }
}

/// The rule that a change of the configuration gives to a job whose base values are kept.
pub(crate) fn other_rule(n: u8) -> Rule {
    RULES[usize::from(n) % RULES.len()]
}

/// `sync.toml`.
pub(crate) fn config(jobs: &[Job], hq: &str, local: &str) -> String {
    let (key, secret) = data::MANAGER;
    let mut text = format!(
        r#"[site]
name = "model"
time_zone = "Asia/Kolkata"
[hq]
url = "{hq}"
auth = {{ kind = "token", api_key = "{key}", api_secret = "{secret}" }}
time_zone = "Asia/Kolkata"
timeout = "20s"
max_requests_per_second = 0
retry = {{ max_attempts = 2, first_delay = "1ms", max_delay = "1ms" }}
[local]
url = "{local}"
"#
    );
    jobs.iter().enumerate().for_each(|(nth, job)| job.write(nth, &mut text));
    text
}
