//! Sees that `sync.toml` was edited: by looking at it each second, as no event of the system comes through every mount, and
//! by SIGHUP.
//!
//! An editor writes in steps, or puts another file in its place. So a text counts once it stood still over two looks, and
//! longer where it is the beginning of the one before, as of a file that is still being written.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use crate::config::{self, Problems};

/// Between two looks: one question to the file system, a few microseconds.
const LOOK: Duration = Duration::from_secs(1);

/// Looks over which a text that is the beginning of the last one stands still before it counts.
const LOOKS_AT_A_BEGINNING: u32 = 5;

/// Looks after which a file that is gone is taken for gone: an editor may put another in its place in two steps.
const LOOKS_AT_NOTHING: u32 = 10;

/// Who asks for a look by SIGHUP has finished writing; what is read must still be the same twice, this far apart.
const TWICE: Duration = Duration::from_millis(100);

/// How often a text that changes while it is read is read again for who asks.
const TRIES: u32 = 20;

/// What was seen. Without a `Debug`, as the text may hold secrets.
pub(super) struct Seen {
    /// The text, or why there is none.
    pub(super) text: Result<String, Problems>,
    /// Somebody asked for the look, and waits for what comes of it.
    pub(super) is_asked: bool,
    /// A file that the text takes a value from was written: the same text may mean something else.
    pub(super) has_other_values: bool,
}

/// Watches one file.
pub(super) struct Watch {
    path: PathBuf,
    hangup: Option<Signal>,
    /// Somebody has asked, and was not given an answer yet.
    is_asked: bool,
    state: State,
    named: Named,
}

/// The files that the text takes values from: secrets that are changed beside it.
struct Named {
    files: Vec<PathBuf>,
    /// As they were when the text was handed on.
    prints: Vec<Print>,
    /// As they were at the last look, where that was otherwise.
    standing: Option<Vec<Print>>,
}

impl Named {
    fn of(path: &Path, text: Option<&String>) -> Self {
        let files = text.map(|text| config::files_of(path, text)).unwrap_or_default();
        let prints = Self::look(&files);
        Self { files, prints, standing: None }
    }

    fn look(files: &[PathBuf]) -> Vec<Print> {
        let print = |file: &PathBuf| std::fs::metadata(file).map_or(Print::NOTHING, |facts| Print::of(&facts));
        files.iter().map(print).collect()
    }

    /// Whether one of them is another than it was, and stands still.
    fn have_changed(&mut self) -> bool {
        let now = Self::look(&self.files);
        if now == self.prints {
            self.standing = None;
            return false;
        }
        if self.standing.as_ref() == Some(&now) {
            (self.prints, self.standing) = (now, None);
            return true;
        }
        self.standing = Some(now);
        false
    }
}

/// What was seen at the looks before.
struct State {
    /// The text that was handed on last; `None` for a file that was gone.
    last: Option<String>,
    /// The file as it was then.
    settled: Option<Print>,
    /// What stands there since, and over how many looks.
    standing: Option<(Print, Option<String>, u32)>,
}

/// What tells that a file was written, or that another one is in its place, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Print {
    device: u64,
    inode: u64,
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Print {
    fn of(facts: &Metadata) -> Self {
        Self {
            device: facts.dev(),
            inode: facts.ino(),
            size: facts.size(),
            written: (facts.mtime(), facts.mtime_nsec()),
            changed: (facts.ctime(), facts.ctime_nsec()),
        }
    }

    /// No file has it.
    const NOTHING: Self = Self { device: 0, inode: 0, size: 0, written: (0, 0), changed: (0, 0) };
}

impl Watch {
    /// Watches the file, of which this text was read. From here on SIGHUP asks for a look, where it ended the process
    /// before.
    pub(super) fn new(path: &Path, text: String) -> Self {
        let hangup = signal(SignalKind::hangup())
            .map_err(|error| tracing::error!(%error, "cannot listen for SIGHUP; edits are noticed all the same"));
        let named = Named::of(path, Some(&text));
        let state = State { last: Some(text), settled: None, standing: None };
        Self { path: path.to_owned(), hangup: hangup.ok(), is_asked: false, state, named }
    }

    /// Waits until there is another text than the one handed on last, or other values for it, or somebody asks. Nothing is lost
    /// where the waiting is given up.
    pub(super) async fn next(&mut self) -> Seen {
        loop {
            if !self.is_asked {
                let asked = async {
                    match &mut self.hangup {
                        Some(hangup) => hangup.recv().await.is_some(),
                        None => std::future::pending().await,
                    }
                };
                self.is_asked = tokio::select! {
                    is_asked = asked => is_asked,
                    () = sleep(LOOK) => false,
                };
            }
            if self.is_asked {
                let text = self.read_twice().await;
                self.is_asked = false;
                self.state = State { last: text.as_ref().ok().cloned(), settled: None, standing: None };
                self.named = Named::of(&self.path, text.as_ref().ok());
                return Seen { text, is_asked: true, has_other_values: true };
            }
            let (print, text) = look(&self.path, self.state.settled);
            if let Some(text) = self.state.saw(print, text) {
                let text = text.map_or_else(|| config::read(&self.path), Ok);
                self.named = Named::of(&self.path, text.as_ref().ok());
                return Seen { text, is_asked: false, has_other_values: false };
            }
            if self.named.have_changed()
                && let Some(text) = self.state.last.clone()
            {
                return Seen { text: Ok(text), is_asked: false, has_other_values: true };
            }
        }
    }

    /// The file as it is at once, and stands still.
    pub(super) async fn read_twice(&self) -> Result<String, Problems> {
        let mut before = config::read(&self.path);
        for _ in 0..TRIES {
            sleep(TWICE).await;
            let now = config::read(&self.path);
            if now == before {
                break;
            }
            before = now;
        }
        before
    }
}

/// The file as it is, and its text where it is not the one that settled.
fn look(path: &Path, settled: Option<Print>) -> (Print, Option<String>) {
    let Ok(facts) = std::fs::metadata(path) else { return (Print::NOTHING, None) };
    let print = Print::of(&facts);
    if settled == Some(print) {
        return (print, None);
    }
    // What was read is of this moment, whatever was written since the facts were: the next look sees another print.
    (print, config::read(path).ok())
}

impl State {
    /// What a look has found; gives the text to be handed on, or `None` in its place where the file is gone or cannot be
    /// read.
    #[expect(clippy::option_option, reason = "nothing to hand on, and a file without a text, are two things")]
    fn saw(&mut self, print: Print, text: Option<String>) -> Option<Option<String>> {
        if self.settled == Some(print) {
            self.standing = None;
            return None;
        }
        let looks = match self.standing.take() {
            Some((known, standing, looks)) if (known, &standing) == (print, &text) => looks + 1,
            Some(_) | None => 1,
        };
        let is_beginning = |last: &String| {
            text.as_ref().is_some_and(|text| text.len() < last.len() && last.starts_with(text.as_str()))
        };
        let enough = match &text {
            None => LOOKS_AT_NOTHING,
            Some(_) if self.last.as_ref().is_some_and(is_beginning) => LOOKS_AT_A_BEGINNING,
            Some(_) => 2,
        };
        if looks < enough {
            self.standing = Some((print, text, looks));
            return None;
        }
        self.settled = Some(print);
        if self.last == text {
            return None;
        }
        self.last.clone_from(&text);
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(size: u64) -> Print {
        Print { device: 1, inode: 1, size, written: (1, 0), changed: (1, 0) }
    }

    fn state(last: &str) -> State {
        State { last: Some(last.to_owned()), settled: None, standing: None }
    }

    /// The looks until a text is handed on, and that text.
    fn looks(state: &mut State, size: u64, text: Option<&str>) -> (u32, Option<String>) {
        for look in 1..=20 {
            if let Some(text) = state.saw(print(size), text.map(str::to_owned)) {
                return (look, text);
            }
        }
        (0, None)
    }

    #[test]
    fn a_text_counts_once_it_stood_still_and_the_beginning_of_the_last_one_later() {
        let mut state = state("[site] and all the rest");
        assert_eq!(looks(&mut state, 23, Some("[site] and all the rest")), (0, None));
        assert_eq!(looks(&mut state, 9, Some("[site] new")), (2, Some("[site] new".to_owned())));
        assert_eq!(looks(&mut state, 6, Some("[site]")), (LOOKS_AT_A_BEGINNING, Some("[site]".to_owned())));
        assert_eq!(looks(&mut state, 0, None), (LOOKS_AT_NOTHING, None));
        assert_eq!(looks(&mut state, 6, Some("[site]")), (2, Some("[site]".to_owned())));
    }

    #[test]
    fn a_text_that_grows_and_a_file_that_is_gone_for_a_moment_do_not_count() {
        let mut state = state("old");
        for (size, text) in [(1, Some("a")), (2, Some("ab")), (0, None), (0, None), (3, Some("abc")), (4, Some("old"))]
        {
            assert_eq!(state.saw(print(size), text.map(str::to_owned)), None);
        }
        assert_eq!(looks(&mut state, 4, Some("old")), (0, None));
    }
}
