//! The gateway as a process of its own.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use super::client::{Client, Reply};
use super::group::Group;
use super::{eventually_some, patience};

/// The executable under test.
pub const TOLLGATE: &str = env!("CARGO_BIN_EXE_tollgate");

/// How much of the access log is shown when a test fails.
const LAST_LINES: usize = 20;

/// A gateway that has not started yet: the configuration it will have.
#[derive(Debug, Default)]
#[must_use = "it runs only after `start`"]
pub struct Builder {
    groups: Vec<Group>,
    /// YAML lines by section.
    sections: BTreeMap<&'static str, String>,
    top: String,
    master_key: Option<String>,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    files: Vec<(String, String)>,
    prefix: Vec<String>,
}

/// A gateway with one model group.
pub fn with(group: Group) -> Builder {
    Builder::default().and(group)
}

/// A gateway whose configuration is written by other means: see [`Builder::top`].
pub fn empty() -> Builder {
    Builder::default()
}

impl Builder {
    /// One more model group.
    pub fn and(mut self, group: Group) -> Self {
        self.groups.push(group);
        self
    }

    /// Adds YAML under `router_settings`.
    pub fn router(self, yaml: &str) -> Self {
        self.section("router_settings", yaml)
    }

    /// Adds YAML under `litellm_settings`.
    pub fn litellm(self, yaml: &str) -> Self {
        self.section("litellm_settings", yaml)
    }

    /// Adds YAML under `general_settings`.
    pub fn general(self, yaml: &str) -> Self {
        self.section("general_settings", yaml)
    }

    /// Adds YAML at the top level.
    pub fn top(mut self, yaml: &str) -> Self {
        self.top.push_str(yaml);
        self.top.push('\n');
        self
    }

    /// Asks clients for this key; [`Gateway::client`] shows it.
    pub fn master_key(mut self, key: &str) -> Self {
        self.master_key = Some(key.to_owned());
        self.general(&format!("master_key: {key}"))
    }

    /// Adds an argument of the command line.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Sets an environment variable; the process has no others.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Puts a file beside the configuration.
    pub fn file(mut self, name: &str, content: &str) -> Self {
        self.files.push((name.to_owned(), content.to_owned()));
        self
    }

    /// Runs the executable through another command (`prlimit`, `strace`), which must `exec` it.
    pub fn through(mut self, command: &[&str]) -> Self {
        self.prefix = command.iter().map(|&word| word.to_owned()).collect();
        self
    }

    fn section(mut self, name: &'static str, yaml: &str) -> Self {
        let lines = self.sections.entry(name).or_default();
        for line in yaml.lines() {
            lines.push_str(&format!("  {line}\n"));
        }
        self
    }

    /// The configuration file.
    pub fn yaml(&self) -> String {
        let mut yaml = String::new();
        if !self.groups.is_empty() {
            yaml.push_str("model_list:\n");
        }
        yaml.extend(self.groups.iter().map(Group::yaml));
        for (name, lines) in &self.sections {
            yaml.push_str(&format!("{name}:\n{lines}"));
        }
        yaml.push_str(&self.top);
        yaml
    }

    /// Starts the gateway on a free port and waits until it listens.
    ///
    /// # Panics
    /// If it does not come to that; with what it had to say.
    #[track_caller]
    pub fn start(self) -> Gateway {
        let placed = ["--host", "127.0.0.1", "--port", "0"];
        placed.into_iter().fold(self, Self::argument).start_as_configured()
    }

    /// Starts the gateway where its configuration or its arguments say.
    #[track_caller]
    pub fn start_as_configured(self) -> Gateway {
        let folder = tempfile::tempdir().expect("the system has a folder for temporary files");
        let config = folder.path().join("tollgate.yaml");
        fs::write(&config, self.yaml()).expect("the folder is ours");
        for (name, content) in &self.files {
            fs::write(folder.path().join(name), content).expect("the folder is ours");
        }
        let mut words = self.prefix.iter().map(String::as_str).chain([TOLLGATE]);
        let mut command = Command::new(words.next().expect("there is at least the executable"));
        command.args(words);
        command.arg("serve").arg("--config").arg(&config);
        command.args(["--num_workers", "1"]);
        command.args(&self.arguments);
        Gateway::spawn(command, &self.variables, folder, self.master_key)
    }
}

/// A running gateway. It is killed when this is dropped.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    address: SocketAddr,
    output: Lines,
    messages: Lines,
    folder: TempDir,
    key: Option<String>,
}

impl Gateway {
    /// Runs a command that becomes a gateway, and waits until it listens.
    #[track_caller]
    pub fn spawn(
        mut command: Command,
        variables: &[(String, String)],
        folder: TempDir,
        key: Option<String>,
    ) -> Self {
        command.env_clear().env("STATE_DIRECTORY", folder.path().join("state"));
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the executable was built with the tests");
        let output = Lines::of(child.stdout.take().expect("it is piped"));
        let messages = Lines::of(child.stderr.take().expect("it is piped"));
        match messages.find(listening) {
            Some(address) => Self { child, address, output, messages, folder, key },
            None => {
                // It has ended, or it hangs; either way it is of no use.
                drop(child.kill());
                let status = child.wait();
                panic!("the gateway did not start ({status:?}):\n{}", messages.text());
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client with a connection pool of its own and the right key.
    pub fn client(&self) -> Client {
        Client::new(&self.url(), self.key.as_deref())
    }

    /// `GET` of a page.
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.client().get(path)
    }

    /// Whether `/metrics` has this line.
    #[track_caller]
    pub fn shows(&self, line: &str) -> bool {
        self.get("/metrics").body_text().lines().any(|one| one == line)
    }

    /// What `/health` says of a group.
    #[track_caller]
    pub fn health_of(&self, group: &str) -> Value {
        self.get("/health").json()["groups"][group].clone()
    }

    /// How many deployments of a group are in cooldown, by `/health`.
    #[track_caller]
    pub fn cooling(&self, group: &str) -> u64 {
        let health = self.health_of(group);
        health["cooling"].as_u64().unwrap_or_else(|| panic!("no health of {group}: {health}"))
    }

    /// The lines of the access log so far; they are written some milliseconds after the request.
    pub fn access_log(&self) -> Vec<Value> {
        let lines = self.output.all();
        lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The line of the access log about the request with this id (see [`Reply::request_id`]).
    #[track_caller]
    pub fn logged(&self, request_id: &str) -> Value {
        eventually_some("a line of the access log", || {
            // The whole log is long in some tests: only what may be the line is parsed.
            let output = self.output();
            let mut lines = output.lines().filter(|line| line.contains(request_id));
            lines.find_map(|line| {
                let line: Value = serde_json::from_str(line).ok()?;
                (line["request_id"] == request_id).then_some(line)
            })
        })
    }

    /// What it wrote to standard output so far: the access log.
    pub fn output(&self) -> String {
        self.output.text()
    }

    /// What it wrote to standard error so far.
    pub fn messages(&self) -> String {
        self.messages.text()
    }

    /// Waits for a line on standard error that contains this.
    #[track_caller]
    pub fn wait_for_message(&self, part: &str) -> String {
        let found = self.messages.find(|line| line.contains(part).then(|| line.to_owned()));
        found.unwrap_or_else(|| panic!("no message {part:?} came:\n{}", self.messages()))
    }

    /// The configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("tollgate.yaml")
    }

    /// The folder of the configuration file.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal: `TERM`, `HUP`, `INT`.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "the gateway is gone already");
    }

    /// Waits for the process to end.
    #[track_caller]
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually_some("the end of the process", || child.try_wait().ok().flatten())
    }

    /// Whether the process has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("--- the gateway's standard error ---\n{}", self.messages.text());
            let lines = self.output.all();
            let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
            eprintln!("--- the end of its standard output ---\n{}", last.join("\n"));
        }
    }
}

/// The address in the line that says that it listens.
fn listening(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening")?;
    let (_, address) = rest.split_once("address")?;
    let end = |c: char| !(c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '[' | ']'));
    address.trim_matches(|c: char| matches!(c, '=' | '"' | ':')).split(end).next()?.parse().ok()
}

/// The lines that a process writes, as they come.
#[derive(Clone, Debug)]
pub struct Lines {
    shared: Arc<(Mutex<Written>, Condvar)>,
}

#[derive(Debug, Default)]
struct Written {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    /// Reads them on a thread of their own.
    pub fn of(source: impl Read + Send + 'static) -> Self {
        let lines = Self { shared: Arc::default() };
        let there = lines.clone();
        super::meanwhile(move || {
            let (written, changed) = &*there.shared;
            for line in BufReader::new(source).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                written.lock().unwrap().lines.push(line);
                changed.notify_all();
            }
            written.lock().unwrap().ended = true;
            changed.notify_all();
        });
        lines
    }

    /// All lines so far.
    pub fn all(&self) -> Vec<String> {
        self.shared.0.lock().unwrap().lines.clone()
    }

    /// The same as one text.
    pub fn text(&self) -> String {
        self.all().join("\n")
    }

    /// Waits for the first line in which something is found. `None` if none comes.
    pub fn find<T>(&self, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + patience();
        let (written, changed) = &*self.shared;
        let mut written = written.lock().unwrap();
        let mut seen = 0;
        loop {
            if let Some(found) = written.lines[seen..].iter().find_map(|line| find(line)) {
                return Some(found);
            }
            seen = written.lines.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if written.ended || left.is_zero() {
                return None;
            }
            written = changed.wait_timeout(written, left).unwrap().0;
        }
    }
}
