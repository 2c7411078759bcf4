//! One job at HQ: is there such a DocType, has it these fields, may this user read them, do they fit?

use std::collections::HashSet;

use serde_json::Value;

use super::report::{Named, Report};
use super::{fit, key};
use crate::cli::output;
use crate::config::{self, Job};
use crate::doctype::{DocType, Holds, STANDARD_FIELDS};
use crate::mapping::ChildTable;
use crate::record::BadPage;
use crate::retry::Teller;
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
    if let Some(doctype) = &doctype
        && (doctype.is_single || doctype.is_child)
    {
        let message = if doctype.is_single {
            format!("{} is a single document, not a list: it cannot be a job; take the job out", job.doctype)
        } else {
            let error = hq.child_table(&job.doctype, meter).await;
            format!("{error}; {}", error.remedy(Teller::Command))
        };
        report.problem_of(&job.name, named(None, &job.doctype), message);
        return Ok(());
    }
    let of_filters: Vec<String> = job.filters.iter().filter_map(filtered).collect();
    let good = good(job, None, doctype.as_ref(), wanted, report);
    let good_filters = self::good(job, None, doctype.as_ref(), &of_filters, report);
    let mut is_whole = good.len() == wanted.len() && good_filters.len() == of_filters.len();
    let mut has_shown = false;
    if is_whole {
        // As a run will ask, filters included; which fields it lacks is found out below, by name.
        match hq.page(job, None, &mut PageSize::fixed(1), meter).await {
            Ok(fetched) => has_shown = !fetched.page.is_empty(),
            Err(source::Error::Page(BadPage::Missing(_) | BadPage::Width { .. })) => {}
            Err(error) => return Err(error),
        }
    }
    // A record that came whole has shown that all of it can be read.
    let readable = match has_shown {
        true => Some(good.iter().cloned().collect()),
        false => hq.readable(&job.doctype, None, &good, meter).await?,
    };
    is_whole &= all_readable(job, None, doctype.as_ref(), &good, readable.as_ref(), report);
    for child in job.mapping.children() {
        is_whole &= look_at_child(hq, job, doctype.as_ref(), child, meter, report).await?;
    }
    if let Some(doctype) = &doctype {
        fit::look((&job.name, None), doctype, job.mapping.taken(), report);
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
    report.problem_of(&job.name, named(None, &job.doctype), format!("HQ has no DocType {:?}{hint}", job.doctype));
}

/// What the file calls so, in the job or its child table of that Table field.
pub(super) fn named(child: Option<&str>, word: &str) -> Named {
    Named { child: child.map(str::to_owned), word: word.to_owned() }
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
        report.problem_of(&job.name, named(None, &child.field), message);
        return Ok(false);
    }
    let told = tables().find(|field| field.fieldname == child.field).and_then(|field| field.options.clone());
    let name = match told {
        Some(name) => name,
        None => hq.child_doctype(&job.doctype, &child.field, meter).await?,
    };
    let doctype = hq.doctype(&name, meter).await.ok();
    let wanted = child.fields.names();
    let (of, good) = (Some(child.field.as_str()), good(job, Some(&child.field), doctype.as_ref(), wanted, report));
    let readable = hq.readable(&name, Some((&job.doctype, &child.field)), &good, meter).await?;
    if let Some(doctype) = &doctype {
        fit::look((&job.name, of), doctype, child.taken(), report);
    }
    Ok(all_readable(job, of, doctype.as_ref(), &good, readable.as_ref(), report) && good.len() == wanted.len())
}

/// Those of `wanted` that a list can have; says which it cannot, as one of them fails the whole list.
fn good(
    job: &Job,
    child: Option<&str>,
    doctype: Option<&DocType>,
    wanted: &[String],
    report: &mut Report,
) -> Vec<String> {
    let Some(doctype) = doctype else { return wanted.to_vec() };
    let known = || doctype.fields.iter().map(|field| field.fieldname.as_str()).chain(STANDARD_FIELDS);
    let (mut good, mut said) = (Vec::new(), HashSet::new());
    for name in wanted {
        let why = match doctype.field(name) {
            Some(field) if field.is_table() => "is a table: map it with [[job.children]]".to_owned(),
            Some(field) if field.is_virtual => {
                "is computed when HQ opens a form: take it out of the mapping".to_owned()
            }
            Some(field) if !field.is_listed() && field.holds() != Holds::Unknown => {
                format!("is of type {}: no list has it; take it out of the mapping", field.fieldtype)
            }
            None if !known().any(|known| known == name) => {
                let near = config::nearest(name, known());
                let hint = near.map(|near| format!(", did you mean {near:?}?")).unwrap_or_default();
                if said.insert(name) {
                    let message = format!("HQ's {} has no field {name:?}{hint}", doctype.name);
                    report.problem_of(&job.name, named(child, name), message);
                }
                continue;
            }
            Some(_) | None => {
                good.push(name.clone());
                continue;
            }
        };
        if said.insert(name) {
            report.problem_of(&job.name, named(child, name), format!("HQ's field {name} of {} {why}", doctype.name));
        }
    }
    good
}

/// Whether HQ shows all of `wanted` to this user; says which it leaves out, and why as far as it is known.
fn all_readable(
    job: &Job,
    child: Option<&str>,
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
        report.problem_of(&job.name, named(child, field), message);
    }
    missing.is_empty()
}
