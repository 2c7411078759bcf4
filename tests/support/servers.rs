//! Database servers of a test's own, to be killed.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
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

    /// Starts it, again after it was killed, and waits until it answers.
    pub(crate) fn run(&mut self) {
        let until = Instant::now() + PATIENCE;
        loop {
            let child = self.child.get_or_insert_with(|| spawn(self.kind, self.folder.path(), self.port));
            // What is left of a killed PostgreSQL may still hold its memory; then the new one ends at once.
            if child.try_wait().unwrap().is_some() {
                self.child = None;
            } else if self.answers() {
                return;
            }
            assert!(Instant::now() < until, "the {:?} server does not start", self.kind);
            std::thread::sleep(Duration::from_millis(50));
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

    fn answers(&self) -> bool {
        use sqlx::Connection as _;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            match self.kind {
                Kind::Postgres => sqlx::PgConnection::connect(&format!("{}/postgres", self.url())).await.is_ok(),
                Kind::Sqlite | Kind::Mysql => sqlx::MySqlConnection::connect(&self.url()).await.is_ok(),
            }
        })
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

fn spawn(kind: Kind, folder: &Path, port: u16) -> Child {
    let (data, socket) = (folder.join("data"), folder.join("s"));
    let mut command = match kind {
        Kind::Postgres => {
            let mut command = as_postgres(&postgres("postgres").unwrap());
            command.arg("-D").arg(&data).args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k", ""]);
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
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
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
