//! Records that were renamed at HQ: gone under one name, new under another, and one record.
//!
//! HQ moves no stamp at a rename. What it leaves is a remark on the record, in its own language, with both names in
//! `<strong>` (recordings 721 and 724); where the user may not read those, the stamp that stays tells, if it is on no other
//! record, or else the values. The ledger's entry then goes over to the new name and keeps the key of its row, so that
//! the page that brings the record moves the row as for any key that changed at HQ.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::missing::Missing;
use super::walk::Walk;
use super::{ASKED_AT_ONCE, Error};
use serde_json::json;

use crate::conflict::Conflict;
use crate::record::{Mark, Stamp};
use crate::row::{Cell, Row};
use crate::source;
use crate::source::frappe::Remark;
use crate::sync::run::{Work, unless_stopped};

/// A record that was renamed so often since it was last read has its rest of the way looked up this many times.
const STEPS: usize = 4;

/// A poll that brings more unknown records than this is no day's work, and not looked through for renames.
const MANY: usize = 5_000;

/// From the old name to the new one.
type Rename = (String, String);

impl Work<'_> {
    /// Pairs what is gone with what is new, and has the ledger's entries of renamed records go over to the new names.
    pub(super) async fn move_renamed(&mut self, walk: &mut Walk, missing: &mut Missing) -> Result<(), Error> {
        self.keep_news(walk).await?;
        if walk.newcomers.is_empty() || missing.gone.is_empty() {
            return Ok(());
        }
        let gone: HashSet<&str> = missing.gone.iter().map(String::as_str).collect();
        let mut renames = self.remarked(&walk.newcomers, &gone).await?;
        // What a permission hides is at HQ under its old name.
        if missing.unproven.is_none() {
            renames.extend(self.by_stamp(&walk.newcomers, &gone, &renames).await?);
        }
        let renames = self.move_entries(renames).await?;
        walk.repaired.renamed += renames.len() as u64;
        let moved: HashSet<&str> = renames.iter().map(|(old, _)| old.as_str()).collect();
        missing.gone.retain(|name| !moved.contains(name.as_str()));
        missing.rowless.retain(|name| !moved.contains(name.as_str()));
        missing.edited.retain(|name| !moved.contains(name.as_str()));
        Ok(())
    }

    /// As [`Work::move_renamed`], by HQ's remarks alone, while it is not known yet what is gone.
    pub(super) async fn move_remarked(&mut self, walk: &mut Walk) -> Result<(), Error> {
        let remarks = self.remarks(&walk.newcomers.iter().map(|mark| mark.name.as_str()).collect::<Vec<_>>()).await?;
        let olds: Vec<String> = pairs(&remarks).into_iter().map(|(old, _)| old).collect();
        let mut gone: HashSet<&str> = HashSet::new();
        for some in olds.chunks(ASKED_AT_ONCE) {
            let names: Vec<&str> = some.iter().map(String::as_str).collect();
            let known = self.engine.store.known(&self.job.name, &names, true).await;
            let known = known.map_err(Error::store("reading the ledger"))?;
            let ours = |name: &&str| known.get(*name).is_some_and(|known| known.present.is_some());
            let ours: Vec<&str> = names.into_iter().filter(ours).collect();
            gone.extend(self.unseen(&[], &ours).await?.0);
        }
        if gone.is_empty() {
            return Ok(());
        }
        let renames = self.remarked(&walk.newcomers, &gone).await?;
        walk.repaired.renamed += self.move_entries(renames).await?.len() as u64;
        Ok(())
    }

    /// Recognises renamed records among those that a poll lists and the ledger does not know, by the stamp that a rename
    /// leaves alone; whether there were any. HQ is asked only where the ledger has a record of the same stamp that is not
    /// in the list.
    pub(in crate::sync) async fn recognise_renamed(
        &mut self,
        unknown: &[&Mark],
        listed: &[Mark],
    ) -> Result<bool, Error> {
        if unknown.is_empty() || unknown.len() > MANY {
            return Ok(false);
        }
        let stamps: HashSet<&str> = unknown.iter().map(|mark| mark.modified.as_str()).collect();
        let stamps: Vec<&str> = stamps.into_iter().collect();
        let same = self.engine.store.traces_at(&self.job.name, &stamps).await;
        let same = same.map_err(Error::store("reading the ledger"))?;
        let listed: HashSet<&str> = listed.iter().map(|mark| mark.name.as_str()).collect();
        let absent: Vec<&str> =
            same.iter().map(|trace| trace.hq_name.as_str()).filter(|name| !listed.contains(name)).collect();
        // A bulk update that is longer than one list.
        if absent.is_empty() || absent.len() > ASKED_AT_ONCE {
            return Ok(false);
        }
        let gone: HashSet<&str> = self.unseen(&[], &absent).await?.0.into_iter().collect();
        let unknown: Vec<Mark> = unknown.iter().map(|mark| (*mark).clone()).collect();
        let renames = self.by_stamp(&unknown, &gone, &[]).await?;
        let renames = self.move_entries(renames).await?;
        if !renames.is_empty() {
            tracing::info!(job = self.job.name, records = renames.len(), "records were renamed at HQ: their rows move");
        }
        Ok(!renames.is_empty())
    }

    /// Forgets newcomers that a run has taken meanwhile, in whatever version.
    async fn keep_news(&self, walk: &mut Walk) -> Result<(), Error> {
        let mut taken: HashSet<String> = HashSet::new();
        for some in walk.newcomers.chunks(ASKED_AT_ONCE) {
            let names: Vec<&str> = some.iter().map(|mark| mark.name.as_str()).collect();
            let known = self.engine.store.known(&self.job.name, &names, true).await;
            let known = known.map_err(Error::store("reading the ledger"))?;
            let is_ours = |mark: &&Mark| known.get(&mark.name).is_some_and(|known| known.present.is_some());
            taken.extend(some.iter().filter(is_ours).map(|mark| mark.name.clone()));
        }
        walk.newcomers.retain(|mark| !taken.contains(&mark.name));
        // One that was saved during the walk stands in the list twice.
        let mut once: HashSet<String> = HashSet::new();
        walk.newcomers.retain(|mark| once.insert(mark.name.clone()));
        Ok(())
    }

    /// Has the ledger's entries go over to the new names; gives those that did.
    async fn move_entries(&mut self, renames: Vec<Rename>) -> Result<Vec<Rename>, Error> {
        if renames.is_empty() {
            return Ok(renames);
        }
        let moving = || Error::store("moving the ledger's entries of renamed records");
        let mut tx = self.engine.begin_held(&self.job.name).await?;
        let renames = tx.rename_entries(&self.job.name, renames).await.map_err(moving())?;
        tx.commit().await.map_err(moving())?;
        self.renamed += renames.len() as u64;
        // A row keeps its key until the page that brings the record.
        self.has_own_keys = true;
        for (old, new) in &renames {
            if let Some(conflict) = self.open.remove(old) {
                self.open.insert(new.clone(), Conflict { name: new.clone(), ..conflict });
            }
        }
        Ok(renames)
    }

    /// The renames that HQ remarked on, back through other names to one that is gone.
    async fn remarked(&self, newcomers: &[Mark], gone: &HashSet<&str>) -> Result<Vec<Rename>, Error> {
        let mut former: HashMap<String, Vec<String>> = HashMap::new();
        let mut ask: Vec<String> = newcomers.iter().map(|mark| mark.name.clone()).collect();
        let mut asked: HashSet<String> = HashSet::new();
        for _ in 0..STEPS {
            asked.extend(ask.iter().cloned());
            let names: Vec<&str> = ask.iter().map(String::as_str).collect();
            for (old, new) in pairs(&self.remarks(&names).await?) {
                let olds = former.entry(new).or_default();
                if !olds.contains(&old) {
                    olds.push(old);
                }
            }
            // Where a record has been renamed twice, the first remark may stand on the name between.
            let between = former.values().flatten().filter(|old| !gone.contains(old.as_str()) && !asked.contains(*old));
            ask = between.cloned().collect::<BTreeSet<_>>().into_iter().collect();
            if ask.is_empty() {
                break;
            }
        }
        let known = self.stamps(gone).await?;
        let mut taken: HashSet<String> = HashSet::new();
        let mut renames = Vec::new();
        for mark in newcomers {
            let candidates = origins(&mark.name, &former, gone);
            let free = || candidates.iter().filter(|old| !taken.contains(*old));
            // A record into which others were merged has several; its own name of before has its stamp.
            let own = free().find(|old| known.get(*old) == Some(&mark.modified)).or_else(|| free().next()).cloned();
            if let Some(old) = own {
                taken.insert(old.clone());
                renames.push((old, mark.name.clone()));
            }
        }
        Ok(renames)
    }

    async fn remarks(&self, names: &[&str]) -> Result<Vec<Remark>, Error> {
        let mut remarks = Vec::new();
        for some in names.chunks(ASKED_AT_ONCE) {
            let asking = self.engine.hq.remarks(&self.job.doctype, some, self.meter);
            match unless_stopped(self.stop, async { Ok(asking.await) }).await? {
                Ok(some) => remarks.extend(some),
                Err(
                    error @ (source::Error::Forbidden { .. }
                    | source::Error::Unknown { .. }
                    | source::Error::Refused { .. }
                    | source::Error::Page(_)),
                ) => {
                    tracing::debug!(job = self.job.name, %error, "HQ does not list Comment: renames are told by stamps");
                    return Ok(Vec::new());
                }
                Err(error) => return Err(Error::source("asking HQ what was renamed")(error)),
            }
        }
        Ok(remarks)
    }

    /// The stamps that the ledger has of these names.
    async fn stamps(&self, names: &HashSet<&str>) -> Result<HashMap<String, Stamp>, Error> {
        let names: Vec<&str> = names.iter().copied().collect();
        let mut stamps = HashMap::with_capacity(names.len());
        for some in names.chunks(ASKED_AT_ONCE) {
            let known = self.engine.store.known(&self.job.name, some, true).await;
            let known = known.map_err(Error::store("reading the ledger"))?;
            stamps.extend(known.into_iter().filter_map(|(name, known)| Some((name, known.present?))));
        }
        Ok(stamps)
    }

    /// The renames that an equal stamp tells: one that no other record has, or equal values under a shared one.
    async fn by_stamp(
        &mut self,
        newcomers: &[Mark],
        gone: &HashSet<&str>,
        renames: &[Rename],
    ) -> Result<Vec<Rename>, Error> {
        let (olds, news): (HashSet<&str>, HashSet<&str>) =
            renames.iter().map(|(old, new)| (old.as_str(), new.as_str())).unzip();
        let mut sides: HashMap<Stamped, (Vec<String>, Vec<String>)> = HashMap::new();
        for (old, stamp) in self.stamps(gone).await?.into_iter().filter(|(old, _)| !olds.contains(old.as_str())) {
            sides.entry(Stamped::of(&stamp)).or_default().0.push(old);
        }
        for mark in newcomers.iter().filter(|mark| !news.contains(mark.name.as_str())) {
            if let Some((_, news)) = sides.get_mut(&Stamped::of(&mark.modified)) {
                news.push(mark.name.clone());
            }
        }
        sides.retain(|_, (_, news)| !news.is_empty());
        let mut found = Vec::new();
        let (mut olds, mut news) = (Vec::new(), Vec::new());
        for (Stamped(stamp), side) in sides {
            match (side.0.as_slice(), side.1.as_slice()) {
                ([old], [new]) if stamp != Stamp::never() && !self.is_shared(&stamp).await? => {
                    found.push((old.clone(), new.clone()));
                }
                _ => {
                    olds.extend(side.0);
                    news.extend(side.1);
                }
            }
        }
        found.extend(self.by_values(&olds, &news).await?);
        Ok(found)
    }

    /// Whether more than one record carries this stamp. With filters the ledger does not know of all; where HQ does not
    /// count them, they are taken for more.
    async fn is_shared(&self, stamp: &Stamp) -> Result<bool, Error> {
        let shared = self.engine.store.is_shared(&self.job.name, stamp).await;
        if shared.map_err(Error::store("reading the ledger"))? {
            return Ok(true);
        }
        if self.job.filters.is_empty() {
            return Ok(false);
        }
        let counted = self.count(&[json!(["modified", "=", stamp.as_str()])]).await?;
        Ok(counted.is_none_or(|counted| counted > 1))
    }

    /// Pairs a row and a record of equal stamp that agree in all but their names, where no other pair does.
    async fn by_values(&mut self, olds: &[String], news: &[String]) -> Result<Vec<Rename>, Error> {
        let mut sides: HashMap<String, (Vec<String>, Vec<String>)> = HashMap::new();
        for some in olds.chunks(super::LINES) {
            let names: Vec<&str> = some.iter().map(String::as_str).collect();
            let traces = self.engine.store.traces(&self.job.name, &names).await;
            let traces = traces.map_err(Error::store("reading the ledger"))?;
            let keys: Vec<_> = traces.values().filter_map(|trace| self.key(&trace.local_key)).collect();
            let reading = || Error::store("reading local rows");
            let mut tx = self.engine.store.begin().await.map_err(reading())?;
            let rows = tx.rows(&self.table, &keys).await.map_err(reading())?;
            tx.rollback().await.map_err(reading())?;
            for trace in traces.into_values() {
                let Some(row) = self.key(&trace.local_key).and_then(|key| rows.get(&key.text())) else { continue };
                let alike = self.likeness(&trace.hq_name, &trace.hq_modified, &row.row);
                sides.entry(alike).or_default().0.push(trace.hq_name);
            }
        }
        let names: Vec<&str> = news.iter().map(String::as_str).collect();
        let mut rest = if sides.is_empty() { &[] } else { names.as_slice() };
        while !rest.is_empty() {
            let fate = self.fetch_news(rest).await?;
            let answers = self.engine.store.lookups(&self.table, None, &self.job.mapping.wanted(&fate.page)).await;
            let answers = answers.map_err(Error::store("looking up local rows"))?;
            for record in fate.page.records() {
                let Ok(mapped) = self.job.mapping.map(record, &answers) else { continue };
                let alike = self.likeness(record.name(), record.modified(), &mapped.row);
                if let Some((_, news)) = sides.get_mut(&alike) {
                    news.push(record.name().to_owned());
                }
            }
            rest = rest.get(fate.asked..).unwrap_or_default();
        }
        let only = |(olds, news): (Vec<String>, Vec<String>)| match (olds.as_slice(), news.as_slice()) {
            ([old], [new]) => Some((old.clone(), new.clone())),
            _ => None,
        };
        Ok(sides.into_values().filter_map(only).collect())
    }

    /// A text that is the same for two rows of one stamp that agree in all but the key and their own names.
    fn likeness(&self, name: &str, stamp: &Stamp, row: &Row) -> String {
        let mapping = &self.job.mapping;
        let columns = mapping.columns().iter().enumerate();
        let compared = columns.filter(|(at, column)| column.owner.is_hqs() && !mapping.key().contains(at));
        let cells = compared.filter_map(|(at, _)| row.get(at)).map(|cell| match cell {
            Cell::Text(text) if **text == *name => Some("\u{0}name".to_owned()),
            Cell::Decimal(number) => Some(number.normalize().to_string()),
            Cell::Json(text) => match serde_json::from_str::<serde_json::Value>(text) {
                Ok(value) => Some(value.to_string()),
                Err(_) => Some(text.to_string()),
            },
            Cell::Null
            | Cell::Text(_)
            | Cell::Int(_)
            | Cell::Float(_)
            | Cell::Bool(_)
            | Cell::Date(_)
            | Cell::Datetime(_)
            | Cell::Time(_) => cell.text(),
        });
        let cells: Vec<Option<String>> = cells.collect();
        json!([stamp.moment().to_string(), cells]).to_string()
    }
}

/// A stamp as a key: two spellings of one moment are one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamped(Stamp);

impl Stamped {
    fn of(stamp: &Stamp) -> Self {
        Self(stamp.clone())
    }
}

impl std::hash::Hash for Stamped {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.moment().hash(state);
    }
}

/// The names that are gone from which a chain of renames leads to this one, the nearest first.
fn origins(name: &str, former: &HashMap<String, Vec<String>>, gone: &HashSet<&str>) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen: HashSet<&str> = HashSet::from([name]);
    let mut waiting: Vec<&str> = vec![name];
    while let Some(name) = waiting.pop() {
        for old in former.get(name).into_iter().flatten() {
            if !seen.insert(old) {
                continue;
            }
            if gone.contains(old.as_str()) {
                found.push(old.clone());
            } else {
                waiting.push(old);
            }
        }
    }
    found
}

/// The two names that each remark holds, as they are and as HTML has them.
fn pairs(remarks: &[Remark]) -> Vec<Rename> {
    let mut found = Vec::new();
    for remark in remarks {
        let strong: Vec<&str> = remark
            .content
            .split("<strong>")
            .skip(1)
            .filter_map(|rest| rest.split_once("</strong>"))
            .map(|(name, _)| name)
            .collect();
        let [old, new] = strong.as_slice() else { continue };
        found.push(((*old).to_owned(), (*new).to_owned()));
        let plain = (unescaped(old), unescaped(new));
        if plain.0 != *old || plain.1 != *new {
            found.push(plain);
        }
    }
    found
}

fn unescaped(text: &str) -> String {
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&#39;", "'"), ("&#x27;", "'")];
    let plain = entities.iter().fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain));
    plain.replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remark(content: &str) -> Remark {
        Remark { on: String::new(), content: content.to_owned() }
    }

    #[test]
    fn a_remark_tells_both_names_in_any_language() {
        let told = pairs(&[
            remark("renamed from <strong>A</strong> to <strong>B</strong>"),
            remark("umbenannt von <strong>Q&amp;A &lt;1&gt;</strong> in <strong>x</strong>"),
            remark("a plain comment with one <strong>word</strong>"),
        ]);
        let names: Vec<(&str, &str)> = told.iter().map(|(old, new)| (old.as_str(), new.as_str())).collect();
        assert_eq!(names, [("A", "B"), ("Q&amp;A &lt;1&gt;", "x"), ("Q&A <1>", "x")]);
    }

    #[test]
    fn a_chain_of_renames_leads_back_to_the_name_that_is_gone() {
        let former = HashMap::from([
            ("C".to_owned(), vec!["B".to_owned()]),
            ("B".to_owned(), vec!["A".to_owned(), "C".to_owned()]),
        ]);
        assert_eq!(origins("C", &former, &HashSet::from(["A"])), ["A"]);
        assert_eq!(origins("C", &former, &HashSet::from(["B"])), ["B"]);
        assert_eq!(origins("C", &former, &HashSet::from(["X"])), [""; 0]);
    }
}
