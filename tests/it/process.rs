//! The process: its command line, its exit codes, signals and reload.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::client::Client;
use crate::harness::gateway::{Lines, TOLLGATE};
use crate::harness::http2::Http2;
use crate::harness::raw;
use crate::harness::*;

const PATH: &str = "/v1/chat/completions";

/// A command of the executable, with no environment.
fn tollgate(arguments: &[&str]) -> Command {
    let mut command = Command::new(TOLLGATE);
    command.args(arguments).env_clear();
    command
}

/// Runs a command to its end.
#[track_caller]
fn run(mut command: Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the executable was built with the tests");
    let pid = child.id().to_string();
    let (told, ended) = mpsc::channel::<()>();
    let waiting = meanwhile(move || {
        let output = child.wait_with_output().expect("it is our child");
        drop(told);
        output
    });
    let in_time = ended.recv_timeout(patience()) != Err(mpsc::RecvTimeoutError::Timeout);
    if !in_time {
        drop(Command::new("kill").args(["-KILL", &pid]).status());
    }
    let output = waiting.join().expect("the wait does not panic");
    assert!(in_time, "it does not end: {output:?}");
    output
}

/// What a command printed, on either side, and its exit code.
#[track_caller]
fn outcome(command: Command) -> (Option<i32>, String) {
    let output = run(command);
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// A folder with a configuration of one group.
fn folder_with(upstream: &Upstream) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, gateway::with(group("gpt").deployment(upstream)).yaml()).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

// --- Command line ---

#[test]
fn every_form_of_the_command_line_serves() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let (_folder, config) = folder_with(&upstream);
    let base = upstream.api_base();
    let file = ("CONFIG_FILE_PATH", config.as_str());
    let key = ("OPENAI_API_KEY", "sk-of-the-environment");

    for (arguments, variables, model) in [
        (&["serve", "--config", &config, "--port", "0"][..], &[][..], "gpt"),
        (&["serve", "-c", &config, "-p", "0", "--host", "localhost"], &[], "gpt"),
        (&["--config", &config, "--port", "0"], &[], "gpt"),
        (&["--config", &config, "--port", "0", "--num_workers", "2", "--debug"], &[], "gpt"),
        (&["--port", "0"], &[file], "gpt"),
        (&["serve", "--port", "0"], &[file], "gpt"),
        (
            &["--config", &config],
            &[("PORT", "0"), ("HOST", "127.0.0.1"), ("NUM_WORKERS", "1")],
            "gpt",
        ),
        (
            &["--model", "openai/gpt-4o", "--api_base", &base, "--port", "0"],
            &[key],
            "openai/gpt-4o",
        ),
        (&["--model", "gpt-4o", "--api_base", &base, "--port", "0"], &[key], "gpt-4o"),
        (
            &["-m", "openai/gpt-4o", "--alias", "mine", "--api_base", &base, "--port", "0"],
            // A file in the environment is for those who name no model.
            &[key, ("CONFIG_FILE_PATH", "/nothing")],
            "mine",
        ),
    ] {
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let gateway = Gateway::spawn(tollgate(arguments), &variables, folder, None);
        let reply = gateway.client().chat(model, "hi");
        assert_eq!(reply.status, 200, "{arguments:?}: {}", reply.body_text());
        if model != "gpt" {
            assert_eq!(upstream.last_request().key(), Some(key.1));
            assert_eq!(upstream.last_request().json()["model"], "gpt-4o");
        }
    }
}

#[test]
fn without_a_key_only_this_machine_is_served() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let (folder, config) = folder_with(&upstream);
    let arguments = ["--config", &config, "--host", "0.0.0.0", "--port", "0"];
    let gateway = Gateway::spawn(tollgate(&arguments), &[], folder, None);
    assert!(gateway.address().ip().is_loopback(), "{}", gateway.address());
    gateway.wait_for_message("NO MASTER KEY");
    let messages = gateway.messages().to_ascii_lowercase();
    assert_eq!(messages.matches("no master key").count(), 1, "it is told once: {messages}");

    let key = [("LITELLM_MASTER_KEY".to_owned(), "sk-of-the-environment".to_owned())];
    let (folder, config) = folder_with(&upstream);
    let arguments = ["--config", &config, "--host", "0.0.0.0", "--port", "0"];
    let gateway = Gateway::spawn(tollgate(&arguments), &key, folder, None);
    assert!(gateway.address().ip().is_unspecified(), "{}", gateway.address());
    assert!(!gateway.messages().contains("NO MASTER KEY"));
    let client = Client::new(&format!("http://127.0.0.1:{}", gateway.address().port()), None);
    assert_eq!(client.chat("gpt", "hi").status, 401);
    assert_eq!(client.with_key(Some("sk-of-the-environment")).chat("gpt", "hi").status, 200);
}

/// The steps that the threads of a process stand behind others, by their names.
#[cfg(target_os = "linux")]
fn niceness(pid: u32) -> Vec<(String, i32)> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of = |task: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
        let (name, numbers) = stat.split_once('(')?.1.rsplit_once(')')?;
        // The nineteenth of all, where the state is the third.
        Some((name.to_owned(), numbers.split_whitespace().nth(16)?.parse().ok()?))
    };
    tasks.filter_map(|task| of(task.ok()?)).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_written_after_requests_comes_after_them() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();
    assert_eq!(gateway.client().chat("gpt", "hi").status, 200);
    let of = |name: &str| {
        let threads = niceness(gateway.pid()).into_iter();
        threads.filter(|(thread, _)| thread.starts_with(name)).map(|it| it.1).max()
    };
    let served = of("gateway").expect("threads of requests");
    assert_eq!(of("records"), Some(served + 5));
    eventually("the database has a thread of the same rank", || of("sqlx") == Some(served + 5));
}

#[test]
fn flags_do_what_they_say() {
    for version in ["--version", "-v", "-V"] {
        let expected = format!("tollgate {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(outcome(tollgate(&[version])), (Some(0), expected));
    }
    let (code, help) = outcome(tollgate(&["--help"]));
    assert_eq!(code, Some(0));
    for word in ["serve", "check", "demo", "mock", "--config", "--port", "--num_workers"] {
        assert!(help.contains(word), "{word} is not in the help:\n{help}");
    }
    let (code, text) = outcome(tollgate(&[]));
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains("tollgate demo"), "a newcomer is told what to try: {text}");
    let (code, text) = outcome(tollgate(&["--confg", "x"]));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("--config"), "the nearest flag is named: {text}");
}

#[test]
fn workers_are_threads() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let threads = |count: &str| {
        let (folder, config) = folder_with(&upstream);
        let arguments = ["--config", &config, "--port", "0", "--num_workers", count];
        let gateway = Gateway::spawn(tollgate(&arguments), &[], folder, None);
        assert_eq!(gateway.client().chat("gpt", "hi").status, 200);
        // Others come and go.
        let tasks = std::fs::read_dir(format!("/proc/{}/task", gateway.pid())).unwrap();
        let names = tasks
            .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
        names.filter(|name| name.starts_with("gateway")).count()
    };
    assert_eq!(threads("5") - threads("1"), 4);
}

// --- Exit codes ---

#[test]
fn a_bad_configuration_is_64() {
    let upstream = upstream::openai().start();
    let (folder, config) = folder_with(&upstream);
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let no_number = write("number.yaml", "model_list: []\nrouter_settings:\n  num_retries: many\n");
    let unset = write(
        "unset.yaml",
        "model_list:\n- model_name: a\n  litellm_params: {model: openai/a, api_key: os.environ/NOT_SET}\n",
    );
    let no_yaml = write("no.yaml", "a:\n  - b\n - c\n");

    for (path, position, part) in [
        (&no_number, "3:16", "num_retries"),
        (&unset, "3:46", "NOT_SET"),
        (&no_yaml, "3:2", "indentation"),
    ] {
        for form in [&["serve", "--config", path][..], &["--config", path], &["check", path]] {
            let (code, text) = outcome(tollgate(form));
            assert_eq!(code, Some(64), "{form:?}: {text}");
            assert!(text.contains(&format!("{path}:{position}: error: ")), "{form:?}: {text}");
            assert!(text.contains(part), "{form:?}: {text}");
        }
    }
    for form in [&["--config", "/nothing.yaml"][..], &["check", "/nothing.yaml"]] {
        let (code, text) = outcome(tollgate(form));
        assert_eq!(code, Some(64), "{text}");
        assert!(text.contains("/nothing.yaml"), "{text}");
    }
    let (code, text) = outcome(tollgate(&["--model", "openai/gpt-4o", "--port", "0"]));
    assert_eq!(code, Some(64), "no key is in the environment: {text}");
    assert!(text.contains("OPENAI_API_KEY"), "{text}");
    let (code, text) = outcome(tollgate(&["--model", "nobodys-model", "--port", "0"]));
    assert_eq!(code, Some(64), "{text}");
    assert!(!config.is_empty());
}

#[test]
fn a_failed_start_is_1() {
    let upstream = upstream::openai().start();
    let (folder, config) = folder_with(&upstream);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let not_pem = folder.path().join("not.pem");
    std::fs::write(&not_pem, "no certificate").unwrap();
    let authority = Authority::new();
    let (one, other) = (authority.certify("localhost"), authority.certify("localhost"));
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, one.certificate).unwrap();
    std::fs::write(&key, other.key).unwrap();
    let text_of = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let (not_pem, cert, key) = (text_of(&not_pem), text_of(&cert), text_of(&key));
    let no_ca = folder.path().join("no-ca.yaml");
    let deployment = openai(&upstream).with("ssl_verify: nowhere.pem");
    std::fs::write(&no_ca, gateway::with(group("gpt").deployment(deployment)).yaml()).unwrap();
    let no_ca = text_of(&no_ca);
    let no_log = folder.path().join("no-log.yaml");
    let builder = gateway::with(group("gpt").deployment(&upstream));
    let builder = builder.litellm("log_to_file: true\nlog_file_path: /nowhere/access.log");
    std::fs::write(&no_log, builder.yaml()).unwrap();
    let no_log = text_of(&no_log);
    let tls = |certificate: &str, key: &str| -> Vec<String> {
        [
            "--config",
            &config,
            "--port",
            "0",
            "--ssl_certfile_path",
            certificate,
            "--ssl_keyfile_path",
            key,
        ]
        .map(str::to_owned)
        .to_vec()
    };
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();

    for (arguments, part) in [
        (words(&["--config", &config, "--host", "127.0.0.1", "--port", &port]), port.as_str()),
        (words(&["demo", "--port", &port]), &port),
        (words(&["mock", "--port", &port]), &port),
        (
            words(&["--config", &config, "--host", "not.an.address", "--port", "0"]),
            "not.an.address",
        ),
        (tls("/nowhere.pem", &key), "/nowhere.pem"),
        (tls(&not_pem, &key), "not.pem"),
        (tls(&cert, &not_pem), "not.pem"),
        (tls(&cert, &key), "cert.pem"),
        (words(&["--config", &no_ca, "--port", "0"]), "nowhere.pem"),
        (words(&["--config", &no_log, "--port", "0"]), "/nowhere/access.log"),
    ] {
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let began = Instant::now();
        let (code, text) = outcome(tollgate(&arguments));
        assert_eq!(code, Some(1), "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
        assert!(!text.contains("panicked"), "{arguments:?}: {text}");
        assert!(began.elapsed() < patience() / 2, "{arguments:?} took {:?}", began.elapsed());
    }
}

#[test]
fn check_tells_everything_in_one_run() {
    let upstream = upstream::openai().start();
    let (folder, config) = folder_with(&upstream);
    let (code, text) = outcome(tollgate(&["check", &config]));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("good"), "{text}");

    let warned = folder.path().join("warned.yaml");
    let yaml = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&warned, format!("{yaml}litellm_settings:\n  telemetry: false\n")).unwrap();
    let warned = warned.to_str().unwrap();
    let (code, text) = outcome(tollgate(&["check", warned]));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("warning") && text.contains("telemetry"), "{text}");
    assert_eq!(outcome(tollgate(&["check", warned, "--strict"])).0, Some(64));
    assert_eq!(outcome(tollgate(&["check", "--strict", warned])).0, Some(64));

    let bad = folder.path().join("bad.yaml");
    std::fs::write(
        &bad,
        "model_list:\n- model_name: a\n  litellm_params:\n    model: opena/a\n    timeout: soon\n\
         router_settings:\n  fallbacks: [{a: [b]}]\n  num_retrys: 3\n",
    )
    .unwrap();
    let bad = bad.to_str().unwrap();
    let (code, text) = outcome(tollgate(&["check", bad]));
    assert_eq!(code, Some(64), "{text}");
    for (position, part) in
        [("4:", "opena"), ("5:", "soon"), ("7:", "`b`"), ("8:", "did you mean `num_retries`")]
    {
        assert!(
            text.contains(&format!("{bad}:{position}")) && text.contains(part),
            "{part}: {text}"
        );
    }
    assert!(text.matches('^').count() >= 4, "each with its line and a caret: {text}");
    assert!(text.matches(" error: ").count() >= 4, "{text}");
}

// --- The end ---

fn connects(gateway: &Gateway) -> bool {
    TcpStream::connect(gateway.address()).is_ok()
}

#[test]
fn requests_in_flight_are_finished_before_the_end() {
    let upstream = upstream::openai()
        .when(
            |request| request.json()["stream"] == true,
            stream(["one ", "two ", "three"]).stall_after(1),
        )
        .replies(chat("whole answer").stall_after(1))
        .start();
    let mut gateway = gateway::with(group("gpt").deployment(&upstream)).start();
    let client = gateway.client();
    let mut open = client.ask("gpt", "hi").open();
    assert_eq!(open.next_text().as_deref(), Some("one "));
    let whole = {
        let client = gateway.client();
        meanwhile(move || client.chat("gpt", "hi"))
    };
    let http2 = Http2::connect(&gateway);
    let body = json!({"model": "gpt", "stream": true, "messages": []}).to_string();
    let mut second = http2.begin(PATH, &[]).finish(body.as_bytes()).head();
    assert!(second.next_part().is_some());
    for _ in 0..3 {
        assert!(upstream.wait_for_stall(patience()), "all three are in the middle");
    }
    let mut idle = raw::connect(&gateway);
    idle.send(b"GET /health/readiness HTTP/1.1\r\nhost: gateway\r\n\r\n");
    assert_eq!(idle.read_reply().status, 200);

    gateway.signal("TERM");
    eventually("nobody new is let in", || !connects(&gateway));
    assert!(idle.is_closed(), "idle connections are closed");
    assert!(!gateway.has_ended(), "three requests are not done");
    for _ in 0..3 {
        upstream.release();
    }
    let stream = open.read_to_end();
    assert_eq!(stream.text(), "one two three");
    assert!(stream.ended_with_done && !stream.cut);
    assert_eq!(whole.join().unwrap().text(), "whole answer");
    assert!(second.read().body_text().ends_with("data: [DONE]\n\n"));
    assert_eq!(gateway.wait_for_end().code(), Some(0));
    let logged: Vec<_> = gateway
        .access_log()
        .iter()
        .map(|line| line["route"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(logged.iter().filter(|route| *route == PATH).count(), 3, "their lines are written");
}

#[test]
fn the_end_of_an_idle_process_is_quick() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    for signal in ["TERM", "INT", "QUIT"] {
        let mut gateway = gateway::with(group("gpt").deployment(&upstream)).start();
        let client = gateway.client();
        assert_eq!(client.chat("gpt", "hi").status, 200);
        let began = Instant::now();
        gateway.signal(signal);
        assert_eq!(gateway.wait_for_end().code(), Some(0), "{signal}");
        assert!(began.elapsed() < Duration::from_secs(5), "{signal}: {:?}", began.elapsed());
        assert!(!connects(&gateway));
        assert_eq!(gateway.access_log().len(), 1, "{signal}: the line is written");
    }
}

#[test]
fn a_second_interrupt_does_not_wait() {
    let upstream = upstream::openai().replies(stream(["one ", "two"]).stall_after(1)).start();
    let mut gateway = gateway::with(group("gpt").deployment(&upstream)).start();
    let mut open = gateway.client().ask("gpt", "hi").open();
    assert_eq!(open.next_text().as_deref(), Some("one "));

    gateway.signal("INT");
    eventually("nobody new is let in", || !connects(&gateway));
    assert!(!gateway.has_ended(), "a request is not done");
    eventually("it does not wait", || {
        // Again and again, because the first one may still be on its way through the process.
        gateway.signal("INT");
        gateway.has_ended()
    });
    assert_eq!(gateway.wait_for_end().code(), Some(0));
    assert!(open.read_to_end().cut);
}

#[test]
fn who_is_not_done_in_time_is_cut_off() {
    let upstream = upstream::openai().replies(stream(["one ", "two"]).stall_after(1)).start();
    let mut gateway =
        gateway::with(group("gpt").deployment(&upstream)).general("drain_timeout: 0.3").start();
    let mut open = gateway.client().ask("gpt", "hi").open();
    assert_eq!(open.next_text().as_deref(), Some("one "));

    let began = Instant::now();
    gateway.signal("TERM");
    assert_eq!(gateway.wait_for_end().code(), Some(0));
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    let stream = open.read_to_end();
    assert!(stream.cut && !stream.ended_with_done, "nobody takes it for complete");
    gateway.wait_for_message("cut off");
}

// --- Reload ---

/// Replaces the gateway's configuration and tells it.
fn reload(gateway: &Gateway, yaml: &str) {
    std::fs::write(gateway.config_path(), yaml).unwrap();
    gateway.signal("HUP");
}

#[test]
fn a_reload_takes_over_a_good_file_and_leaves_a_bad_one_alone() {
    let (one, two) = (
        upstream::openai().replies(chat("one")).start(),
        upstream::openai().replies(chat("two")).start(),
    );
    let builder = |upstream: &Upstream, name: &str| {
        gateway::with(group(name).deployment(openai(upstream).id("same"))).master_key("sk-right")
    };
    let gateway = builder(&one, "gpt").start();
    let client = gateway.client();
    assert_eq!(client.chat("gpt", "hi").text(), "one");

    let bad = builder(&two, "gpt").router("num_retrys: 1").yaml();
    reload(&gateway, &bad);
    gateway.wait_for_message("reload refused");
    assert!(gateway.messages().contains("num_retrys"), "{}", gateway.messages());
    assert_eq!(client.chat("gpt", "hi").text(), "one", "nothing has changed");
    reload(
        &gateway,
        &builder(&two, "gpt").yaml().replace("api_base", "ssl_verify: nowhere.pem\n    api_base"),
    );
    eventually("it is refused, too", || gateway.messages().matches("reload refused").count() == 2);
    assert_eq!(client.chat("gpt", "hi").text(), "one");

    let changed = builder(&two, "gpt").and(group("new").deployment(&two)).yaml();
    reload(&gateway, &changed.replace("sk-right", "sk-other"));
    gateway.wait_for_message("configuration reloaded");
    assert_eq!(client.chat("gpt", "hi").status, 401, "the key is another one");
    let client = client.with_key(Some("sk-other"));
    assert_eq!(client.chat("gpt", "hi").text(), "two", "the same id, another address");
    assert_eq!(client.chat("new", "hi").text(), "two");
    let ids = client.get("/v1/models").json()["data"].as_array().unwrap().len();
    assert_eq!(ids, 2);
}

#[test]
fn a_reload_reads_the_authorities_again() {
    let (old, new) = (Authority::new(), Authority::new());
    let certified = new.certify("localhost");
    let upstream = upstream::openai()
        .tls(&certified.certificate, &certified.key)
        .replies(chat("hello"))
        .start();
    let deployment = openai(&upstream).with("ssl_verify: ca.pem").id("same");
    let gateway = gateway::with(group("gpt").deployment(deployment))
        .router("num_retries: 0\ndisable_cooldowns: true")
        .file("ca.pem", &old.pem())
        .start();
    let client = gateway.client();
    let file = gateway.config_path().with_file_name("ca.pem");
    let reloaded = |count: usize| {
        gateway.signal("HUP");
        let told = || gateway.messages().matches("configuration reloaded").count() == count;
        eventually("the reload is done", told);
    };
    assert_eq!(client.chat("gpt", "hi").status, 502, "another authority is trusted");

    std::fs::write(&file, new.pem()).unwrap();
    reloaded(1);
    assert_eq!(client.chat("gpt", "hi").text(), "hello");
    let connections = upstream.connections();
    reloaded(2);
    assert_eq!(client.chat("gpt", "hi").text(), "hello");
    assert_eq!(upstream.connections(), connections, "nothing has changed: it is kept");

    std::fs::write(&file, old.pem()).unwrap();
    reloaded(3);
    assert_eq!(client.chat("gpt", "hi").status, 502, "the open connection is not used either");

    std::fs::write(&file, "no certificate").unwrap();
    gateway.signal("HUP");
    gateway.wait_for_message("reload refused");
    assert!(gateway.messages().contains("ca.pem"), "{}", gateway.messages());
}

#[test]
fn requests_in_flight_finish_under_the_configuration_they_began_with() {
    let old = upstream::openai()
        .first_replies([rate_limited().retry_after(1)])
        .replies(chat("old"))
        .requires_key("sk-old")
        .start();
    let new = upstream::openai().replies(chat("new")).start();
    let builder = |upstream: &Upstream, key: &str| {
        gateway::with(group("gpt").deployment(openai(upstream).key(key).id("same")))
            .router("num_retries: 1\ndisable_cooldowns: true")
    };
    let gateway = builder(&old, "sk-old").start();
    let client = gateway.client();
    let asked = meanwhile(move || client.chat("gpt", "hi"));
    assert!(old.wait_for_requests(1, patience()), "the first attempt was refused");

    reload(&gateway, &builder(&new, "sk-new").yaml());
    gateway.wait_for_message("configuration reloaded");
    assert_eq!(gateway.client().chat("gpt", "hi").text(), "new");

    assert_eq!(asked.join().unwrap().text(), "old");
    assert!(new.requests().iter().all(|request| request.key() == Some("sk-new")));
}

#[test]
fn no_request_fails_while_the_configuration_changes() {
    let upstreams = [
        upstream::openai().replies(chat("hello")).forgetful().start(),
        upstream::openai().replies(chat("hello")).forgetful().start(),
    ];
    // Everything changes but the group's name.
    let yaml = |round: usize| {
        gateway::with(
            group("gpt").deployment(openai(&upstreams[round % 2]).id(&format!("id-{round}"))),
        )
        .router("num_retries: 0")
        .yaml()
    };
    let gateway = Arc::new(
        gateway::with(group("gpt").deployment(openai(&upstreams[0])))
            .router("num_retries: 0")
            .start(),
    );
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let asking: Vec<_> = (0..4)
        .map(|_| {
            let (client, stop) = (gateway.client(), Arc::clone(&stop));
            let answered = Arc::clone(&answered);
            meanwhile(move || {
                while !stop.load(Ordering::Relaxed) {
                    let reply = client.chat("gpt", "hi");
                    assert_eq!(reply.status, 200, "{}", reply.body_text());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();

    for round in 1..=20 {
        let before = answered.load(Ordering::Relaxed);
        reload(&gateway, &yaml(round));
        eventually("it is taken over", || {
            gateway.messages().matches("configuration reloaded").count() == round
        });
        eventually("requests go on", || {
            asking.iter().any(|one| one.is_finished())
                || answered.load(Ordering::Relaxed) > before + 4
        });
    }
    stop.store(true, Ordering::Relaxed);
    for one in asking {
        one.join().unwrap();
    }
}

#[test]
fn cooldowns_outlive_a_reload() {
    let busy = upstream::openai().replies(rate_limited().retry_after(60)).start();
    let builder = || gateway::with(group("gpt").deployment(&busy)).router("num_retries: 0");
    let gateway = builder().start();
    assert_eq!(gateway.client().chat("gpt", "hi").status, 429);
    assert_eq!(gateway.cooling("gpt"), 1);

    reload(&gateway, &builder().litellm("drop_params: true").yaml());
    gateway.wait_for_message("configuration reloaded");
    assert_eq!(gateway.cooling("gpt"), 1);
    assert_eq!(gateway.client().chat("gpt", "hi").error_code(), "all_deployments_in_cooldown");
    assert_eq!(busy.request_count(), 1);
}

// --- The scripted provider and the demonstration ---

/// A process whose output is read; it is killed when this is dropped.
struct Running {
    child: std::process::Child,
    output: Lines,
}

impl Running {
    #[track_caller]
    fn start(arguments: &[&str]) -> Self {
        let mut command = tollgate(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the executable was built with the tests");
        let output = Lines::of(child.stdout.take().expect("it is piped"));
        Self { child, output }
    }

    /// The first address that it prints.
    #[track_caller]
    fn base(&self) -> String {
        let found = self.output.find(|line| {
            let (_, rest) = line.split_once("http://127.0.0.1:")?;
            let port = rest.split('/').next().unwrap_or(rest).trim();
            Some(format!("http://127.0.0.1:{port}"))
        });
        found.unwrap_or_else(|| panic!("no address in: {}", self.output.text()))
    }

    #[track_caller]
    fn stop(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        eventually_some("its end", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn the_scripted_provider_is_a_tool_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.yaml");
    std::fs::write(
        &script,
        "rules:\n- match: {model: \"limited-*\"}\n  then: {status: 429, retry_after: 60}\n\
         - then: {text: as scripted}\n",
    )
    .unwrap();
    let mut mock = Running::start(&["mock", "--port", "0", "--script", script.to_str().unwrap()]);
    let client = Client::new(&mock.base(), Some("sk-any"));

    assert_eq!(client.chat("gpt-4o", "hi").text(), "as scripted");
    assert_eq!(client.stream("gpt-4o", "hi").text(), "as scripted");
    let limited = client.chat("limited-1", "hi");
    assert_eq!((limited.status, limited.header("retry-after")), (429, "60"));
    assert_eq!(client.chat("mock-500", "hi").status, 500);
    let by_header = client.ask("gpt-4o", "hi").header("x-mock-script", "503").send();
    assert_eq!(by_header.status, 503);
    let azure = "/openai/deployments/any/chat/completions?api-version=2024-10-21";
    let body = json!({"messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(client.post(azure).json(&body).send().text(), "as scripted");
    let anthropic = json!({"model": "claude", "max_tokens": 9, "messages": body["messages"]});
    let reply = client
        .post("/v1/messages")
        .header("anthropic-version", "2023-06-01")
        .json(&anthropic)
        .send();
    assert_eq!(reply.json()["content"][0]["text"], "as scripted");
    assert_eq!(mock.stop(), Some(0));
}

#[test]
fn a_bad_script_is_64() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.yaml");
    std::fs::write(&script, "rules:\n- then: {stats: 429}\n").unwrap();
    let path = script.to_str().unwrap();
    let (code, text) = outcome(tollgate(&["mock", "--port", "0", "--script", path]));
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains("stats") && text.contains("status"), "the nearest word is named: {text}");
    let (code, text) = outcome(tollgate(&["mock", "--port", "0", "--script", "/nothing.yaml"]));
    assert_eq!(code, Some(64), "{text}");
}

#[test]
fn the_demonstration_works_as_it_says() {
    let mut demo = Running::start(&["demo", "--port", "0"]);
    let base = demo.base();
    assert!(!base.ends_with(":0"), "an address to be pasted: {base}");
    let client = Client::new(&base, Some("anything"));

    for model in ["gpt-4o-mini", "claude-sonnet-4-5", "azure-gpt-4o", "flaky", "broken"] {
        let reply = client.chat(model, "hello");
        assert_eq!(reply.status, 200, "{model}: {}", reply.body_text());
        assert!(reply.text().contains("hello"), "{model}: {}", reply.text());
    }
    let stream = client.stream("claude-sonnet-4-5", "hello");
    assert!(stream.text().contains("hello") && stream.ended_with_done);
    assert_eq!(client.chat("mock-429", "hi").status, 429);
    assert!(client.stream("mock-cut-3", "hi").error.is_some());
    for page in ["/", "/health", "/metrics", "/v1/models"] {
        assert_eq!(client.get(page).status, 200, "{page}");
        assert!(demo.output.text().contains(&format!("{base}{page}")), "{page} is announced");
    }
    demo.output.find(|line| line.contains("\"request_id\"").then_some(())).expect("an access log");
    assert_eq!(demo.stop(), Some(0));
}
