//! `tollgate mock`: a scripted provider, to rehearse failures against any gateway.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::complain;
use crate::mock::{self, MockOptions};

#[derive(Args)]
pub(super) struct Arguments {
    /// Port to listen on; 0 picks a free one
    #[arg(long, short = 'p', default_value_t = 4010)]
    port: u16,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Script of rules and replies (YAML; see conf/mock-script.yaml)
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Wait before every reply that the script does not time
    #[arg(long, value_name = "MS")]
    latency_ms: Option<u64>,
    /// Pace of every stream that the script does not pace
    #[arg(long, value_name = "N")]
    tokens_per_second: Option<f64>,
    /// Certificate for TLS (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Threads that serve
    #[arg(long, default_value_t = 1, value_name = "N")]
    threads: usize,
}

pub(super) fn run(arguments: Arguments) -> ExitCode {
    let options = MockOptions {
        host: arguments.host,
        port: arguments.port,
        script: arguments.script,
        latency_ms: arguments.latency_ms,
        tokens_per_second: arguments.tokens_per_second,
        tls: arguments.tls_cert.zip(arguments.tls_key),
        threads: arguments.threads,
    };
    match mock::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("tollgate mock: {error}\n"));
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(super::START_FAILED))
        }
    }
}
