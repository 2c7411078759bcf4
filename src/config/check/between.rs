//! What holds between jobs: names are unique, one table has one writer, and nobody waits for himself.

use std::collections::HashMap;

use crate::config::findings::Findings;
use crate::config::path::Path;
use crate::config::raw::RawJob;
use crate::config::said::{Code, Said};
use crate::config::words;

/// A message that lists more words than this is not read.
const MOST_LISTED: usize = 8;

/// Looks at all jobs together; problems go to `findings`.
pub(super) fn jobs(jobs: &[RawJob], findings: &mut Findings<'_>) {
    let doubles = names(jobs, findings);
    tables(jobs, &doubles, findings);
    let waits = waits(jobs, findings);
    circles(jobs, &waits, findings);
}

fn at(job: usize) -> Path {
    Path::of(["job"]).index(job)
}

/// Tells of names that are there already, and gives the position of each job that is another one once more.
fn names(jobs: &[RawJob], findings: &mut Findings<'_>) -> Vec<usize> {
    let mut seen: HashMap<&str, (usize, &RawJob)> = HashMap::new();
    let mut doubles = Vec::new();
    for (index, job) in jobs.iter().enumerate() {
        let Some(name) = job.name.as_deref() else {
            continue;
        };
        let path = at(index).key("name");
        match seen.get(name) {
            None => {
                seen.insert(name, (index, job));
            }
            Some((first, other)) => {
                let line = findings.line(&at(*first).key("name"));
                let shown = findings.shown(&path, name);
                let is_double = job.table.is_some() && job.table == other.table;
                let said = if is_double {
                    doubles.push(index);
                    Said::new(Code::Duplicate, format!("the job {shown} of line {line} is here once more"))
                        .help("delete one of the two, or give this one a name and tables of its own")
                } else {
                    Said::new(Code::Duplicate, format!("{shown} is the name of the job of line {line}, too"))
                        .help("give each job a name of its own")
                };
                findings.at_value(&path, said);
            }
        }
    }
    doubles
}

fn tables(jobs: &[RawJob], doubles: &[usize], findings: &mut Findings<'_>) {
    // SQLite and MySQL on some systems do not tell `Items` from `items`.
    let mut seen: HashMap<String, Path> = HashMap::new();
    let mut claim = |table: Option<&String>, path: Path, is_double: bool| {
        let Some(table) = table else { return };
        match seen.get(&table.to_lowercase()) {
            None => {
                seen.insert(table.to_lowercase(), path);
            }
            // That the whole job is there twice was said.
            Some(_) if is_double => {}
            Some(first) => {
                let line = findings.line(first);
                let shown = findings.shown(&path, table);
                let said = Said::new(Code::Duplicate, format!("the table {shown} is written by line {line} already"));
                findings.at_value(&path, said.help("each job and each child table needs a table of its own"));
            }
        }
    };
    for (index, job) in jobs.iter().enumerate() {
        let is_double = doubles.contains(&index);
        claim(job.table.as_ref(), at(index).key("table"), is_double);
        for (position, child) in job.children.iter().enumerate() {
            claim(child.table.as_ref(), at(index).key("children").index(position).key("table"), is_double);
        }
    }
}

/// Whom each job waits for, by position; unknown names are reported and left out.
fn waits(jobs: &[RawJob], findings: &mut Findings<'_>) -> Vec<Vec<usize>> {
    let mut all = Vec::new();
    for (index, job) in jobs.iter().enumerate() {
        let mut known = Vec::new();
        for (position, name) in job.after.iter().enumerate() {
            match super::job::named(jobs.iter().map(|job| job.name.as_deref()), name) {
                Some(other) => known.push(other),
                // A job whose own name is wrong may be the one that is meant.
                None if jobs.iter().any(|job| job.name.is_none()) => {}
                None => {
                    let path = at(index).key("after").index(position);
                    let shown = findings.shown(&path, name);
                    let numbered = jobs.iter().enumerate();
                    let names: Vec<&str> = numbered
                        .filter(|(other, _)| *other != index && findings.is_showable(&self::at(*other).key("name")))
                        .filter_map(|(_, job)| job.name.as_deref())
                        .collect();
                    let near = findings.nearest(&path, name, names.iter().copied());
                    let said = Said::new(Code::UnknownName, format!("there is no job named {shown}")).near(near);
                    findings.at_value(
                        &path,
                        match names.as_slice() {
                            [] => said.help("there is no other job"),
                            [only] => said.help(format!("the other job is {only:?}")),
                            several if several.len() <= MOST_LISTED => {
                                said.help(format!("the other jobs are {}", words::all(several)))
                            }
                            _ => said,
                        },
                    );
                }
            }
        }
        all.push(known);
    }
    all
}

/// Reports each circle of jobs once, at the `after` of its first job.
fn circles(jobs: &[RawJob], waits: &[Vec<usize>], findings: &mut Findings<'_>) {
    let name = |job: usize, findings: &Findings<'_>| {
        let name = jobs.get(job).and_then(|job| job.name.as_deref());
        findings.shown(&at(job).key("name"), name.unwrap_or_default())
    };
    for start in 0..jobs.len() {
        let Some(way) = way_back(start, waits) else {
            continue;
        };
        // Every job of the circle finds it; the first one tells.
        if way.iter().any(|job| *job < start) {
            continue;
        }
        let names: Vec<String> = way.iter().chain([&start]).map(|job| name(*job, findings)).collect();
        let said = Said::new(Code::Circle, format!("the job waits for itself: {}", names.join(" -> ")));
        findings.at_value(&at(start).key("after"), said.help("take one of these steps out of `after`"));
    }
}

/// The shortest way from a job along `after` back to itself, the job first.
fn way_back(start: usize, waits: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut came_from: HashMap<usize, usize> = HashMap::new();
    let mut line = std::collections::VecDeque::from([start]);
    while let Some(job) = line.pop_front() {
        for next in waits.get(job).into_iter().flatten() {
            if *next == start {
                let mut way = vec![job];
                let mut at = job;
                while let Some(before) = came_from.get(&at).filter(|_| at != start) {
                    way.push(*before);
                    at = *before;
                }
                way.reverse();
                return Some(way);
            }
            if !came_from.contains_key(next) {
                came_from.insert(*next, job);
                line.push_back(*next);
            }
        }
    }
    None
}
