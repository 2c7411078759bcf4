//! What runs did to a job's rows, told afterwards: each row that was made or changed, as it is now, and each that went.
//!
//! Read page by page, so that a night's hundred thousand changes take no more memory than a day's ten. Private values are
//! left out.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use indexmap::IndexMap;
use serde::Serialize;

use super::Error;
use crate::change::{Action, Text};
use crate::config::{Deletes, Job};
use crate::row::{Key, Type};
use crate::run::Run;
use crate::store::{GoneRow, HeldRow, Span, Store, Table, TouchedRow};

/// Rows read at once.
const PAGE: usize = 500;

/// Runs of one job that are looked through; the run log holds fewer.
const RUNS: u32 = 10_000;

/// One row that a run made, changed or let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// The job.
    pub job: String,
    /// HQ's `name`.
    pub name: String,
    /// The row's key, or the one that no row has any more; `None` where it is private.
    pub key: Option<String>,
    /// What was done, all runs asked about taken together.
    pub action: Action,
    /// When the run that did it last ended, or began where it goes on.
    pub at: Option<DateTime<Utc>>,
    /// That run.
    pub run: i64,
    /// The key that the row has instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<String>,
    /// The row's mapped columns as they are now; `None` where it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<IndexMap<String, Text>>,
}

/// A first load, of which the rows are not told one by one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FirstLoad {
    /// The job.
    pub job: String,
    /// The run.
    pub run: i64,
    /// When it ended, or began where it goes on.
    pub at: Option<DateTime<Utc>>,
    /// Rows that it made.
    pub rows: u64,
}

/// The changes of one job, page by page.
#[derive(Debug)]
pub struct Listing<'a> {
    store: &'a Store,
    job: &'a Job,
    /// `None` where no run is asked about.
    span: Option<Span>,
    runs: HashMap<i64, Run>,
    table: Option<Table>,
    place: Place,
}

/// How far a listing has come.
#[derive(Debug)]
enum Place {
    /// Rows that are there, above this name.
    Rows(Arc<str>),
    /// Rows that went, above this name and run.
    Gone(Arc<str>, i64),
    End,
}

impl<'a> Listing<'a> {
    /// What was done since a moment.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn since(store: &'a Store, job: &'a Job, since: DateTime<Utc>) -> Result<Self, Error> {
        let runs = store.runs_since(Some(&job.name), false, Some(since), RUNS).await;
        Ok(Self::of(store, job, runs.map_err(Error::store("reading the run log"))?))
    }

    /// What these runs of the job did.
    #[must_use]
    pub fn of(store: &'a Store, job: &'a Job, runs: Vec<Run>) -> Self {
        let ids = || runs.iter().map(|run| run.id);
        let span = ids().min().zip(ids().max()).map(|(first, last)| Span { first, last });
        let runs = runs.into_iter().map(|run| (run.id, run)).collect();
        Self { store, job, span, runs, table: None, place: Place::Rows("".into()) }
    }

    /// The next ones; `None` after the last. What is there comes first, in the order of HQ's names, then what went.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn next(&mut self) -> Result<Option<Vec<Changed>>, Error> {
        let reading = || Error::store("reading what was changed");
        let Some(span) = self.span else { return Ok(None) };
        match &self.place {
            Place::Rows(after) => {
                let rows = self.store.touched(&self.job.name, span, after, PAGE).await.map_err(reading())?;
                let last = rows.last().filter(|_| rows.len() == PAGE).map(|row| Arc::clone(&row.name));
                let changed = self.rows(span, rows).await?;
                self.place = last.map_or_else(|| Place::Gone("".into(), i64::MIN), Place::Rows);
                Ok(Some(changed))
            }
            Place::Gone(name, run) => {
                let gone = self.store.gone(&self.job.name, span, (name, *run), PAGE).await;
                let (rows, last) = gone.map_err(reading())?;
                self.place = last.map_or(Place::End, |(name, run)| Place::Gone(name, run));
                Ok(Some(rows.into_iter().map(|row| self.gone(row)).collect()))
            }
            Place::End => Ok(None),
        }
    }

    /// The first loads among the runs.
    ///
    /// # Errors
    /// The database's trouble.
    pub async fn first_loads(&self) -> Result<Vec<FirstLoad>, Error> {
        let reading = || Error::store("reading the run log");
        let Some(span) = self.span else { return Ok(Vec::new()) };
        let mut loads = Vec::new();
        for id in self.store.first_loads(&self.job.name, span).await.map_err(reading())? {
            let Some(run) = self.runs.get(&id) else { continue };
            let told = self.store.count_made(&self.job.name, id).await.map_err(reading())?;
            let rows = run.counts.inserted.saturating_sub(told);
            if rows > 0 {
                loads.push(FirstLoad { job: self.job.name.clone(), run: id, at: self.at(id), rows });
            }
        }
        Ok(loads)
    }

    async fn rows(&mut self, span: Span, touched: Vec<TouchedRow>) -> Result<Vec<Changed>, Error> {
        if touched.is_empty() {
            return Ok(Vec::new());
        }
        if self.table.is_none() {
            let table = self.store.lay_out(self.job).await;
            self.table = table.map_err(Error::store(format!("table {}", self.job.table)))?;
        }
        let keys: Vec<Key> = touched.iter().filter_map(|row| key(self.job, &row.key)).collect();
        // A table that is gone holds none of them; what was done to them is told all the same.
        let mut held = match &self.table {
            Some(table) => {
                let held = self.store.rows(table, &keys).await;
                held.map_err(Error::store(format!("reading table {}", self.job.table)))?
            }
            None => HashMap::new(),
        };
        let changed = touched.into_iter().map(|row| {
            let is_new = row.made_in.is_some_and(|run| (span.first..=span.last).contains(&run));
            let columns = held.remove(&row.key).map(|found| self.columns(&found));
            Changed {
                action: if is_new { Action::Insert } else { Action::Update },
                columns,
                ..self.changed(&row.name, self.shown(&row.key), row.changed_in)
            }
        });
        Ok(changed.collect())
    }

    fn gone(&self, row: GoneRow) -> Changed {
        let action = match (&row.moved_to, self.job.deletes) {
            (Some(_), _) => Action::Move,
            (None, Deletes::Mark) => Action::Mark,
            (None, Deletes::Delete | Deletes::Keep) => Action::Delete,
        };
        Changed {
            action,
            moved_to: row.moved_to.as_deref().and_then(|key| self.shown(key)),
            ..self.changed(&row.name, row.key.as_deref().and_then(|key| self.shown(key)), row.run)
        }
    }

    fn changed(&self, name: &str, key: Option<String>, run: i64) -> Changed {
        Changed {
            job: self.job.name.clone(),
            name: name.to_owned(),
            key,
            action: Action::Update,
            at: self.at(run),
            run,
            moved_to: None,
            columns: None,
        }
    }

    fn columns(&self, row: &HeldRow) -> IndexMap<String, Text> {
        let columns = self.job.mapping.columns().iter().zip(&row.row);
        let shown = columns.filter(|(column, _)| !column.is_private);
        shown.map(|(column, cell)| (column.name.clone(), cell.text())).collect()
    }

    fn shown(&self, key: &str) -> Option<String> {
        (!self.job.mapping.has_private_key()).then(|| key.to_owned())
    }

    fn at(&self, run: i64) -> Option<DateTime<Utc>> {
        self.runs.get(&run).map(|run| run.ended_at.unwrap_or(run.started_at))
    }
}

/// The key that a text of the ledger stands for, by the mapping in force.
fn key(job: &Job, text: &str) -> Option<Key> {
    let columns = job.mapping.columns();
    let types: Vec<Type> = job.mapping.key().iter().filter_map(|at| columns.get(*at)).map(|column| column.ty).collect();
    Key::from_text(text, &types)
}
