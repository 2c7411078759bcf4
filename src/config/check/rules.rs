//! `conflict`, `otherwise` and `local_modified` of a job, and `conflict` of its fields.

use crate::config::findings::Findings;
use crate::config::path::Path;
use crate::config::raw::{RawConflict, RawFields};
use crate::config::said::Said;
use crate::conflict::{Rule, Rules};
use crate::mapping::{FieldSpec, Owner};

/// The keys of a job that say who wins.
pub(super) struct Written {
    pub(super) conflict: Option<RawConflict>,
    pub(super) otherwise: Option<RawConflict>,
    pub(super) local_modified: Option<String>,
}

/// The `conflict` of each field, in the order written.
pub(super) fn of_fields(raw: &RawFields) -> Vec<Option<Rule>> {
    raw.values().map(|field| field.conflict.map(Rule::from)).collect()
}

/// The rules of a job, as far as they make sense together.
pub(super) fn rules(
    at: &Path,
    written: Written,
    fields: Vec<Option<Rule>>,
    columns: &[FieldSpec],
    key: Option<&[String]>,
    findings: &mut Findings<'_>,
) -> Rules {
    for (spec, rule) in columns.iter().zip(&fields) {
        let path = at.key("fields").key(&spec.column).key("conflict");
        if rule.is_none() {
            continue;
        }
        if key.is_some_and(|key| key.contains(&spec.column)) {
            findings.at_key(
                &path,
                Said::from("the key tells the rows apart, so no two sides can have changed it")
                    .help("leave conflict out"),
            );
        }
        match spec.owner {
            Owner::Hq => {}
            Owner::Once => findings.at_key(
                &path,
                Said::from("with owner = \"once\" HQ changes the column no more").help("leave conflict out"),
            ),
            Owner::UntilEdited => {
                findings.at_key(
                    &path,
                    Said::from("owner = \"until_edited\" says already that the outlet's edit stays")
                        .help("leave conflict out"),
                );
            }
        }
    }
    let is_kept = written.conflict.is_some()
        || fields.iter().any(Option::is_some)
        || columns.iter().any(|spec| spec.owner == Owner::UntilEdited);
    let rules = Rules {
        job: written.conflict.map(Rule::from).unwrap_or_default(),
        otherwise: written.otherwise.map(Rule::from).unwrap_or_default(),
        fields,
        local_modified: written.local_modified,
        keeps_base: is_kept,
    };
    let has = |rule| rules.job == rule || rules.fields.contains(&Some(rule));
    if written.otherwise.is_some() && !has(Rule::Merge) {
        findings.at_key(
            &at.key("otherwise"),
            Said::from("only conflict = \"merge\" asks what is to be done otherwise")
                .help("add conflict = \"merge\", or leave otherwise out"),
        );
    }
    let is_newest = |rule| rule == Rule::NewestWins;
    if rules.local_modified.is_none() {
        let needs = Said::from("\"newest_wins\" needs to know when the outlet edited the row")
            .help("add local_modified = \"COLUMN\", a column of the table that holds the time in UTC");
        if is_newest(rules.job) {
            findings.at_value(&at.key("conflict"), needs.clone());
        }
        if written.otherwise.is_some() && is_newest(rules.otherwise) {
            findings.at_value(&at.key("otherwise"), needs.clone());
        }
        for (spec, rule) in columns.iter().zip(&rules.fields) {
            if rule.is_some_and(is_newest) {
                findings.at_value(&at.key("fields").key(&spec.column).key("conflict"), needs.clone());
            }
        }
    } else if !has(Rule::NewestWins) && rules.otherwise != Rule::NewestWins {
        findings.at_key(
            &at.key("local_modified"),
            Said::from("only \"newest_wins\" asks when the outlet edited the row")
                .help("leave local_modified out, or let a rule be \"newest_wins\""),
        );
    }
    if let Some(column) = &rules.local_modified
        && is_filled(column, columns, key)
    {
        let at = at.key("local_modified");
        let shown = findings.shown(&at, column);
        findings.at_value(
            &at,
            Said::from(format!(
                "milkrun fills the column {shown} itself, so it does not say when the outlet edited the row"
            ))
            .help("name a column that only the outlet's programs write"),
        );
    }
    rules
}

/// Whether milkrun writes the column in rows that are there already.
fn is_filled(column: &str, columns: &[FieldSpec], key: Option<&[String]>) -> bool {
    let is_it = |other: &str| other.eq_ignore_ascii_case(column);
    let is_written = |spec: &FieldSpec| match spec.owner {
        Owner::Hq | Owner::UntilEdited => true,
        Owner::Once => false,
    };
    key.is_some_and(|key| key.iter().any(|part| is_it(part)))
        || columns.iter().any(|spec| is_it(&spec.column) && is_written(spec))
}
