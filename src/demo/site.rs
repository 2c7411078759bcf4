//! The handle to a simulated HQ: tests edit records through it, and script what goes wrong.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value};

use super::cell::{self, Cell};
use super::clock::{self, Stamp};
use super::doctype::DocType;
use super::edit::{Touch, Write};
use super::front::Front;
use super::records::Records;
use super::refusal::Refusal;
use super::row::{Column, Row};
use super::user::User;

/// Who writes when a test does.
const ADMINISTRATOR: &str = "Administrator";

/// A simulated Frappe site. Clones are the same site; all methods return at once and may be called from anywhere.
#[derive(Clone)]
pub struct Site(Arc<Inner>);

impl std::fmt::Debug for Site {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Site").finish_non_exhaustive()
    }
}

struct Inner {
    records: Mutex<Records>,
    front: Mutex<Front>,
    /// Held while hooks run.
    turn: Mutex<()>,
}

/// A transaction whose stamp is already taken and whose changes nobody sees before it commits (recordings 406, 407).
#[must_use = "dropped without commit, it is rolled back"]
pub struct Late {
    site: Site,
    stamp: Stamp,
    work: Work,
}

enum Work {
    Save { doctype: String, name: Option<String>, changes: Map<String, Value> },
    Delete { doctype: String, name: String },
}

impl Site {
    /// A site without records whose stamps are wall time of `zone`; its clock shows the real time.
    pub fn new(zone: Tz) -> Self {
        Self(Arc::new(Inner {
            records: Mutex::new(Records::new(zone)),
            front: Mutex::new(Front::default()),
            turn: Mutex::new(()),
        }))
    }

    /// Adds a DocType.
    pub fn doctype(self, doctype: DocType) -> Self {
        self.records().define(doctype);
        self
    }

    /// Adds a user.
    pub fn user(self, user: User) -> Self {
        self.records().users.push(user);
        self
    }

    pub(super) fn records(&self) -> MutexGuard<'_, Records> {
        self.0.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn front(&self) -> MutexGuard<'_, Front> {
        self.0.front.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.0.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The clock.

    /// The present at HQ.
    pub fn now(&self) -> DateTime<Utc> {
        self.records().clock.now()
    }

    /// The present at HQ as it stamps it: wall time without a zone.
    pub fn now_stamp(&self) -> String {
        let records = self.records();
        let local = records.clock.now().with_timezone(&records.clock.zone()).naive_local();
        clock::print(local.and_utc().timestamp_micros())
    }

    /// Sets the present; a running clock runs on from there.
    pub fn set_clock(&self, now: DateTime<Utc>) {
        self.records().clock.set(now);
    }

    /// Stops the clock at `now`; every stamp given moves it on by `step`, which may be zero.
    pub fn freeze(&self, now: DateTime<Utc>, step: Duration) {
        self.records().clock.freeze(now, step);
    }

    /// Moves the clock on, running or stopped.
    pub fn advance(&self, by: Duration) {
        self.records().clock.advance(by);
    }

    /// Changes the zone that stamps are written in; those given stay.
    pub fn set_zone(&self, zone: Tz) {
        self.records().clock.set_zone(zone);
    }

    // Edits that Frappe stamps.

    /// Makes a record and gives its name.
    ///
    /// # Errors
    /// As HQ refuses it: the name exists, the DocType does not, a date is none.
    pub fn insert(&self, doctype: &str, fields: Value) -> Result<String, Refusal> {
        let mut records = self.records();
        let stamp = records.stamp();
        insert(&mut records, doctype, &object(fields), Touch::At(Some(stamp)))
    }

    /// Changes fields of a record; its `modified` and its child rows' move to now.
    ///
    /// # Errors
    /// The record does not exist, or a value is refused.
    pub fn update(&self, doctype: &str, name: &str, changes: Value) -> Result<(), Refusal> {
        let mut records = self.records();
        let stamp = records.stamp();
        records.update(doctype, name, &object(changes), Write { user: ADMINISTRATOR, touch: Touch::At(Some(stamp)) })
    }

    /// Deletes a record, leaving a `Deleted Document` (recording 704). Links to it are left hanging.
    ///
    /// # Errors
    /// The record does not exist.
    pub fn delete(&self, doctype: &str, name: &str) -> Result<(), Refusal> {
        let mut records = self.records();
        let stamp = records.stamp();
        records.delete(doctype, name, ADMINISTRATOR, Some(stamp))
    }

    /// Renames a record: `modified` stays, links follow silently, a Comment is left (recordings 721-725).
    ///
    /// # Errors
    /// The record does not exist, or the new name does.
    pub fn rename(&self, doctype: &str, old: &str, new: &str) -> Result<(), Refusal> {
        self.records().rename(doctype, old, new, ADMINISTRATOR)
    }

    /// Merges a record into another, whose `modified` stays (recordings 726-729).
    ///
    /// # Errors
    /// One of the records does not exist.
    pub fn merge(&self, doctype: &str, from: &str, into: &str) -> Result<(), Refusal> {
        self.records().merge(doctype, from, into, ADMINISTRATOR)
    }

    /// Changes all records that `wanted` picks under one single `modified`; gives how many (recording 405).
    ///
    /// # Errors
    /// The DocType does not exist, or a value is refused.
    pub fn bulk_stamp(
        &self,
        doctype: &str,
        wanted: impl Fn(&Map<String, Value>) -> bool,
        changes: Value,
    ) -> Result<usize, Refusal> {
        let changes = object(changes);
        let mut records = self.records();
        let stamp = records.stamp();
        let table = records.table(doctype)?;
        let rows = table.in_name_order(std::ops::Bound::Unbounded).filter_map(|id| table.get(id));
        let picked: Vec<String> = rows
            .filter(|row| wanted(&row.to_map(&table.doctype)))
            .map(|row| cell::text(&row.name.to_json()))
            .collect();
        for name in &picked {
            let write = Write { user: ADMINISTRATOR, touch: Touch::At(Some(stamp)) };
            records.update(doctype, name, &changes, write)?;
        }
        Ok(picked.len())
    }

    // Edits behind Frappe's back.

    /// Changes a record and leaves `modified` where it is (recording 404).
    ///
    /// # Errors
    /// The record does not exist, or a value is refused.
    pub fn update_silently(&self, doctype: &str, name: &str, changes: Value) -> Result<(), Refusal> {
        let write = Write { user: ADMINISTRATOR, touch: Touch::Silently };
        self.records().update(doctype, name, &object(changes), write)
    }

    /// Deletes a record as SQL does, without a trace (recording 709).
    ///
    /// # Errors
    /// The record does not exist.
    pub fn delete_without_trace(&self, doctype: &str, name: &str) -> Result<(), Refusal> {
        self.records().delete(doctype, name, ADMINISTRATOR, None)
    }

    /// Makes a record with a stamp of the test's choice; `None` is SQL's NULL (recording 412).
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub fn insert_with_modified(
        &self,
        doctype: &str,
        fields: Value,
        modified: Option<&str>,
    ) -> Result<String, Refusal> {
        let touch = Touch::At(modified.and_then(clock::parse));
        insert(&mut self.records(), doctype, &object(fields), touch)
    }

    /// Changes a record and sets its stamp, to the past, the future or NULL.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub fn update_with_modified(
        &self,
        doctype: &str,
        name: &str,
        changes: Value,
        modified: Option<&str>,
    ) -> Result<(), Refusal> {
        let touch = Touch::At(modified.and_then(clock::parse));
        self.records().update(doctype, name, &object(changes), Write { user: ADMINISTRATOR, touch })
    }

    /// Loads records as a restored backup would: `name`, `creation`, `modified`, `owner` and child names are kept
    /// where given. Gives how many.
    ///
    /// # Errors
    /// At the first record that is refused.
    pub fn load(&self, doctype: &str, rows: impl IntoIterator<Item = Value>) -> Result<usize, Refusal> {
        let mut records = self.records();
        let mut count = 0;
        for row in rows {
            let stamp = records.stamp();
            insert(&mut records, doctype, &object(row), Touch::Load(stamp))?;
            count += 1;
        }
        Ok(count)
    }

    /// Begins a transaction that changes a record, or makes one where `name` is `None`: the stamp is taken now.
    pub fn begin_late(&self, doctype: &str, name: Option<&str>, changes: Value) -> Late {
        let work = Work::Save { doctype: doctype.to_owned(), name: name.map(str::to_owned), changes: object(changes) };
        Late { site: self.clone(), stamp: self.records().stamp(), work }
    }

    /// Begins a transaction that deletes a record: its tombstone carries a stamp taken now.
    pub fn begin_late_delete(&self, doctype: &str, name: &str) -> Late {
        let work = Work::Delete { doctype: doctype.to_owned(), name: name.to_owned() };
        Late { site: self.clone(), stamp: self.records().stamp(), work }
    }

    // Reading, for comparing.

    /// All records with their child rows, in name order, nothing hidden and nothing left out.
    pub fn dump(&self, doctype: &str) -> Vec<Map<String, Value>> {
        let records = self.records();
        let Ok(table) = records.table(doctype) else {
            return Vec::new();
        };
        let names = table.in_name_order(std::ops::Bound::Unbounded).filter_map(|id| table.get(id));
        names.filter_map(|row| records.document(doctype, &cell::text(&row.name.to_json())).ok()).collect()
    }

    /// One record as [`Self::dump`] has it.
    pub fn get(&self, doctype: &str, name: &str) -> Option<Map<String, Value>> {
        self.records().document(doctype, name).ok()
    }

    /// How many records a DocType has.
    pub fn count(&self, doctype: &str) -> usize {
        self.records().table(doctype).map_or(0, super::table::Table::len)
    }

    /// The names of a DocType's records, in name order.
    pub fn names(&self, doctype: &str) -> Vec<String> {
        self.pick(doctype, |_| true)
    }

    /// The names of the records whose field holds a text, in name order.
    pub fn names_where(&self, doctype: &str, field: &str, value: &str) -> Vec<String> {
        let column = {
            let records = self.records();
            records.table(doctype).ok().and_then(|table| Column::of(&table.doctype, field))
        };
        self.pick(doctype, |row| column.and_then(|column| row.text(column)) == Some(value))
    }

    fn pick(&self, doctype: &str, wanted: impl Fn(&Row) -> bool) -> Vec<String> {
        let records = self.records();
        let Ok(table) = records.table(doctype) else {
            return Vec::new();
        };
        let rows = table.in_name_order(std::ops::Bound::Unbounded).filter_map(|id| table.get(id));
        rows.filter(|row| wanted(row)).map(|row| cell::text(&row.name.to_json())).collect()
    }
}

impl Late {
    /// The stamp the transaction carries, as it will be printed.
    pub fn stamp(&self) -> String {
        clock::print(self.stamp)
    }

    /// Makes the changes visible, under the stamp taken when it began; gives the record's name.
    ///
    /// # Errors
    /// As the edit it holds back.
    pub fn commit(self) -> Result<String, Refusal> {
        let touch = Touch::At(Some(self.stamp));
        let mut records = self.site.records();
        match self.work {
            Work::Save { doctype, name: Some(name), changes } => {
                records.update(&doctype, &name, &changes, Write { user: ADMINISTRATOR, touch })?;
                Ok(name)
            }
            Work::Save { doctype, name: None, changes } => insert(&mut records, &doctype, &changes, touch),
            Work::Delete { doctype, name } => {
                records.delete(&doctype, &name, ADMINISTRATOR, Some(self.stamp))?;
                Ok(name)
            }
        }
    }
}

fn insert(records: &mut Records, doctype: &str, fields: &Map<String, Value>, touch: Touch) -> Result<String, Refusal> {
    let name: Cell = records.insert(doctype, fields, Write { user: ADMINISTRATOR, touch })?;
    Ok(cell::text(&name.to_json()))
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}
