//! Lookups into tables that other jobs of the file fill: whether those have the columns.
//!
//! A table that no job fills may be the outlet's own, and a table that one fills may have columns of the outlet's own. So all
//! that is found here are doubts, and the outlet's database has the last word.

use crate::config::findings::Findings;
use crate::config::path::Path;
use crate::config::raw::{RawDeletes, RawFields, RawJob, RawLookup};
use crate::config::said::{Code, Said};
use crate::config::words;

/// A message that lists more words than this is not read.
const MOST_LISTED: usize = 8;

/// The order of child rows, which milkrun keeps in this column.
const ORDER: &str = "idx";

/// A table that a job fills.
struct Filled<'r> {
    table: &'r str,
    columns: Vec<&'r str>,
    /// Whether milkrun makes it, so that it has no columns but those.
    is_made: bool,
}

/// Looks at the lookups of all jobs.
pub(super) fn lookups(jobs: &[RawJob], findings: &mut Findings<'_>) {
    let filled: Vec<Filled<'_>> = jobs.iter().flat_map(filled).collect();
    for (index, job) in jobs.iter().enumerate() {
        let at = Path::of(["job"]).index(index);
        of_fields(&at.key("fields"), &job.fields, jobs, &filled, findings);
        for (position, child) in job.children.iter().enumerate() {
            of_fields(&at.key("children").index(position).key("fields"), &child.fields, jobs, &filled, findings);
        }
    }
}

fn filled(job: &RawJob) -> Vec<Filled<'_>> {
    let is_made = job.create_table == Some(true);
    let mut all = Vec::new();
    if let Some(table) = job.table.as_ref().filter(|_| !job.fields.is_empty()) {
        let mut columns: Vec<&str> = job.fields.keys().map(String::as_str).collect();
        columns.extend(job.local_modified.as_deref());
        if matches!(job.deletes, Some(RawDeletes::Mark)) {
            columns.push(super::job::MARK_COLUMN);
        }
        all.push(Filled { table, columns, is_made });
    }
    for child in &job.children {
        let Some(table) = child.table.as_ref().filter(|_| !child.fields.is_empty()) else { continue };
        let columns = child.fields.keys().map(String::as_str).chain(child.parent_key.as_deref()).chain([ORDER]);
        all.push(Filled { table, columns: columns.collect(), is_made });
    }
    all
}

fn of_fields(at: &Path, fields: &RawFields, jobs: &[RawJob], filled: &[Filled<'_>], findings: &mut Findings<'_>) {
    for (column, field) in fields {
        let Some(lookup) = &field.lookup else { continue };
        let at = at.key(column).key("lookup");
        let Some(table) = lookup.table.as_deref() else { continue };
        match filled.iter().find(|filled| filled.table.eq_ignore_ascii_case(table)) {
            Some(filled) => columns(&at, lookup, filled, findings),
            None => self::table(&at.key("table"), table, jobs, filled, findings),
        }
    }
}

/// The table of a lookup that no job fills.
fn table(at: &Path, written: &str, jobs: &[RawJob], filled: &[Filled<'_>], findings: &mut Findings<'_>) {
    // A job whose fields are missing fills its table all the same.
    let is_filled = |job: &RawJob| job.table.iter().any(|table| table.eq_ignore_ascii_case(written));
    if !findings.is_showable(at) || jobs.iter().any(is_filled) {
        return;
    }
    let plain = |text: &str| text.to_lowercase().replace([' ', '-'], "_");
    // People name the job, or its DocType, too.
    let is_named =
        |job: &&RawJob| [&job.name, &job.doctype].into_iter().flatten().any(|name| plain(name) == plain(written));
    let named = jobs.iter().find(is_named).and_then(|job| job.table.as_deref());
    let near = named.or_else(|| words::nearest(written, filled.iter().map(|filled| filled.table)));
    if let Some(near) = near {
        let said =
            Said::new(Code::UnknownName, format!("no job fills the table {written:?}")).near(Some(near.to_owned()));
        let help = "if it is a table of the outlet's own, `milkrun check` looks for it in the database";
        findings.doubt_value(at, at, said.help(help));
    }
}

/// The columns of a lookup into a table that a job fills.
fn columns(at: &Path, lookup: &RawLookup, filled: &Filled<'_>, findings: &mut Findings<'_>) {
    for (key, written) in [("match", &lookup.r#match), ("take", &lookup.take)] {
        let at = at.key(key);
        let Some(written) = written.as_deref().filter(|_| findings.is_showable(&at)) else { continue };
        let names = || filled.columns.iter().copied();
        if names().any(|name| name.eq_ignore_ascii_case(written)) {
            continue;
        }
        let near = words::nearest(written, names()).map(str::to_owned);
        if near.is_none() && !filled.is_made {
            continue;
        }
        let what = format!("the job that fills {} fills no column {written:?}", filled.table);
        let said = Said::new(Code::UnknownName, what).near(near);
        let listed = || format!("it fills {}", words::all(&filled.columns));
        let said = if filled.columns.len() <= MOST_LISTED { said.help(listed()) } else { said };
        findings.doubt_value(&at, &at, said);
    }
}
