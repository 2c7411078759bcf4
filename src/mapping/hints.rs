//! What the writer of an expression that cannot be read probably meant: words and signs of other languages, brackets and
//! quotes that do not pair, and the nearest name.

use super::expr::ENGINE;

/// The filters that make sense in a mapping; the engine tells none of its names.
const FILTERS: [&str; 22] = [
    "abs",
    "bool",
    "capitalize",
    "default",
    "first",
    "float",
    "format",
    "int",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "money",
    "replace",
    "reverse",
    "round",
    "split",
    "string",
    "title",
    "trim",
    "upper",
];

/// What other languages call them; of a function, too.
const ELSEWHERE: [(&str, &str); 27] = [
    ("len", "length"),
    ("size", "length"),
    ("str", "string"),
    ("text", "string"),
    ("cstr", "string"),
    ("tostring", "string"),
    ("uppercase", "upper"),
    ("ucase", "upper"),
    ("toupper", "upper"),
    ("lowercase", "lower"),
    ("lcase", "lower"),
    ("tolower", "lower"),
    ("strip", "trim"),
    ("ltrim", "trim"),
    ("rtrim", "trim"),
    ("number", "float"),
    ("flt", "float"),
    ("decimal", "float"),
    ("cint", "int"),
    ("integer", "int"),
    ("boolean", "bool"),
    ("ifnull", "default"),
    ("isnull", "default"),
    ("coalesce", "default"),
    ("nvl", "default"),
    ("currency", "money"),
    ("fmt_money", "money"),
];

/// Signs of other languages, the longer first, and what stands for each here.
const SIGNS: [(&str, &str); 8] = [
    ("!==", "!="),
    ("===", "=="),
    ("&&", " and "),
    ("||", " or "),
    ("<>", "!="),
    ("??", " or "),
    ("=>", ">="),
    ("=<", "<="),
];

/// The words of the language, which are of small letters.
const WORDS: [&str; 9] = ["and", "or", "not", "if", "else", "in", "is", "true", "false"];

/// Words of other languages for nothing.
pub(super) const NOTHING: [&str; 6] = ["null", "NULL", "Null", "NONE", "nil", "undefined"];

/// The methods of texts that make sense in a mapping.
const METHODS: [&str; 12] = [
    "capitalize",
    "endswith",
    "find",
    "get",
    "join",
    "lower",
    "replace",
    "split",
    "startswith",
    "strip",
    "title",
    "upper",
];

/// The method that was meant by a name.
pub(super) fn method(name: &str) -> Option<&'static str> {
    let elsewhere = [("trim", "strip"), ("includes", "find"), ("tolowercase", "lower"), ("touppercase", "upper")];
    let lower = name.to_lowercase();
    let known = elsewhere.iter().find(|(other, _)| *other == lower).map(|(_, method)| *method);
    known.or_else(|| nearest(&lower, &METHODS))
}

fn nearest(written: &str, words: &[&'static str]) -> Option<&'static str> {
    let distances = words.iter().map(|word| (strsim::osa_distance(written, word), *word));
    let near = distances.min_by_key(|(distance, _)| *distance)?;
    (near.0 <= 2 && near.0 * 3 <= written.chars().count() + 1).then_some(near.1)
}

/// The filter that was meant by a name.
pub(super) fn filter(name: &str) -> Option<&'static str> {
    let lower = name.to_lowercase();
    let known = || FILTERS.into_iter().find(|filter| *filter == lower);
    let elsewhere = || ELSEWHERE.iter().find(|(other, _)| *other == lower).map(|(_, filter)| *filter);
    known().or_else(elsewhere).or_else(|| nearest(&lower, &FILTERS))
}

/// What is wrong with an expression that cannot be read, and what to do, if that can be told.
pub(super) fn of(source: &str) -> Option<String> {
    let trimmed = source.trim();
    if trimmed.contains("{%") {
        return Some("an expression has no {% … %}; write VALUE if CONDITION else OTHER".to_owned());
    }
    if let Some(inner) = trimmed.strip_prefix("{{") {
        let inner = inner.trim_end_matches('}').trim().replace("}}", "").replace("{{", "~");
        return Some(format!("an expression stands without {{{{ and }}}}{}", write(&inner)));
    }
    let scan = Scan::of(source);
    if let Some((_, quote)) = scan.unclosed {
        return Some(format!("the quote {quote} is not closed; add {quote} at the end of the text"));
    }
    scan.sign()
        .or_else(|| scan.then())
        .or_else(|| scan.equal())
        .or_else(|| scan.word())
        .or_else(|| scan.odd())
        .or_else(|| scan.brackets())
        .or_else(|| scan.comma())
        .or_else(|| scan.colon())
        .or_else(|| scan.pair())
        .or_else(|| scan.end())
}

/// `; write …`, where that can be read.
fn write(expression: &str) -> String {
    let spaced = expression.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_right = !spaced.is_empty() && ENGINE.compile_expression_owned(spaced.clone()).is_ok();
    if is_right { format!("; write {spaced}") } else { "; write it as Jinja does".to_owned() }
}

/// What of an expression stands outside of its strings.
struct Scan<'s> {
    source: &'s str,
    outside: Vec<(usize, char)>,
    unclosed: Option<(usize, char)>,
}

impl<'s> Scan<'s> {
    fn of(source: &'s str) -> Self {
        let mut scan = Self { source, outside: Vec::new(), unclosed: None };
        let mut is_escaped = false;
        for (at, c) in source.char_indices() {
            match scan.unclosed {
                Some(_) if is_escaped => is_escaped = false,
                Some(_) if c == '\\' => is_escaped = true,
                Some((_, quote)) if c == quote => scan.unclosed = None,
                Some(_) => {}
                None if matches!(c, '"' | '\'') => scan.unclosed = Some((at, c)),
                None => scan.outside.push((at, c)),
            }
        }
        scan
    }

    /// Where this stands outside of strings.
    fn places(&self, sign: &str) -> Vec<usize> {
        let is_outside = |at: &usize| self.outside.iter().any(|(place, _)| place == at);
        self.source.match_indices(sign).map(|(at, _)| at).filter(is_outside).collect()
    }

    /// The source with other words in these places.
    fn with(&self, places: &[usize], length: usize, word: &str) -> String {
        let mut source = self.source.to_owned();
        for at in places.iter().rev() {
            if source.get(*at..at + length).is_some() {
                source.replace_range(*at..at + length, word);
            }
        }
        source
    }

    /// `&&`, `? :`, `!x`.
    fn sign(&self) -> Option<String> {
        for (sign, right) in SIGNS {
            let places = self.places(sign);
            if !places.is_empty() {
                let fixed = self.with(&places, sign.len(), right);
                return Some(format!("`{sign}` is `{}` here{}", right.trim(), write(&negated(&fixed))));
            }
        }
        if let (Some(question), Some(colon)) = (self.places("?").first(), self.places(":").last())
            && question < colon
        {
            let part = |from: usize, to: usize| self.source.get(from..to).unwrap_or_default().trim();
            let (condition, value) = (part(0, *question), part(question + 1, *colon));
            let fixed = format!("{value} if {condition} else {}", part(colon + 1, self.source.len()));
            return Some(format!("`? :` is `if … else` here{}", write(&fixed)));
        }
        let is_not = |at: &usize| self.source.get(at + 1..).is_some_and(|rest| !rest.starts_with('='));
        let nots: Vec<usize> = self.places("!").into_iter().filter(is_not).collect();
        (!nots.is_empty()).then(|| format!("`!` is `not` here{}", write(&self.with(&nots, 1, "not "))))
    }

    /// `if a then b else c`.
    fn then(&self) -> Option<String> {
        let words = self.words();
        let (first, word) = words.first()?;
        let place = |wanted: &str| words.iter().find(|(_, word)| word.eq_ignore_ascii_case(wanted)).map(|(at, _)| *at);
        let (then, other) = (place("then")?, place("else").unwrap_or(self.source.len()));
        if !word.eq_ignore_ascii_case("if") {
            return None;
        }
        let part = |from: usize, to: usize| self.source.get(from..to).unwrap_or_default().trim();
        let rest = part(other + "else".len(), self.source.len());
        let rest = if rest.is_empty() { "none" } else { rest };
        let fixed = format!("{} if {} else {rest}", part(then + "then".len(), other), part(first + "if".len(), then));
        Some(format!("an expression has no `then`{}", write(&fixed)))
    }

    /// `$item_name`, `{item_name}`, `name LIKE 'x%'`.
    fn odd(&self) -> Option<String> {
        for sign in ["$", "`", "@", "\\", ";"] {
            let places = self.places(sign);
            if !places.is_empty() {
                let fixed = self.with(&places, sign.len(), "");
                return Some(format!("`{sign}` means nothing in an expression{}", write(&fixed)));
            }
        }
        let trimmed = self.source.trim();
        if let Some(inner) = trimmed.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'))
            && !inner.contains(':')
        {
            return Some(format!("an expression stands without {{ and }}{}", write(inner)));
        }
        let (_, word) = self
            .words()
            .into_iter()
            .find(|(_, word)| ["like", "contains"].contains(&word.to_lowercase().as_str()))?;
        Some(format!("there is no `{word}`; write 'text' in field, or field.startswith('text')"))
    }

    /// `rate * 1,18`, where no bracket is open.
    fn comma(&self) -> Option<String> {
        let is_digit =
            |at: Option<usize>| at.and_then(|at| self.source.as_bytes().get(at)).is_some_and(u8::is_ascii_digit);
        let places: Vec<usize> = self
            .places(",")
            .into_iter()
            .filter(|at| is_digit(at.checked_sub(1)) && is_digit(Some(at + 1)))
            .collect();
        let fixed = self.with(&places, 1, ".");
        (!places.is_empty()).then(|| format!("a number has a point, not a comma{}", write(&fixed)))
    }

    /// `item_name | default: 'x'`.
    fn colon(&self) -> Option<String> {
        let colon = *self.places(":").first()?;
        let before = self.source.get(..colon)?;
        let name = before.rsplit('|').next().map(str::trim).filter(|_| before.contains('|'))?;
        let rest = self.source.get(colon + 1..)?.trim();
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        is_name.then(|| {
            let fixed = format!("{}({rest})", before.trim());
            format!("what a filter is told stands in parentheses{}", write(&fixed))
        })
    }

    /// `item name`.
    fn pair(&self) -> Option<String> {
        let words = self.words();
        let is_own = |word: &str| {
            WORDS.contains(&word.to_lowercase().as_str()) || word.starts_with(|c: char| c.is_ascii_digit())
        };
        let is_pair = |((at, one), (next, other)): &(&(usize, &str), &(usize, &str))| {
            let between = self.source.get(at + one.len()..*next).unwrap_or_default();
            !is_own(one) && !is_own(other) && !between.is_empty() && between.trim().is_empty()
        };
        let ((_, one), (_, other)) = words.iter().zip(words.iter().skip(1)).find(is_pair)?;
        Some(format!(
            "`{one} {other}` is neither a field nor a sum of two; write {one}_{other} for a field of that name"
        ))
    }

    /// `status = 'Open'`.
    fn equal(&self) -> Option<String> {
        let is_single = |at: &usize| {
            let (before, after) = self.source.split_at_checked(*at).unwrap_or_default();
            !before.ends_with(['=', '!', '<', '>']) && !after.starts_with("==")
        };
        let places: Vec<usize> = self.places("=").into_iter().filter(is_single).collect();
        (!places.is_empty()).then(|| format!("a comparison is written `==`{}", write(&self.with(&places, 1, " == "))))
    }

    /// `a AND b`.
    fn word(&self) -> Option<String> {
        let mut fixed = self.source.to_owned();
        let mut found = None;
        for (at, word) in self.words().into_iter().rev() {
            let lower = word.to_lowercase();
            if WORDS.contains(&lower.as_str()) && lower != word && !["True", "False"].contains(&word) {
                fixed.replace_range(at..at + word.len(), &lower);
                found = Some((word, lower));
            }
        }
        let (word, lower) = found?;
        Some(format!("`{word}` is `{lower}` here{}", write(&fixed)))
    }

    /// Each word outside of strings.
    fn words(&self) -> Vec<(usize, &'s str)> {
        let mut words: Vec<(usize, usize)> = Vec::new();
        for (at, c) in self.outside.iter().filter(|(_, c)| c.is_ascii_alphanumeric() || *c == '_') {
            match words.last_mut() {
                Some((_, end)) if end == at => *end += c.len_utf8(),
                Some(_) | None => words.push((*at, at + c.len_utf8())),
            }
        }
        words.into_iter().filter_map(|(start, end)| Some((start, self.source.get(start..end)?))).collect()
    }

    fn brackets(&self) -> Option<String> {
        let mut open: Vec<char> = Vec::new();
        let partner = |c: char| match c {
            '(' => ')',
            '[' => ']',
            _ => '}',
        };
        for (_, c) in &self.outside {
            match c {
                '(' | '[' | '{' => open.push(*c),
                ')' | ']' | '}' => match open.pop() {
                    None => return Some(format!("`{c}` closes nothing; delete it, or open it before")),
                    Some(opened) if partner(opened) != *c => {
                        return Some(format!("`{c}` does not close `{opened}`; write `{}`", partner(opened)));
                    }
                    Some(_) => {}
                },
                _ => {}
            }
        }
        let opened = open.pop()?;
        Some(format!("`{opened}` is not closed; add `{}`", partner(opened)))
    }

    /// `qty *`.
    fn end(&self) -> Option<String> {
        let trimmed = self.source.trim_end();
        let sign = [
            "~", "+", "-", "*", "/", "|", ".", ",", "==", "<", ">", " and", " or", " not", " if", " else", " in", " is",
        ]
        .into_iter()
        .find(|sign| trimmed.ends_with(sign))?;
        Some(format!("the expression ends with `{}`; add what follows it, or delete it", sign.trim()))
    }
}

/// With `not` for each `!` that is left.
fn negated(source: &str) -> String {
    let scan = Scan::of(source);
    let is_not = |at: &usize| source.get(at + 1..).is_some_and(|rest| !rest.starts_with('='));
    let nots: Vec<usize> = scan.places("!").into_iter().filter(is_not).collect();
    scan.with(&nots, 1, "not ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_languages_write_is_told_as_jinja_has_it() {
        for (source, expected) in [
            ("{{ item_name }}", "an expression stands without {{ and }}; write item_name"),
            ("{% if a %}b{% endif %}", "an expression has no {% … %}; write VALUE if CONDITION else OTHER"),
            ("a && !b", "`&&` is `and` here; write a and not b"),
            ("a || b", "`||` is `or` here; write a or b"),
            ("!disabled", "`!` is `not` here; write not disabled"),
            ("status = 'a = b'", "a comparison is written `==`; write status == 'a = b'"),
            ("a === 1", "`===` is `==` here; write a == 1"),
            ("a <> 1", "`<>` is `!=` here; write a != 1"),
            ("a ? 'x' : 'y'", "`? :` is `if … else` here; write 'x' if a else 'y'"),
            ("a AND NOT b", "`AND` is `and` here; write a and not b"),
            ("not (a", "`(` is not closed; add `)`"),
            ("a)", "`)` closes nothing; delete it, or open it before"),
            ("(a]", "`]` does not close `(`; write `)`"),
            ("a ~ 'x", "the quote ' is not closed; add ' at the end of the text"),
            ("if a then 'x' else 'y'", "an expression has no `then`; write 'x' if a else 'y'"),
            ("$item_name", "`$` means nothing in an expression; write item_name"),
            ("{item_name}", "an expression stands without { and }; write item_name"),
            ("name LIKE 'x%'", "there is no `LIKE`; write 'text' in field, or field.startswith('text')"),
            ("rate * 1,18", "a number has a point, not a comma; write rate * 1.18"),
            ("a | default: 'x'", "what a filter is told stands in parentheses; write a | default('x')"),
            ("item name", "`item name` is neither a field nor a sum of two; write item_name for a field of that name"),
            ("qty *", "the expression ends with `*`; add what follows it, or delete it"),
        ] {
            assert_eq!(of(source).as_deref(), Some(expected), "{source}");
        }
        assert_eq!(of("a 'b'"), None);
    }

    #[test]
    fn the_filters_that_are_proposed_are_there() {
        for filter in FILTERS {
            let known = ENGINE.compile_expression_owned(format!("'{filter}' is filter")).unwrap();
            assert!(known.eval(()).unwrap().is_true(), "{filter}");
        }
        for (written, expected) in
            [("len", Some("length")), ("uper", Some("upper")), ("UPPER", Some("upper")), ("xyz", None)]
        {
            assert_eq!(filter(written), expected, "{written}");
        }
        assert!(ELSEWHERE.iter().all(|(_, filter)| FILTERS.contains(filter)));
    }
}
