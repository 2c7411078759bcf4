//! `--watch`: the look again and again, in place on a terminal, one after the other where it is piped.
//!
//! A database that is locked or away for a moment is said, and the last look stays.

use std::io::IsTerminal as _;
use std::time::Duration;

use chrono_tz::Tz;
use tokio_util::sync::CancellationToken;

use super::keys::Keys;
use super::{Look, exit, look, open, text};
use crate::cli::output::Output;
use crate::cli::{Exit, Format, screen};
use crate::clock::Clock;
use crate::daemon::{self, Place};
use crate::store::Store;

/// A look that takes longer is given up: the database is locked or away.
const PATIENCE: Duration = Duration::from_secs(5);

/// Into the terminal's other screen, without its cursor, and back.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l";
const LEAVE: &str = "\u{1b}[?25h\u{1b}[?1049l";
/// To the upper left corner; and what is left of a line, or of the screen, away.
const HOME: &str = "\u{1b}[H";
const REST_OF_LINE: &str = "\u{1b}[K";
const REST_OF_SCREEN: &str = "\u{1b}[J";

/// What is to be shown.
#[derive(Debug, Default)]
struct Shown {
    last: Option<Look>,
    /// Why there is no newer one.
    trouble: Option<String>,
}

pub(super) async fn run(place: &Place, every: Duration, output: &Output) -> anyhow::Result<Exit> {
    let stop = CancellationToken::new();
    daemon::stop_on_signals(&stop);
    let is_live = output.format() == Format::Text && std::io::stdout().is_terminal();
    let mut keys = if is_live { Keys::listen() } else { Keys::none() };
    let mut shown = Shown::default();
    if is_live {
        output.raw(ENTER)?;
    }
    let watched = Box::pin(watch(place, every, (output, is_live), &mut shown, &mut keys, &stop)).await;
    drop(keys);
    if is_live {
        output.raw(LEAVE)?;
        // What was seen last stays on the screen.
        output.line(shown.text().trim_end())?;
    }
    watched?;
    Ok(shown.last.map_or(Exit::Failed, |look| exit(&look.snapshot)))
}

async fn watch(
    place: &Place,
    every: Duration,
    (output, is_live): (&Output, bool),
    shown: &mut Shown,
    keys: &mut Keys,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut store = None;
    loop {
        let looking = tokio::time::timeout(PATIENCE, Box::pin(look_by(place, &mut store)));
        match stop.run_until_cancelled(looking).await {
            None => return Ok(()),
            Some(Ok(Ok(look))) => *shown = Shown { last: Some(look), trouble: None },
            Some(Ok(Err(error))) => {
                store = None;
                shown.trouble = Some(Output::told(&error).1);
            }
            Some(Err(_elapsed)) => {
                store = None;
                shown.trouble = Some(format!("the local database did not answer within {} s", PATIENCE.as_secs()));
            }
        }
        let text = if is_live { shown.frame() } else { shown.block(output.format())? };
        match output.raw(&text) {
            Err(error) if is_unread(&error) => return Ok(()),
            printed => printed?,
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = keys.ended() => return Ok(()),
            () = tokio::time::sleep(every) => {}
        }
    }
}

/// The next look, by a database that stays open between looks.
async fn look_by(place: &Place, store: &mut Option<Store>) -> anyhow::Result<Look> {
    if store.is_none() {
        *store = open(place).await?;
    }
    look(place, store.as_ref()).await
}

impl Shown {
    /// One of the blocks that are printed one after the other.
    fn block(&self, format: Format) -> anyhow::Result<String> {
        let block = match (format, &self.last, &self.trouble) {
            (Format::Text, _, _) => self.text(),
            (Format::Json, Some(look), None) => serde_json::to_string_pretty(look)?,
            (Format::Json, _, trouble) => serde_json::json!({ "error": trouble }).to_string(),
        };
        Ok(format!("{}\n\n", block.trim_end()))
    }

    fn frame(&self) -> String {
        frame(&self.text(), self.last.as_ref().map_or(Tz::UTC, |look| look.snapshot.time_zone))
    }

    fn text(&self) -> String {
        let mut text = match &self.last {
            Some(look) => text::text(look),
            None => "no look yet\n".to_owned(),
        };
        if let Some(trouble) = &self.trouble {
            text.push_str(&format!("\n{}\n", screen::bad().apply_to(format!("no newer look: {trouble}"))));
        }
        text
    }
}

/// Whether nobody reads any more.
fn is_unread(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// The text over what stands there, no more than the screen shows; `zone` is the outlet's, once it is known.
fn frame(text: &str, zone: Tz) -> String {
    let (width, height) = (screen::width(), screen::height().unwrap_or(24));
    let now = Clock::system().now().with_timezone(&zone);
    let foot = screen::dim()
        .apply_to(format!("{} {}   Ctrl-C or q ends", now.format("%H:%M:%S"), zone.name()))
        .to_string();
    let lines = text.trim_end().lines().take(height.saturating_sub(2)).map(|line| screen::cut(line, width));
    let lines: Vec<String> = lines.chain([String::new(), foot]).map(|line| format!("{line}{REST_OF_LINE}")).collect();
    format!("{HOME}{}{REST_OF_SCREEN}", lines.join("\r\n"))
}
