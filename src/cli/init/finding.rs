//! The DocTypes that were asked for, as HQ describes them to this user, or why one of them cannot be a job.

use serde::Serialize;

use super::super::Exit;
use crate::config;
use crate::doctype::{DocType, Docfield};
use crate::scaffold::Found;
use crate::source::frappe::Frappe;
use crate::source::{self, Meter};
use crate::sync::Error;

/// Why a DocType cannot be a job.
#[derive(Debug, Serialize)]
pub(super) struct Refusal {
    doctype: String,
    #[serde(rename = "error")]
    pub(super) message: String,
    pub(super) remedy: String,
    #[serde(skip)]
    pub(super) exit: Exit,
}

impl Refusal {
    fn new(doctype: &str, message: String, remedy: impl Into<String>) -> Self {
        Self { doctype: doctype.to_owned(), message, remedy: remedy.into(), exit: Exit::Usage }
    }

    /// The file has a job for it.
    pub(super) fn double(doctype: &str, job: &str, file: &str) -> Self {
        let message = format!("{file} has a job for {doctype} already: {job}");
        Self::new(doctype, message, format!("change that job, or leave {doctype:?} out"))
    }
}

/// Finds them all; what is wrong with any is told together. An HQ that cannot be asked is an error of its own.
pub(super) async fn find(
    hq: &Frappe,
    names: &[String],
    user: &str,
    meter: &Meter,
) -> Result<Result<Vec<Found>, Vec<Refusal>>, Error> {
    let (mut found, mut refusals): (Vec<Found>, Vec<Refusal>) = (Vec::new(), Vec::new());
    let (mut missing, mut children) = (Vec::new(), Vec::new());
    for name in names {
        let step = || format!("reading {name}'s field list");
        let doctype = match hq.doctype(name, meter).await {
            Ok(doctype) => doctype,
            Err(source::Error::Unknown { .. }) => {
                missing.push(name);
                continue;
            }
            Err(cause) => return Err(Error::Source { step: step(), cause }),
        };
        if doctype.is_child {
            children.push((name, doctype.name));
            continue;
        }
        if let Some(refusal) = unfit(name, &doctype) {
            refusals.push(refusal);
            continue;
        }
        if found.iter().any(|other| other.doctype.name == doctype.name) {
            continue;
        }
        match with_children(hq, doctype, meter).await {
            Ok(whole) => found.push(whole),
            Err(source::Error::Forbidden { .. }) => refusals.push(Refusal {
                exit: Exit::Blocked,
                ..Refusal::new(
                    name,
                    format!("{user} may not read {name} at HQ"),
                    format!(
                        "give the user a role at HQ that may read {name} (Role Permissions Manager), or leave it out"
                    ),
                )
            }),
            Err(cause) => return Err(Error::Source { step: step(), cause }),
        }
    }
    for (asked, child) in children {
        // Whom an administrator may ask, and nobody else.
        let holders = hq.holders(&child, meter).await.unwrap_or_default();
        refusals.push(of_parent(asked, &child, &found, &holders));
    }
    if !missing.is_empty() {
        // Only an administrator is told the names; others get by with those that turned up.
        let mut known = hq.doctype_names(meter).await.unwrap_or_default();
        known.extend(found.iter().flat_map(|found| mentioned(&found.doctype)));
        refusals.extend(missing.into_iter().map(|name| unknown(name, &known)));
    }
    Ok(if refusals.is_empty() { Ok(found) } else { Err(refusals) })
}

fn unknown(name: &str, known: &[String]) -> Refusal {
    let message = format!("HQ has no DocType {name:?}");
    match config::nearest(name, known.iter().map(String::as_str)) {
        Some(near) => {
            Refusal::new(name, format!("{message}, did you mean {near:?}?"), format!("milkrun init … {near:?}"))
        }
        None => Refusal::new(
            name,
            message,
            "spell it as HQ does, with its capitals and spaces, in quotes: \"Sales Invoice\" (at HQ: DocType List)",
        ),
    }
}

/// The DocTypes that a DocType names.
fn mentioned(doctype: &DocType) -> impl Iterator<Item = String> + '_ {
    let named = |field: &Docfield| field.links_to().map(str::to_owned).or_else(|| child_of(field));
    std::iter::once(doctype.name.clone()).chain(doctype.fields.iter().filter_map(named))
}

fn child_of(field: &Docfield) -> Option<String> {
    field.options.clone().filter(|options| field.is_table() && !options.is_empty())
}

/// Why records of this DocType are no list.
fn unfit(asked: &str, doctype: &DocType) -> Option<Refusal> {
    let name = &doctype.name;
    if doctype.is_single {
        let message = format!("{name} is a single document, not a list: there is nothing to keep in step row by row");
        return Some(Refusal::new(asked, message, format!("leave {name:?} out")));
    }
    if doctype.is_virtual {
        let message =
            format!("{name} is a virtual DocType: HQ keeps no table of it, so no list can be read by its stamps");
        return Some(Refusal::new(asked, message, format!("leave {name:?} out")));
    }
    None
}

/// A child DocType comes with its parent.
fn of_parent(asked: &str, child: &str, found: &[Found], holders: &[(String, String)]) -> Refusal {
    let holds = |found: &Found| {
        let field = found.doctype.fields.iter().find(|field| child_of(field).as_deref() == Some(child))?;
        Some((found.doctype.name.clone(), field.fieldname.clone()))
    };
    let (comes_with, remedy) = match (found.iter().find_map(holds), holders.first()) {
        (Some((parent, field)), _) => {
            (format!("{parent} (its field {field}), which you asked for"), format!("leave {child:?} out"))
        }
        (None, Some((parent, field))) => {
            let more = if holders.len() > 1 { ", and with others" } else { "" };
            (format!("{parent} (its field {field}){more}"), format!("ask for {parent:?} instead"))
        }
        (None, None) => ("the DocType that has it as a table".to_owned(), "ask for that DocType instead".to_owned()),
    };
    Refusal::new(asked, format!("{child} is a child table: its rows come with {comes_with}"), remedy)
}

async fn with_children(hq: &Frappe, doctype: DocType, meter: &Meter) -> Result<Found, source::Error> {
    let readable = hq.readable(&doctype.name, None, &listed(&doctype), meter).await?;
    let tables: Vec<(String, String)> = doctype
        .fields
        .iter()
        .filter(|field| !field.is_virtual)
        .filter_map(|field| Some((field.fieldname.clone(), child_of(field)?)))
        .collect();
    let mut children = Vec::new();
    for (field, child) in tables {
        let child = hq.doctype(&child, meter).await?;
        let parent = Some((doctype.name.as_str(), field.as_str()));
        let readable = hq.readable(&child.name, parent, &listed(&child), meter).await?;
        if child.fields.iter().any(Docfield::is_listed) {
            children.push((field, Found { doctype: child, readable, children: Vec::new() }));
        }
    }
    Ok(Found { doctype, readable, children })
}

/// The fields to ask about.
fn listed(doctype: &DocType) -> Vec<String> {
    let fields = doctype.fields.iter().filter(|field| field.is_listed());
    std::iter::once("name")
        .chain(fields.map(|field| field.fieldname.as_str()))
        .map(str::to_owned)
        .collect()
}
