//! What the outlet may look like after each step, for every key of every job: all states that the rules allow, narrowed
//! down by what is found. A state that is not among them is a failure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use milkrun::run::Status;
use serde_json::{Map, Value};

use super::local::Row;
use super::plan::{Job, Version};
use super::rules::{Care, Gone, State, Winner, gone, reach};

/// The records of a DocType by their names.
pub(crate) type Records = BTreeMap<String, Map<String, Value>>;

/// What a round was to read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Changes,
    Full,
    Since,
    Name(String),
    Reconcile,
}

/// One run of a job, as seen from outside.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) kind: &'a Kind,
    /// Before the round and after it: they differ where HQ was edited meanwhile.
    pub(crate) hq: [&'a Records; 2],
    /// `None` where the round was cut.
    pub(crate) status: Option<Status>,
    /// Rows are hidden from the user.
    pub(crate) is_blind: bool,
    /// An answer may have been a lie.
    pub(crate) is_lied_to: bool,
    /// And so may all others, until it is healed: what is listed and never shown is passed over in the end.
    pub(crate) is_lied_to_for_long: bool,
    pub(crate) before: &'a BTreeMap<String, Row>,
    pub(crate) after: &'a BTreeMap<String, Row>,
}

/// Whether the next run reads everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// It does, from the beginning.
    Due,
    /// One may be under way.
    Unsure,
    None,
}

/// What is known of one job.
#[derive(Debug)]
struct Track {
    states: BTreeMap<String, Vec<State>>,
    /// Names that HQ has changed, or deleted with a trace, since a run last read all changes: the next one must see them.
    news: BTreeSet<String>,
    pass: Pass,
    /// The mappings that the last pass may have had.
    mapped: Vec<(bool, bool)>,
}

#[derive(Debug)]
pub(crate) struct Oracle {
    tracks: Vec<Track>,
    /// DocType, old and new name.
    renames: Vec<(usize, String, String)>,
    /// When records were deleted with a trace.
    tombstones: BTreeMap<(usize, String), DateTime<Utc>>,
}

impl Oracle {
    pub(crate) fn new(jobs: usize) -> Self {
        let track = |_| Track { states: BTreeMap::new(), news: BTreeSet::new(), pass: Pass::Due, mapped: Vec::new() };
        Self { tracks: (0..jobs).map(track).collect(), renames: Vec::new(), tombstones: BTreeMap::new() }
    }

    fn of_doctype(&mut self, jobs: &[Job], doctype: usize) -> impl Iterator<Item = &mut Track> {
        self.tracks
            .iter_mut()
            .zip(jobs)
            .filter(move |(_, job)| job.doctype == doctype)
            .map(|(track, _)| track)
    }

    /// HQ committed a change whose stamp a watermark sees, or one that it does not.
    pub(crate) fn changed(&mut self, jobs: &[Job], doctype: usize, name: &str, is_seen: bool) {
        for track in self.of_doctype(jobs, doctype) {
            if is_seen {
                track.news.insert(name.to_owned());
            } else {
                track.news.remove(name);
            }
        }
    }

    pub(crate) fn deleted(
        &mut self,
        jobs: &[Job],
        doctype: usize,
        name: &str,
        trace: Option<DateTime<Utc>>,
        is_seen: bool,
    ) {
        if let Some(at) = trace {
            self.tombstones.insert((doctype, name.to_owned()), at);
        }
        self.changed(jobs, doctype, name, is_seen && trace.is_some());
    }

    pub(crate) fn renamed(&mut self, jobs: &[Job], doctype: usize, old: &str, new: &str) {
        let chains = self.renames.iter().filter(|(of, _, to)| *of == doctype && to == old);
        let chains: Vec<_> = chains.map(|(of, from, _)| (*of, from.clone(), new.to_owned())).collect();
        self.renames.extend(chains);
        self.renames.push((doctype, old.to_owned(), new.to_owned()));
        for name in [old, new] {
            self.changed(jobs, doctype, name, false);
        }
    }

    /// Whether the outlet has done to this key what makes it open what a rename comes to: a row of its own, or one that
    /// it removed.
    pub(crate) fn is_edited_by_row(&self, jobs: &[Job], doctype: usize, key: &str) -> bool {
        let is_so = |state: &State| state.row.is_some() != state.base.is_some();
        let of_doctype = self.tracks.iter().zip(jobs).filter(|(_, job)| job.doctype == doctype);
        let mut states = of_doctype.filter_map(|(track, _)| track.states.get(key)).flatten();
        states.any(is_so)
    }

    /// Whether a record was renamed from this name, or to it.
    pub(crate) fn is_renamed(&self, doctype: usize, name: &str) -> bool {
        self.renames.iter().any(|(of, old, new)| *of == doctype && (new == name || old == name))
    }

    /// The mapping or the filters of a job are other ones from now on.
    pub(crate) fn remapped(&mut self, job: usize, to: (bool, bool)) {
        let track = &mut self.tracks[job];
        track.pass = if track.mapped.contains(&to) { Pass::Unsure } else { Pass::Due };
    }

    /// The outlet has changed a row by itself.
    pub(crate) fn edited(&mut self, job: usize, key: &str, edit: impl Fn(&mut State)) {
        let states = self.tracks[job].states.entry(key.to_owned()).or_insert_with(|| vec![State::default()]);
        states.iter_mut().for_each(edit);
    }

    /// An operator has decided what waits in a job.
    pub(crate) fn told(&mut self, job: usize, side: Winner) {
        let states = self.tracks[job].states.values_mut().flatten();
        states.filter(|state| state.is_open).for_each(|state| state.told = Some(side));
    }

    /// HQ's value of a column as the outlet last got it.
    pub(crate) fn base(&self, job: usize, key: &str) -> Option<&Version> {
        self.tracks[job].states.get(key)?.first()?.base.as_ref()
    }

    /// Takes in what a run has done.
    pub(crate) fn ran(&mut self, nth: usize, job: &Job, seen: &Seen<'_>) -> Result<(), String> {
        let is_done = seen.status.is_some_and(Status::is_done);
        let track = &self.tracks[nth];
        let is_hollow = seen.before.is_empty();
        let pass = if is_hollow && track.pass == Pass::None { Pass::Unsure } else { track.pass };
        let mut keys: BTreeSet<&String> =
            track.states.keys().chain(seen.before.keys()).chain(seen.after.keys()).collect();
        keys.extend(seen.hq.iter().flat_map(|records| records.keys()));
        let mut next = BTreeMap::new();
        for key in keys {
            let mut states = self.answers(nth, key, job, seen, pass, is_done);
            let found = seen.after.get(key);
            let allowed = states.clone();
            states.retain(|state| state.row.as_ref() == found);
            if states.is_empty() {
                return Err(self.wrong(nth, key, seen, &allowed));
            }
            next.insert(key.clone(), states);
        }
        let track = &mut self.tracks[nth];
        track.states = next;
        track.settle(job, seen, pass, is_done);
        match seen.status {
            Some(status) => track.check_status(nth, status),
            None => Ok(()),
        }
    }

    /// All that may have become of a key.
    fn answers(&self, nth: usize, key: &str, job: &Job, seen: &Seen<'_>, pass: Pass, is_done: bool) -> Vec<State> {
        let track = &self.tracks[nth];
        let unknown = [State::default()];
        let before: &[State] = track.states.get(key).map_or(&unknown, Vec::as_slice);
        let mut versions: Vec<Option<Version>> =
            seen.hq.iter().map(|records| records.get(key).and_then(|document| job.version(document))).collect();
        versions.dedup();
        let is_new = track.news.contains(key);
        let is_repair = match seen.kind {
            Kind::Changes => pass != Pass::None,
            Kind::Full | Kind::Since | Kind::Reconcile | Kind::Name(_) => true,
        };
        // A round that came to its end has read this record, and found that it is gone.
        let (is_certain, is_certain_if_gone) = match seen.kind {
            _ if !is_done || seen.is_blind || seen.is_lied_to || versions.len() > 1 => (false, false),
            Kind::Changes => match pass {
                Pass::Due => (true, is_new),
                Pass::None => (is_new, is_new),
                Pass::Unsure => (false, false),
            },
            Kind::Full => (true, is_new),
            Kind::Since => (false, false),
            Kind::Name(name) => (name == key, false),
            Kind::Reconcile => (true, true),
        };
        if matches!(seen.kind, Kind::Name(name) if name != key) {
            return before.to_vec();
        }
        let (gone_at, may_go) = self.evidence(key, job, seen);
        let is_outside = seen.hq.iter().any(|records| records.contains_key(key));
        let mut states: Vec<State> = before.to_vec();
        if seen.before.is_empty() {
            // A table that was emptied forgets what was taken, so that all is made anew.
            let forgotten = |state: &State| State { base: None, ..state.clone() };
            states.extend(before.iter().filter(|state| state.base.is_some()).map(forgotten));
        }
        for version in &versions {
            let read: Vec<State> = states
                .iter()
                .flat_map(|state| match version {
                    Some(version) => {
                        let mut read = Vec::new();
                        if is_repair || state.is_parked {
                            read.extend(reach(state, version, job, Care::Repair));
                        }
                        // What reconcile compares with the local rows is left open.
                        if !is_repair || !is_certain || *seen.kind == Kind::Reconcile {
                            read.extend(reach(state, version, job, Care::News));
                        }
                        read
                    }
                    // That it is gone may be what an operator was asked about.
                    None if may_go || *seen.kind == Kind::Reconcile || state.is_open => {
                        let mut read = gone(state, gone_at, job);
                        // Of one that was parked the trial alone may have found so; or it waits some tries more.
                        if state.is_parked {
                            read.extend(read.clone().into_iter().map(|state| State { is_parked: true, ..state }));
                            read.push(State { is_parked: false, ..state.clone() });
                        }
                        read
                    }
                    // A parked one is given up after many tries; where nothing was taken there is nothing to decide.
                    None => {
                        let (is_open, told) =
                            (state.is_open && state.base.is_some(), state.told.filter(|_| state.base.is_some()));
                        vec![State { is_parked: false, is_open, told, ..state.clone() }]
                    }
                })
                .collect();
            // A tombstone that an empty list bears out: nothing tells that the record was made again, until the next poll.
            let is_dead = seen.is_lied_to && self.tombstones.contains_key(&(job.doctype, key.to_owned()));
            if version.is_some() && is_dead {
                let dead: Vec<State> = states.iter().flat_map(|state| gone(state, Gone(None), job)).collect();
                states.extend(dead);
            }
            let must = if version.is_some() { is_certain } else { is_certain_if_gone };
            // A version of the stamp that the ledger holds is no news.
            // One that the filters leave out now has a stamp, too.
            let is_held = |state: &State| {
                let base = state.base.as_ref().map(|base| base.modified);
                match version {
                    Some(version) => !is_repair && base == Some(version.modified),
                    None => *seen.kind != Kind::Reconcile && is_outside && base == Some(gone_at.0),
                }
            };
            states.retain(|state| !must || is_held(state));
            states.extend(read);
        }
        if matches!(seen.kind, Kind::Changes | Kind::Full | Kind::Reconcile) {
            states = self.moved(nth, key, job, seen, states);
        }
        let mut distinct: Vec<State> = Vec::with_capacity(states.len());
        for state in states {
            if !distinct.contains(&state) {
                distinct.push(state);
            }
        }
        distinct
    }

    /// When the record went, and whether anything but its absence tells so.
    fn evidence(&self, key: &str, job: &Job, seen: &Seen<'_>) -> (Gone, bool) {
        let document = seen.hq.iter().rev().find_map(|records| records.get(key));
        let gone = self.when_gone(key, job, document);
        (Gone(gone.0.filter(|_| !matches!(seen.kind, Kind::Name(_)))), gone.1)
    }

    fn when_gone(&self, key: &str, job: &Job, document: Option<&Map<String, Value>>) -> (Option<DateTime<Utc>>, bool) {
        match document {
            // Outside the filters.
            Some(document) => {
                let anywhere = Job { is_filtered: false, is_narrowed: false, ..job.clone() };
                (anywhere.version(document).and_then(|version| version.modified), true)
            }
            None => {
                let at = self.tombstones.get(&(job.doctype, key.to_owned())).copied();
                // A rename that left a trace tells as well, where the record is none of the job's under its new name.
                let is_renamed = self.renames.iter().any(|(of, old, _)| *of == job.doctype && old == key);
                (at, at.is_some() || is_renamed)
            }
        }
    }

    /// Adds what becomes of a row that was recognised as that of a renamed record.
    fn moved(&self, nth: usize, key: &str, job: &Job, seen: &Seen<'_>, mut states: Vec<State>) -> Vec<State> {
        let track = &self.tracks[nth];
        let [_, hq] = seen.hq;
        let of_job = |rename: &&(usize, String, String)| rename.0 == job.doctype;
        let may_move = |old: &str, new: &str| {
            let has_row = |state: &State| state.base.is_some();
            !hq.contains_key(old)
                && hq.get(new).and_then(|document| job.version(document)).is_some()
                && track.states.get(old).is_some_and(|states| states.iter().any(has_row))
        };
        for (_, old, new) in self.renames.iter().filter(of_job).filter(|(_, old, new)| may_move(old, new)) {
            let is_bad = hq.get(new).and_then(|document| job.version(document)).is_some_and(|version| version.is_bad);
            if is_bad {
                // Nothing moves to what the mapping refuses; whether the old row waits for it is left open.
                states.extend(track.states.get(key).into_iter().flatten().filter(|_| key == old).cloned());
            } else if key == old {
                states.push(State::default());
            } else if key == new {
                let Some(version) = hq.get(new).and_then(|document| job.version(document)) else { continue };
                let from = track.states.get(old).into_iter().flatten().filter(|state| state.base.is_some());
                let moved: Vec<State> = from
                    .flat_map(|state| {
                        let state = State { is_parked: false, ..state.clone() };
                        [Care::News, Care::Repair].map(|care| reach(&state, &version, job, care))
                    })
                    .flatten()
                    .collect();
                let of_new = track.states.get(new);
                let is_free =
                    of_new.is_none_or(|states| states.iter().all(|state| state.base.is_none() && state.row.is_none()));
                let is_one =
                    self.renames.iter().filter(of_job).filter(|(_, old, to)| to == new && may_move(old, to)).count()
                        == 1;
                let has_row = track.states[old].iter().all(|state| state.base.is_some() && state.row.is_some());
                let is_done = seen.status.is_some_and(Status::is_done) && seen.hq[0] == seen.hq[1];
                if *seen.kind == Kind::Reconcile && is_done && is_free && is_one && has_row {
                    // What the outlet owns of the row moves with it.
                    states = moved;
                } else {
                    states.extend(moved);
                }
            }
        }
        states
    }

    fn wrong(&self, nth: usize, key: &str, seen: &Seen<'_>, allowed: &[State]) -> String {
        let track = &self.tracks[nth];
        let mut text = format!("job j{nth}, row {key:?} after {:?} ({:?}):\n", seen.kind, seen.status);
        text += &format!("  found    {:?}\n", seen.after.get(key));
        for state in allowed {
            text += &format!("  allowed  {:?}\n", state.row);
        }
        for state in track.states.get(key).into_iter().flatten() {
            text += &format!("  was      {state:?}\n");
        }
        text += &format!(
            "  at HQ    {:?}\n",
            seen.hq[1].get(key).map(|document| Value::Object(document.clone()).to_string())
        );
        text + &format!("  news {}, pass {:?}", track.news.contains(key), track.pass)
    }

    /// The rows that the ledger must hold an entry for; `None` of one where that is open.
    pub(crate) fn entries(&self, job: usize) -> BTreeMap<&str, Option<bool>> {
        let has = |states: &Vec<State>| {
            let first = states.first().is_some_and(|state| state.base.is_some());
            states.iter().all(|state| state.base.is_some() == first).then_some(first)
        };
        self.tracks[job].states.iter().map(|(key, states)| (key.as_str(), has(states))).collect()
    }

    /// How many keys may be in more than one state.
    pub(crate) fn unsure(&self) -> usize {
        self.tracks.iter().flat_map(|track| track.states.values()).filter(|states| states.len() > 1).count()
    }
}

impl Track {
    fn settle(&mut self, job: &Job, seen: &Seen<'_>, pass: Pass, is_done: bool) {
        let mapping = (job.is_narrowed, job.is_remapped);
        let between = seen.hq[1].iter().filter(|(name, document)| seen.hq[0].get(*name) != Some(document));
        let between: Vec<String> = between.map(|(name, _)| name.clone()).collect();
        match seen.kind {
            Kind::Changes | Kind::Full | Kind::Reconcile => {
                if is_done {
                    self.mapped = vec![mapping];
                } else {
                    self.mapped.push(mapping);
                }
                let has_read_all = is_done && !seen.is_lied_to && (pass != Pass::Unsure || *seen.kind != Kind::Changes);
                self.pass = match (is_done && !(seen.is_lied_to && pass != Pass::None), pass) {
                    (true, _) => Pass::None,
                    (false, Pass::None) if *seen.kind == Kind::Changes => Pass::None,
                    (false, _) => Pass::Unsure,
                };
                if has_read_all || (is_done && (seen.is_blind || seen.is_lied_to_for_long)) {
                    self.news.clear();
                }
            }
            Kind::Since | Kind::Name(_) => {}
        }
        self.news.extend(between);
    }

    fn check_status(&mut self, nth: usize, status: Status) -> Result<(), String> {
        let may_be =
            |track: &Self, wanted: fn(&State) -> bool| track.states.values().any(|states| states.iter().any(wanted));
        match status {
            Status::Ok => {
                for (key, states) in &mut self.states {
                    states.retain(|state| !state.is_parked && !state.is_open);
                    if states.is_empty() {
                        return Err(format!("job j{nth} says ok, and {key:?} is parked or waits for a decision"));
                    }
                }
                Ok(())
            }
            Status::Quarantine if !may_be(self, |state| state.is_parked) => {
                Err(format!("job j{nth} says quarantine, and nothing can be parked"))
            }
            Status::Conflict if !may_be(self, |state| state.is_open) => {
                Err(format!("job j{nth} says conflict, and nothing can wait for a decision"))
            }
            Status::Quarantine | Status::Conflict | Status::Failed | Status::Blocked => Ok(()),
            Status::Running => Err(format!("job j{nth} says that it still runs")),
        }
    }
}
