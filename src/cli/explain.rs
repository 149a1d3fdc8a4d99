//! `tollgate explain --config FILE --request FILE`: where a request would go, and why. The state is
//! that of a gateway that has just begun; `POST /routing/explain` asks a running one.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{complain, out};
use crate::config::{self, ProcessEnv};
use crate::gateway::explain;
use crate::routing;

#[derive(Args)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(long, short = 'c', value_name = "FILE")]
    config: PathBuf,
    /// The body of the request, as JSON; `-` is standard input
    #[arg(long, short = 'r', value_name = "FILE")]
    request: PathBuf,
    /// A header of the request, as `name: value`; may be repeated
    #[arg(long, short = 'H', value_name = "HEADER", value_parser = header)]
    header: Vec<(HeaderName, HeaderValue)>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

fn header(written: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = written.split_once(':').ok_or("write `name: value`")?;
    let name = name.trim().parse().map_err(|_| format!("`{name}` is no name of a header"))?;
    let value =
        value.trim().parse().map_err(|_| "the value cannot stand in a header".to_owned())?;
    Ok((name, value))
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let loaded = config::load(&arguments.config, &ProcessEnv);
    let Some(snapshot) = loaded.snapshot else {
        let (report, code) = config::report(&loaded.problems, false, false);
        complain(&report);
        return ExitCode::from(code);
    };
    let body = match read(&arguments.request) {
        Ok(body) => body,
        Err(error) => {
            let name = arguments.request.display();
            complain(&format!("cannot read the request `{name}`: {error}\n"));
            return ExitCode::from(super::START_FAILED);
        }
    };
    let headers: HeaderMap = arguments.header.iter().cloned().collect();
    let state = routing::State::new(Instant::now());
    match explain::explain(Arc::new(snapshot), &state, &headers, Bytes::from(body)) {
        Ok(explained) => {
            let text = if arguments.json {
                format!("{:#}\n", explain::json(&explained))
            } else {
                explain::table(&explained)
            };
            out(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&format!("{}\n", error.message()));
            ExitCode::from(super::START_FAILED)
        }
    }
}

fn read(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if path.as_os_str() == "-" {
        std::io::stdin().lock().read_to_end(&mut body)?;
    } else {
        body = std::fs::read(path)?;
    }
    Ok(body)
}
