//! The scripted upstream of the benchmark: `upstream --listen 127.0.0.1:9000`.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tollgate_load::upstream::{Settings, Upstream};
use tollgate_load::{loopback, raise_file_limit};

/// A chat provider that answers at once from memory; `GET /stats` tells what it has cost
#[derive(Parser)]
struct Arguments {
    /// Where to listen; a loopback address
    #[arg(long, value_parser = loopback, default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// Milliseconds between two frames of a stream that trickles
    #[arg(long, default_value_t = 1_000)]
    trickle_ms: u64,
    /// Content frames of a stream that trickles
    #[arg(long, default_value_t = 600)]
    trickle_frames: u32,
    /// Seconds between two lines of counts on stderr; 0 for none
    #[arg(long, default_value_t = 5)]
    report: u64,
    /// Seconds after which the process ends by itself
    #[arg(long, default_value_t = 7_200)]
    lifetime: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    raise_file_limit();
    let settings = Settings {
        trickle_every: Duration::from_millis(arguments.trickle_ms.max(1)),
        trickle_frames: arguments.trickle_frames,
        report_every: (arguments.report > 0).then(|| Duration::from_secs(arguments.report)),
        lifetime: Duration::from_secs(arguments.lifetime),
    };
    match Upstream::bind(arguments.listen, settings).and_then(|mut upstream| upstream.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("upstream: {}: {error}", arguments.listen);
            ExitCode::FAILURE
        }
    }
}
