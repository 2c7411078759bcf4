//! A running daemon: its log, its signals, its end.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command};

use super::{Outlet, canary};

#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    log: BufReader<ChildStderr>,
    seen: String,
}

impl Daemon {
    /// Starts `milkrun … run` in the outlet.
    pub(crate) fn start(outlet: &Outlet, options: &[&str]) -> Self {
        let mut child = outlet.start(&[options, &["run"]].concat());
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log, seen: String::new() }
    }

    /// Reads the log until a line that holds all of `words`, and gives it.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, words: &[&str]) -> String {
        loop {
            let mut line = String::new();
            if self.log.read_line(&mut line).unwrap() == 0 {
                panic!("the daemon ended without {words:?} in its log:\n{}", self.seen);
            }
            self.seen.push_str(&line);
            if words.iter().all(|word| line.contains(word)) {
                return line;
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.pid().to_string()]).status().unwrap().success());
    }

    /// Waits for the end; gives the exit code and all that was logged.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        self.log.read_to_string(&mut self.seen).unwrap();
        (self.child.wait().unwrap().code(), std::mem::take(&mut self.seen))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A test that failed leaves nothing running; one that has ended is not there any more.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Gives the outlet a status page on a free port.
pub(crate) fn listen(outlet: &Outlet) -> u16 {
    let port = free_port();
    let config = outlet.config();
    outlet.write_config(&config.replacen("[local]", &format!("[daemon]\nlisten = \"127.0.0.1:{port}\"\n[local]"), 1));
    port
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A page of the status server, head and body.
pub(crate) fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    canary::assert_absent("the status page", &answer);
    answer
}
