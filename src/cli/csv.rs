//! Comma-separated values, as RFC 4180 has them, with line feeds.

/// One line, without its end.
pub(super) fn line<'v>(values: impl IntoIterator<Item = Option<&'v str>>) -> String {
    let values: Vec<String> = values.into_iter().map(value).collect();
    values.join(",")
}

/// Null is nothing at all, an empty text two quotes.
fn value(value: Option<&str>) -> String {
    match value {
        None => String::new(),
        Some(text) if text.is_empty() || text.contains(['"', ',', '\n', '\r']) => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        Some(text) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_value_is_quoted() {
        let values = [Some("a"), None, Some(""), Some("b,c"), Some("say \"hi\""), Some("two\nlines"), Some(" é ")];
        assert_eq!(line(values), "a,,\"\",\"b,c\",\"say \"\"hi\"\"\",\"two\nlines\", é ");
    }
}
