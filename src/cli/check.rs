//! `tollgate check FILE`: what a reviewer, `ExecReload` and CI ask before a file goes live.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::out;
use crate::config::{self, ProcessEnv};

#[derive(Args)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(value_name = "FILE", required_unless_present = "config")]
    file: Option<PathBuf>,
    /// The same as a flag
    #[arg(long, short = 'c', value_name = "FILE", conflicts_with = "file", hide = true)]
    config: Option<PathBuf>,
    /// Take warnings for errors
    #[arg(long)]
    strict: bool,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let Some(file) = arguments.file.as_ref().or(arguments.config.as_ref()) else {
        return ExitCode::from(super::BAD_CONFIG);
    };
    let loaded = config::load(file, &ProcessEnv);
    let colour = std::io::stdout().is_terminal();
    let (report, code) = config::report(&loaded.problems, arguments.strict, colour);
    out(&report);
    out(&format!("{}\n", loaded.summary(&file.display().to_string(), arguments.strict)));
    ExitCode::from(code)
}
