//! `conflict`, `otherwise` and `local_modified` of a job, and `conflict` of its fields.

use crate::config::findings::Findings;
use crate::config::path::Path;
use crate::config::raw::{RawConflict, RawFields};
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
            findings.at_key(&path, "the key tells the rows apart, so no two sides can have changed it");
        }
        match spec.owner {
            Owner::Hq => {}
            Owner::Once => findings.at_key(&path, "with owner = \"once\" HQ changes the column no more"),
            Owner::UntilEdited => {
                findings.at_key(&path, "owner = \"until_edited\" says already that the outlet's edit stays");
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
        findings.at_key(&at.key("otherwise"), "only conflict = \"merge\" asks what is to be done otherwise");
    }
    let is_newest = |rule| rule == Rule::NewestWins;
    if rules.local_modified.is_none() {
        let needs =
            "\"newest_wins\" needs local_modified = \"COLUMN\", the column that says when the outlet edited the row";
        if is_newest(rules.job) {
            findings.at_value(&at.key("conflict"), needs);
        }
        if written.otherwise.is_some() && is_newest(rules.otherwise) {
            findings.at_value(&at.key("otherwise"), needs);
        }
        for (spec, rule) in columns.iter().zip(&rules.fields) {
            if rule.is_some_and(is_newest) {
                findings.at_value(&at.key("fields").key(&spec.column).key("conflict"), needs);
            }
        }
    } else if !has(Rule::NewestWins) && rules.otherwise != Rule::NewestWins {
        findings.at_key(&at.key("local_modified"), "only \"newest_wins\" asks when the outlet edited the row");
    }
    rules
}
