//! Whether what HQ's fields can hold fits what the columns take. Pure: descriptions in, findings out.
//!
//! A problem is what can never work. Where some of HQ's values fit and others would be parked it is a note, as the operator
//! may know that HQ's are of the right kind.

use super::job::named;
use super::report::Report;
use crate::doctype::{DocType, Docfield, Holds};
use crate::mapping::Taken;
use crate::row::Type;

/// The digits after the point that HQ stores at most (recording 1109).
const PLACES: u32 = 9;

/// How a field and a column go together.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// Every value fits.
    Fits,
    /// Some values would be parked, or changed, for this reason.
    Partly(String),
    /// No value fits, for this reason.
    Never(String),
}

/// Looks at all columns of a table.
pub(super) fn look<'t>(
    (job, child): (&str, Option<&str>),
    doctype: &DocType,
    taken: impl Iterator<Item = Taken<'t>>,
    report: &mut Report,
) {
    for taken in taken.filter(|taken| !taken.is_replaced) {
        let Some(field) = doctype.field(taken.field) else { continue };
        let what = format!("{} takes {} ({}) of {}", taken.column, field.fieldname, field.fieldtype, doctype.name);
        match verdict(field, taken.ty) {
            Verdict::Fits => {}
            Verdict::Partly(why) => report.note_of(job, named(child, taken.column), format!("{what}: {why}")),
            Verdict::Never(why) => report.problem_of(job, named(child, taken.column), format!("{what}: {why}")),
        }
    }
}

fn verdict(field: &Docfield, ty: Type) -> Verdict {
    use Verdict::{Fits, Never, Partly};
    let parked = |what: &str| Partly(format!("{what} would be parked"));
    let never = || {
        let held = held(field.holds());
        Never(format!("{held} are no {}; declare another type", plural(ty)))
    };
    match (field.holds(), ty) {
        (Holds::Secret, _) => Partly("HQ shows asterisks in place of it; take it out of the mapping".to_owned()),
        (Holds::Rows | Holds::Nothing | Holds::Unknown, _) => Fits,
        (Holds::Text(most), Type::Text { max_length }) => lengths(most, max_length),
        (Holds::Text(_), _) if field.fieldtype == "Select" => choices(field, ty),
        (Holds::Text(_), Type::Json) => parked("what is not JSON"),
        (Holds::Text(_), ty) => parked(&format!("texts that are no {}", plural(ty))),
        (Holds::Json, Type::Text { max_length: Some(most) }) => parked(&format!("JSON of more than {most} characters")),
        (Holds::Json, Type::Text { max_length: None } | Type::Json) => Fits,
        (Holds::Number, Type::Decimal { scale: Some(scale) }) if scale < field.precision.min(PLACES) => {
            Partly(format!("HQ shows {} digits after the point, scale = {scale} rounds them", field.precision))
        }
        (Holds::Number, Type::Float) if field.fieldtype == "Currency" => {
            Partly("a float is binary and not exact; money wants type = \"decimal\"".to_owned())
        }
        (Holds::Number, Type::Int) => parked("numbers with digits after the point"),
        (Holds::Int, Type::Bool) => parked("numbers other than 0 and 1"),
        (Holds::Number, Type::Bool) => parked("numbers other than 0 and 1"),
        (Holds::Duration, Type::Int) => parked("fractions of a second"),
        (Holds::Duration, Type::Bool) => never(),
        (Holds::Datetime, Type::Date) => parked("moments other than midnight"),
        (Holds::Int | Holds::Check | Holds::Number | Holds::Duration, Type::Date | Type::Datetime | Type::Time) => {
            never()
        }
        (Holds::Date | Holds::Datetime | Holds::Time, Type::Int | Type::Float | Type::Decimal { .. } | Type::Bool) => {
            never()
        }
        (Holds::Date | Holds::Datetime | Holds::Time, Type::Duration | Type::Json) => never(),
        (Holds::Date | Holds::Datetime, Type::Time) | (Holds::Time, Type::Date | Type::Datetime) => never(),
        (Holds::Json, _) => never(),
        (Holds::Int | Holds::Check | Holds::Number | Holds::Duration, _)
        | (Holds::Date | Holds::Datetime | Holds::Time, _) => Fits,
    }
}

/// A text is refused where it is too long, never cut.
fn lengths(most: Option<u32>, max_length: Option<u32>) -> Verdict {
    match (most, max_length) {
        (_, None) => Verdict::Fits,
        (Some(most), Some(max_length)) if max_length >= most => Verdict::Fits,
        (Some(most), Some(max_length)) => {
            Verdict::Partly(format!("HQ takes {most} characters, max_length = {max_length} parks what is longer"))
        }
        (None, Some(max_length)) => {
            Verdict::Partly(format!("HQ sets no bound, max_length = {max_length} parks what is longer"))
        }
    }
}

/// The choices of a Select are known beforehand.
fn choices(field: &Docfield, ty: Type) -> Verdict {
    let choices = field
        .options
        .as_deref()
        .unwrap_or_default()
        .lines()
        .map(str::trim)
        .filter(|choice| !choice.is_empty());
    let (good, bad): (Vec<&str>, Vec<&str>) =
        choices.partition(|choice| crate::row::Cell::from_text(choice, ty).is_some());
    let bad_shown = bad.iter().take(3).map(|choice| format!("{choice:?}")).collect::<Vec<_>>().join(", ");
    match (good.is_empty(), bad.is_empty()) {
        (_, true) => Verdict::Fits,
        (true, false) => Verdict::Never(format!("none of its choices ({bad_shown} …) is a {}; use a map", ty.word())),
        (false, false) => {
            Verdict::Partly(format!("its choices {bad_shown} are no {}, and would be parked", plural(ty)))
        }
    }
}

fn held(holds: Holds) -> &'static str {
    match holds {
        Holds::Text(_) => "texts",
        Holds::Int => "whole numbers",
        Holds::Check => "0 and 1",
        Holds::Number => "numbers",
        Holds::Date => "dates",
        Holds::Datetime => "moments",
        Holds::Time => "times of day",
        Holds::Duration => "lengths of time",
        Holds::Json => "JSON texts",
        Holds::Rows => "child rows",
        Holds::Secret => "secrets",
        Holds::Nothing | Holds::Unknown => "its values",
    }
}

fn plural(ty: Type) -> &'static str {
    match ty {
        Type::Text { .. } => "texts",
        Type::Int => "whole numbers",
        Type::Float | Type::Decimal { .. } => "numbers",
        Type::Bool => "yes or no (1, 0)",
        Type::Date => "dates",
        Type::Datetime => "moments",
        Type::Time => "times of day",
        Type::Duration => "seconds",
        Type::Json => "JSON",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(fieldtype: &str) -> Docfield {
        Docfield { fieldname: "f".into(), fieldtype: fieldtype.into(), ..Docfield::default() }
    }

    fn level(fieldtype: &str, ty: Type) -> &'static str {
        match verdict(&field(fieldtype), ty) {
            Verdict::Fits => "fits",
            Verdict::Partly(_) => "partly",
            Verdict::Never(_) => "never",
        }
    }

    const TEXT: Type = Type::Text { max_length: None };
    const MONEY: Type = Type::Decimal { scale: Some(2) };

    #[test]
    fn a_column_without_a_type_takes_everything() {
        for fieldtype in
            ["Data", "Int", "Check", "Currency", "Date", "Datetime", "Time", "Duration", "JSON", "Text Editor"]
        {
            assert_eq!(level(fieldtype, TEXT), "fits", "{fieldtype}");
        }
    }

    #[test]
    fn what_can_never_work_is_told_from_what_may() {
        for (fieldtype, ty, expected) in [
            ("Data", Type::Int, "partly"),
            ("Data", MONEY, "partly"),
            ("Link", Type::Date, "partly"),
            ("Date", Type::Int, "never"),
            ("Date", Type::Datetime, "fits"),
            ("Datetime", Type::Date, "partly"),
            ("Check", Type::Date, "never"),
            ("Check", Type::Bool, "fits"),
            ("Int", Type::Bool, "partly"),
            ("Int", Type::Int, "fits"),
            ("Currency", MONEY, "fits"),
            ("Currency", Type::Float, "partly"),
            ("Float", Type::Float, "fits"),
            ("Float", Type::Int, "partly"),
            ("Time", Type::Datetime, "never"),
            ("JSON", Type::Int, "never"),
            ("JSON", Type::Json, "fits"),
            ("Duration", Type::Duration, "fits"),
            ("Password", TEXT, "partly"),
        ] {
            assert_eq!(level(fieldtype, ty), expected, "{fieldtype} into {ty:?}");
        }
    }

    #[test]
    fn lengths_scales_and_choices_are_compared() {
        assert_eq!(verdict(&field("Data"), Type::Text { max_length: Some(140) }), Verdict::Fits);
        assert!(matches!(verdict(&field("Data"), Type::Text { max_length: Some(80) }), Verdict::Partly(_)));
        let fine = Docfield { precision: 3, ..field("Float") };
        assert!(matches!(verdict(&fine, MONEY), Verdict::Partly(_)));
        let select = |options: &str| Docfield { options: Some(options.into()), ..field("Select") };
        assert_eq!(verdict(&select("\n1\n2"), Type::Int), Verdict::Fits);
        assert!(matches!(verdict(&select("1\nmany"), Type::Int), Verdict::Partly(_)));
        assert!(matches!(verdict(&select("A\nB"), Type::Int), Verdict::Never(_)));
    }
}
