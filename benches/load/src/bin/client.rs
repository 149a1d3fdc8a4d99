//! The load generator of the benchmark: `client load` and `client streams`. One line of JSON on
//! stdout is the result.

use std::io::{self, BufRead as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::Value;
use tollgate_load::load::{self, Generator};
use tollgate_load::reply::Kind;
use tollgate_load::request::Wanted;
use tollgate_load::script::{CONTENT_FRAMES, Pace};
use tollgate_load::{loopback, process_cpu, raise_file_limit, streams};

const SECONDS_MAX: f64 = 7_200.0;
const CONNECTIONS_MAX: usize = 20_000;

/// Loads a gateway on this machine and checks every reply
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Requests as fast as the replies come, or at a constant rate
    Load(Load),
    /// Streams that stay open
    Streams(Streams),
}

#[derive(Args)]
struct Common {
    /// Address of the gateway; a loopback address
    #[arg(long, value_parser = loopback)]
    target: SocketAddr,
    #[arg(long, default_value = "/v1/chat/completions")]
    path: String,
    #[arg(long, default_value = "sk-bench")]
    key: String,
    #[arg(long, default_value = "bench")]
    model: String,
    /// Size of the user's message in bytes
    #[arg(long, default_value_t = 1_024)]
    prompt_bytes: usize,
}

#[derive(Args)]
struct Load {
    #[command(flatten)]
    common: Common,
    #[arg(long, default_value_t = 1)]
    connections: usize,
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Load before the measurement, not counted
    #[arg(long, default_value_t = 0.5)]
    warmup: f64,
    /// Requests after which the run ends
    #[arg(long, default_value_t = 1_000_000_000)]
    requests_max: u64,
    /// Requests per second; without it, each connection waits for its reply (closed loop)
    #[arg(long)]
    rate: Option<u32>,
    #[arg(long, value_enum, default_value_t = KindName::Json)]
    kind: KindName,
    /// Each frame of a streamed reply in a write of its own at the upstream
    #[arg(long)]
    frame_by_frame: bool,
    /// Frames with JSON a streamed reply must have
    #[arg(long, default_value_t = CONTENT_FRAMES)]
    frames: usize,
    /// Goes away in the middle of every so manieth reply of a connection
    #[arg(long)]
    abandon_every: Option<u64>,
    /// Prints `ready` after the warm-up and waits for a line on stdin
    #[arg(long)]
    handshake: bool,
}

#[derive(Args)]
struct Streams {
    #[command(flatten)]
    common: Common,
    #[arg(long, default_value_t = 1_000)]
    streams: usize,
    /// Seconds to hold them
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
}

#[derive(Clone, Copy, ValueEnum)]
enum KindName {
    Json,
    Sse,
}

fn main() -> ExitCode {
    raise_file_limit();
    let result = match Arguments::parse().command {
        Command::Load(options) => load(&options),
        Command::Streams(options) => hold(&options),
    };
    match result {
        Ok(value) => {
            println!("{value}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("client: {error}");
            ExitCode::FAILURE
        }
    }
}

fn load(options: &Load) -> io::Result<Value> {
    let kind = match options.kind {
        KindName::Json => Kind::Json,
        KindName::Sse => Kind::Sse,
    };
    let pace = if options.frame_by_frame { Pace::Frames } else { Pace::Burst };
    let mut generator = Generator::new(load::Plan {
        target: options.common.target,
        request: options.common.request(kind, pace),
        kind,
        frames: options.frames,
        connections: bounded(options.connections)?,
        rate: options.rate,
        requests_max: options.requests_max,
        abandon_every: options.abandon_every,
    })?;
    let seconds = time(options.seconds)?;
    let warmup = generator.run(time(options.warmup)?)?;
    if options.handshake {
        println!("ready");
        io::stdout().flush()?;
        io::stdin().lock().read_line(&mut String::new())?;
    }
    let cpu = process_cpu();
    let tally = generator.run(seconds)?;
    let mut value = tally.json();
    value["client_cpu_us"] = ((process_cpu() - cpu).as_secs_f64() * 1e6).into();
    value["warmup_complete"] = warmup.complete.into();
    value["warmup_faults"] = warmup.faults.into();
    Ok(value)
}

fn hold(options: &Streams) -> io::Result<Value> {
    let plan = streams::Plan {
        target: options.common.target,
        request: options.common.request(Kind::Sse, Pace::Trickle),
        streams: bounded(options.streams)?,
        hold: time(options.seconds)?,
    };
    streams::hold(&plan, |open| {
        println!("open {open}");
        // The driver waits for this line; if nobody does, there is nothing to repair.
        io::stdout().flush().ok();
    })
}

impl Common {
    fn request(&self, kind: Kind, pace: Pace) -> Vec<u8> {
        Wanted {
            target: self.target,
            path: &self.path,
            key: &self.key,
            model: &self.model,
            kind,
            pace,
            prompt_bytes: self.prompt_bytes,
        }
        .bytes()
    }
}

fn time(seconds: f64) -> io::Result<Duration> {
    if !(0.0..=SECONDS_MAX).contains(&seconds) {
        return Err(io::Error::other(format!("{seconds} s: the limit is {SECONDS_MAX} s")));
    }
    Ok(Duration::from_secs_f64(seconds))
}

fn bounded(connections: usize) -> io::Result<usize> {
    if !(1..=CONNECTIONS_MAX).contains(&connections) {
        return Err(io::Error::other(format!(
            "{connections}: 1 to {CONNECTIONS_MAX} are possible"
        )));
    }
    Ok(connections)
}
