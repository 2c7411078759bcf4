//! The end of a history: HQ falls quiet, and both ends are compared.

use super::*;

impl World<'_> {
    /// HQ falls quiet and the line is mended; then both ends must agree, and stay so.
    pub(super) async fn rest(&mut self) -> Result<(), String> {
        self.heal();
        self.is_at_rest = true;
        self.between = None;
        self.is_blind = [false; 2];
        self.set_user();
        while !self.open.is_empty() {
            self.commit();
        }
        // What HQ asked for, such as to wait, was asked of a process that is no more.
        if self.has_faulted {
            self.close().await;
        }
        let all: Vec<usize> = (0..JOBS).collect();
        for _ in 0..2 {
            self.pass(TimeDelta::minutes(31));
            let runs = self.round_of(&all, Mode::Changes, Kind::Changes, End::Whole).await?.unwrap();
            if self.is_emptied(&runs) {
                return Ok(());
            }
            all_done(&runs)?;
        }
        self.reconcile(1).await?;
        let mut decided = 0;
        for job in 0..JOBS {
            decided += self.resolve(job, job % 2 == 0).await?;
        }
        self.round_of(&all, Mode::Changes, Kind::Changes, End::Whole).await?;
        let before = self.tables().await;
        self.pass(TimeDelta::minutes(1));
        let runs = self.round_of(&all, Mode::Changes, Kind::Changes, End::Whole).await?.unwrap();
        all_done(&runs)?;
        if let Some(run) = runs.iter().find(|run| run.status == Status::Conflict) {
            return Err(format!("an operator has decided all {decided}, and something waits still: {run:?}"));
        }
        if self.tables().await != before {
            return Err(format!("a poll of a quiet HQ changed rows: {before:#?}\n{:#?}", self.tables().await));
        }
        if let Some(run) =
            runs.iter().find(|run| (run.counts.inserted, run.counts.updated, run.counts.deleted) != (0, 0, 0))
        {
            return Err(format!("a poll of a quiet HQ says that it wrote: {run:?}"));
        }
        self.check_ledger().await?;
        self.check_conflicts().await?;
        self.check_log().await?;
        self.told.unsure += self.oracle.unsure();
        Ok(())
    }

    /// A job whose records are all gone asks whether this is so, where its table is empty, too.
    fn is_emptied(&self, runs: &[Run]) -> bool {
        let hq = self.records();
        let has_none = |job: &Job| hq[job.doctype].values().all(|document| job.version(document).is_none());
        let asks = |run: &Run| run.error.as_ref().is_some_and(|error| error.contains("shows none of the"));
        let asking = runs.iter().filter(|run| asks(run)).filter_map(|run| run.job.strip_prefix('j')?.parse().ok());
        asking.into_iter().any(|job: usize| has_none(&self.jobs[job]))
    }

    async fn check_ledger(&mut self) -> Result<(), String> {
        for job in 0..JOBS {
            let held = self.local.entries(job).await;
            for (key, wanted) in self.oracle.entries(job) {
                let is_held = held.iter().any(|name| name == key);
                if wanted.is_some_and(|wanted| wanted != is_held) {
                    return Err(format!("job j{job}: the ledger holds {key:?}: {is_held}"));
                }
            }
        }
        Ok(())
    }

    /// The same pair of versions is not raised twice. (A row that is gone has no version, and a mapping that is changed and
    /// changed back brings versions back.)
    async fn check_conflicts(&mut self) -> Result<(), String> {
        let name = self.local.text("hq_name");
        let sql = format!(
            "select {name}, job from milkrun_conflicts where hq_version <> 0 and local_version <> 0 \
             group by job, hq_name, hq_version, local_version, rule having count(distinct run) > 1"
        );
        for pair in self.local.query(&sql, 2).await {
            let [name, job] = [0, 1].map(|at| pair[at].clone().unwrap());
            if !self.is_remapped[job.trim_start_matches('j').parse::<usize>().unwrap()] {
                return Err(format!("job {job}: one pair of versions of {name:?} was raised twice"));
            }
        }
        Ok(())
    }

    /// No run is left open, and no lease.
    async fn check_log(&mut self) -> Result<(), String> {
        for sql in ["select '1' from milkrun_runs where status = 'running'", "select '1' from milkrun_leases"] {
            let found = self.local.query(sql, 1).await;
            if !found.is_empty() {
                return Err(format!("{sql}: {} rows", found.len()));
            }
        }
        Ok(())
    }
}

fn all_done(runs: &[Run]) -> Result<(), String> {
    match runs.iter().find(|run| !run.status.is_done()) {
        Some(run) => Err(format!("a run did not end well although nothing is wrong: {run:#?}")),
        None if runs.len() == JOBS => Ok(()),
        None => Err(format!("only {} runs", runs.len())),
    }
}

/// What the run says that it made must be what is there.
pub(super) fn check_counts(
    run: &Run,
    job: &Job,
    before: &BTreeMap<String, Row>,
    after: &BTreeMap<String, Row>,
) -> Result<(), String> {
    let made = after.keys().filter(|key| !before.contains_key(*key)).count() as u64;
    let removed = before.keys().filter(|key| !after.contains_key(*key)).count() as u64;
    let is_marked = |rows: &BTreeMap<String, Row>, key: &String| rows.get(key).is_some_and(|row| row.is_marked);
    let marked = after.keys().filter(|key| is_marked(after, key) && !is_marked(before, key)).count() as u64;
    let deleted = match job.deletes {
        plan::Deletes::Delete => removed,
        plan::Deletes::Mark => marked,
        plan::Deletes::Keep => 0,
    };
    let Run { counts, .. } = run;
    // A row that moved counts as neither.
    let (made_more, said_more) = match job.deletes {
        plan::Deletes::Delete => (made + counts.deleted, counts.inserted + removed),
        plan::Deletes::Mark | plan::Deletes::Keep => (made, counts.inserted + removed),
    };
    if made_more == said_more && (job.deletes == plan::Deletes::Delete || counts.deleted == deleted) {
        return Ok(());
    }
    Err(format!("{made} rows were made and {deleted} deleted, and the run says: {run:?}"))
}
