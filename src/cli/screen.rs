//! What the terminal can show: its size, and colours, which `console` leaves out where there is no terminal, or where
//! `NO_COLOR` says so.

use console::{Style, Term};

/// Characters of a line that nobody's terminal bounds.
const ENDLESS: usize = 400;

/// The width of the terminal that results go to; `None` where they go elsewhere.
pub(super) fn width() -> Option<usize> {
    Term::stdout().size_checked().map(|(_, columns)| usize::from(columns))
}

/// Its height.
pub(super) fn height() -> Option<usize> {
    Term::stdout().size_checked().map(|(rows, _)| usize::from(rows))
}

/// A line without breaks, cut to the terminal's width; colours count for nothing.
pub(super) fn cut(line: &str, width: Option<usize>) -> String {
    console::truncate_str(&line.replace(['\n', '\r'], " "), width.unwrap_or(ENDLESS), "…").into_owned()
}

/// A text filled up to a width, by what it takes on a terminal.
pub(super) fn padded(text: &str, width: usize) -> String {
    console::pad_str(text, width, console::Alignment::Left, None).into_owned()
}

/// What is well.
pub(super) fn good() -> Style {
    Style::new().green()
}

/// What is worth a look.
pub(super) fn note() -> Style {
    Style::new().yellow()
}

/// What is wrong.
pub(super) fn bad() -> Style {
    Style::new().red()
}

/// What is said beside.
pub(super) fn dim() -> Style {
    Style::new().dim()
}

/// A head.
pub(super) fn bold() -> Style {
    Style::new().bold()
}
