//! Jinja expressions over the HQ fields of one record.
//!
//! Arithmetic is binary: `118.005 * 1.18` is 139.24589999999998. A decimal column rounds that to its scale, and the
//! filter `money(2)` prints a number exactly, rounded half away from zero. An expression reaches nothing but the fields
//! it names: no functions, no attributes, no I/O; fuel, depth and the size of the result are bounded.

use std::fmt;
use std::sync::{Arc, LazyLock};

use minijinja::value::{Object, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Expression, UndefinedBehavior, Value};

use super::hints;
use super::number::rounded;
use super::offence::Offence;
use super::value::printable;
use super::words;
use crate::record::{Fields, Record, Scalar};
use crate::row;

/// Steps of the machine for one evaluation; a page of Jinja needs a few hundred.
const FUEL: u64 = 10_000;
/// Nested evaluations; an expression nests by its own brackets only.
const DEPTH: usize = 64;
/// The longest result in bytes: above what any column of an outlet is meant to hold.
const MAX_RESULT: usize = 1 << 20;
/// How much of the engine's own words goes into a sentence; they may hold a value.
const DETAIL: usize = 60;

pub(super) static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_fuel(Some(FUEL));
    engine.set_recursion_limit(DEPTH);
    engine.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    // Every bare word is then an HQ field.
    for global in ["range", "dict", "debug", "namespace"] {
        engine.remove_global(global);
    }
    // Takes a width without bound and allocates it.
    engine.remove_filter("indent");
    engine.add_filter("money", money);
    engine
});

/// A compiled expression.
pub(super) struct Expr {
    source: String,
    expression: Expression<'static, 'static>,
    variables: Arc<[String]>,
    positions: Vec<usize>,
}

/// What an expression gave.
pub(super) enum Outcome {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    Tree(String),
}

impl Expr {
    /// Compiles `source`; every fault that shows without a record is found here.
    pub(super) fn compile(source: &str) -> Result<Self, String> {
        let compiled = ENGINE.compile_expression_owned(source.to_owned());
        let unread = |error: &Error| format!("the expression cannot be read: {}", offence(error));
        let expression = compiled.map_err(|error| hints::of(source).unwrap_or_else(|| unread(&error)))?;
        words::check(source)?;
        let variables = words::fields(source);
        // The parser takes `if` alone for the name of a variable.
        if let Some(word) = expression.undeclared_variables(false).iter().find(|word| !variables.contains(word)) {
            return Err(format!("`{word}` stands where a field is expected"));
        }
        Ok(Self { source: source.to_owned(), expression, variables: variables.into(), positions: Vec::new() })
    }

    /// The HQ fields it needs, each once, in alphabetical order.
    pub(super) fn variables(&self) -> &[String] {
        &self.variables
    }

    /// As written.
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Finds its variables in the request.
    pub(super) fn bind(&mut self, fields: &Fields) {
        // A field that is not asked for reads as null; `build` asks for every variable.
        self.positions = self.variables.iter().map(|name| fields.position(name).unwrap_or(usize::MAX)).collect();
    }

    /// Evaluates it for one record.
    pub(super) fn evaluate(&self, record: Record<'_>) -> Result<Outcome, Offence> {
        let values = self.positions.iter().map(|position| variable(Scalar::read(record.raw(*position)))).collect();
        let scope = Value::from_object(Scope { names: Arc::clone(&self.variables), values });
        let value = self.expression.eval(scope).map_err(|error| offence(&error))?;
        outcome(&value)
    }
}

impl Outcome {
    /// The result as HQ would have sent it.
    pub(super) fn scalar(&self) -> Scalar<'_> {
        match self {
            Self::Null => Scalar::Null,
            Self::Bool(claim) => Scalar::Bool(*claim),
            Self::Number(digits) => Scalar::Number(digits),
            Self::Text(text) => Scalar::Text(text.into()),
            Self::Tree(json) => Scalar::Tree(json),
        }
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expr").field(&self.source).finish()
    }
}

/// The variables of one evaluation.
#[derive(Debug)]
struct Scope {
    names: Arc<[String]>,
    values: Vec<Value>,
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let at = self.names.iter().position(|name| name == key)?;
        self.values.get(at).cloned()
    }
}

fn variable(scalar: Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::from(()),
        Scalar::Bool(claim) => Value::from(claim),
        Scalar::Number(digits) => match (digits.parse::<i64>(), digits.parse::<f64>()) {
            (Ok(int), _) => Value::from(int),
            (Err(_), Ok(float)) => Value::from(float),
            (Err(_), Err(_)) => Value::from(digits),
        },
        Scalar::Text(text) => Value::from(text),
        Scalar::Tree(json) => Value::from(json),
    }
}

fn outcome(value: &Value) -> Result<Outcome, Offence> {
    let found = match value.kind() {
        ValueKind::None => Outcome::Null,
        ValueKind::Bool => Outcome::Bool(value.is_true()),
        ValueKind::Number if value.is_integer() => Outcome::Number(value.to_string()),
        ValueKind::Number => match f64::try_from(value.clone()) {
            Ok(float) if float.is_finite() => Outcome::Number(format!("{float:?}")),
            Ok(_) | Err(_) => return Err("the expression gave a number without bound".into()),
        },
        ValueKind::String => Outcome::Text(value.as_str().unwrap_or_default().to_owned()),
        ValueKind::Seq | ValueKind::Map | ValueKind::Iterable => {
            Outcome::Tree(serde_json::to_string(value).map_err(|error| format!("the expression's result: {error}"))?)
        }
        ValueKind::Undefined => {
            return Err("the expression gave nothing; add an `else`, for example `else none`".into());
        }
        ValueKind::Bytes | ValueKind::Plain | ValueKind::Invalid | _ => {
            return Err(format!("the expression gave {}, which no column holds", value.kind()).into());
        }
    };
    match &found {
        Outcome::Text(text) | Outcome::Tree(text) if text.len() > MAX_RESULT => {
            Err(format!("the expression gave {} bytes; the most is {MAX_RESULT}", text.len()).into())
        }
        Outcome::Null | Outcome::Bool(_) | Outcome::Number(_) | Outcome::Text(_) | Outcome::Tree(_) => Ok(found),
    }
}

/// The engine's own words count as a value, as they may hold one.
fn offence(error: &Error) -> Offence {
    let Some(detail) = error.detail().filter(|detail| !detail.is_empty()) else {
        return error.kind().to_string().into();
    };
    let shown: String = printable(detail).take(DETAIL).collect();
    let end = if detail.chars().nth(DETAIL).is_some() { "…" } else { "" };
    Offence::of(format!("{shown}{end}"), "").after(&format!("{}: ", error.kind()))
}

/// A number as a decimal text with that many places (2 where none is given).
fn money(value: &Value, places: Option<u32>) -> Result<String, Error> {
    let bad = |what: &'static str| Error::new(ErrorKind::InvalidOperation, what);
    let exact = row::decimal(value.to_string().trim()).ok_or_else(|| bad("money wants a number"))?;
    let rounded = rounded(exact, Some(places.unwrap_or(2))).ok_or_else(|| bad("money: more than 28 digits"))?;
    Ok(rounded.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Page;

    fn eval(source: &str, given: &str) -> Result<String, String> {
        let mut expr = Expr::compile(source)?;
        let fields = Fields::new(expr.variables().iter().cloned());
        expr.bind(&fields);
        let body = format!(r#"[{{"name":"A","modified":"2024-01-01 00:00:00",{given}}}]"#);
        let page = Page::decode(body.into(), &fields).expect("page");
        let outcome = expr.evaluate(page.record(0).expect("record")).map_err(|offence| offence.to_string())?;
        Ok(match outcome.scalar() {
            Scalar::Null => "null".to_owned(),
            Scalar::Bool(claim) => claim.to_string(),
            Scalar::Number(text) | Scalar::Tree(text) => text.to_owned(),
            Scalar::Text(text) => format!("{text:?}"),
        })
    }

    #[test]
    fn variables_are_typed_as_hq_sent_them() {
        let cases = [
            ("not disabled", r#""disabled":0"#, "true"),
            ("not disabled", r#""disabled":1"#, "false"),
            ("qty * 2", r#""qty":3"#, "6"),
            ("qty * 2", r#""qty":3.5"#, "7.0"),
            ("118.005 * 1.18", r#""x":1"#, "139.24589999999998"),
            ("first ~ ' ' ~ last", r#""first":"a","last":"b""#, "\"a b\""),
            ("note is none", r#""note":null"#, "true"),
            ("note", r#""note":null"#, "null"),
            ("code.startswith('X')", r#""code":"XY""#, "true"),
            ("code[:2]|lower", r#""code":"XYZ""#, "\"xy\""),
            ("rate|money(2)", r#""rate":1.005"#, "\"1.01\""),
            ("(rate * 1.18)|money", r#""rate":118.005"#, "\"139.25\""),
            ("[a, 1]", r#""a":"x""#, "[\"x\",1]"),
            ("{'a': a}", r#""a":1"#, "{\"a\":1}"),
            ("big + 0", r#""big":9007199254740993"#, "9007199254740993"),
        ];
        for (source, given, expected) in cases {
            assert_eq!(eval(source, given), Ok(expected.to_owned()), "{source} with {given}");
        }
    }

    #[test]
    fn a_record_that_the_expression_cannot_take_is_an_offence_in_words() {
        let cases = [
            ("'x' if qty > 1", r#""qty":1"#),
            ("qty + code", r#""qty":1,"code":"x""#),
            ("1 / qty", r#""qty":0"#),
            ("code * qty", r#""code":"abcdefgh","qty":1000000"#),
            ("code * qty", r#""code":"abcdefgh","qty":100000000000"#),
            ("note.upper()", r#""note":null"#),
            ("qty * 1e308", r#""qty":100"#),
        ];
        for (source, given) in cases {
            let offence = eval(source, given).expect_err(source);
            assert!(offence.chars().count() < 150, "{offence}");
        }
    }

    #[test]
    fn its_variables_are_the_fields_to_ask_for() {
        let expr = Expr::compile("b.upper() ~ a if c is not none else a|default('x')").expect("compiles");
        assert_eq!(expr.variables(), ["a", "b", "c"]);
    }

    #[test]
    fn a_word_of_the_language_is_no_field() {
        for source in ["if", "a + else", "not in", "is"] {
            assert!(Expr::compile(source).is_err(), "{source}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_expression_makes_the_engine_panic(
            source in r"([ab]|12|'x'| is | not | in | if | else |[-+*/~|.,:=()\[\]{} ]|upper|none|int|split){0,12}",
        ) {
            if let Ok(expr) = Expr::compile(&source) {
                let values = ["\"x\"", "3", "null", "1.5", "true"].into_iter().cycle();
                let given = expr.variables().iter().zip(values).map(|(name, value)| format!("\"{name}\":{value}"));
                eval(&source, &given.chain(["\"z\":0".to_owned()]).collect::<Vec<_>>().join(",")).ok();
            }
        }
    }
}
