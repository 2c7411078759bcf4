//! [`Problems`] for a terminal: each with its source line, a mark under what is at fault, and what to do.

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use super::problem::{Problem, Problems};

/// How a terminal takes it.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Whether it shows colours.
    pub has_color: bool,
    /// How many characters fit on a line; a longer source line is cut around what is at fault.
    pub width: usize,
}

impl Problems {
    /// All problems with their source lines.
    #[must_use]
    pub fn report(&self, look: Look) -> String {
        let renderer = if look.has_color { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.term_width(look.width);
        let mut reports: Vec<String> = self.iter().map(|problem| report(problem, &renderer)).collect();
        if let (Some(first), true) = (self.iter().next(), self.len() > 1) {
            reports.push(format!("{} problems in {}", self.len(), first.file));
        }
        reports.join("\n\n")
    }
}

fn report(problem: &Problem, renderer: &Renderer) -> String {
    let title = Level::ERROR.primary_title(problem.said.what.as_str());
    let remedies = problem.said.remedies();
    let remedies = remedies.iter().map(|remedy| Level::HELP.message(remedy.as_str()));
    let place = problem.line.zip(problem.column).zip(problem.source.as_deref());
    let group = match place {
        Some(((line, column), source)) => {
            let last = problem.end.filter(|(end, _)| *end == line).map_or(usize::MAX, |(_, column)| column);
            let start = byte_of(source, column);
            let end = byte_of(source, last.max(column + 1));
            let mark = AnnotationKind::Primary.span(start..end.max(start));
            title.element(Snippet::source(source).line_start(line).path(problem.file.as_str()).annotation(mark))
        }
        None => title.element(Origin::path(problem.file.as_str())),
    };
    renderer.render(&[group.elements(remedies)])
}

/// The byte of the line on which the column begins, at most its end.
fn byte_of(line: &str, column: usize) -> usize {
    line.char_indices().nth(column.saturating_sub(1)).map_or(line.len(), |(byte, _)| byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::said::{Code, Said};

    fn shown(source: &str, column: usize, end: usize, width: usize) -> String {
        let said = Said::new(Code::UnknownKey, "unknown key").near(Some("konflikt".to_owned())).help("write another");
        let problem = Problem {
            line: Some(14),
            column: Some(column),
            end: Some((14, end)),
            source: Some(source.to_owned()),
            ..Problem::new("sync.toml", String::new(), said)
        };
        Problems::new(vec![problem]).report(Look { has_color: false, width })
    }

    #[test]
    fn the_line_is_shown_and_the_place_marked_with_what_to_do_below() {
        let expected = "\
error: unknown key
  --> sync.toml:14:1
   |
14 | conflikt = 1
   | ^^^^^^^^
   |
   = help: did you mean \"konflikt\"?
   = help: write another";
        assert_eq!(shown("conflikt = 1", 1, 9, 100), expected);
    }

    #[test]
    fn the_mark_stands_below_its_place_after_tabs_and_wide_characters() {
        assert!(shown("\tkey = 1", 2, 5, 100).contains("\n14 |     key = 1\n   |     ^^^\n"));
        assert!(shown("\"日本\" = 1", 8, 9, 100).contains("\n14 | \"日本\" = 1\n   |          ^\n"));
        assert!(shown("key = ", 7, 7, 100).contains("\n   |       ^\n"), "{}", shown("key = ", 7, 7, 100));
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = format!("{}here{}", "a".repeat(5000), "b".repeat(5000));
        let shown = shown(&line, 5001, 5005, 80);
        assert!(shown.contains("here") && shown.contains("^^^^"), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= 90), "{shown}");
    }

    #[test]
    fn nothing_in_the_file_steers_the_terminal() {
        assert!(!shown("a = \"\u{1b}[2J\u{7}\"", 1, 2, 100).contains(['\u{1b}', '\u{7}']));
    }
}
