//! The binary on a real terminal: a pseudo-terminal that `script` makes, 100 characters wide.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout};

use super::{Outlet, canary};

#[derive(Debug)]
pub(crate) struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: ChildStdout,
    seen: Vec<u8>,
}

impl Terminal {
    pub(crate) fn start(outlet: &Outlet, command: &str) -> Self {
        let mut child = outlet.start_on_a_terminal(command);
        let (keys, screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, keys, screen, seen: Vec::new() }
    }

    /// Reads what comes to the screen until this stands there, colours left aside.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) {
        while !self.plain().contains(text) {
            let mut bytes = [0; 4_096];
            let length = self.screen.read(&mut bytes).unwrap();
            assert!(length > 0, "it ended without {text:?} on the screen:\n{}", self.plain());
            self.seen.extend(&bytes[..length]);
        }
    }

    pub(crate) fn press(&mut self, key: &[u8]) {
        self.keys.write_all(key).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits for the end; gives the exit code and all that came to the screen, control characters and all.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        self.screen.read_to_end(&mut self.seen).unwrap();
        let code = self.child.wait().unwrap().code();
        let seen = String::from_utf8(std::mem::take(&mut self.seen)).unwrap();
        canary::assert_absent("the screen", &seen);
        (code, seen)
    }

    fn plain(&self) -> String {
        plain(&String::from_utf8_lossy(&self.seen))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A test that failed leaves nothing running; one that has ended is not there any more.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Without what colours a text or moves the cursor.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, rest)| rest);
    }
    plain.push_str(rest);
    plain
}
