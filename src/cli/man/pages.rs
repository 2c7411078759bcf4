//! The manual pages: one for the program, one for each of its commands.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::sections::{ENVIRONMENT, EXIT, FILES};

const MANUAL: &str = "milkrun";

/// The pages, each with its file's name.
pub(super) fn all(program: &Command) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut pages = vec![page(program, program_sections())?];
    let mut rest: Vec<&Command> = program.get_subcommands().collect();
    while let Some(command) = rest.pop() {
        if !command.is_hide_set() {
            pages.push(page(command, see_also(&["milkrun(1)", "sync.toml(5)"]))?);
            rest.extend(command.get_subcommands());
        }
    }
    pages.sort();
    Ok(pages)
}

fn page(command: &Command, more: Roff) -> std::io::Result<(String, Vec<u8>)> {
    let version = env!("CARGO_PKG_VERSION");
    let man = Man::new(command.clone()).manual(MANUAL).source(format!("milkrun {version}"));
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.get_subcommands().any(|command| !command.is_hide_set()) {
        man.render_subcommands_section(&mut text)?;
    }
    more.to_writer(&mut text)?;
    Ok((man.get_filename(), text))
}

fn program_sections() -> Roff {
    let mut roff = Roff::new();
    for (title, entries) in [("EXIT STATUS", &EXIT[..]), ("ENVIRONMENT", &ENVIRONMENT[..]), ("FILES", &FILES[..])] {
        roff.control("SH", [title]);
        for (name, meaning) in entries {
            roff.control("TP", []).text([bold(*name)]).text([roman(*meaning)]);
        }
    }
    roff.extend([see_also(&["sync.toml(5)"])]);
    roff
}

fn see_also(pages: &[&str]) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    let names = pages.iter().enumerate().flat_map(|(at, page)| {
        let (name, section) = page.split_once('(').unwrap_or((page, ""));
        let comma: Inline = roman(if at == 0 { "" } else { ", " });
        [comma, bold(name), roman(format!("({section}"))]
    });
    roff.text(names.collect::<Vec<_>>());
    roff
}
