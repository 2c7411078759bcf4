//! Records that could not be taken: parked with their page, tried again when something may have changed.
//!
//! A parked record is tried again when its time has come, when a row that it waits for is there, when HQ has a newer
//! version (it comes with the news), when everything is read again, as after a change of the mapping, or by hand.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::incoming::Refusal;
use super::page::Step;
use super::poll::Fate;
use super::run::Work;
use super::whole::Whole;
use super::{Engine, Error};
use crate::config::Job;
use crate::conflict::Care;
use crate::mapping::Wanted;
use crate::quarantine::{LIMIT, Parked};
use crate::record::{Page, Record, Stamp};
use crate::store::PageTx;

/// Texts in a kept payload are cut to this many characters: it is to be read by a person.
const SHOWN: usize = 1_000;

/// Records that a run names in the log as it parks them; the list has them all.
const SAID: u64 = 5;

/// Child rows of a table that a payload keeps.
const SHOWN_ROWS: usize = 50;

/// Why a parked record stays where it is although HQ does not show it.
const MISSING: &str = "HQ shows no record of this name (any more); it leaves by its tombstone, or by and by";

/// Tries, each later than the one before, after which a missing record is taken for gone: about half a day.
const TRIES_OF_MISSING: u32 = 8;

/// Bytes of a payload.
const PAYLOAD: usize = 256 << 10;

impl Work<'_> {
    /// What is parked at the start of the run.
    pub(super) async fn load_parked(&mut self) -> Result<Vec<Parked>, Error> {
        let parked = self.engine.store.parked(Some(&self.job.name)).await;
        let parked = parked.map_err(Error::store("reading the quarantine"))?;
        self.parked = parked.iter().map(|one| (one.name.clone(), one.modified.clone())).collect();
        Ok(parked)
    }

    /// Tries again what may go through now.
    pub(super) async fn retry_due(&mut self, parked: &[Parked]) -> Result<(), Error> {
        if parked.is_empty() {
            return Ok(());
        }
        let now = self.engine.clock.now();
        let arrived = self.arrived(parked).await?;
        let is_due = |one: &&Parked| arrived.contains(&one.name) || one.next_at.is_none_or(|next| next <= now);
        let due: Vec<&str> = parked.iter().filter(is_due).map(|one| one.name.as_str()).collect();
        self.retry(&due).await
    }

    /// Tries these parked records again, by their names at HQ.
    pub(super) async fn retry(&mut self, names: &[&str]) -> Result<(), Error> {
        let mut rest = names;
        while !rest.is_empty() {
            self.go_on()?;
            let chunk = rest.get(..self.page_size.get()).unwrap_or(rest);
            let Fate { page, outside, missing, too_large, asked } = self.fetch_news(chunk).await?;
            rest = rest.get(asked..).unwrap_or_default();
            // The version that was refused may be the one that the ledger holds, where the mapping has changed since.
            let step = Step::new(self.progress.clone(), Care::Repair);
            self.page(page, step).await?;
            let too_large: Vec<(String, Stamp)> = too_large.into_iter().map(|name| self.as_parked(name)).collect();
            self.park_oversized(&too_large).await?;
            self.park_missing(missing).await?;
            // A row that it has here is the poll's to retire, as it is news that it left the filters.
            self.forget_parked(&outside.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        }
        Ok(())
    }

    /// HQ shows no record of these names. That proves little, as a permission may be lost for a while: a tombstone takes
    /// them out of quarantine, or that they are not there for many tries.
    async fn park_missing(&mut self, names: Vec<String>) -> Result<(), Error> {
        if names.is_empty() {
            return Ok(());
        }
        let names: HashSet<String> = names.into_iter().collect();
        let reading = Error::store("reading the quarantine");
        let parked = self.engine.store.parked(Some(&self.job.name)).await.map_err(reading)?;
        let (mut gone, mut open): (Vec<&str>, Vec<(String, Stamp)>) = (Vec::new(), Vec::new());
        for one in parked.iter().filter(|one| names.contains(&one.name)) {
            if one.reason == MISSING && one.tries >= TRIES_OF_MISSING {
                gone.push(&one.name);
            } else {
                open.push((one.name.clone(), one.modified.clone()));
            }
        }
        self.forget_parked(&gone).await?;
        self.park_without_page(&open, MISSING).await
    }

    fn as_parked(&self, name: String) -> (String, Stamp) {
        let stamp = self.parked.get(&name).cloned().unwrap_or_else(Stamp::never);
        (name, stamp)
    }

    /// The parked records that wait for a row of another table which is there now.
    async fn arrived(&self, parked: &[Parked]) -> Result<HashSet<String>, Error> {
        let mut wanted: HashMap<Option<usize>, HashMap<usize, Vec<String>>> = HashMap::new();
        for awaited in parked.iter().flat_map(|one| &one.awaits) {
            let values = wanted.entry(awaited.child).or_default().entry(awaited.lookup).or_default();
            values.push(awaited.value.clone());
        }
        if wanted.is_empty() {
            return Ok(HashSet::new());
        }
        let looking = || Error::store("looking up local rows");
        let mut found: HashSet<(Option<usize>, usize, String)> = HashSet::new();
        for (child, lookups) in wanted {
            let wanted: Vec<Wanted> = lookups.into_iter().map(|(lookup, values)| Wanted { lookup, values }).collect();
            let answers = self.engine.store.lookups(&self.table, child, &wanted).await.map_err(looking())?;
            for (lookup, known) in answers.0.into_iter().enumerate() {
                found.extend(known.into_keys().map(|value| (child, lookup, value)));
            }
        }
        let has_arrived = |one: &&Parked| {
            one.awaits
                .iter()
                .any(|awaited| found.contains(&(awaited.child, awaited.lookup, awaited.value.clone())))
        };
        Ok(parked.iter().filter(has_arrived).map(|one| one.name.clone()).collect())
    }

    /// Parks records in the page's transaction.
    pub(super) async fn park(&self, tx: &mut PageTx, whole: Option<&Whole>, refused: &[Refusal]) -> Result<(), Error> {
        if refused.is_empty() {
            return Ok(());
        }
        let new = refused.iter().filter(|refusal| !self.parked.contains_key(&refusal.name)).count();
        if let (true, Some(first)) = (self.parked.len() + new > LIMIT, refused.first()) {
            return Err(Error::TooManyParked { hq_name: first.name.clone(), reason: first.reason.clone() });
        }
        let parking = || Error::store("parking records");
        let now = self.engine.clock.now();
        let names: Vec<&str> = refused.iter().map(|refusal| refusal.name.as_str()).collect();
        let known = tx.parked(&self.job.name, &names).await.map_err(parking())?;
        let payloads = whole.map(|whole| Payloads::of(whole, self.job));
        let parked: Vec<Parked> = refused
            .iter()
            .map(|refusal| {
                let before = known.get(&refusal.name);
                // Tries count for one version; a record that is missing is another trouble than it was before.
                let is_missing = |reason: &str| reason == MISSING;
                let same = before.filter(|before| {
                    before.modified == refusal.modified && is_missing(&before.reason) == is_missing(&refusal.reason)
                });
                let tries = same.map_or(1, |before| before.tries.saturating_add(1));
                Parked {
                    job: self.job.name.clone(),
                    name: refusal.name.clone(),
                    modified: refusal.modified.clone(),
                    reason: refusal.reason.clone(),
                    payload: match (&payloads, before) {
                        (Some(payloads), _) => payloads.of_record(&refusal.name),
                        (None, Some(before)) => before.payload.clone(),
                        (None, None) => "{}".to_owned(),
                    },
                    tries,
                    first_at: before.map_or(now, |before| before.first_at),
                    last_at: now,
                    next_at: Parked::next_try(tries, now, rand::random()),
                    awaits: refusal.awaits.clone(),
                }
            })
            .collect();
        let to_say = SAID.saturating_sub(self.newly_parked);
        let new = parked.iter().filter(|one| !known.contains_key(&one.name));
        for one in new.take(usize::try_from(to_say).unwrap_or_default()) {
            tracing::warn!(job = one.job, name = one.name, reason = one.reason, "record parked in quarantine");
        }
        tx.park(&parked).await.map_err(parking())
    }

    /// Takes the records that were judged out of quarantine, but those that are refused again; gives their names.
    pub(super) async fn free(
        &self,
        tx: &mut PageTx,
        judged: &[Record<'_>],
        refused: &[Refusal],
    ) -> Result<Vec<String>, Error> {
        if self.parked.is_empty() {
            return Ok(Vec::new());
        }
        let refused: HashSet<&str> = refused.iter().map(|refusal| refusal.name.as_str()).collect();
        let is_freed = |name: &&str| self.parked.contains_key(*name) && !refused.contains(*name);
        let freed: Vec<&str> = judged.iter().map(|record| record.name()).filter(is_freed).collect();
        tx.unpark(&self.job.name, &freed).await.map_err(Error::store("taking records out of quarantine"))?;
        Ok(freed.into_iter().map(str::to_owned).collect())
    }

    /// Parks records that are larger than any answer milkrun takes.
    pub(super) async fn park_oversized(&mut self, records: &[(String, Stamp)]) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        let reason = format!(
            "the record alone is larger than {} MiB; leave its largest field out of the mapping",
            crate::source::MAX_BODY >> 20
        );
        self.park_without_page(records, &reason).await
    }

    async fn park_without_page(&mut self, records: &[(String, Stamp)], reason: &str) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        let refused: Vec<Refusal> = records
            .iter()
            .map(|(name, modified)| Refusal {
                name: name.clone(),
                modified: modified.clone(),
                reason: reason.to_owned(),
                awaits: Vec::new(),
            })
            .collect();
        let parking = || Error::store("parking records");
        let mut tx = self.engine.begin_held(&self.job.name).await?;
        self.park(&mut tx, None, &refused).await?;
        tx.commit().await.map_err(parking())?;
        self.tell_changes(self.parked_changes(&refused));
        self.counts.quarantined += refused.len() as u64;
        self.has_parked(records.to_vec());
        Ok(())
    }

    /// Asks HQ for all that is parked, and takes out what it does not have any more: what was deleted without a trace, or is
    /// called otherwise now.
    pub(super) async fn look_for_parked(&mut self) -> Result<(), Error> {
        let mut parked: Vec<String> = self.parked.keys().cloned().collect();
        parked.sort_unstable();
        let parked: Vec<&str> = parked.iter().map(String::as_str).collect();
        let living = self.living(&parked).await?;
        let dead: Vec<&str> = parked.into_iter().filter(|name| !living.contains(*name)).collect();
        self.forget_parked(&dead).await
    }

    /// Takes note of records that are parked for good.
    pub(super) fn has_parked(&mut self, records: Vec<(String, Stamp)>) {
        for (name, modified) in records {
            self.newly_parked += u64::from(self.parked.insert(name, modified).is_none());
        }
    }

    /// Says how many records were parked beyond those that were named.
    pub(super) fn say_the_rest(&self) {
        let rest = self.newly_parked.saturating_sub(SAID);
        if rest > 0 {
            let job = &self.job.name;
            tracing::warn!(
                job,
                records = rest,
                "more were parked in quarantine: `milkrun quarantine list {job}` has them all"
            );
        }
    }

    /// Takes records out of quarantine that HQ does not have any more, or that do not belong here.
    pub(super) async fn forget_parked(&mut self, names: &[&str]) -> Result<(), Error> {
        let parked: Vec<&str> = names.iter().copied().filter(|name| self.parked.contains_key(*name)).collect();
        if parked.is_empty() {
            return Ok(());
        }
        let freeing = || Error::store("taking records out of quarantine");
        let mut tx = self.engine.begin_held(&self.job.name).await?;
        tx.unpark(&self.job.name, &parked).await.map_err(freeing())?;
        tx.commit().await.map_err(freeing())?;
        for name in parked {
            self.parked.remove(name);
        }
        Ok(())
    }
}

impl Engine {
    /// Gives parked records up: they leave the quarantine and are not asked for again in this version of HQ's. Waits
    /// for a run that is going on.
    ///
    /// # Errors
    /// A database that does not answer, or a run that does not end.
    pub async fn discard(&self, job: &str, names: &[String]) -> Result<(), Error> {
        let held = self.take_lease(job).await?;
        let given_up = self.give_up(job, names).await;
        self.give_back(held).await;
        given_up
    }

    async fn give_up(&self, job: &str, names: &[String]) -> Result<(), Error> {
        let giving_up = || Error::store("giving up parked records");
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut tx = self.begin_held(job).await?;
        let parked = tx.parked(job, &names).await.map_err(giving_up())?;
        let versions: Vec<(String, Stamp)> =
            parked.into_values().map(|parked| (parked.name, parked.modified)).collect();
        tx.unpark(job, &names).await.map_err(giving_up())?;
        tx.note_given_up(job, &versions, self.clock.now()).await.map_err(giving_up())?;
        tx.commit().await.map_err(giving_up())
    }
}

/// The records of a page as HQ sent them, with their child rows, for a person to read.
struct Payloads<'w> {
    job: &'w Job,
    records: HashMap<&'w str, Record<'w>>,
    /// For each child table, the rows by their parents.
    children: Vec<HashMap<String, Vec<Record<'w>>>>,
}

impl<'w> Payloads<'w> {
    fn of(whole: &'w Whole, job: &'w Job) -> Self {
        let by_parent = |pages: &'w Vec<Page>| {
            let mut rows: HashMap<String, Vec<Record<'w>>> = HashMap::new();
            for row in pages.iter().flat_map(|page| page.records()) {
                let rows = rows.entry(row.text("parent").into_owned()).or_default();
                if rows.len() < SHOWN_ROWS {
                    rows.push(row);
                }
            }
            rows
        };
        Self {
            job,
            records: whole.records().map(|record| (record.name(), record)).collect(),
            children: whole.children.iter().map(by_parent).collect(),
        }
    }

    fn of_record(&self, name: &str) -> String {
        let Some(record) = self.records.get(name) else { return "{}".to_owned() };
        let mut payload = shown(*record, |field| self.job.mapping.is_private(field));
        for (child, rows) in self.job.mapping.children().iter().zip(&self.children) {
            let rows = rows.get(name).into_iter().flatten();
            let rows = rows.map(|row| Value::Object(shown(*row, |field| child.is_private(field)))).collect();
            payload.insert(child.field.clone(), Value::Array(rows));
        }
        let text = Value::Object(payload).to_string();
        if text.len() <= PAYLOAD {
            return text;
        }
        serde_json::json!({ "name": name, "…": "too large to keep" }).to_string()
    }
}

fn shown(record: Record<'_>, is_private: impl Fn(&str) -> bool) -> Map<String, Value> {
    let fields: Map<String, Value> = serde_json::from_str(&record.payload()).unwrap_or_default();
    let shown = |(field, value): (String, Value)| {
        let value = if is_private(&field) { Value::from("(private)") } else { cut(value) };
        (field, value)
    };
    fields.into_iter().map(shown).collect()
}

fn cut(value: Value) -> Value {
    let text = match &value {
        Value::String(text) => text.as_str().into(),
        Value::Array(_) | Value::Object(_) => std::borrow::Cow::Owned(value.to_string()),
        Value::Null | Value::Bool(_) | Value::Number(_) => return value,
    };
    let length = text.chars().count();
    if length <= SHOWN {
        return value;
    }
    let start: String = text.chars().take(SHOWN).collect();
    Value::String(format!("{start}… ({length} characters)"))
}
