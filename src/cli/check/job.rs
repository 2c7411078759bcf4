//! One job at HQ: is there such a DocType, has it these fields, may this user read them, do they fit?

use std::collections::HashSet;

use serde_json::Value;

use super::report::Report;
use super::{fit, key};
use crate::cli::{Exit, output};
use crate::config::{self, Job};
use crate::doctype::{DocType, STANDARD_FIELDS};
use crate::mapping::ChildTable;
use crate::record::BadPage;
use crate::source::frappe::Frappe;
use crate::source::{self, Meter, PageSize};

/// Looks at the job; an error is one that keeps the rest of it from being looked at.
pub(super) async fn look(hq: &Frappe, job: &Job, meter: &Meter, report: &mut Report) -> Result<(), source::Error> {
    let wanted = job.mapping.fields().names();
    // Without the description a wrong name is still found, by HQ's refusal, only without a suggestion.
    let doctype = match hq.doctype(&job.doctype, meter).await {
        Ok(doctype) => Some(doctype),
        Err(source::Error::Unknown { .. }) => {
            unknown_doctype(hq, job, meter, report).await;
            return Ok(());
        }
        Err(_untold) => None,
    };
    if let Some(doctype) = &doctype {
        if doctype.is_single || doctype.is_child {
            let what = if doctype.is_single { "a single document" } else { "a child table, which comes with its parent" };
            let message = format!("{} is {what}, not a list: it cannot be a job; take the job out", job.doctype);
            report.problem(&job.name, Exit::Blocked, message);
            return Ok(());
        }
        let of_filters: Vec<String> = job.filters.iter().filter_map(filtered).collect();
        let asked: Vec<String> = wanted.iter().chain(&of_filters).cloned().collect();
        if !all_known(job, doctype, &asked, report) {
            return Ok(());
        }
    }
    // As a run will ask, filters included; which fields it lacks is found out below, by name.
    match hq.page(job, None, &mut PageSize::fixed(1), meter).await {
        Ok(_) | Err(source::Error::Page(BadPage::Missing(_) | BadPage::Width { .. })) => {}
        Err(error) => return Err(error),
    }
    let mut is_whole = true;
    let readable = hq.readable(&job.doctype, None, wanted, meter).await?;
    is_whole &= all_readable(job, doctype.as_ref(), wanted, readable.as_ref(), report);
    for child in job.mapping.children() {
        is_whole &= look_at_child(hq, job, doctype.as_ref(), child, meter, report).await?;
    }
    if let Some(doctype) = &doctype {
        fit::look(&job.name, doctype, job.mapping.taken(), report);
        if is_whole {
            key::look(hq, job, doctype, meter, report).await;
        }
    }
    if is_whole {
        let children = job.mapping.children().len();
        let with = match children {
            0 => String::new(),
            number => format!(" and {}", output::count(number as u64, "child table", "child tables")),
        };
        report.ok(&job.name, format!("{}: {} fields{with} can be read", job.doctype, wanted.len()));
    }
    Ok(())
}

async fn unknown_doctype(hq: &Frappe, job: &Job, meter: &Meter, report: &mut Report) {
    // Only an administrator is told.
    let known = hq.doctype_names(meter).await.unwrap_or_default();
    let hint = match config::nearest(&job.doctype, known.iter().map(String::as_str)) {
        Some(near) => format!(", did you mean {near:?}?"),
        None => "; spell it as HQ does, with its capitals and spaces".to_owned(),
    };
    report.problem(&job.name, Exit::Blocked, format!("HQ has no DocType {:?}{hint}", job.doctype));
}

/// The field of a filter `[field, operator, value]`.
fn filtered(filter: &Value) -> Option<String> {
    filter.get(0).and_then(Value::as_str).map(str::to_owned)
}

/// Looks at a child table; whether all of it can be read.
async fn look_at_child(
    hq: &Frappe,
    job: &Job,
    parent: Option<&DocType>,
    child: &ChildTable,
    meter: &Meter,
    report: &mut Report,
) -> Result<bool, source::Error> {
    let tables = || parent.into_iter().flat_map(|parent| &parent.fields).filter(|field| field.is_table());
    if parent.is_some() && !tables().any(|field| field.fieldname == child.field) {
        let names: Vec<&str> = tables().map(|field| field.fieldname.as_str()).collect();
        let hint = match config::nearest(&child.field, names.iter().copied()) {
            Some(near) => format!(", did you mean {near:?}?"),
            None if names.is_empty() => "; it has none".to_owned(),
            None => format!("; it has {}", names.join(", ")),
        };
        let message = format!("HQ's {} has no Table field {:?}{hint}", job.doctype, child.field);
        report.problem(&job.name, Exit::Blocked, message);
        return Ok(false);
    }
    let told = tables().find(|field| field.fieldname == child.field).and_then(|field| field.options.clone());
    let name = match told {
        Some(name) => name,
        None => hq.child_doctype(&job.doctype, &child.field, meter).await?,
    };
    let doctype = hq.doctype(&name, meter).await.ok();
    let wanted = child.fields.names();
    if doctype.as_ref().is_some_and(|doctype| !all_known(job, doctype, wanted, report)) {
        return Ok(false);
    }
    let readable = hq.readable(&name, Some((&job.doctype, &child.field)), wanted, meter).await?;
    if let Some(doctype) = &doctype {
        fit::look(&job.name, doctype, child.taken(), report);
    }
    Ok(all_readable(job, doctype.as_ref(), wanted, readable.as_ref(), report))
}

/// Whether all of `wanted` are fields of the DocType; says which are not.
fn all_known(job: &Job, doctype: &DocType, wanted: &[String], report: &mut Report) -> bool {
    let known = || doctype.fields.iter().map(|field| field.fieldname.as_str()).chain(STANDARD_FIELDS);
    let mut said: HashSet<&str> = HashSet::new();
    for field in wanted.iter().filter(|field| !known().any(|known| known == field.as_str())) {
        if said.insert(field) {
            let hint =
                config::nearest(field, known()).map(|near| format!(", did you mean {near:?}?")).unwrap_or_default();
            let message = format!("HQ's {} has no field {field:?}{hint}", doctype.name);
            report.problem(&job.name, Exit::Blocked, message);
        }
    }
    said.is_empty()
}

/// Whether HQ shows all of `wanted` to this user; says which it leaves out, and why as far as it is known.
fn all_readable(
    job: &Job,
    doctype: Option<&DocType>,
    wanted: &[String],
    readable: Option<&HashSet<String>>,
    report: &mut Report,
) -> bool {
    let described = |field: &String| doctype.and_then(|doctype| doctype.field(field));
    let name = doctype.map_or(job.doctype.as_str(), |doctype| &doctype.name);
    let Some(readable) = readable else {
        let levels = wanted.iter().filter(|field| described(field).is_some_and(|field| field.permlevel > 0));
        let levels: Vec<&str> = levels.map(String::as_str).collect();
        if !levels.is_empty() {
            let message = format!(
                "HQ does not tell whether the user may read {} of {name}, which are of a higher permission level; the first \
                 record will show it",
                levels.join(", ")
            );
            report.note(&job.name, message);
        }
        return true;
    };
    let missing: Vec<&String> = wanted.iter().filter(|field| !readable.contains(*field)).collect();
    for field in &missing {
        let described = described(field);
        let (why, remedy) = match described {
            Some(field) if field.is_table() => ("it is a table".to_owned(), "map it with [[job.children]]"),
            Some(field) if !field.is_listed() => {
                (format!("a {} has no value in a list", field.fieldtype), "take it out of the mapping")
            }
            Some(field) if field.permlevel > 0 => (
                format!("it is of permission level {}", field.permlevel),
                "give the user's role that level at HQ (Role Permissions Manager), or take the field out of the mapping",
            ),
            Some(_) | None => (
                "the user may not read it".to_owned(),
                "give the user permission at HQ, or take the field out of the mapping",
            ),
        };
        let message = format!("HQ leaves {field} of {name} out of its answers: {why}; {remedy}");
        report.problem(&job.name, Exit::Blocked, message);
    }
    missing.is_empty()
}
