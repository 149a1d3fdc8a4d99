//! A real Redis of a test's own, which can be paused, stopped and started again.
//!
//! It ends with the test process, however that ends: a shell waits for the pipe to close.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use super::eventually;

#[derive(Debug)]
pub struct Redis {
    port: u16,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    pid: i32,
    /// Held open: when it closes, the server is killed.
    _alive: ChildStdin,
    _shell: Child,
}

impl Redis {
    /// Starts one and waits until it answers.
    pub fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut redis = Self { port, running: None };
        redis.restart();
        redis
    }

    /// Starts it again, with nothing in it.
    pub fn restart(&mut self) {
        let script = format!(
            "redis-server --port {} --bind 127.0.0.1 --save '' --appendonly no >/dev/null & \
             echo $!; read end || true; kill -KILL $!",
            self.port
        );
        let mut shell = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let pid = line.trim().parse().expect("redis-server is needed: scripts/servers installs it");
        self.running = Some(Running { pid, _alive: shell.stdin.take().unwrap(), _shell: shell });
        eventually("Redis answers", || self.ask("PING").starts_with("+PONG"));
    }

    /// Kills it.
    pub fn stop(&mut self) {
        self.signal(rustix::process::Signal::KILL);
        self.running = None;
        eventually("Redis is gone", || TcpStream::connect(("127.0.0.1", self.port)).is_err());
    }

    /// Stops it in its tracks: connections stay, and nothing answers.
    pub fn pause(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it says to a command of plain words.
    pub fn ask(&self, command: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return String::new();
        };
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        if stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).is_err() {
            return String::new();
        }
        let mut said = Vec::new();
        // Cut off by the time limit, what came is enough.
        drop(stream.read_to_end(&mut said));
        String::from_utf8_lossy(&said).into_owned()
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let running = self.running.as_ref().expect("it runs");
        let pid = rustix::process::Pid::from_raw(running.pid).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if self.running.is_some() {
            // A stopped process cannot end.
            self.resume();
        }
    }
}
