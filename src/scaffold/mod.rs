//! A `sync.toml` from HQ's own descriptions: what `milkrun init` writes. Pure: descriptions in, text out.
//!
//! What is written passes `check` and syncs as it is, so it takes no liberties: columns carry HQ's names, decimals are not
//! rounded, links stay the names they are. Where a choice is the operator's (a lookup, a scale, a field this user may not
//! read), a comment shows it. The text is written, not serialized: its comments are half of its worth.

mod column;
mod head;
mod name;
mod order;
mod schedule;
mod write;

#[cfg(test)]
mod tests;

pub use head::{Head, head};
pub use write::jobs_text as text;

use std::collections::HashSet;

use crate::doctype::{DocType, Docfield};

use self::column::{Budget, Column, LeftOut};
use self::name::Names;

/// A DocType, and which of its fields the user may read.
#[derive(Debug, Clone)]
pub struct Found {
    /// HQ's description.
    pub doctype: DocType,
    /// What the user may read of it; `None` where HQ did not tell.
    pub readable: Option<HashSet<String>>,
    /// The DocTypes of its Table fields, each with the name of the field.
    pub children: Vec<(String, Found)>,
}

/// What the file has already.
#[derive(Debug, Clone, Default)]
pub struct Present {
    /// Its jobs.
    pub jobs: Vec<PresentJob>,
    /// The tables of its child tables.
    pub tables: Vec<String>,
}

/// A job that is in the file already.
#[derive(Debug, Clone)]
pub struct PresentJob {
    /// Its name.
    pub name: String,
    /// HQ's DocType.
    pub doctype: String,
    /// The local table.
    pub table: String,
    /// Its schedule, as written.
    pub schedule: String,
}

/// A job to be written.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its name, which is that of its table.
    pub name: String,
    /// HQ's DocType.
    pub doctype: String,
    /// The local table.
    pub table: String,
    /// The jobs it waits for.
    pub after: Vec<String>,
    /// Jobs that its links point to and that it does not wait for, as they wait for it.
    pub not_after: Vec<String>,
    pub(crate) links: Vec<Link>,
    pub(crate) schedule: schedule::Times,
    pub(crate) columns: Vec<Column>,
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) children: Vec<Child>,
    pub(crate) is_submittable: bool,
}

impl Job {
    /// How many columns the table has.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// The child tables, and how many columns each has beside its parent's key and its place.
    pub fn children(&self) -> impl Iterator<Item = (&str, usize)> {
        self.children.iter().map(|child| (child.table.as_str(), child.columns.len()))
    }

    /// The fields that are left out although they have values, each with the reason.
    pub fn left_out(&self) -> impl Iterator<Item = (String, String)> {
        let own = self.left_out.iter().map(|left| (left.fieldname.clone(), left.reason.to_string()));
        let of_children = self.children.iter().flat_map(|child| {
            let named = |left: &LeftOut| (format!("{}.{}", child.field, left.fieldname), left.reason.to_string());
            child.left_out.iter().map(named)
        });
        own.chain(of_children)
    }
}

/// A Link field, of the DocType or one of its child tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    field: String,
    doctype: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Child {
    field: String,
    doctype: String,
    table: String,
    columns: Vec<Column>,
    left_out: Vec<LeftOut>,
}

/// The column of a child table that holds its parent's key: HQ's own word, which no field can have.
const PARENT_KEY: &str = "parent";

/// The jobs of these DocTypes, beside those that the file has, in the order in which they are to be written. `user` is who
/// may not read what is left out.
#[must_use]
pub fn jobs(found: &[Found], present: &Present, user: &str) -> Vec<Job> {
    let mut names = Names::of(present);
    // A job's own table goes before child tables, whose names are made up of two.
    let own = |found: &Found| names.table(&name::plural(&name::snake(&found.doctype.name)));
    let tables: Vec<String> = found.iter().map(own).collect();
    let mut jobs: Vec<Job> =
        found.iter().zip(tables).map(|(found, table)| job(found, table, &mut names, user)).collect();
    order::put(&mut jobs, present);
    schedule::put(&mut jobs, present);
    jobs
}

fn job(found: &Found, table: String, names: &mut Names, user: &str) -> Job {
    let doctype = &found.doctype;
    let mut budget = Budget::default();
    let (columns, left_out) = column::of(found, &mut budget, user);
    let mut links = links(&doctype.fields);
    let mut children = Vec::new();
    for (field, child) in &found.children {
        let (columns, left_out) = column::of_child(child, user);
        links.extend(self::links(&child.doctype.fields));
        let table = names.table(&name::of_child(&doctype.name, field));
        children.push(Child { field: field.clone(), doctype: child.doctype.name.clone(), table, columns, left_out });
    }
    Job {
        name: table.clone(),
        doctype: doctype.name.clone(),
        table,
        after: Vec::new(),
        not_after: Vec::new(),
        links,
        schedule: schedule::Times::default(),
        columns,
        left_out,
        children,
        is_submittable: doctype.is_submittable,
    }
}

fn links(fields: &[Docfield]) -> Vec<Link> {
    let link = |field: &Docfield| Some(Link { field: field.fieldname.clone(), doctype: field.links_to()?.to_owned() });
    fields.iter().filter_map(link).collect()
}
