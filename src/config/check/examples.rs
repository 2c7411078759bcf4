//! `[[job.test]]`: the examples of a job, each tried with what of the mapping is well.

use chrono_tz::Tz;
use serde_json::{Map, Value};

use super::fields;
use super::job::STAND_IN;
use crate::config::Example;
use crate::config::findings::Findings;
use crate::config::path::Path;
use crate::config::raw::RawTest;
use crate::config::said::{Code, Said};
use crate::mapping::{FieldSpec, Mapping, Mismatch};
use crate::row::Type;

/// Reads the examples of the job at `job`, and says which do not hold.
pub(super) fn examples(
    job: &Path,
    raw: Vec<RawTest>,
    columns: Vec<FieldSpec>,
    zone: Option<Tz>,
    findings: &mut Findings<'_>,
) -> Vec<Example> {
    let names: Vec<String> = columns.iter().map(|spec| spec.column.clone()).collect();
    let mapping = mapping(job, columns, zone, findings);
    let mut examples = Vec::new();
    for (index, test) in raw.into_iter().enumerate() {
        let at = job.key("test").index(index);
        let (Some(given), Some(expect)) = (test.given, test.expect) else {
            continue;
        };
        let names = || names.iter().map(String::as_str);
        // Of fields that are not there, or could not be read, enough was said.
        let are_known = names().next().is_some();
        for column in expect.keys().filter(|column| are_known && names().all(|name| name != column.as_str())) {
            let near = crate::config::nearest(column, names());
            let is_key = near.is_none() && findings.is_damaged(&job.key("key"));
            if is_key || near.is_some_and(|near| findings.is_damaged(&job.key("fields").key(near))) {
                // It was said of the column itself that it is not called so, or not there.
                continue;
            }
            let said = Said::new(Code::UnknownName, format!("no column {column:?} is mapped")).near_to(column, names());
            findings.at_key(&at.key("expect").key(column), said);
        }
        let is_mended = ["given", "expect"].iter().any(|key| findings.is_mended(&at.key(key)));
        if let Some(mapping) = mapping.as_ref().filter(|_| !is_mended) {
            attempt(&at, mapping, &given, &expect, findings);
        }
        examples.push(Example { line: findings.line(&at), given, expect });
    }
    examples
}

/// The columns that nothing is wrong with, compiled: what is wrong with another must not hide an example that does not hold.
fn mapping(job: &Path, mut columns: Vec<FieldSpec>, zone: Option<Tz>, findings: &Findings<'_>) -> Option<Mapping> {
    // What a missing zone makes of a moment nobody knows.
    let is_known = |spec: &FieldSpec| zone.is_some() || spec.ty != Some(Type::Datetime);
    columns.retain(|spec| {
        let at = job.key("fields").key(&spec.column);
        is_known(spec) && !findings.is_damaged(&at) && !findings.is_mended(&at)
    });
    if columns.is_empty() {
        return None;
    }
    columns.push(fields::stand_in(STAND_IN.to_owned()));
    Mapping::build(columns, &[STAND_IN.to_owned()], Vec::new(), zone.unwrap_or(Tz::UTC)).ok()
}

fn attempt(
    at: &Path,
    mapping: &Mapping,
    given: &Map<String, Value>,
    expect: &Map<String, Value>,
    findings: &mut Findings<'_>,
) {
    for (column, fields) in mapping.private_parts() {
        findings.star_value(&at.key("expect").key(column));
        fields.iter().for_each(|field| findings.star_value(&at.key("given").key(field)));
    }
    let is_there = |column: &String| mapping.columns().iter().any(|known| known.name == *column);
    let expect: Map<String, Value> = expect
        .iter()
        .filter(|(column, _)| is_there(column))
        .map(|(column, value)| (column.clone(), value.clone()))
        .collect();
    for Mismatch { column, what, remedy } in mapping.example(given, &expect) {
        let place = column.map_or_else(|| at.key("given"), |column| at.key("expect").key(&column));
        findings.doubt_value(&place, at, Said::new(Code::Example, what).help(remedy));
    }
}
