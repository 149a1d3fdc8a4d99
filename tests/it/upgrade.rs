//! Upgrade: another process takes over, and nobody notices.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::harness::gateway::{Builder, TOLLGATE};
use crate::harness::load::{Asking, Load};
use crate::harness::*;
use crate::spend::Books;

/// A gateway whose executable is a file of the test's own, which it may replace.
struct Installed {
    gateway: Gateway,
    folder: tempfile::TempDir,
}

impl Installed {
    fn start(builder: &Builder, variables: &[(String, String)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("tollgate.yaml");
        fs::write(&config, builder.yaml()).unwrap();
        let program = folder.path().join("tollgate");
        // A link would do as well; but not everywhere does one program have two names.
        copy(TOLLGATE, &program);
        let mut command = Command::new(&program);
        command.arg("serve").arg("--config").arg(&config);
        command.args(["--host", "127.0.0.1", "--port", "0", "--num_workers", "1"]);
        command.arg("--control_socket").arg(folder.path().join("control"));
        let gateway = Gateway::spawn(command, variables, tempfile::tempdir().unwrap(), None);
        Self { gateway, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `tollgate upgrade` to its end.
    fn upgrade(&self) -> Output {
        upgrade(&self.path("control"))
    }

    /// The process that `tollgate upgrade` says is the one now.
    #[track_caller]
    fn upgraded(&self) -> Successor {
        let output = self.upgrade();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{output:?}\n{}", self.gateway.messages());
        let pid = said.split(' ').nth(1).and_then(|pid| pid.parse().ok());
        Successor(pid.unwrap_or_else(|| panic!("it names no process: {said}")))
    }
}

/// Copies a program. Another process does it: what this one has open for writing is inherited by whatever other
/// tests start meanwhile, and a file that anybody has open for writing cannot be executed.
fn copy(program: impl AsRef<Path>, to: &Path) {
    let copied = Command::new("cp").arg(program.as_ref()).arg(to).status();
    assert!(copied.is_ok_and(|status| status.success()), "{}", to.display());
}

fn upgrade(control: &Path) -> Output {
    let mut command = Command::new(TOLLGATE);
    command.arg("upgrade").arg("--control_socket").arg(control).env_clear();
    command.output().unwrap()
}

/// A process that is not our child. It is ended when this is dropped.
struct Successor(u32);

impl Successor {
    fn signal(&self, name: &str) -> bool {
        let status = Command::new("kill").args(["-s", name, &self.0.to_string()]).output();
        status.is_ok_and(|output| output.status.success())
    }

    fn is_there(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0));
        // One that has ended may wait for somebody who asks how.
        stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().starts_with(" Z"))
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        self.signal("KILL");
    }
}

fn both(upstream: &Upstream) -> Builder {
    gateway::with(group("gpt").deployment(upstream)).router("num_retries: 0")
}

fn slow_stream() -> mock::Reply {
    stream(["one ", "two ", "three"]).each_frame_alone().gap(Duration::from_millis(40))
}

#[test]
fn no_request_fails_and_open_streams_end_on_the_old_process() {
    let upstream = upstream::openai()
        .when(|request| request.json()["messages"][0]["content"] == "held", {
            stream(["one ", "two ", "three"]).stall_after(1)
        })
        .when(|request| request.json()["stream"] == true, slow_stream())
        .replies(chat("one two three"))
        .forgetful()
        .start();
    let mut installed = Installed::start(&both(&upstream), &[]);
    let client = installed.gateway.client();
    let held: Vec<_> = (0..3)
        .map(|_| {
            let mut open = client.own_connections().ask("gpt", "held").open();
            assert_eq!(open.next_text().as_deref(), Some("one "));
            open
        })
        .collect();
    let clients = [Asking::Json, Asking::Json, Asking::NewConnections, Asking::Streams];
    let load = Load::start(&client, "gpt", "one two three", &clients);
    load.goes_on(20);

    // A file that is in use cannot be written to; it is replaced, as installers do.
    copy(TOLLGATE, &installed.path("new"));
    fs::rename(installed.path("new"), installed.path("tollgate")).unwrap();
    let first = installed.upgraded();
    load.goes_on(50);
    assert!(!installed.gateway.has_ended(), "it has streams to finish");
    let second = installed.upgraded();
    load.goes_on(50);
    assert_ne!(first.0, second.0);
    eventually("who has nothing to finish ends", || !first.is_there());
    let answered = load.stop();
    assert!(answered > 100, "{answered}");

    let held_requests = held.len();
    for _ in &held {
        upstream.release();
    }
    for open in held {
        let stream = open.read_to_end();
        assert_eq!(stream.text(), "one two three");
        assert!(stream.ended_with_done && !stream.cut);
    }
    assert_eq!(installed.gateway.wait_for_end().code(), Some(0), "after its last stream");
    assert_eq!(client.own_connections().chat("gpt", "hi").text(), "one two three");
    assert!(second.signal("TERM"));
    eventually("the last one ends", || !second.is_there());
    assert!(!installed.path("control").exists(), "it tidies up");
    assert!(client.own_connections().ask("gpt", "hi").try_send().is_err(), "nobody listens");
    let rows = Books::of(&installed.gateway).rows().len();
    assert_eq!(rows, answered + held_requests + 1, "none of three processes lost a row");
}

#[test]
fn a_signal_upgrades_too() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let mut installed = Installed::start(&both(&upstream), &[]);
    installed.gateway.signal("USR2");
    let said = installed.gateway.wait_for_message("the new process serves");
    let pid = said.rsplit("pid=").next().unwrap().trim().parse().unwrap();
    let successor = Successor(pid);
    assert_eq!(installed.gateway.wait_for_end().code(), Some(0));
    assert!(successor.is_there());
    assert_eq!(installed.gateway.client().chat("gpt", "hi").text(), "hello");
}

#[test]
fn what_cannot_start_takes_nothing_over() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let installed = Installed::start(&both(&upstream), &[]);
    let gateway = &installed.gateway;
    let good = fs::read_to_string(installed.path("tollgate.yaml")).unwrap();
    let refused = |why: &str| {
        let output = installed.upgrade();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(why), "{said}");
        assert_eq!(gateway.client().chat("gpt", "hi").text(), "hello", "the old one goes on");
        assert_eq!(gateway.get("/health/readiness").status, 200);
    };
    fs::write(installed.path("tollgate.yaml"), "model_list: [").unwrap();
    refused("exit status: 64");
    fs::write(installed.path("tollgate.yaml"), &good).unwrap();

    fs::remove_file(installed.path("tollgate")).unwrap();
    refused("cannot be started");
    let script = installed.path("script");
    fs::write(&script, "#!/bin/sh\nexit 3\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    copy(&script, &installed.path("tollgate"));
    refused("exit status: 3");

    fs::remove_file(installed.path("tollgate")).unwrap();
    copy(TOLLGATE, &installed.path("tollgate"));
    let _successor = installed.upgraded();
    eventually("it takes over after all", || {
        gateway.client().try_get("/health/readiness").is_some_and(|reply| reply.status == 200)
    });
}

#[test]
fn who_is_not_done_in_time_after_an_upgrade_is_cut_off() {
    let upstream = upstream::openai().replies(stream(["one ", "two"]).stall_after(1)).start();
    let builder = both(&upstream).general("upgrade_drain_timeout: 0.3");
    let mut installed = Installed::start(&builder, &[]);
    let mut open = installed.gateway.client().ask("gpt", "hi").open();
    assert_eq!(open.next_text().as_deref(), Some("one "));
    let _successor = installed.upgraded();
    assert_eq!(installed.gateway.wait_for_end().code(), Some(0));
    assert!(open.read_to_end().cut);
    installed.gateway.wait_for_message("cut off");
}

#[test]
fn the_control_socket_is_for_its_user_and_for_what_it_knows() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let installed = Installed::start(&both(&upstream), &[]);
    let mode = fs::metadata(installed.path("control")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    use std::io::{Read, Write};
    let mut stream = UnixStream::connect(installed.path("control")).unwrap();
    stream.write_all(b"dance\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "error unknown command\n");

    let output = upgrade(&installed.path("nothing"));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot ask the gateway"));
    assert_eq!(Command::new(TOLLGATE).arg("upgrade").output().unwrap().status.code(), Some(2));
}

#[test]
fn systemd_is_told_what_it_waits_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(patience())).unwrap();
    let mut told = String::new();
    let mut hears = |what: &str| {
        while !told.contains(what) {
            let mut buffer = [0; 4096];
            let count = socket.recv(&mut buffer).unwrap_or_else(|_| panic!("no {what}: {told}"));
            told.push_str(&String::from_utf8_lossy(&buffer[..count]));
            told.push('\n');
        }
        let end = told.find(what).unwrap() + what.len();
        told.drain(..end).collect::<String>()
    };
    let upstream = upstream::openai().replies(chat("hello")).start();
    let variables = [
        ("NOTIFY_SOCKET".to_owned(), path.to_str().unwrap().to_owned()),
        // Three seconds; the sign of life comes thrice in that time.
        ("WATCHDOG_USEC".to_owned(), "3000000".to_owned()),
    ];
    let mut installed = Installed::start(&both(&upstream), &variables);
    hears("READY=1");
    hears("WATCHDOG=1");
    installed.gateway.signal("HUP");
    hears("RELOADING=1\nMONOTONIC_USEC=");
    hears("READY=1");
    let successor = installed.upgraded();
    hears("RELOADING=1");
    hears(&format!("MAINPID={}", successor.0));
    hears("READY=1");
    assert_eq!(installed.gateway.wait_for_end().code(), Some(0));
    hears("WATCHDOG=1");
    assert!(successor.signal("TERM"));
    let rest = hears("STOPPING=1");
    assert!(!rest.contains("MAINPID"), "{rest}");
}
