//! What an expression names, found before any record is seen: the engine reports an unknown filter, test, method or
//! function only when it comes to evaluate it, and an unknown attribute never.

use std::collections::BTreeSet;

use minijinja::{ErrorKind, Value};

use super::expr::ENGINE;
use super::hints;

/// A piece of an expression, as far as names are concerned.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Token<'s> {
    Word(&'s str),
    Mark(char),
    /// A string or a number.
    Value,
}

/// What a word stands for.
#[derive(PartialEq)]
enum Role {
    Field,
    /// A word of the language, or the name of an argument.
    Own,
    Attribute,
    Method,
    Filter,
    Test,
    Function,
}

/// The HQ fields the expression names, each once, in alphabetical order.
///
/// The engine's own list overlooks what is sliced (`code[:2]`, minijinja 3.0.5).
pub(super) fn fields(source: &str) -> Vec<String> {
    let tokens = tokens(source);
    let named = tokens.iter().enumerate().filter_map(|(at, token)| match *token {
        Token::Word(word) if role(word, &tokens, at) == Role::Field => Some(word.to_owned()),
        Token::Word(_) | Token::Mark(_) | Token::Value => None,
    });
    let distinct: BTreeSet<String> = named.collect();
    distinct.into_iter().collect()
}

/// Refuses names that no record can make right.
pub(super) fn check(source: &str) -> Result<(), String> {
    let tokens = tokens(source);
    for (at, token) in tokens.iter().enumerate() {
        let Token::Word(word) = *token else { continue };
        match role(word, &tokens, at) {
            Role::Attribute | Role::Method if tokens.contains(&Token::Word("frappe")) => {
                return Err("an expression reaches nothing of Frappe's; use a filter, as in `value|float`".to_owned());
            }
            Role::Attribute => return Err(attribute(word, at.checked_sub(2).and_then(|at| tokens.get(at)))),
            Role::Method if !is_method(word) => return Err(method(word)),
            Role::Filter if !is_known(word, "filter") => return Err(filter(word)),
            Role::Test if hints::NOTHING.contains(&word) => {
                return Err(format!("there is no test `{word}`; write none"));
            }
            Role::Test if !is_known(word, "test") => return Err(format!("there is no test `{word}`")),
            Role::Function => return Err(function(word)),
            Role::Field if hints::NOTHING.contains(&word) => {
                return Err(format!("`{word}` is no field of HQ; write none"));
            }
            Role::Field | Role::Own | Role::Method | Role::Filter | Role::Test => {}
        }
    }
    Ok(())
}

fn role(word: &str, tokens: &[Token<'_>], at: usize) -> Role {
    let before = |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at)).copied();
    let after = |on: usize| tokens.get(at + on).copied();
    let is_called = after(1) == Some(Token::Mark('('));
    let is_argument = after(1) == Some(Token::Mark('=')) && after(2) != Some(Token::Mark('='));
    match (before(1), before(2)) {
        (Some(Token::Mark('.')), _) if is_called => Role::Method,
        (Some(Token::Mark('.')), _) => Role::Attribute,
        (Some(Token::Mark('|')), _) => Role::Filter,
        (Some(Token::Word("not")), Some(Token::Word("is"))) => Role::Test,
        (Some(Token::Word("is")), _) if word != "not" => Role::Test,
        _ if is_own(word) || is_argument => Role::Own,
        _ if is_called => Role::Function,
        _ => Role::Field,
    }
}

fn method(word: &str) -> String {
    let near = hints::method(word).map_or_else(String::new, |near| format!("; write .{near}()"));
    format!("there is no method `.{word}()`{near}")
}

fn filter(word: &str) -> String {
    let near = hints::filter(word).map_or_else(String::new, |near| format!("; write {near}"));
    format!("there is no filter `{word}`{near}")
}

fn function(word: &str) -> String {
    let help = match word.to_lowercase().as_str() {
        "if" | "iif" => "; write VALUE if CONDITION else OTHER".to_owned(),
        "concat" => "; write one ~ other".to_owned(),
        "substr" | "substring" | "left" | "mid" | "right" => "; write a part of a text as value[0:3]".to_owned(),
        "now" | "today" | "nowdate" | "getdate" => "; an expression knows nothing but the record".to_owned(),
        _ => hints::filter(word).map_or_else(String::new, |near| format!("; use a filter, as in `value|{near}`")),
    };
    format!("there is no function `{word}`{help}")
}

/// Of `doc.item_name`, as Frappe's own scripts have it, the field is meant.
fn attribute(word: &str, owner: Option<&Token<'_>>) -> String {
    if let Some(Token::Word(owner @ ("doc" | "self" | "row" | "record"))) = owner {
        return format!("`{owner}.{word}`: the words of an expression are fields of the record; write {word}");
    }
    format!("`.{word}`: HQ's lists hold no attributes of a linked document; ask for a field of this DocType")
}

fn is_method(word: &str) -> bool {
    ["''", "[]", "{}"].into_iter().any(|owner| {
        let call = ENGINE.compile_expression_owned(format!("{owner}.{word}()"));
        let answer = call.and_then(|call| call.eval(()));
        // Known, even where it wants arguments.
        !answer.is_err_and(|error| error.kind() == ErrorKind::UnknownMethod)
    })
}

fn is_known(word: &str, kind: &str) -> bool {
    let question = ENGINE.compile_expression_owned(format!("word is {kind}"));
    let scope = Value::from_pairs([("word", word)]);
    question.and_then(|question| question.eval(scope)).is_ok_and(|answer| answer.is_true())
}

fn is_own(word: &str) -> bool {
    matches!(word, "and" | "or" | "not" | "in" | "is" | "if" | "else")
        || matches!(word, "true" | "True" | "false" | "False" | "none" | "None")
}

fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '"' | '\'' => (Some(Token::Value), string_length(rest, first)),
            '0'..='9' => (Some(Token::Value), number_length(rest)),
            'a'..='z' | 'A'..='Z' | '_' => {
                let length = word_length(rest);
                (rest.get(..length).map(Token::Word), length)
            }
            space if space.is_whitespace() => (None, space.len_utf8()),
            mark => (Some(Token::Mark(mark)), mark.len_utf8()),
        };
        tokens.extend(token);
        rest = rest.get(length..).unwrap_or_default();
    }
    tokens
}

fn word_length(text: &str) -> usize {
    text.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count()
}

fn string_length(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            end if end == quote => return at + end.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Digits, and a point only where a digit follows: `1.5` is one number, `1.x` is not.
fn number_length(text: &str) -> usize {
    let whole = word_length(text);
    match text.get(whole..).and_then(|rest| rest.strip_prefix('.')) {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_digit()) => whole + 1 + word_length(rest),
        Some(_) | None => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_engine_knows_pass() {
        for source in [
            "not disabled",
            "a|trim|upper ~ 'x|nofilter'",
            "a.split('.')[0].strip()",
            "a is none or b is not divisibleby(3)",
            "a is startingwith 'x'",
            "1.5 * a",
            "a if (b and (c)) else (d)",
            "not (a)",
            "a in ('x', \"it's .dot\")",
            "a|default('\\'.no')|money(2)",
            "{'a': 1}.get(a)",
        ] {
            assert_eq!(check(source), Ok(()), "{source}");
        }
    }

    #[test]
    fn names_that_nothing_answers_to_are_refused() {
        for (source, expected) in [
            ("a|nofilter", "no filter `nofilter`"),
            ("a if b else c|nofilter", "no filter `nofilter`"),
            ("a is nosuch", "no test `nosuch`"),
            ("a is not nosuch", "no test `nosuch`"),
            ("customer.nosuch", "`.nosuch`"),
            ("customer . nosuch|trim", "`.nosuch`"),
            ("a.nosuch()", "no method `.nosuch()`"),
            ("range(3)", "no function `range`"),
            ("debug()", "no function `debug`"),
            ("'x'|indent(99999999)", "no filter `indent`"),
        ] {
            let offence = check(source).expect_err(source);
            assert!(offence.contains(expected), "{source}: {offence}");
        }
    }

    #[test]
    fn every_bare_word_is_a_field_and_nothing_else_is() {
        for (source, expected) in [
            ("not disabled", "disabled"),
            ("code[:2] ~ name[from:]", "code from name"),
            ("a if b is not none and c is in d else none", "a b c d"),
            ("a|default(value=b)|replace('x', c) == d", "a b c d"),
            ("a.replace(b, 'c')|money(2)", "a b"),
            ("{key: true}.get(a) or False", "a key"),
            ("a is startingwith b or a==c", "a b c"),
            ("'only text'|upper", ""),
        ] {
            assert_eq!(fields(source).join(" "), expected, "{source}");
        }
    }

    #[test]
    fn the_engine_knows_no_field_that_is_not_found_here() {
        for source in
            ["a|map('upper')|join(b) ~ c[d]", "[a, b, *c]", "a(b)", "-a ** b // c % d", "(a, b)[0]", "{'a': b}"]
        {
            let Ok(expression) = ENGINE.compile_expression_owned(source) else { continue };
            let found = fields(source);
            let missed: Vec<_> =
                expression.undeclared_variables(false).into_iter().filter(|f| !found.contains(f)).collect();
            assert!(missed.is_empty() || check(source).is_err(), "{source}: {missed:?}");
        }
    }
}
