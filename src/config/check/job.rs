//! `[[job]]`: one job, its mapping compiled.

use std::time::Duration;

use chrono_tz::Tz;

use super::rules::{self, Written};
use super::{examples, fields, filters};
use crate::config::findings::Findings;
use crate::config::path::Path;
use crate::config::raw::{RawChild, RawDeleteLimit, RawJob};
use crate::config::said::{Code, Said};
use crate::config::{DeleteLimit, Deletes, Job, cron, words};
use crate::mapping::{self, ChildSpec, FieldSpec, Mapping, Origin};

/// The start only, as pages grow and shrink with the line: small enough for a weak one, and one transaction each.
const DEFAULT_PAGE_SIZE: u32 = 500;

/// Frappe's long queue may run a transaction for 25 minutes before it commits.
const DEFAULT_OVERLAP: Duration = Duration::from_secs(30 * 60);

/// Together with the share below: a day's tidying passes, a filter or permission gone wrong does not.
const DEFAULT_DELETE_ROWS: u64 = 20;

/// See [`DEFAULT_DELETE_ROWS`].
const DEFAULT_DELETE_PERCENT: f64 = 5.0;

/// Some 200,000 records of a usual width in one night, and a share of more; an HQ of a thousand outlets wants less.
const DEFAULT_RECONCILE_REQUESTS: u32 = 20;

/// A message that lists more words than this is not read.
const MOST_LISTED: usize = 8;

/// The column that `deletes = "mark"` sets.
pub(super) const MARK_COLUMN: &str = "deleted_at";

/// The position of the job of that name.
pub(super) fn named<'n>(names: impl IntoIterator<Item = Option<&'n str>>, name: &str) -> Option<usize> {
    names.into_iter().position(|other| other == Some(name))
}

/// Makes a job; `None` where something is missing or wrong.
pub(super) fn job(
    raw: RawJob,
    index: usize,
    names: &[Option<String>],
    hq_zone: Option<Tz>,
    findings: &mut Findings<'_>,
) -> Option<Job> {
    let at = Path::of(["job"]).index(index);
    let filters = raw
        .filters
        .as_ref()
        .map_or_else(Vec::new, |value| filters::filters(&at.key("filters"), raw.doctype.as_deref(), value, findings));
    let deletes = raw.deletes.map_or_else(Deletes::default, Deletes::from);
    let own_rules = rules::of_fields(&raw.fields);
    let columns = fields::fields(&at.key("fields"), raw.fields, findings);
    let written = Written { conflict: raw.conflict, otherwise: raw.otherwise, local_modified: raw.local_modified };
    let rules = rules::rules(&at, written, own_rules, &columns, raw.key.as_deref(), findings);
    if deletes == Deletes::Mark {
        mark_column_is_free(&at.key("fields"), &columns, findings);
    }
    let specs = if raw.test.is_empty() { Vec::new() } else { columns.clone() };
    let mapping = mapping(&at, columns, raw.key, raw.children, hq_zone, findings);
    // After the mapping, as only columns that nothing is wrong with are tried.
    let tests = examples::examples(&at, raw.test, specs, hq_zone, findings);
    let after = raw.after.iter().filter_map(|name| named(names.iter().map(Option::as_deref), name));
    Some(Job {
        name: raw.name?,
        doctype: raw.doctype?,
        // Its faults were reported by the walk, which read it as here.
        schedule: cron::parse(&raw.schedule?).ok()?,
        after: after.collect(),
        filters,
        page_size: raw.page_size.unwrap_or(DEFAULT_PAGE_SIZE),
        overlap: raw.overlap.map_or(DEFAULT_OVERLAP, |time| time.0),
        table: raw.table?,
        mapping: mapping?,
        create_table: raw.create_table.unwrap_or(false),
        deletes,
        delete_limit: delete_limit(&raw.delete_limit),
        rules,
        // As of `schedule`, its faults were reported by the walk.
        reconcile: raw.reconcile.and_then(|pattern| cron::parse(&pattern).ok()),
        reconcile_requests: raw.reconcile_requests.unwrap_or(DEFAULT_RECONCILE_REQUESTS),
        tests,
    })
}

fn delete_limit(raw: &RawDeleteLimit) -> DeleteLimit {
    DeleteLimit {
        rows: raw.rows.unwrap_or(DEFAULT_DELETE_ROWS),
        percent: raw.percent.unwrap_or(DEFAULT_DELETE_PERCENT),
    }
}

fn mark_column_is_free(at: &Path, columns: &[FieldSpec], findings: &mut Findings<'_>) {
    let taken = columns.iter().find(|spec| spec.column.eq_ignore_ascii_case(MARK_COLUMN));
    if let Some(spec) = taken {
        let said =
            Said::from(format!("deletes = \"mark\" sets the column {MARK_COLUMN:?} itself, so it cannot be mapped"));
        findings
            .at_key(&at.key(&spec.column), said.help("give the column another name, or take another word for deletes"));
    }
}

fn mapping(
    at: &Path,
    mut columns: Vec<FieldSpec>,
    key: Option<Vec<String>>,
    children: Vec<RawChild>,
    hq_zone: Option<Tz>,
    findings: &mut Findings<'_>,
) -> Option<Mapping> {
    let numbered = children.into_iter().enumerate();
    let children = numbered.map(|(index, raw)| child(&at.key("children").index(index), index, raw, findings)).collect();
    if columns.is_empty() {
        return None;
    }
    key_columns(at, key.as_deref().unwrap_or_default(), &columns, findings);
    // A key or zone that is missing was reported; stand-ins let everything else that is wrong be found.
    let is_whole = key.is_some() && hq_zone.is_some();
    let key = key.unwrap_or_else(|| {
        columns.push(fields::stand_in(STAND_IN.to_owned()));
        vec![STAND_IN.to_owned()]
    });
    match Mapping::build(columns, &key, children, hq_zone.unwrap_or(Tz::UTC)) {
        Ok(mapping) => Some(mapping).filter(|_| is_whole),
        Err(problems) => {
            // Of what is known to be wrong only the stand-in was compiled.
            let is_news = |problem: &mapping::Problem| {
                let is_of_key = problem.part == Some("key")
                    && (findings.is_damaged(&at.key("key")) || problem.message.ends_with("is not among the fields"));
                !is_of_key && !findings.is_damaged(&subject(at, problem))
            };
            let news: Vec<_> = problems.into_iter().filter(is_news).collect();
            for problem in news {
                place(at, &problem, findings);
            }
            None
        }
    }
}

/// Each column of the key is one of the fields.
fn key_columns(job: &Path, key: &[String], columns: &[FieldSpec], findings: &mut Findings<'_>) {
    let names: Vec<&str> = columns.iter().map(|spec| spec.column.as_str()).collect();
    for (index, column) in key.iter().enumerate().filter(|(_, column)| !names.contains(&column.as_str())) {
        let at = job.key("key").index(index);
        // People name HQ's field, too.
        let is_from = |spec: &&FieldSpec| matches!(&spec.origin, Origin::Field(field) if field == column);
        let near = columns.iter().find(is_from).map(|spec| spec.column.clone());
        let near = near
            .filter(|_| findings.is_showable(&at))
            .or_else(|| findings.nearest(&at, column, names.iter().copied()));
        let fields = job.key("fields");
        if near.as_ref().is_some_and(|near| findings.is_damaged(&fields.key(near))) {
            // That the column is not called so was said.
            continue;
        }
        let shown = findings.shown(&at, column);
        let said = Said::new(Code::UnknownName, format!("the key column {shown} is not among the fields")).near(near);
        let help = "the key is a local column, on the left in [job.fields]";
        let said = match names.len() {
            1..=MOST_LISTED if said.near.is_none() => said.help(format!("{help}: {}", words::either(&names))),
            _ => said.help(help),
        };
        findings.at_value(&at, said);
    }
}

/// Nothing can be called so in `sync.toml`, so it is nobody's double.
pub(super) const STAND_IN: &str = " ";

/// A missing part was reported; it stands in as a text that disturbs nothing else.
fn child(at: &Path, index: usize, raw: RawChild, findings: &mut Findings<'_>) -> ChildSpec {
    let stand_in = || format!("{STAND_IN}{index}");
    for (column, _) in raw.fields.iter().filter(|(_, field)| field.conflict.is_some()) {
        let said = Said::from("child rows are replaced with their parent: they have no conflict of their own");
        findings.at_key(&at.key("fields").key(column).key("conflict"), said.help("leave conflict out"));
    }
    ChildSpec {
        fields: fields::fields(&at.key("fields"), raw.fields, findings),
        field: raw.field.unwrap_or_else(stand_in),
        table: raw.table.unwrap_or_else(stand_in),
        parent_key: raw.parent_key.unwrap_or_else(stand_in),
    }
}

/// The job or the child table that a problem of the mapping is about.
fn table(job: &Path, problem: &mapping::Problem) -> Path {
    problem.child.map_or_else(|| job.clone(), |child| job.key("children").index(child))
}

/// The field, or else the key, that a problem of the mapping is about.
fn subject(job: &Path, problem: &mapping::Problem) -> Path {
    let table = table(job, problem);
    match (&problem.column, problem.part) {
        (Some(column), _) => table.key("fields").key(column),
        (None, Some(part)) => table.key(part),
        (None, None) => table.key("fields"),
    }
}

/// Puts a problem of the mapping at the key or value it is about.
fn place(job: &Path, problem: &mapping::Problem, findings: &mut Findings<'_>) {
    let subject = subject(job, problem);
    let said = said(problem);
    match (&problem.column, problem.part) {
        (Some(_), None | Some("parent_key")) => findings.at_key(&subject, said),
        (Some(_), Some(part)) => findings.at_value(&subject.key(part), said),
        (None, _) => findings.at_value(&subject, said),
    }
}

/// The mapping's sentence, and its remedy where it names one, or else that of the key that it is about.
fn said(problem: &mapping::Problem) -> Said {
    let message = problem.message.as_str();
    let code = match problem.part {
        Some("expr" | "default") => Code::InvalidValue,
        Some(_) | None => Code::Contradiction,
    };
    if let Some((what, help)) = message.split_once("; ") {
        return Said::new(code, what).help(help);
    }
    for verb in ["write ", "map ", "add "] {
        if let Some((what, rest)) = message.split_once(&format!(": {verb}")) {
            return Said::new(code, what).help(format!("{verb}{rest}"));
        }
    }
    let help = match problem.part {
        Some("owner") => "leave owner out",
        Some("map") => "list HQ's texts in it, or leave map out",
        Some("const") => "take a field that differs from record to record",
        Some("expr") if message.starts_with("there is no") => {
            "docs/configuration.md says under Expressions what there is"
        }
        Some("expr") => "every word in it is a field of HQ, and texts stand in quotes",
        Some("default") => "write a value of the column's type",
        Some("parent_key") => "take it out of the fields",
        Some("key") if problem.child.is_some() => "let the key be one column, or take the child table out",
        Some("key") if message.contains("names no column") => "name the column that tells the rows apart",
        Some("key") => "name each column of the key once",
        Some("trim") => "leave trim out",
        Some(_) | None => return message.into(),
    };
    Said::new(code, message).help(help)
}
