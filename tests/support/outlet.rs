//! An outlet: a folder, a `sync.toml`, a database, and the real binary.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tempfile::TempDir;

use super::{Database, Kind, canary};

#[derive(Debug)]
pub(crate) struct Outlet {
    folder: TempDir,
    pub(crate) database: Database,
    environment: Vec<(String, String)>,
    /// Canaries in what processes that run on have printed.
    heard: Arc<Mutex<Vec<String>>>,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    command: String,
}

impl Outlet {
    pub(crate) fn new(kind: Kind) -> Self {
        let folder = TempDir::new().unwrap();
        let database = Database::make(kind, folder.path());
        Self { folder, database, environment: Vec::new(), heard: Arc::default() }
    }

    /// An outlet whose database lies on a server of the test's own.
    pub(crate) fn at(kind: Kind, server: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let database = Database::make_at(kind, folder.path(), server);
        Self { folder, database, environment: Vec::new(), heard: Arc::default() }
    }

    /// Writes `sync.toml`: the head that every outlet has, then `jobs`.
    pub(crate) fn configure(&self, hq_url: &str, (key, secret): (&str, &str), jobs: &str) {
        let local = &self.database.url;
        self.write_config(&format!(
            r#"[site]
name = "outlet-042"
time_zone = "Asia/Kolkata"
[hq]
url = "{hq_url}"
auth = {{ kind = "token", api_key = "{key}", api_secret = "{secret}" }}
time_zone = "Asia/Kolkata"
timeout = "20s"
retry = {{ max_attempts = 3, first_delay = "1ms", max_delay = "20ms" }}
[local]
url = "{local}"

{jobs}"#
        ));
    }

    pub(crate) fn write_config(&self, text: &str) {
        std::fs::write(self.path("sync.toml"), text).unwrap();
    }

    pub(crate) fn config(&self) -> String {
        std::fs::read_to_string(self.path("sync.toml")).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn set_env(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_milkrun"));
        command.args(arguments).current_dir(self.folder.path());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MILKRUN")) {
            command.env_remove(name);
        }
        // A busy machine is not to be taken for a long way.
        command.env("MILKRUN_LEAD", "never");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs the binary to its end. Whatever it does, it must show no secret and no private value.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(&[], arguments)
    }

    /// As [`Outlet::run`], with more in the environment.
    #[track_caller]
    pub(crate) fn run_with(&self, environment: &[(&str, &str)], arguments: &[&str]) -> Outcome {
        let mut command = self.command(arguments);
        command.envs(environment.iter().copied());
        self.ended(command, arguments)
    }

    /// As [`Outlet::run`], by a shell that lacks one variable of the outlet's.
    #[track_caller]
    pub(crate) fn run_without(&self, variable: &str, arguments: &[&str]) -> Outcome {
        let mut command = self.command(arguments);
        command.env_remove(variable);
        self.ended(command, arguments)
    }

    #[track_caller]
    fn ended(&self, mut command: Command, arguments: &[&str]) -> Outcome {
        let output = command.output().unwrap();
        let outcome = Outcome {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            command: format!("milkrun {}", arguments.join(" ")),
        };
        canary::assert_absent("stdout", &outcome.stdout);
        canary::assert_absent("stderr", &outcome.stderr);
        self.assert_tables_discreet();
        outcome
    }

    /// Starts the binary and lets it run. What it prints is looked through on its way to the test.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let mut child = self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        child.stdout = Some(ChildStdout::from(self.listen("stdout", stdout)));
        child.stderr = Some(ChildStderr::from(self.listen("stderr", stderr)));
        child
    }

    /// Starts the binary on a terminal of its own, which is 30 lines of 100 characters.
    pub(crate) fn start_on_a_terminal(&self, command: &str) -> Child {
        let binary = env!("CARGO_BIN_EXE_milkrun");
        let shell = format!("stty cols 100 rows 30; exec '{binary}' {command}");
        let mut script = self.command(&[]);
        let environment: Vec<(std::ffi::OsString, std::ffi::OsString)> =
            script.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
        script = Command::new("script");
        script.args(["-q", "-e", "-f", "-c", &shell, "/dev/null"]).current_dir(self.folder.path());
        script.envs(environment).env("TERM", "xterm-256color").env_remove("NO_COLOR");
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Runs the binary with its stderr in the journal, as far as it can tell.
    pub(crate) fn run_in_journal(&self, arguments: &[&str]) -> String {
        use std::os::fd::AsFd as _;
        use std::os::unix::fs::MetadataExt as _;
        let (mut reader, writer) = std::io::pipe().unwrap();
        let file = std::fs::File::from(writer.as_fd().try_clone_to_owned().unwrap());
        let journal = file.metadata().map(|found| format!("{}:{}", found.dev(), found.ino())).unwrap();
        drop(file);
        let mut command = self.command(arguments);
        command.env("JOURNAL_STREAM", journal).stdout(Stdio::null()).stderr(writer);
        let mut child = command.spawn().unwrap();
        // The command holds the other end of the pipe, too.
        drop(command);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        child.wait().unwrap();
        canary::assert_absent("the journal", &text);
        text
    }

    fn listen(&self, what: &'static str, said: impl Read + Send + 'static) -> OwnedFd {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let heard = Arc::clone(&self.heard);
        std::thread::spawn(move || {
            let mut lines = BufReader::new(said);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                if let Some(found) = canary::find(&String::from_utf8_lossy(&line)) {
                    heard.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{what}: …{found}…"));
                }
                // A test that listens no more has the process go on.
                writer.write_all(&line).ok();
                line.clear();
            }
        });
        reader.into()
    }

    /// Fails if milkrun's own tables hold a secret or a private value.
    #[track_caller]
    fn assert_tables_discreet(&self) {
        let found = self.database.canaries();
        assert!(found.is_empty(), "secrets or private values in milkrun's tables: {found:#?}");
    }

    /// `milkrun sync --format json …`: the runs, whatever their status.
    pub(crate) fn sync(&self, arguments: &[&str]) -> Vec<Value> {
        let outcome = self.run(&[&["--format", "json", "sync"], arguments].concat());
        outcome
            .json()
            .as_array()
            .unwrap_or_else(|| panic!("no list of runs\n{}", self.told(&outcome)))
            .clone()
    }

    /// As [`Outlet::sync`], and every run must be `ok`.
    pub(crate) fn sync_well(&self, arguments: &[&str]) -> Vec<Value> {
        let outcome = self.run(&[&["--format", "json", "-v", "sync"], arguments].concat());
        let runs = outcome.json();
        let is_well =
            outcome.code == 0 && runs.as_array().is_some_and(|runs| runs.iter().all(|run| run["status"] == "ok"));
        assert!(is_well, "the sync did not end well\n{}", self.told(&outcome));
        runs.as_array().unwrap().clone()
    }

    /// All that helps to understand a failure.
    pub(crate) fn told(&self, outcome: &Outcome) -> String {
        let mut text = String::new();
        write!(text, "{outcome}\n--- sync.toml\n{}", self.config()).unwrap();
        text
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.assert_tables_discreet();
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(heard.is_empty(), "secrets or private values in what was printed: {heard:#?}");
    }
}

impl Outcome {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("stdout is no JSON: {error}\n{self}"))
    }

    #[track_caller]
    pub(crate) fn expect_code(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "exit code\n{self}");
        self
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { command, code, stdout, stderr } = self;
        write!(f, "--- {command}\nexit code {code}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}
