//! One page of records into the database: look up, map, hold, resolve, apply, commit.
//!
//! Rows, child rows, ledger and progress commit together or not at all, and the transaction is opened only when all
//! of HQ's answers are in hand.

use std::collections::{HashMap, HashSet};

use super::run::Work;
use super::whole::Whole;
use super::{Error, Event, lease};
use crate::conflict::{self, Care, Clash, Held, Incoming, LocalRow, Plan};
use crate::ledger::Known;
use crate::mapping::{Answers, ChildRows, children_hash};
use crate::record::{Page, Record, Stamp};
use crate::row::{Key, Row, Type};
use crate::run::Counts;
use crate::store::{PageTx, Stream};
use crate::watermark::Progress;

/// What comes with a page.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// The progress that is true once the page is committed.
    pub(super) progress: Progress,
    /// How closely unchanged records are looked at.
    pub(super) care: Care,
}

impl Work<'_> {
    /// Applies whole records.
    pub(super) async fn page(&mut self, page: Page, step: Step) -> Result<(), Error> {
        let fetched = page.len() as u64;
        let news = self.news_of(&page, step.care).await?;
        let passed_over = fetched - news.len() as u64;
        let mut counts = Counts { fetched, unchanged: passed_over, ..Counts::default() };
        let wholes = self.whole(page, |name| news.contains(name)).await?;
        let last = wholes.len().saturating_sub(1);
        for (at, whole) in wholes.iter().enumerate() {
            // Only the last part makes the page complete.
            let progress = if at == last { step.progress.clone() } else { self.progress.clone() };
            let mut records: Vec<Record<'_>> = whole.records().filter(|record| news.contains(record.name())).collect();
            // A record that stands twice in one answer is one record.
            let mut taken: HashSet<&str> = HashSet::new();
            records.retain(|record| taken.insert(record.name()));
            counts.add(&self.commit(whole, &records, &progress, step.care).await?);
            self.progress = progress;
        }
        self.counts.add(&counts);
        self.engine.tell(&Event::Page { job: self.job.name.clone(), counts: self.counts });
        Ok(())
    }

    /// The records that the ledger does not hold at their stamp; all of them where repair is asked for.
    async fn news_of(&self, page: &Page, care: Care) -> Result<HashSet<String>, Error> {
        let names: Vec<&str> = page.marks().iter().map(|mark| mark.name.as_str()).collect();
        let known = match care {
            Care::Repair => HashMap::new(),
            Care::News => {
                let known = self.engine.store.known(&self.job.name, &names).await;
                known.map_err(Error::store("reading the ledger"))?
            }
        };
        let is_news = |record: &Record<'_>| match known.get(record.name()) {
            Some(Known::Present(stamp)) => stamp != record.modified(),
            Some(Known::Absent(_)) | None => true,
        };
        Ok(page.records().filter(is_news).map(|record| record.name().to_owned()).collect())
    }

    /// One transaction; again, if it turned out that a row belongs to a record that HQ no longer has.
    async fn commit(
        &mut self,
        whole: &Whole,
        records: &[Record<'_>],
        progress: &Progress,
        care: Care,
    ) -> Result<Counts, Error> {
        let mut dead: HashSet<String> = HashSet::new();
        loop {
            match self.try_commit(whole, records, progress, care, &dead).await {
                Err(Error::Clash(clash)) if !clash.is_certain => {
                    if self.living(&[clash.holder.as_str()]).await?.contains(&clash.holder) {
                        return Err(Error::Clash(Clash { is_certain: true, ..clash }));
                    }
                    // Renamed, or deleted without a tombstone: the row goes to the record that has its key now.
                    dead.insert(clash.holder);
                }
                outcome => return outcome,
            }
        }
    }

    async fn try_commit(
        &self,
        whole: &Whole,
        records: &[Record<'_>],
        progress: &Progress,
        care: Care,
        dead: &HashSet<String>,
    ) -> Result<Counts, Error> {
        let store = Error::store;
        let mut tx = self.engine.store.begin().await.map_err(store("opening a transaction"))?;
        let until = lease::until(self.engine.clock.now());
        tx.hold_lease(&self.job.name, self.engine.holder.text(), until)
            .await
            .map_err(store("holding the job's lease"))?;
        let mut counts = Counts::default();
        let mut incoming = Vec::new();
        if !records.is_empty() {
            let mapped = self.map(&mut tx, whole, records).await;
            incoming = mapped.map_err(|error| self.without_private(error, &[]))?;
            let hushed = |error: Error| self.without_private(error, &incoming);
            let held = self.hold(&mut tx, &incoming, care, dead).await.map_err(hushed)?;
            let plan = conflict::plan(&incoming, &held, self.job.mapping.columns(), care);
            let plan = plan.map_err(|clash| hushed(clash.into()))?;
            self.apply(&mut tx, &incoming, &plan).await.map_err(hushed)?;
            counts.inserted = plan.inserts.len() as u64;
            counts.unchanged = plan.unchanged;
            counts.updated = incoming.len() as u64 - counts.inserted - counts.unchanged;
        }
        if *progress != self.progress {
            let saved = tx.save_progress(&self.job.name, Stream::Records, progress, self.engine.clock.now()).await;
            saved.map_err(store("saving the watermark"))?;
        }
        // A check that the database puts off until now may quote a row.
        let committed = tx.commit().await.map_err(store("committing a page"));
        committed.map_err(|error| self.without_private(error, &incoming))?;
        Ok(counts)
    }

    async fn map(&self, tx: &mut PageTx, whole: &Whole, records: &[Record<'_>]) -> Result<Vec<Incoming>, Error> {
        let mapping = &self.job.mapping;
        let wanted = mapping.wanted(&whole.page);
        let answers = tx.lookups(&self.table, None, &wanted).await.map_err(Error::store("looking up local rows"))?;
        let mut children = self.map_children(tx, whole).await?;
        let map = |record: &Record<'_>| {
            let mapped = mapping
                .map(*record, &answers)
                .map_err(|reject| Error::Reject { hq_name: record.name().to_owned(), reason: reject.0 })?;
            let children: Vec<ChildRows> =
                children.iter_mut().map(|table| table.remove(record.name()).unwrap_or_default()).collect();
            Ok(Incoming {
                hq_name: record.name().to_owned(),
                modified: record.modified().clone(),
                mapped,
                children_hash: children_hash(&children),
                children,
            })
        };
        records.iter().map(map).collect()
    }

    /// The mapped child rows by the parent's HQ name, in `idx` order, for each child table.
    async fn map_children(&self, tx: &mut PageTx, whole: &Whole) -> Result<Vec<HashMap<String, ChildRows>>, Error> {
        let mut tables = Vec::with_capacity(whole.children.len());
        for (at, (child, pages)) in self.job.mapping.children().iter().zip(&whole.children).enumerate() {
            let mut rows: HashMap<String, Vec<(i64, ChildRows)>> = HashMap::new();
            for page in pages {
                let wanted = child.wanted(page);
                let answers: Answers =
                    tx.lookups(&self.table, Some(at), &wanted).await.map_err(Error::store("looking up local rows"))?;
                for record in page.records() {
                    let row = child.map(record, &answers).map_err(|reject| Error::Reject {
                        hq_name: record.text("parent").into_owned(),
                        reason: format!("{}: {}", child.field, reject.0),
                    })?;
                    rows.entry(row.parent).or_default().push((row.idx, vec![row.row]));
                }
            }
            let in_order = |mut rows: Vec<(i64, ChildRows)>| {
                rows.sort_by_key(|(idx, _)| *idx);
                rows.into_iter().flat_map(|(_, row)| row).collect::<ChildRows>()
            };
            tables.push(rows.into_iter().map(|(parent, rows)| (parent, in_order(rows))).collect());
        }
        Ok(tables)
    }

    async fn hold(
        &self,
        tx: &mut PageTx,
        incoming: &[Incoming],
        care: Care,
        dead: &HashSet<String>,
    ) -> Result<Held, Error> {
        let reading = || Error::store("reading local rows");
        let names: Vec<&str> = incoming.iter().map(|record| record.hq_name.as_str()).collect();
        let keys: Vec<String> = incoming.iter().map(|record| record.mapped.key.text()).collect();
        let key_texts: Vec<&str> = keys.iter().map(String::as_str).collect();
        let entries =
            tx.entries(&self.job.name, &names, &key_texts).await.map_err(Error::store("reading the ledger"))?;
        let mut held = Held { dead: dead.clone(), ..Held::default() };
        for entry in entries {
            held.owners.insert(entry.local_key.clone(), entry.hq_name.clone());
            held.entries.insert(entry.hq_name.clone(), entry);
        }
        let mut wanted: Vec<Key> = Vec::with_capacity(incoming.len());
        let mut former: Vec<Key> = Vec::new();
        for (record, key) in incoming.iter().zip(&keys) {
            let entry = held.entries.get(&record.hq_name);
            let is_settled = entry.is_some_and(|entry| entry.row_hash == record.mapped.hash && entry.local_key == *key);
            if care == Care::Repair || !is_settled {
                wanted.push(record.mapped.key.clone());
            }
            let moved_from = entry.filter(|entry| entry.local_key != *key && !keys.contains(&entry.local_key));
            former.extend(moved_from.and_then(|entry| self.key(&entry.local_key)));
        }
        wanted.extend(former.iter().cloned());
        let rows = tx.rows(&self.table, &wanted).await.map_err(reading())?;
        held.rows = rows
            .into_iter()
            .map(|(key, row)| (key, LocalRow { row: row.row, is_marked: row.is_marked }))
            .collect();
        for (record, key) in incoming.iter().zip(&keys) {
            if let Some(local) = held.rows.get_mut(key) {
                self.agree(local, &record.mapped.row);
            }
        }
        let has_adopted =
            incoming.iter().any(|record| !held.entries.contains_key(&record.hq_name)) && !held.rows.is_empty();
        if !self.job.mapping.children().is_empty() && (care == Care::Repair || has_adopted) {
            let mut children = Vec::new();
            let all: Vec<Key> = incoming.iter().map(|record| record.mapped.key.clone()).chain(former).collect();
            for at in 0..self.job.mapping.children().len() {
                children.push(tx.child_rows(&self.table, at, &all).await.map_err(reading())?);
            }
            held.children = Some(children);
        }
        Ok(held)
    }

    /// Takes HQ's cell for the local one wherever the column's own type makes them one value (`80.0` in a column of
    /// two decimals reads back as `80.00`).
    fn agree(&self, local: &mut LocalRow, row: &Row) {
        let kind = self.engine.store.kind();
        for (at, (have, want)) in local.row.iter_mut().zip(row).enumerate() {
            if have != want && self.table.agrees(kind, at, want, have) {
                *have = want.clone();
            }
        }
    }

    async fn apply(&self, tx: &mut PageTx, incoming: &[Incoming], plan: &Plan) -> Result<(), Error> {
        let writing = || Error::store(format!("writing to table {}", self.job.table));
        let rows =
            |at: &[usize]| at.iter().filter_map(|at| incoming.get(*at)).map(|record| &record.mapped.row).collect();
        let dropped: Vec<&str> = plan.dropped.iter().map(String::as_str).collect();
        tx.drop_entries(&self.job.name, &dropped).await.map_err(Error::store("writing the ledger"))?;
        for (from, to) in &plan.rekeys {
            let Some(from) = self.key(from) else { continue };
            for child in 0..self.job.mapping.children().len() {
                tx.replace_children(&self.table, child, &[(from.clone(), Vec::new())]).await.map_err(writing())?;
            }
            tx.rekey(&self.table, &from, to).await.map_err(writing())?;
        }
        let inserts: Vec<_> = rows(&plan.inserts);
        tx.insert(&self.table, &inserts).await.map_err(writing())?;
        let updates: Vec<_> = rows(&plan.updates);
        tx.update(&self.table, &updates).await.map_err(writing())?;
        for (at, child) in self.job.mapping.children().iter().enumerate() {
            let parents = plan.children.iter().filter_map(|at| incoming.get(*at));
            let rows: Vec<(Key, ChildRows)> = parents
                .map(|parent| (parent.mapped.key.clone(), parent.children.get(at).cloned().unwrap_or_default()))
                .collect();
            let replaced = tx.replace_children(&self.table, at, &rows).await;
            replaced.map_err(Error::store(format!("writing to table {}", child.table)))?;
        }
        tx.upsert_entries(&self.job.name, &plan.entries).await.map_err(Error::store("writing the ledger"))
    }

    /// The key that a text of the ledger stands for; `None` where the job's key has been given other types since.
    pub(super) fn key(&self, text: &str) -> Option<Key> {
        let columns = self.job.mapping.columns();
        let types: Vec<Type> =
            self.job.mapping.key().iter().filter_map(|at| columns.get(*at)).map(|column| column.ty).collect();
        Key::from_text(text, &types)
    }

    /// Saves the progress without a page.
    pub(super) async fn save_progress(&self) -> Result<(), Error> {
        let store = Error::store;
        let mut tx = self.engine.store.begin().await.map_err(store("opening a transaction"))?;
        let now = self.engine.clock.now();
        let until = lease::until(now);
        tx.hold_lease(&self.job.name, self.engine.holder.text(), until)
            .await
            .map_err(store("holding the job's lease"))?;
        let saved = tx.save_progress(&self.job.name, Stream::Records, &self.progress, now).await;
        saved.map_err(store("saving the watermark"))?;
        if let Some(settled) = &self.progress.watermark.settled {
            // What lies below `settled` is not listed again, so it need not be remembered.
            let forgotten = tx.forget_absent_below(&self.job.name, &settled.modified).await;
            forgotten.map_err(store("forgetting old tombstones"))?;
        }
        tx.commit().await.map_err(store("saving the watermark"))
    }

    /// Remembers records that do not belong here, so that they are not asked for again at the same stamp.
    pub(super) async fn note_absent(&self, strangers: &[(String, Stamp)]) -> Result<(), Error> {
        if strangers.is_empty() {
            return Ok(());
        }
        let store = Error::store;
        let mut tx = self.engine.store.begin().await.map_err(store("opening a transaction"))?;
        let now = self.engine.clock.now();
        tx.hold_lease(&self.job.name, self.engine.holder.text(), lease::until(now))
            .await
            .map_err(store("holding the job's lease"))?;
        tx.note_absent(&self.job.name, strangers, now)
            .await
            .map_err(store("noting records outside the filters"))?;
        tx.commit().await.map_err(store("noting records outside the filters"))
    }
}
