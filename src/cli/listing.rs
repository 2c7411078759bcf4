//! A list that may be long, printed as it is read: as JSON and in a pipe all of it, on a terminal a screenful, unless all of it
//! is asked for.

use chrono_tz::Tz;
use comfy_table::{ColumnConstraint, Width};
use serde_json::Value;

use super::Format;
use super::output::{self, Output};

/// Lines on a terminal.
const SCREENFUL: usize = 50;

/// Lines that are read at once.
const PAGE: usize = 500;

/// A list under way.
pub(super) struct Listing {
    output: Output,
    header: &'static [&'static str],
    printed: usize,
    /// So many lines at most.
    most: Option<usize>,
    /// The columns' widths so far, so that later pages stand under the first.
    widths: Vec<u16>,
}

impl Listing {
    /// Begins one; `is_whole` where all is asked for.
    pub(super) fn new(output: &Output, header: &'static [&'static str], is_whole: bool) -> anyhow::Result<Self> {
        if output.format() == Format::Json {
            output.line("[")?;
        }
        let most = (output.is_terminal() && !is_whole).then_some(SCREENFUL);
        Ok(Self { output: *output, header, printed: 0, most, widths: Vec::new() })
    }

    /// How many lines the next page is to have; none where the list ends here.
    pub(super) fn wanted(&self) -> Option<usize> {
        let left = self.most.map_or(PAGE, |most| most.saturating_sub(self.printed));
        (left > 0).then(|| left.min(PAGE))
    }

    /// Prints a page: each line as JSON, and its cells.
    pub(super) fn print(&mut self, lines: Vec<(Value, Vec<String>)>) -> anyhow::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let is_first = self.printed == 0;
        match self.output.format() {
            Format::Json => {
                for (at, (value, _)) in lines.iter().enumerate() {
                    let comma = if is_first && at == 0 { "" } else { "," };
                    self.output.line(&format!("{comma}{}", serde_json::to_string_pretty(value)?))?;
                }
            }
            Format::Text => {
                let mut table = output::table(if is_first { self.header } else { &[] });
                table.add_rows(lines.iter().map(|(_, cells)| cells.clone()));
                // A terminal's own width has the last word.
                let widths = self.widths.iter().filter(|_| !self.output.is_terminal());
                for (column, width) in table.column_iter_mut().zip(widths) {
                    column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(*width)));
                }
                self.output.line(&table.to_string())?;
                self.widths = table.column_max_content_widths();
            }
        }
        self.printed += lines.len();
        Ok(())
    }

    /// Ends the list, of which there are `total` lines; `none` is said of an empty one, `all` where the rest is to be seen.
    pub(super) fn end(self, total: u64, zone: Tz, (none, all): (&str, &str)) -> anyhow::Result<()> {
        match self.output.format() {
            Format::Json => self.output.line("]"),
            Format::Text if self.printed == 0 => self.output.line(none),
            Format::Text => {
                let rest = total.saturating_sub(self.printed as u64);
                if self.most.is_some() && rest > 0 {
                    self.output.line(&format!("… and {} more; {all}", output::grouped(rest)))?;
                }
                self.output.line(&format!("\n{}", output::times_of(zone)))
            }
        }
    }
}
