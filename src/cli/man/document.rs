//! sync.toml(5): the page on the configuration, `docs/configuration.md`, as a manual page.

use clap_mangen::roff::{Roff, bold, roman};

const CONFIGURATION: &str = include_str!("../../../docs/configuration.md");

/// The page, with its file's name.
pub(super) fn of_the_configuration() -> std::io::Result<(String, Vec<u8>)> {
    let version = concat!("milkrun ", env!("CARGO_PKG_VERSION"));
    let mut roff = Roff::new();
    roff.control("TH", ["sync.toml", "5", "", version, "milkrun"]);
    roff.control("SH", ["NAME"]).text([roman("sync.toml - the configuration of milkrun")]);
    roff.control("SH", ["DESCRIPTION"]);
    let mut page = Page { roff, header: Vec::new(), is_code: false };
    CONFIGURATION.lines().filter(|line| !line.starts_with("# ")).for_each(|line| page.add(line));
    page.roff
        .control("SH", ["SEE ALSO"])
        .text([bold("milkrun"), roman("(1), /usr/share/doc/milkrun/docs")]);
    let mut text = Vec::new();
    page.roff.to_writer(&mut text)?;
    Ok(("sync.toml.5".to_owned(), text))
}

struct Page {
    roff: Roff,
    /// The words above the columns of the table that is being read.
    header: Vec<String>,
    is_code: bool,
}

impl Page {
    fn add(&mut self, line: &str) {
        if line.starts_with("```") {
            self.is_code = !self.is_code;
            let (first, second) = if self.is_code { ("PP", "nf") } else { ("fi", "PP") };
            self.roff.control(first, []).control(second, []);
        } else if self.is_code {
            self.roff.text([roman(line)]);
        } else if let Some(row) = line.strip_prefix('|') {
            self.row(row);
        } else {
            self.header.clear();
            self.prose(line);
        }
    }

    fn prose(&mut self, line: &str) {
        let marked = |mark| line.strip_prefix(mark).map(plain);
        if let Some(title) = marked("## ") {
            self.roff.control("SH", [title.as_str()]);
        } else if let Some(title) = marked("### ") {
            self.roff.control("SS", [title.as_str()]);
        } else if let Some(item) = marked("- ") {
            self.roff.control("IP", ["-", "2"]).text([roman(item)]);
        } else if line.is_empty() {
            self.roff.control("PP", []);
        } else {
            self.roff.text([roman(plain(line.trim_start()))]);
        }
    }

    /// A row of a table: its first cell, then the others, the last one last and without the word above it.
    fn row(&mut self, row: &str) {
        let row = row.trim_end().trim_end_matches('|').replace("\\|", "\u{0}");
        let cells: Vec<String> = row.split('|').map(|cell| plain(cell.trim()).replace('\u{0}', "|")).collect();
        if self.header.is_empty() {
            self.header = cells;
            return;
        }
        let Some((name, rest)) = cells.split_first() else { return };
        if name.starts_with("---") {
            return;
        }
        let last = rest.len().saturating_sub(1);
        let told = rest.iter().zip(self.header.iter().skip(1)).enumerate().map(|(at, (cell, word))| match at == last {
            true => cell.clone(),
            false => format!("{word}: {cell}. "),
        });
        let told: String = told.collect();
        self.roff.control("TP", []).text([bold(name.as_str())]).text([roman(told)]);
    }
}

/// Without the marks of Markdown; of a link its text.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        let (head, label) = before.rsplit_once('[').unwrap_or((before, ""));
        plain.push_str(head);
        plain.push_str(label);
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    plain.push_str(rest);
    // One pair of marks more or less, and it is no mark but an operator.
    let pieces: Vec<&str> = plain.split("**").collect();
    let text = if pieces.len() % 2 == 1 { pieces.concat() } else { plain.clone() };
    text.replace('`', "")
}
