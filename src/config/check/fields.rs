//! `[job.fields]` and `[job.children.fields]`: each entry as the mapping wants it.

use std::collections::HashMap;

use crate::config::findings::Findings;
use crate::config::path::Path;
use crate::config::raw::{RawField, RawFields, RawLookup};
use crate::config::said::{Code, Said};
use crate::mapping::{FieldSpec, Literal, LookupSpec, Origin};
use crate::row::Type;

/// Reads all fields of a table, in the order written.
///
/// Another field stands in for one that is wrong: its column exists, and what else is wrong with the mapping shows.
pub(super) fn fields(path: &Path, raw: RawFields, findings: &mut Findings<'_>) -> Vec<FieldSpec> {
    if raw.is_empty() && !findings.is_damaged(path) {
        let said = Said::new(Code::MissingKey, "no field is mapped");
        findings.at_value(path, said.help("write column = \"hq_field\", one line for each column"));
    }
    let mut seen: HashMap<String, String> = HashMap::new();
    let mut specs = Vec::new();
    for (column, field) in raw {
        let at = path.key(&column);
        if let Some(other) = seen.insert(column.to_lowercase(), column.clone()) {
            let what = format!("the columns {other:?} and {column:?} differ in case only");
            findings
                .at_key(&at, Said::new(Code::Duplicate, what).help("databases take them for one; keep one of the two"));
        }
        let spec = if findings.is_damaged(&at) { None } else { spec(&at, &column, field, findings) };
        specs.push(spec.unwrap_or_else(|| stand_in(column)));
    }
    specs
}

fn spec(at: &Path, column: &str, raw: RawField, findings: &mut Findings<'_>) -> Option<FieldSpec> {
    let ty = ty(at, &raw, findings);
    let origin = origin(at, raw.from, raw.expr, raw.r#const.map(Literal::from), findings);
    let map = raw.map.map(|map| map.into_iter().map(|(from, to)| (from, to.into())).collect());
    let lookup = raw.lookup.map(lookup);
    Some(FieldSpec {
        column: column.to_owned(),
        origin: origin?,
        ty: ty.ok()?,
        trim: raw.trim,
        map,
        default: raw.default.map(Literal::from),
        lookup: lookup.map_or(Some(None), |lookup| lookup.map(Some))?,
        owner: raw.owner.map(Into::into).unwrap_or_default(),
        is_private: raw.private,
    })
}

/// A field that nothing is wrong with, as a key column or otherwise: the one HQ field that every DocType has.
pub(super) fn stand_in(column: String) -> FieldSpec {
    FieldSpec {
        column,
        origin: Origin::Field("name".to_owned()),
        ty: None,
        trim: false,
        map: None,
        default: None,
        lookup: None,
        owner: crate::mapping::Owner::Hq,
        is_private: false,
    }
}

/// Exactly one of `from`, `expr` and `const`.
fn origin(
    at: &Path,
    from: Option<String>,
    expr: Option<String>,
    constant: Option<Literal>,
    findings: &mut Findings<'_>,
) -> Option<Origin> {
    let all =
        [("from", from.map(Origin::Field)), ("expr", expr.map(Origin::Expr)), ("const", constant.map(Origin::Const))];
    let mut given = all.into_iter().filter_map(|(key, origin)| Some((key, origin?)));
    let Some((first, origin)) = given.next() else {
        let said = Said::new(Code::MissingKey, "a field needs one of \"from\", \"expr\" and \"const\"");
        findings.at_value(at, said.help("from = \"hq_field\" is the usual one"));
        return None;
    };
    match given.next() {
        None => Some(origin),
        Some((second, _)) => {
            let what = format!("a field has one of \"from\", \"expr\" and \"const\", and {first:?} is there already");
            findings.at_key(&at.key(second), Said::from(what).help("keep one of the two"));
            None
        }
    }
}

/// The declared type; an error was reported.
fn ty(at: &Path, raw: &RawField, findings: &mut Findings<'_>) -> Result<Option<Type>, ()> {
    let (scale, max_length) = (raw.scale, raw.max_length);
    let word = raw.r#type.as_deref();
    let ty = match word {
        None => max_length.map(|_| Type::Text { max_length }),
        Some("text") => Some(Type::Text { max_length }),
        Some("decimal") => Some(Type::Decimal { scale }),
        Some(word) => {
            [Type::Int, Type::Float, Type::Bool, Type::Date, Type::Datetime, Type::Time, Type::Duration, Type::Json]
                .into_iter()
                .find(|ty| ty.word() == word)
        }
    };
    let mut verdict = Ok(ty);
    if scale.is_some() && word != Some("decimal") {
        let said = Said::from("only a field of type = \"decimal\" has a scale");
        findings.at_key(&at.key("scale"), said.help("add type = \"decimal\", or leave scale out"));
        verdict = Err(());
    }
    if max_length.is_some() && word.is_some_and(|word| word != "text") {
        let said = Said::from("only a field of type = \"text\" has a max_length");
        findings.at_key(&at.key("max_length"), said.help("leave max_length out, or let the type be \"text\""));
        verdict = Err(());
    }
    verdict
}

fn lookup(raw: RawLookup) -> Option<LookupSpec> {
    Some(LookupSpec { table: raw.table?, match_column: raw.r#match?, take_column: raw.take? })
}
