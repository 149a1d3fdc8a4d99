//! `tollgate import litellm`: keys, users, teams, budgets and spend of a LiteLLM proxy, brought over.
//!
//! Reads LiteLLM's database and writes to the one of the configuration; the gateway may run meanwhile.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::{BAD_CONFIG, START_FAILED, complain, out};
use crate::config::{self, ProcessEnv};
use crate::keys::StoreError;
use crate::secret::Secret;
use crate::spend::ScopeKind;
use crate::store::litellm::{Import, Litellm, Report, bring_over};
use crate::store::{Database, Place};

#[derive(Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    from: From,
}

#[derive(Subcommand)]
enum From {
    /// From the PostgreSQL database of a LiteLLM proxy
    Litellm(FromLitellm),
}

#[derive(Args)]
struct FromLitellm {
    /// LiteLLM's database: postgresql://USER:PASSWORD@HOST:PORT/DATABASE. It is only read
    #[arg(
        long,
        value_name = "URL",
        env = "LITELLM_DATABASE_URL",
        hide_env_values = true,
        required = true
    )]
    database_url: String,
    /// Tollgate's configuration file, which says where its own database is
    #[arg(long, short = 'c', value_name = "FILE")]
    config: Option<PathBuf>,
    /// Say what would be done, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Replace records that are here already and differ; without it they are left as they are
    #[arg(long)]
    overwrite: bool,
}

pub(super) fn run(arguments: Arguments) -> ExitCode {
    let From::Litellm(arguments) = arguments.from;
    let place = match place(&arguments) {
        Ok(place) => place,
        Err(code) => return code,
    };
    let how = Import { dry_run: arguments.dry_run, overwrite: arguments.overwrite };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(import(arguments.database_url.into(), place, how)),
        Err(error) => Err(error.to_string()),
    };
    match done {
        Ok(report) => {
            out(&report);
            ExitCode::SUCCESS
        }
        Err(problem) => {
            complain(&format!("tollgate import: {problem}\n"));
            ExitCode::from(START_FAILED)
        }
    }
}

async fn import(url: std::sync::Arc<str>, place: Place, how: Import) -> Result<String, String> {
    let of = |whose: &'static str| move |error: StoreError| format!("{whose}: {error}");
    let from = Litellm::open(&Secret::new(url)).await.map_err(of("LiteLLM's database"))?;
    let shown = match &place {
        Place::File(path) => path.display().to_string(),
        Place::Postgres { .. } => "Tollgate's PostgreSQL".to_owned(),
    };
    let database = Database::new(place);
    database.ping().await.map_err(of("Tollgate's database"))?;
    let report = bring_over(&from, &database, how, Timestamp::now()).await;
    let report = report.map_err(|error| error.to_string())?;
    Ok(written(&report, from.place(), &shown, how))
}

const fn plural(kind: ScopeKind) -> &'static str {
    match kind {
        ScopeKind::Proxy => "the proxy as a whole",
        ScopeKind::Organisation => "organisations",
        ScopeKind::Team => "teams",
        ScopeKind::TeamMember => "members of teams",
        ScopeKind::User => "users",
        ScopeKind::Key => "keys",
        ScopeKind::EndUser => "customers",
        ScopeKind::Tag => "tags",
        ScopeKind::Model => "models",
        ScopeKind::KeyModel => "models of keys",
        ScopeKind::TeamModel => "models of teams",
        ScopeKind::Provider => "providers",
        ScopeKind::Deployment => "deployments",
    }
}

/// The report as a person reads it.
fn written(report: &Report, from: &str, to: &str, how: Import) -> String {
    let mut text = format!("LiteLLM at {from} -> {to}\n\n");
    let mut row = |cells: [String; 7]| {
        let [word, numbers @ ..] = cells;
        let line =
            numbers.iter().fold(format!("{word:<14}"), |line, cell| line + &format!("{cell:>10}"));
        text += line.trim_end();
        text.push('\n');
    };
    row(["", "found", "new", "replaced", "same", "left", "skipped"].map(str::to_owned));
    for (word, tally) in &report.tallies {
        let numbers =
            [tally.found, tally.new, tally.replaced, tally.same, tally.left, tally.skipped];
        let [a, b, c, d, e, f] = numbers.map(|number| number.to_string());
        row([(*word).to_owned(), a, b, c, d, e, f]);
    }
    text.push('\n');
    let left: u64 = report.tallies.iter().map(|(_, tally)| tally.left).sum();
    if left > 0 {
        text +=
            "left: they were here already and differ; --overwrite makes them as LiteLLM has them\n";
    }
    for (kind, pico) in &report.spend {
        // For people: sums are kept as integers.
        let dollars = *pico as f64 / 1e12;
        // Writing to a string does not fail.
        let _never = writeln!(text, "spend of {}: {dollars:.6} US dollars added", plural(*kind));
    }
    if !report.findings.is_empty() {
        text += "\nNot as it was in LiteLLM:\n";
        for (what, (count, named)) in &report.findings {
            let more = if *count > named.len() as u64 { ", ..." } else { "" };
            let _never = writeln!(text, "  {count} x {what} ({}{more})", named.join(", "));
        }
    }
    text += match (how.dry_run, report.is_unchanged()) {
        (_, true) => "\nEverything is here already: nothing is changed.\n",
        (true, false) => "\nA dry run: nothing was written.\n",
        (false, false) => "\nDone. Keys of LiteLLM's open Tollgate now.\n",
    };
    text
}

/// Where Tollgate's own database is: as the gateway itself finds it.
fn place(arguments: &FromLitellm) -> Result<Place, ExitCode> {
    let loaded = match &arguments.config {
        Some(file) => config::load(file, &ProcessEnv),
        None => config::load_text(Path::new("(no file)"), "model_list: []", &ProcessEnv),
    };
    match loaded.snapshot {
        Some(snapshot) => Ok(snapshot.store.place),
        None => {
            complain(&config::report(&loaded.problems, false, false).0);
            Err(ExitCode::from(BAD_CONFIG))
        }
    }
}
