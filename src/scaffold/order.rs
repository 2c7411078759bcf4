//! Which job waits for which: a job whose links point to another comes after it, and circles are cut.

use std::collections::{HashMap, HashSet};

use super::{Job, Present};

/// Orders the jobs and says what each waits for.
pub(super) fn put(jobs: &mut Vec<Job>, present: &Present) {
    let by_doctype: HashMap<String, usize> =
        jobs.iter().enumerate().map(|(at, job)| (job.doctype.clone(), at)).collect();
    let wanted: Vec<Vec<usize>> = jobs
        .iter()
        .enumerate()
        .map(|(at, job)| {
            let mut to: Vec<usize> = Vec::new();
            for link in &job.links {
                if let Some(other) = by_doctype.get(&link.doctype).filter(|other| **other != at && !to.contains(other))
                {
                    to.push(*other);
                }
            }
            to
        })
        .collect();
    let mut walk = Walk { wanted: &wanted, begun: HashSet::new(), order: Vec::new(), cut: HashSet::new() };
    (0..jobs.len()).for_each(|at| walk.visit(at, &mut Vec::new()));
    let Walk { order, cut, .. } = walk;
    let names: Vec<String> = jobs.iter().map(|job| job.name.clone()).collect();
    let named = |at: &usize| names.get(*at).cloned();
    for ((at, job), wanted) in jobs.iter_mut().enumerate().zip(&wanted) {
        let of_file = present.jobs.iter().filter(|other| job.links.iter().any(|link| link.doctype == other.doctype));
        job.after = of_file.map(|other| other.name.clone()).collect();
        job.after.extend(wanted.iter().filter(|other| !cut.contains(&(at, **other))).filter_map(named));
        job.not_after = wanted.iter().filter(|other| cut.contains(&(at, **other))).filter_map(named).collect();
    }
    let mut placed: Vec<Option<Job>> = std::mem::take(jobs).into_iter().map(Some).collect();
    jobs.extend(order.into_iter().filter_map(|at| placed.get_mut(at)?.take()));
}

/// A walk along the links that puts a job after all it waits for.
struct Walk<'a> {
    wanted: &'a [Vec<usize>],
    begun: HashSet<usize>,
    order: Vec<usize>,
    /// Links that would close a circle.
    cut: HashSet<(usize, usize)>,
}

impl Walk<'_> {
    fn visit(&mut self, at: usize, way: &mut Vec<usize>) {
        if !self.begun.insert(at) {
            return;
        }
        way.push(at);
        let wanted = self.wanted;
        for other in wanted.get(at).into_iter().flatten() {
            if way.contains(other) {
                self.cut.insert((at, *other));
            } else {
                self.visit(*other, way);
            }
        }
        way.pop();
        self.order.push(at);
    }
}
