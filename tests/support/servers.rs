//! Database servers of a test's own, to be killed.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::Kind;

/// Longest that a server may take to start; a machine that is busy takes some seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server in a folder of its own.
#[derive(Debug)]
pub(crate) struct Server {
    kind: Kind,
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Server {
    /// Makes and starts one; says what is missing where it cannot.
    pub(crate) fn start(kind: Kind) -> Result<Self, String> {
        let folder = TempDir::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { kind, folder, port, child: None };
        server.initialize()?;
        server.run();
        Ok(server)
    }

    /// Where its databases are made.
    pub(crate) fn url(&self) -> String {
        match self.kind {
            Kind::Postgres => format!("postgres://postgres@127.0.0.1:{}", self.port),
            Kind::Sqlite | Kind::Mysql => format!("mysql://root@127.0.0.1:{}", self.port),
        }
    }

    fn initialize(&self) -> Result<(), String> {
        let data = self.data();
        let mut command = match self.kind {
            Kind::Postgres => {
                // PostgreSQL refuses to be root.
                std::fs::set_permissions(self.folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
                let mut command = as_postgres(&postgres("initdb")?);
                command.args(["-A", "trust", "-U", "postgres", "--no-sync", "-D"]).arg(&data);
                command
            }
            Kind::Sqlite | Kind::Mysql => {
                let mut command = Command::new(found("mariadb-install-db")?);
                command.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
                command.arg(format!("--datadir={}", data.display()));
                if is_root() {
                    command.arg("--user=root");
                }
                found("mariadbd")?;
                command
            }
        };
        let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {told}")) }
    }

    /// Starts it, again after it was killed, and waits until it says that it is ready.
    pub(crate) fn run(&mut self) {
        let until = Instant::now() + PATIENCE;
        loop {
            let mut child = spawn(self.kind, self.folder.path(), self.port);
            if is_ready(child.stderr.take().unwrap()) {
                self.child = Some(child);
                return;
            }
            // What is left of a killed PostgreSQL may still hold its memory; then the new one ends at once.
            child.kill().ok();
            child.wait().unwrap();
            assert!(Instant::now() < until, "the {:?} server does not start", self.kind);
        }
    }

    /// As by `kill -9`.
    pub(crate) fn kill(&mut self) {
        let pid = match self.kind {
            // The first line of its pid file is the server, not `runuser` in front of it.
            Kind::Postgres => std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap(),
            Kind::Sqlite | Kind::Mysql => self.child.as_ref().unwrap().id().to_string(),
        };
        let pid = pid.lines().next().unwrap();
        assert!(Command::new("kill").args(["-9", pid]).status().unwrap().success());
        self.child.take().unwrap().wait().unwrap();
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

/// Reads the server's log until it takes connections; `false` where it ends before. The rest is read over, so that the
/// server never waits for a reader.
fn is_ready(log: ChildStderr) -> bool {
    let (told, ready) = mpsc::channel();
    std::thread::spawn(move || {
        let mut log = BufReader::new(log);
        let mut line = String::new();
        while log.read_line(&mut line).is_ok_and(|length| length > 0) {
            if line.contains("ready to accept connections") || line.contains("ready for connections") {
                told.send(()).ok();
                break;
            }
            line.clear();
        }
        drop(told);
        std::io::copy(&mut log, &mut std::io::sink()).ok();
    });
    ready.recv_timeout(PATIENCE).is_ok()
}

fn spawn(kind: Kind, folder: &Path, port: u16) -> Child {
    let (data, socket) = (folder.join("data"), folder.join("s"));
    let mut command = match kind {
        Kind::Postgres => {
            let mut command = as_postgres(&postgres("postgres").unwrap());
            command.arg("-D").arg(&data).args([
                "-c",
                "lc_messages=C",
                "-p",
                &port.to_string(),
                "-h",
                "127.0.0.1",
                "-k",
                "",
            ]);
            command
        }
        Kind::Sqlite | Kind::Mysql => {
            let mut command = Command::new(found("mariadbd").unwrap());
            command.args(["--no-defaults", "--bind-address=127.0.0.1", "--innodb-buffer-pool-size=16M"]);
            command.arg(format!("--datadir={}", data.display())).arg(format!("--socket={}", socket.display()));
            command.arg(format!("--port={port}")).arg(format!("--pid-file={}", folder.join("pid").display()));
            if is_root() {
                command.arg("--user=root");
            }
            command
        }
    };
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program);
    // Its working directory must be one that this user may enter.
    command.current_dir("/");
    command
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// Debian keeps PostgreSQL's programs out of the path.
fn postgres(name: &str) -> Result<PathBuf, String> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.map(|version| version.path().join("bin").join(name)).filter(|path| path.exists()).max();
    newest.map_or_else(|| found(name), Ok)
}

fn found(name: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let mut programs = folders.map(|folder| folder.join(name));
    programs.find(|program| program.exists()).ok_or_else(|| format!("{name} is not installed"))
}
