//! The text of the jobs. Every value goes through [`quoted`], every text of HQ's in a comment through [`plain`].

use std::collections::HashSet;
use std::fmt::Write as _;

use super::column::{Column, LeftOut, Type};
use super::{Child, Job, PARENT_KEY};

/// The jobs as they stand in the file, each after an empty line.
#[must_use]
pub fn jobs_text(jobs: &[Job]) -> String {
    let mut text = String::new();
    let mut taught = Taught::default();
    for job in jobs {
        let written = job_text(job, jobs, &mut taught, &mut text);
        debug_assert!(written.is_ok(), "writing to a String cannot fail");
    }
    text
}

/// What has been explained: once is enough for a file.
#[derive(Debug, Default)]
struct Taught(HashSet<&'static str>);

impl Taught {
    /// The words as a comment at the end of a line, the first time.
    fn once(&mut self, words: &'static str) -> String {
        if self.0.insert(words) { format!("   # {words}") } else { String::new() }
    }

    /// The comment at the end of a column's line: its own, or what is still to be learned of its type.
    fn of(&mut self, column: &Column) -> String {
        match (&column.remark, column.ty) {
            (None, Type::Word("decimal")) => self.once("keeps every digit; scale = 2 rounds, and writes 80 as 80.00"),
            (None, Type::Text(Some(_))) => self.once("max_length is HQ's own bound, in characters"),
            (None | Some(_), _) => ending(column),
        }
    }
}

fn job_text(job: &Job, jobs: &[Job], taught: &mut Taught, text: &mut String) -> std::fmt::Result {
    let Job { name, doctype, table, after, not_after, schedule, columns, left_out, children, .. } = job;
    writeln!(
        text,
        "\n# {}\n[[job]]\nname = {}{}",
        plain(doctype),
        quoted(name),
        taught.once("as in milkrun sync NAME")
    )?;
    // `sync.toml` would read a `${…}` of HQ's as its own.
    writeln!(text, "doctype = {}", quoted(&doctype.replace("${", "$${")))?;
    let why = match schedule.is_theirs {
        true => taught.once("with the jobs it waits for"),
        false => taught.once("second minute hour day month weekday: every five minutes"),
    };
    writeln!(text, "schedule = {}{why}", quoted(&schedule.schedule))?;
    let why = taught.once("every night all of HQ is compared with the table, and repaired");
    writeln!(text, "reconcile = {}{why}", quoted(&schedule.reconcile))?;
    if !after.is_empty() {
        let after: Vec<String> = after.iter().map(|name| quoted(name)).collect();
        writeln!(text, "after = [{}]{}", after.join(", "), taught.once("its links point there, so those run first"))?;
    }
    for other in not_after {
        writeln!(
            text,
            "# Links point to {other}, too, which waits for this job already: one of the two has to be first."
        )?;
    }
    if job.is_submittable {
        writeln!(text, "# filters = [[\"docstatus\", \"=\", 1]]   # submitted ones only; without it drafts come, too")?;
    }
    writeln!(text, "table = {}\nkey = \"name\"\ncreate_table = true", quoted(table))?;
    writeln!(text, "\n[job.fields]{}", taught.once("local column = field at HQ, or a table that says more"))?;
    columns.iter().try_for_each(|column| column_text(column, "", &taught.of(column), text))?;
    if !taught.0.contains(LOOKUP) && lookup_text(job, jobs, text)? {
        taught.0.insert(LOOKUP);
    }
    left_out_text(left_out, text)?;
    children.iter().try_for_each(|child| child_text(child, taught, text))
}

/// That a lookup was shown.
const LOOKUP: &str = "lookup";

fn child_text(child: &Child, taught: &mut Taught, text: &mut String) -> std::fmt::Result {
    let Child { field, doctype, table, columns, left_out } = child;
    let why = taught.once("a child table: its rows come and go with their parent's");
    writeln!(text, "\n# {}\n[[job.children]]{why}", plain(doctype))?;
    writeln!(text, "field = {}\ntable = {}", quoted(field), quoted(table))?;
    let why = taught.once("its column that holds the parent's name; a column idx keeps the order");
    writeln!(text, "parent_key = \"{PARENT_KEY}\"{why}")?;
    writeln!(text, "[job.children.fields]")?;
    columns.iter().try_for_each(|column| column_text(column, "", &taught.of(column), text))?;
    left_out_text(left_out, text)
}

/// The comment at the end of a column's line.
fn ending(column: &Column) -> String {
    column.remark.as_deref().map(|remark| format!("   # {}", plain(remark))).unwrap_or_default()
}

fn column_text(column: &Column, lead: &str, remark: &str, text: &mut String) -> std::fmt::Result {
    let Column { name, from, ty, remark: _ } = column;
    let from = quoted(from);
    match ty {
        Type::Text(None) => writeln!(text, "{lead}{name} = {from}{remark}"),
        Type::Text(Some(most)) => writeln!(text, "{lead}{name} = {{ from = {from}, max_length = {most} }}{remark}"),
        Type::Word(word) => writeln!(text, "{lead}{name} = {{ from = {from}, type = \"{word}\" }}{remark}"),
    }
}

/// Shows how a link takes another column of the table it points to; whether there was one to show.
fn lookup_text(job: &Job, jobs: &[Job], text: &mut String) -> Result<bool, std::fmt::Error> {
    let shown = job.links.iter().find_map(|link| {
        let is_own = job.columns.iter().any(|column| column.from == link.field);
        let other = jobs.iter().find(|other| other.doctype == link.doctype && job.after.contains(&other.name));
        other.filter(|_| is_own).map(|other| (link, other))
    });
    let Some((link, other)) = shown else { return Ok(false) };
    let (field, table) = (&link.field, &other.table);
    writeln!(
        text,
        "# {field} holds the name of a row in {table}. To store another of that row's columns (an id of your own, say):\n\
         # {field}_id = {{ from = \"{field}\", lookup = {{ table = \"{table}\", match = \"name\", take = \"id\" }} }}"
    )?;
    Ok(true)
}

fn left_out_text(left_out: &[LeftOut], text: &mut String) -> std::fmt::Result {
    if left_out.is_empty() {
        return Ok(());
    }
    writeln!(text, "# Left out:")?;
    for left in left_out {
        let (fieldname, fieldtype) = (plain(&left.fieldname), plain(&left.fieldtype));
        writeln!(text, "#   {fieldname} ({fieldtype}): {}", plain(&left.reason.to_string()))?;
        if let Some(column) = &left.column {
            column_text(column, "#     ", &ending(column), text)?;
        }
    }
    Ok(())
}

/// A TOML string that stands for exactly this text: what `sync.toml` takes for `${…}` is HQ's own and is left alone.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A text that stays within its comment.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
