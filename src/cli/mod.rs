//! The command line: LiteLLM's forms and Tollgate's own commands.
//!
//! `tollgate --config FILE` is `tollgate serve --config FILE`. Exit codes: 0, 64 for a bad
//! configuration (or script), 1 for a failed start, 2 for a command line that is not understood.

mod check;
mod demo;
mod explain;
mod import;
mod mock;
mod serve;
mod upgrade;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The configuration is bad (EX_USAGE of sysexits.h).
pub(crate) const BAD_CONFIG: u8 = 64;

/// The start failed.
pub(crate) const START_FAILED: u8 = 1;

#[derive(Parser)]
#[command(
    name = "tollgate",
    version,
    about = "An edge proxy for LLM APIs",
    args_conflicts_with_subcommands = true,
    disable_version_flag = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Arguments,
    /// Print the version
    #[arg(long, short = 'v', visible_short_alias = 'V', action = clap::ArgAction::Version)]
    version: Option<bool>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway (also without this word, as LiteLLM is started)
    Serve(serve::Arguments),
    /// Check a configuration file: every problem in one run
    Check(check::Arguments),
    /// Run the gateway on scripted providers: no key, no database, no internet
    Demo(demo::Arguments),
    /// Run a scripted provider, to rehearse failures
    Mock(mock::Arguments),
    /// Let a new process, of the version that is installed now, take over from the running one
    Upgrade(upgrade::Arguments),
    /// Show for a request which deployments would serve it and why, calling nobody
    Explain(explain::Arguments),
    /// Bring over keys, users, teams, budgets and spend from elsewhere
    Import(import::Arguments),
    /// List every configuration option and what becomes of it
    Options,
}

/// Runs the command of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        None => serve::run(cli.serve),
        Some(Command::Serve(arguments)) => serve::run(arguments),
        Some(Command::Check(arguments)) => check::run(&arguments),
        Some(Command::Demo(arguments)) => demo::run(&arguments),
        Some(Command::Mock(arguments)) => mock::run(arguments),
        Some(Command::Upgrade(arguments)) => upgrade::run(&arguments),
        Some(Command::Explain(arguments)) => explain::run(&arguments),
        Some(Command::Import(arguments)) => import::run(arguments),
        Some(Command::Options) => {
            out(&crate::config::options::plain());
            ExitCode::SUCCESS
        }
    }
}

/// Writes to standard output. A closed pipe (`tollgate options | head`) is no failure.
fn out(text: &str) {
    use std::io::Write;
    drop(std::io::stdout().lock().write_all(text.as_bytes()));
}

/// Writes to standard error.
fn complain(text: &str) {
    use std::io::Write;
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn litellms_form_is_serve() {
        let cli = Cli::parse_from(["tollgate", "--config", "a.yaml", "--port", "8000"]);
        assert!(cli.command.is_none());
        assert_eq!(cli.serve.port, Some(8000));
        let cli = Cli::parse_from(["tollgate", "serve", "--config", "a.yaml"]);
        assert!(matches!(cli.command, Some(Command::Serve(_))));
    }
}
