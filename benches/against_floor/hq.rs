//! The simulated HQ in a process of its own, so that its memory and CPU are nobody else's, and the bench's hold on it.
//!
//! The bench says what is to happen there, a line a command, and waits for the line that answers.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use milkrun::demo::{self, Site};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::data::{self, Kind};
use crate::line::{Line, Relay};

/// Edits of one round carry stamps that are so far from those of the last that no overlap reaches from one to the other.
const BETWEEN_ROUNDS: Duration = Duration::from_secs(3_600);

/// What was asked of HQ since the last time.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) requests: usize,
    /// The most records that one answer held.
    pub(crate) largest: usize,
    /// Bytes of answers that came over the slow line, heads and all.
    pub(crate) line_bytes: u64,
}

/// What runs in HQ's process, until the bench closes its end.
pub(crate) fn serve(kind: Kind, count: usize) -> Result<()> {
    let site = data::site(kind, count)?;
    let server = demo::serve(&site, ([127, 0, 0, 1], 0).into())?;
    let mut relay = None;
    say(&server.url())?;
    for command in std::io::stdin().lines() {
        let command = command?;
        let words: Vec<&str> = command.split_whitespace().collect();
        match words.as_slice() {
            ["touch", count] => say(&touch(&site, count.parse()?)?.to_string())?,
            ["stamp"] => say(&stamp(&site)?.to_string())?,
            ["line", latency, bits] => {
                let line = Line { round_trip: Duration::from_millis(latency.parse()?), bits_per_second: bits.parse()? };
                let to = relay.insert(Relay::start(server.address(), line)?);
                say(&format!("http://{}", to.address()))?;
            }
            ["asked"] => {
                let requests = site.requests();
                site.forget_requests();
                let largest = requests.iter().map(|request| request.rows).max().unwrap_or_default();
                let line_bytes = relay.as_ref().map_or(0, Relay::take_bytes);
                say(&serde_json::to_string(&Asked { requests: requests.len(), largest, line_bytes })?)?;
            }
            _ => bail!("the bench's HQ does not know {command:?}"),
        }
    }
    Ok(())
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// An hour later, so many records get a new price, one here and one there.
fn touch(site: &Site, count: usize) -> Result<usize> {
    site.advance(BETWEEN_ROUNDS);
    let doctype = data::doctype(0);
    let step = (site.count(&doctype) / count.max(1)).max(1);
    let rate = f64::from(u32::try_from(site.now().timestamp() % 99_991)?) / 100.0;
    let names = site.names(&doctype);
    let touched = names.iter().step_by(step).take(count);
    touched
        .map(|name| Ok(site.update(&doctype, name, json!({"rate": rate}))?))
        .collect::<Result<Vec<()>>>()
        .map(|all| all.len())
}

/// An hour later, one patch stamps all records alike and changes only what no job maps.
fn stamp(site: &Site) -> Result<usize> {
    site.advance(BETWEEN_ROUNDS);
    let note = format!("stamped {}", site.now_stamp());
    Ok(site.bulk_stamp(&data::doctype(0), |_| true, json!({"notes": note}))?)
}

/// HQ's process, ended with this.
#[derive(Debug)]
pub(crate) struct Hq {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    pub(crate) url: String,
}

impl Hq {
    pub(crate) fn start(kind: Kind, count: usize) -> Result<Self> {
        let kind = clap::ValueEnum::to_possible_value(&kind).context("a kind without a name")?;
        let mut process = Command::new(std::env::current_exe()?)
            .args(["hq", kind.get_name(), &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let to = process.stdin.take().context("no stdin")?;
        let from = BufReader::new(process.stdout.take().context("no stdout")?);
        let mut hq = Self { process, to, from, url: String::new() };
        hq.url = hq.answer()?;
        Ok(hq)
    }

    fn ask(&mut self, command: &str) -> Result<String> {
        writeln!(self.to, "{command}")?;
        self.to.flush()?;
        self.answer()
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            bail!("the bench's HQ has ended; what it said stands above");
        }
        Ok(line.trim().to_owned())
    }

    /// Changes a mapped field of so many records.
    pub(crate) fn touch(&mut self, count: usize) -> Result<()> {
        let touched = self.ask(&format!("touch {count}"))?;
        if touched != count.to_string() { bail!("{touched} records touched instead of {count}") } else { Ok(()) }
    }

    /// Stamps all records alike.
    pub(crate) fn stamp(&mut self) -> Result<()> {
        self.ask("stamp").map(drop)
    }

    /// From now on also over such a line, under the URL that is given back.
    pub(crate) fn line(&mut self, line: Line) -> Result<String> {
        self.ask(&format!("line {} {}", line.round_trip.as_millis(), line.bits_per_second))
    }

    /// What was asked since the last time.
    pub(crate) fn asked(&mut self) -> Result<Asked> {
        Ok(serde_json::from_str(&self.ask("asked")?)?)
    }
}

impl Drop for Hq {
    fn drop(&mut self) {
        // Killed rather than asked: it may be busy with a request that nobody waits for any more.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
