//! `tollgate serve`: the gateway on a configuration file, or on one model from environment keys.

use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::{BAD_CONFIG, START_FAILED, complain};
use crate::config::{self, Env, Loaded, ProcessEnv};
use crate::edge::ListenAt;
use crate::edge::handover::Predecessor;
use crate::server;
use crate::telemetry::logging;

/// LiteLLM's.
const DEFAULT_PORT: u16 = 4000;

/// The flags, spelled as LiteLLM spells them; a dash may stand for each underscore.
#[derive(Args, Clone, Debug)]
pub(super) struct Arguments {
    /// Configuration file [env: CONFIG_FILE_PATH]
    #[arg(long, short = 'c', value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Listen here; may be given several times ("unix:/run/x.sock", "0.0.0.0:443 proxy_protocol")
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Vec<ListenAt>,
    /// Address to listen on [default: what the file says, else 0.0.0.0]
    #[arg(long, value_name = "ADDRESS", env = "HOST")]
    pub host: Option<String>,
    /// Port to listen on; 0 picks a free one [default: what the file says, else 4000]
    #[arg(long, short = 'p', env = "PORT")]
    pub port: Option<u16>,
    /// Quick start without a file: one model, with its key from the environment
    #[arg(
        long,
        short = 'm',
        value_name = "PROVIDER/MODEL",
        conflicts_with = "config",
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub model: Option<String>,
    /// Quick start: the name that clients use for the model
    #[arg(
        long,
        value_name = "NAME",
        requires = "model",
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub alias: Option<String>,
    /// Quick start: base URL of the provider
    #[arg(
        long = "api_base",
        alias = "api-base",
        value_name = "URL",
        requires = "model",
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub api_base: Option<String>,
    /// Quick start: Azure's API version
    #[arg(long = "api_version", alias = "api-version", value_name = "V", requires = "model")]
    pub api_version: Option<String>,
    /// Quick start: seconds that one attempt may take
    #[arg(
        long = "request_timeout",
        alias = "request-timeout",
        value_name = "S",
        requires = "model",
        allow_negative_numbers = true,
        value_parser = timeout
    )]
    pub request_timeout: Option<f64>,
    /// Quick start: drop parameters that the provider has no word for
    #[arg(long = "drop_params", alias = "drop-params", requires = "model")]
    pub drop_params: bool,
    /// Worker threads [default: one for each processor]
    #[arg(long = "num_workers", alias = "num-workers", env = "NUM_WORKERS", value_name = "N")]
    pub num_workers: Option<std::num::NonZeroUsize>,
    /// Log decisions, not only events
    #[arg(long)]
    pub debug: bool,
    /// Log everything but secrets and bodies
    #[arg(long = "detailed_debug", alias = "detailed-debug")]
    pub detailed_debug: bool,
    /// Certificate for TLS (PEM)
    #[arg(
        long = "ssl_certfile_path",
        alias = "ssl-certfile-path",
        value_name = "FILE",
        requires = "ssl_keyfile_path",
        env = "SSL_CERTFILE_PATH"
    )]
    pub ssl_certfile_path: Option<String>,
    /// Key of the certificate (PEM)
    #[arg(
        long = "ssl_keyfile_path",
        alias = "ssl-keyfile-path",
        value_name = "FILE",
        requires = "ssl_certfile_path",
        env = "SSL_KEYFILE_PATH"
    )]
    pub ssl_keyfile_path: Option<String>,
    /// Listen for `tollgate upgrade` on this Unix socket
    #[arg(
        long = "control_socket",
        alias = "control-socket",
        value_name = "PATH",
        env = "TOLLGATE_CONTROL_SOCKET"
    )]
    pub control_socket: Option<PathBuf>,
}

impl Arguments {
    /// Plain HTTP on loopback.
    pub(super) fn loopback(port: u16) -> Self {
        Self {
            config: None,
            listen: Vec::new(),
            host: Some(Ipv4Addr::LOCALHOST.to_string()),
            port: Some(port),
            model: None,
            alias: None,
            api_base: None,
            api_version: None,
            request_timeout: None,
            drop_params: false,
            num_workers: None,
            debug: false,
            detailed_debug: false,
            ssl_certfile_path: None,
            ssl_keyfile_path: None,
            control_socket: None,
        }
    }
}

pub(super) fn run(arguments: Arguments) -> ExitCode {
    let path = arguments.config.clone().or_else(|| {
        ProcessEnv.var("CONFIG_FILE_PATH").filter(|_| arguments.model.is_none()).map(PathBuf::from)
    });
    let loaded = match (&path, &arguments.model) {
        (Some(path), _) => config::load(path, &ProcessEnv),
        (None, Some(model)) => {
            let options = config::QuickStart {
                alias: arguments.alias.clone(),
                api_base: arguments.api_base.clone(),
                api_version: arguments.api_version.clone(),
                request_timeout: arguments.request_timeout,
                drop_params: arguments.drop_params,
            };
            config::quick_start(model, &options, &ProcessEnv)
        }
        (None, None) => {
            complain(
                "tollgate: nothing to serve\n\
                 help: tollgate --config FILE, tollgate --model PROVIDER/MODEL, or, without any \
                 key, tollgate demo\n",
            );
            return ExitCode::from(BAD_CONFIG);
        }
    };
    serve(loaded, &arguments, path, None)
}

/// What `tollgate demo` adds.
pub(super) struct Demonstration {
    /// The providers.
    pub demo: crate::mock::Demo,
    /// Called as soon as requests are taken.
    pub greet: fn(SocketAddr),
}

/// Runs the server on what was loaded; shared with `tollgate demo`.
pub(super) fn serve(
    mut loaded: Loaded,
    arguments: &Arguments,
    config: Option<PathBuf>,
    demonstration: Option<Demonstration>,
) -> ExitCode {
    if loaded.snapshot.is_some() {
        // The log says it when the gateway starts, and is where it is looked for later.
        loaded.problems.retain(|problem| !problem.is_lack_of_master_key());
    }
    let json = loaded.snapshot.as_ref().is_some_and(|snapshot| snapshot.logs.json);
    if !json {
        let colour = std::io::stderr().is_terminal();
        let (report, _) = config::report(&loaded.problems, false, colour);
        complain(&report);
    }
    let Some(snapshot) = loaded.snapshot else { return ExitCode::from(BAD_CONFIG) };
    let level = match (arguments.detailed_debug, arguments.debug) {
        (true, _) => "trace",
        (false, true) => "debug",
        (false, false) => &snapshot.logs.level,
    };
    if let Err(error) = logging::init(level, json, |name| ProcessEnv.var(name)) {
        complain(&format!("tollgate: {error}\n"));
        return ExitCode::from(START_FAILED);
    }
    if json {
        // Who reads the log then takes nothing else.
        loaded.problems.iter().for_each(config::Problem::log);
    }
    let written = arguments.host.as_deref().unwrap_or("0.0.0.0");
    let Some(host) = parse_host(written) else {
        complain(&format!("tollgate: --host {written} is not an IP address\n"));
        return ExitCode::from(START_FAILED);
    };
    let predecessor = match Predecessor::of_this_process() {
        Ok(predecessor) => predecessor,
        Err(error) => {
            complain(&format!("tollgate: cannot take over from the process before: {error}\n"));
            return ExitCode::from(START_FAILED);
        }
    };
    let options = server::Options {
        listen: arguments.listen.clone(),
        host,
        port: arguments.port.unwrap_or(DEFAULT_PORT),
        placed: arguments.host.is_some() || arguments.port.is_some(),
        threads: arguments.num_workers.map(std::num::NonZeroUsize::get),
        config,
        outline: loaded.outline,
        files: loaded.files,
        tls: arguments.ssl_certfile_path.clone().zip(arguments.ssl_keyfile_path.clone()),
        control_socket: arguments.control_socket.clone(),
        predecessor,
        greet: demonstration.as_ref().map(|it| it.greet),
        demo: demonstration.map(|it| it.demo),
    };
    match server::run(snapshot, options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("tollgate: {error}\n"));
            ExitCode::from(START_FAILED)
        }
    }
}

/// Seconds of a timeout. Zero would fail every request.
fn timeout(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite() && *seconds > 0.0);
    seconds.ok_or_else(|| "must be a number of seconds above 0".to_owned())
}

fn parse_host(host: &str) -> Option<IpAddr> {
    if host == "localhost" {
        return Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    host.trim_matches(['[', ']']).parse().ok()
}
