//! A real PostgreSQL, started once for all tests of this process, with a database for each.
//!
//! It ends with the process, however that ends: a shell waits for the pipe to close.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::eventually;

pub struct Postgres {
    port: u16,
    /// Held open: when it closes, the server stops.
    _alive: ChildStdin,
    _shell: Child,
}

static SERVER: OnceLock<Postgres> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// The URL of a new, empty database.
pub fn database() -> String {
    let server = SERVER.get_or_init(Postgres::start);
    let name = format!("test{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    server.ask("postgres", &format!("CREATE DATABASE {name}"));
    server.url(&name)
}

/// Runs SQL on a database and gives what it prints: rows by line, columns by `|`.
pub fn ask(url: &str, sql: &str) -> String {
    psql(url, sql)
}

/// A PostgreSQL of a test's own, which it may stop.
pub struct Own {
    port: u16,
    folder: tempfile::TempDir,
}

impl Own {
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("tollgate-postgres").tempdir().unwrap();
        let own = Self { port: free_port(), folder };
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            own.sh("chown postgres .");
        }
        own.as_user("initdb --pgdata=data --username=postgres --auth=trust --no-sync >log 2>&1");
        own.start_again();
        own
    }

    pub fn url(&self) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Ends it as a crash would not, but at once.
    pub fn stop(&self) {
        self.as_user("pg_ctl -D data -m fast -w stop >>log 2>&1");
    }

    pub fn start_again(&self) {
        let options = format!("-p {} -h 127.0.0.1 -k '' -c fsync=off", self.port);
        self.as_user(&format!("pg_ctl -D data -o \"{options}\" -l server -w start >>log 2>&1"));
    }

    /// Runs one of the server's programs: it refuses to run as root.
    fn as_user(&self, command: &str) {
        let is_root = rustix::process::geteuid().is_root();
        let user = "setpriv --reuid=postgres --regid=postgres --clear-groups";
        let run = if is_root { user } else { "" };
        self.sh(&format!("{run} {}/{command}", binaries().display()));
    }

    fn sh(&self, script: &str) {
        let status =
            Command::new("sh").args(["-c", script]).current_dir(self.folder.path()).status();
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        assert!(status.unwrap().success(), "{script}: {log}");
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // It may be stopped already.
        let command = format!("{}/pg_ctl -D data -m immediate stop", binaries().display());
        let user = "setpriv --reuid=postgres --regid=postgres --clear-groups";
        let run = if rustix::process::geteuid().is_root() { user } else { "" };
        let script = format!("{run} {command} >>log 2>&1");
        drop(Command::new("sh").args(["-c", &script]).current_dir(self.folder.path()).status());
    }
}

impl Postgres {
    fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("tollgate-postgres").tempdir().unwrap().keep();
        // It refuses to run as root.
        let user = rustix::process::geteuid().is_root().then(|| "postgres".to_owned());
        let chown =
            user.as_ref().map_or_else(|| "true".to_owned(), |user| format!("chown {user} ."));
        let run = user.map_or(String::new(), |user| {
            format!("setpriv --reuid={user} --regid={user} --clear-groups")
        });
        let bin = binaries();
        let port = free_port();
        let script = format!(
            "{chown}; {run} {bin}/initdb --pgdata=data --username=postgres --auth=trust \
             --encoding=UTF8 --locale=C --no-sync >log 2>&1; \
             {run} {bin}/postgres -D data -p {port} -h 127.0.0.1 -k '' -c fsync=off \
             -c max_connections=300 >>log 2>&1 & \
             read end || true; kill -QUIT $!; wait $! || true; cd /; rm -rf {folder}",
            bin = bin.display(),
            folder = folder.display(),
        );
        let mut shell = Command::new("sh")
            .args(["-c", &script])
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let alive = shell.stdin.take().unwrap();
        let server = Self { port, _alive: alive, _shell: shell };
        let url = server.url("postgres");
        eventually("PostgreSQL answers", || answers(&url));
        server
    }

    fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port)
    }

    fn ask(&self, database: &str, sql: &str) -> String {
        psql(&self.url(database), sql)
    }
}

/// Where Debian keeps the server's programs, or those of the path.
fn binaries() -> PathBuf {
    let mut versions: Vec<_> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    versions.sort();
    let in_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|folder| folder.join("initdb").exists())
    };
    versions.pop().or_else(in_path).expect("PostgreSQL is needed: scripts/servers installs it")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn answers(url: &str) -> bool {
    command(url, "SELECT 1").stderr(Stdio::null()).output().is_ok_and(|it| it.status.success())
}

fn command(url: &str, sql: &str) -> Command {
    let mut command = Command::new(binaries().join("psql"));
    command.args([
        "--no-psqlrc",
        "--tuples-only",
        "--no-align",
        "--quiet",
        "-v",
        "ON_ERROR_STOP=1",
    ]);
    command.args(["-d", url, "-c", sql]);
    command
}

fn psql(url: &str, sql: &str) -> String {
    let output = command(url, sql).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{sql}: {told}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
