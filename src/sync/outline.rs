//! A job's mapping as it is kept beside its watermark, and what an edit changes in it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::former::Form;
use crate::config::Job;
use crate::mapping::Outline as Columns;

/// Changes whenever the job would fill its tables differently, or other tables.
pub(super) fn fingerprint(job: &Job) -> i64 {
    let mapping = &job.mapping;
    let children: Vec<[&str; 3]> = mapping
        .children()
        .iter()
        .map(|child| [child.field.as_str(), child.table.as_str(), child.parent_key.as_str()])
        .collect();
    let mut what = vec![job.doctype.clone().into(), job.table.clone().into()];
    what.extend([serde_json::json!(key(job)), serde_json::json!(children), job.filters.clone().into()]);
    // The ledger's values are had by reading everything once more.
    if job.rules.keeps_base {
        what.push("base".into());
    }
    let what = Value::Array(what);
    let hash = xxhash_rust::xxh3::xxh3_64(what.to_string().as_bytes());
    mapping.fingerprint() ^ i64::from_ne_bytes(hash.to_ne_bytes())
}

fn key(job: &Job) -> Vec<&str> {
    let columns = job.mapping.columns();
    job.mapping
        .key()
        .iter()
        .filter_map(|at| columns.get(*at))
        .map(|column| column.name.as_str())
        .collect()
}

/// All that decides what a job's tables hold, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outline {
    /// Of the mapping that this is the outline of.
    pub(super) fingerprint: i64,
    pub(super) doctype: String,
    pub(super) table: String,
    pub(super) key: Vec<String>,
    pub(super) filters: Vec<Value>,
    pub(super) keeps_base: bool,
    pub(super) columns: Columns,
    pub(super) children: Vec<Child>,
    /// The mappings before it that entries of the ledger may still be of, the latest last.
    #[serde(default)]
    pub(super) former: Vec<Form>,
    /// One of those is not known: a version of milkrun that kept none had it.
    #[serde(default)]
    pub(super) follows_unknown: bool,
    /// Rows that other filters let in may still be there: only comparing with all of HQ finds them, and nothing has since.
    #[serde(default)]
    pub(super) owes_reconcile: bool,
    /// Columns, with their tables, that were gone from the database, and are to be filled again.
    #[serde(default)]
    pub(super) lost: Vec<(String, String)>,
    /// The same, where all has been read since but what waits in quarantine or for a decision.
    #[serde(default)]
    pub(super) lost_to_waiting: Vec<(String, String)>,
}

/// A child table's part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Child {
    field: String,
    table: String,
    parent_key: String,
    columns: Columns,
}

/// One thing that an edit changes in a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// A column is filled that was not.
    ColumnAdded {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A column is not filled any more; what it holds stays.
    ColumnDropped {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A column is filled otherwise.
    ColumnChanged {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// The key of `sync.toml`.
        key: String,
        /// What it was; `None` where it was not there.
        from: Option<String>,
        /// What it is; `None` where it is no more.
        to: Option<String>,
    },
    /// Another child table is filled.
    ChildAdded {
        /// The table.
        table: String,
    },
    /// A child table is not filled any more; what it holds stays.
    ChildDropped {
        /// The table.
        table: String,
    },
    /// A key of the job, other than its fields'.
    Job {
        /// The key of `sync.toml`.
        key: String,
        /// What it was.
        from: String,
        /// What it is.
        to: String,
    },
    /// Something in the mapping; what, is not known, as no outline of the one before was kept.
    Something,
}

impl Outline {
    /// Of a job.
    pub(super) fn of(job: &Job) -> Self {
        let child = |child: &crate::mapping::ChildTable| Child {
            field: child.field.clone(),
            table: child.table.clone(),
            parent_key: child.parent_key.clone(),
            columns: child.outline(),
        };
        Self {
            fingerprint: fingerprint(job),
            doctype: job.doctype.clone(),
            table: job.table.clone(),
            key: key(job).into_iter().map(str::to_owned).collect(),
            filters: job.filters.clone(),
            keeps_base: job.rules.keeps_base,
            columns: job.mapping.outline(),
            children: job.mapping.children().iter().map(child).collect(),
            former: Vec::new(),
            follows_unknown: false,
            owes_reconcile: false,
            lost: Vec::new(),
            lost_to_waiting: Vec::new(),
        }
    }

    /// Whether the mapping fills this column of this table.
    pub(super) fn has_filled(&self, table: &str, column: &str) -> bool {
        let children = self.children.iter().map(|child| (&child.table, &child.columns));
        let mut tables = std::iter::once((&self.table, &self.columns)).chain(children);
        tables.any(|(name, columns)| name == table && columns.contains_key(column))
    }

    /// As it is kept.
    pub(super) fn text(&self) -> String {
        // Lists, texts and numbers alone: nothing that JSON does not take.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What is other in `new`.
    pub(super) fn changes_to(&self, new: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        let words = |list: &[Value]| Value::from(list.to_vec()).to_string();
        for (key, from, to) in [
            ("doctype", self.doctype.clone(), new.doctype.clone()),
            ("table", self.table.clone(), new.table.clone()),
            ("key", self.key.join(", "), new.key.join(", ")),
            ("filters", words(&self.filters), words(&new.filters)),
        ] {
            if from != to {
                changes.push(Change::Job { key: key.to_owned(), from, to });
            }
        }
        columns(&new.table, &self.columns, &new.columns, &mut changes);
        for child in &new.children {
            match self.children.iter().find(|known| known.table == child.table) {
                None => changes.push(Change::ChildAdded { table: child.table.clone() }),
                Some(known) => {
                    for (key, from, to) in
                        [("field", &known.field, &child.field), ("parent_key", &known.parent_key, &child.parent_key)]
                    {
                        if from != to {
                            let key = format!("children.{key}");
                            changes.push(Change::Job { key, from: from.clone(), to: to.clone() });
                        }
                    }
                    columns(&child.table, &known.columns, &child.columns, &mut changes);
                }
            }
        }
        let is_gone = |known: &&Child| !new.children.iter().any(|child| child.table == known.table);
        changes.extend(
            self.children
                .iter()
                .filter(is_gone)
                .map(|child| Change::ChildDropped { table: child.table.clone() }),
        );
        if self.keeps_base != new.keeps_base {
            let words = |keeps: bool| if keeps { "keeps HQ's values" } else { "keeps no values" }.to_owned();
            changes.push(Change::Job {
                key: "conflict".to_owned(),
                from: words(self.keeps_base),
                to: words(new.keeps_base),
            });
        }
        let refilled = self.lost.iter().filter(|(table, column)| new.has_filled(table, column));
        changes.extend(
            refilled.map(|(table, column)| Change::ColumnAdded { table: table.clone(), column: column.clone() }),
        );
        if changes.is_empty() && self.fingerprint != new.fingerprint {
            changes.push(Change::Something);
        }
        changes
    }
}

fn columns(table: &str, before: &Columns, after: &Columns, changes: &mut Vec<Change>) {
    let named = |column: &String| (table.to_owned(), column.clone());
    for (column, words) in after {
        let Some(known) = before.get(column) else {
            let (table, column) = named(column);
            changes.push(Change::ColumnAdded { table, column });
            continue;
        };
        let keys: BTreeMap<&String, ()> = known.keys().chain(words.keys()).map(|key| (key, ())).collect();
        for key in keys.into_keys().filter(|key| known.get(*key) != words.get(*key)) {
            let (table, column) = named(column);
            let (from, to) = (known.get(key).cloned(), words.get(key).cloned());
            changes.push(Change::ColumnChanged { table, column, key: key.clone(), from, to });
        }
    }
    for column in before.keys().filter(|column| !after.contains_key(*column)) {
        let (table, column) = named(column);
        changes.push(Change::ColumnDropped { table, column });
    }
}
