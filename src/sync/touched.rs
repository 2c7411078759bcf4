//! Noting which run made, changed or let go which row, for `milkrun changes`.
//!
//! A first load notes nothing but itself: all of the table is its doing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Error;
use super::run::Work;
use crate::conflict::{Incoming, Plan};
use crate::store::{GoneRow, PageTx, Touched};

impl Work<'_> {
    /// Whether the job is read for the first time.
    pub(super) fn is_first_load(&self) -> bool {
        self.progress.pass.as_ref().is_some_and(|pass| !pass.is_repair)
    }

    /// What the plan does to rows, by the names of their records; `None` in a first load, and where that is nothing.
    pub(super) fn touched<'i>(&self, incoming: &'i [Incoming], plan: &Plan) -> Option<Touched<'i>> {
        if self.is_first_load() {
            return None;
        }
        let name = |at: &usize| incoming.get(*at).map(|record| record.hq_name.as_ref());
        let made: HashSet<&str> = plan.inserts.iter().filter_map(name).collect();
        let updated = plan.updates.iter().map(|update| &update.at);
        let changed: HashSet<&str> = updated.chain(&plan.children).filter_map(name).collect();
        (!made.is_empty() || !changed.is_empty()).then_some(Touched { run: self.run, made, changed })
    }

    /// Notes what is not noted with an entry: rows that were repaired under an entry that stays, and keys that rows no
    /// more have.
    pub(super) async fn note_the_rest(
        &self,
        tx: &mut PageTx,
        incoming: &[Incoming],
        plan: &Plan,
        touched: &Touched<'_>,
    ) -> Result<(), Error> {
        let noting = || Error::store("noting what was changed");
        let written: HashSet<&str> = plan.entries.iter().map(|entry| entry.hq_name.as_ref()).collect();
        let rest: Vec<&str> =
            touched.changed.union(&touched.made).copied().filter(|name| !written.contains(name)).collect();
        if !rest.is_empty() {
            tx.note_changed(&self.job.name, self.run, &rest).await.map_err(noting())?;
        }
        if plan.rekeys.is_empty() || self.job.mapping.has_private_key() {
            return Ok(());
        }
        let names: HashMap<&Arc<str>, &Arc<str>> =
            incoming.iter().map(|record| (&record.mapped.key_text, &record.hq_name)).collect();
        let moved = plan.rekeys.iter().filter_map(|(from, to)| {
            let to = to.text();
            let name = Arc::clone(names.get(&to)?);
            Some(GoneRow { name, run: self.run, key: Some(Arc::clone(from)), moved_to: Some(to) })
        });
        let moved: Vec<GoneRow> = moved.collect();
        tx.note_gone(&self.job.name, &moved, self.engine.clock.now()).await.map_err(noting())
    }

    /// A record whose row goes.
    pub(super) fn gone_row(&self, name: &Arc<str>, key: &Arc<str>) -> GoneRow {
        let key = (!self.job.mapping.has_private_key()).then(|| Arc::clone(key));
        GoneRow { name: Arc::clone(name), run: self.run, key, moved_to: None }
    }
}
