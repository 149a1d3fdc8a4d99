//! A new configuration file becomes the snapshot in force, or changes nothing.
//!
//! Whatever asks for a reload (SIGHUP, a changed file, `POST /config/reload`) ends in
//! [`Reload::reload`], one at a time. Everything that can fail is done before the first change.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

mod stored;

use crate::admin::Operations;
use crate::admin::config::{Changes, LastReload, ReloadOutcome};
use crate::catalog::{Catalog, Deployment, DeploymentId};
use crate::config::{self, Outline};
use crate::edge::{Certificate, CertificateFiles};
use crate::identity::Identities;
use crate::keys::record::Model;
use crate::routing;
use crate::seal::Seal;
use crate::snapshot::Snapshot;
use crate::telemetry::{Metrics, ReloadResult};
use crate::upstream::Upstreams;

pub use self::stored::Stored;

/// Options that are looked at while the process starts, and not again.
const NEEDS_RESTART: [&str; 27] = [
    "database",
    "environment_variables.DATABASE_URL",
    "general_settings.database_connection_pool_limit",
    "general_settings.database_disable_prepared_statements",
    "general_settings.database_url",
    "general_settings.listen",
    "general_settings.user_api_key_cache_max_size",
    "litellm_settings.cache_params",
    "litellm_settings.json_logs",
    "litellm_settings.log_file_path",
    "litellm_settings.log_level",
    "litellm_settings.log_to_file",
    "litellm_settings.set_verbose",
    "router_settings.redis_db",
    "router_settings.redis_host",
    "router_settings.redis_password",
    "router_settings.redis_port",
    "router_settings.redis_url",
    "environment_variables.LITELLM_LOG",
    "environment_variables.REDIS_HOST",
    "environment_variables.REDIS_PASSWORD",
    "environment_variables.REDIS_PORT",
    "environment_variables.REDIS_SSL",
    "environment_variables.REDIS_URL",
    "environment_variables.REDIS_USERNAME",
    "environment_variables.STATE_DIRECTORY",
    "environment_variables.XDG_STATE_HOME",
];

/// Options that begin or end TLS where one was without or with it.
const TLS: [&str; 2] = ["general_settings.ssl_certfile_path", "general_settings.ssl_keyfile_path"];

/// How many names a log line lists; the rest is counted.
const NAMES_MAX: usize = 20;

/// What a reload reads and replaces.
pub struct Reload {
    /// `None` if there is no file: quick start.
    pub config: Option<PathBuf>,
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    pub upstreams: Arc<Upstreams>,
    pub identities: Arc<Identities>,
    pub routing: Arc<routing::State>,
    pub metrics: Arc<Metrics>,
    /// `None`: the listeners do not speak TLS.
    pub certificate: Option<Arc<Certificate>>,
    /// Only this machine can reach the listeners.
    pub loopback: bool,
    pub known: Mutex<Known>,
    /// Deployments of the database, behind those of the file.
    pub stored: Mutex<Stored>,
    /// Set after each reload, whatever became of it.
    pub reloaded: watch::Sender<Option<LastReload>>,
}

/// What is kept of the files that were read last.
#[derive(Debug)]
pub struct Known {
    /// Of the configuration that the process was started with.
    started: Outline,
    /// Of the configuration in force.
    outline: Outline,
    /// The files to watch: also those that a refused configuration names.
    pub files: Vec<PathBuf>,
    /// A hash of what was in them; `None` if that is not known.
    contents: Option<u64>,
}

impl Known {
    /// What the process was started with.
    #[must_use]
    pub fn new(outline: Outline, files: Vec<PathBuf>, catalog: &Catalog) -> Self {
        let files = with_authorities(files, catalog);
        let contents = Some(contents(&files));
        Self { started: outline.clone(), outline, files, contents }
    }
}

/// The files, and those of the authorities that deployments trust.
fn with_authorities(mut files: Vec<PathBuf>, catalog: &Catalog) -> Vec<PathBuf> {
    for authority in catalog.deployments().iter().filter_map(|one| one.target.ca_file.as_ref()) {
        let file = PathBuf::from(&**authority);
        if !files.contains(&file) {
            files.push(file);
        }
    }
    files
}

/// A hash of what is in the files. A file that is not there has no content, which is one, too.
fn contents(files: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        fs::read(file).ok().hash(&mut hasher);
    }
    hasher.finish()
}

impl Operations for Reload {
    fn reload(&self) -> ReloadOutcome {
        self.reload("request")
    }

    fn check_deployments(&self, models: &[Model], changed: &str) -> Result<(), Vec<String>> {
        let Some(path) = &self.config else {
            return Err(vec!["the gateway was started without a configuration file".to_owned()]);
        };
        let stored = self.opened(models);
        let (loaded, left_out) = stored.load(path);
        if let Some(one) = left_out.into_iter().find(|one| *one.id == *changed) {
            return Err(one.problems);
        }
        let is_removed = !models.iter().any(|model| model.model_id == changed);
        let served = |catalog: &Catalog| catalog.deployments().iter().any(|it| *it.id == *changed);
        match &loaded.snapshot {
            Some(snapshot) if is_removed || served(&snapshot.catalog) => Ok(()),
            // Where invalid deployments are tolerated, this one would not be there.
            Some(_) => Err(stored.problems(changed, &loaded.problems)),
            // Nobody misses what is not in force.
            None if is_removed && !served(&self.snapshot.load().catalog) => Ok(()),
            None => Err(Refusal::of(&loaded.problems).lines),
        }
    }

    fn use_deployments(&self, models: &[Model]) -> ReloadOutcome {
        let opened = self.opened(models);
        let mut stored = self.stored.lock();
        if *stored == opened {
            return ReloadOutcome::Done(Changes::default());
        }
        *stored = opened;
        drop(stored);
        self.reload("database")
    }

    fn file(&self) -> Option<String> {
        self.config.as_ref().map(|path| path.display().to_string())
    }

    fn options(&self) -> Vec<(Box<str>, Option<Box<str>>)> {
        let known = self.known.lock();
        let shown = known.outline.shown();
        shown.map(|(name, value)| (name.into(), value.map(Into::into))).collect()
    }

    fn last_reload(&self) -> Option<LastReload> {
        *self.reloaded.borrow()
    }

    fn warnings(&self) -> Vec<Arc<str>> {
        self.snapshot.load().warnings.clone()
    }
}

impl Reload {
    /// Reads the file again and swaps the snapshot if the file is good. Requests in flight finish
    /// on the snapshot they began with. `cause` is for the log. Blocks: it reads files.
    pub fn reload(&self, cause: &'static str) -> ReloadOutcome {
        let Some(path) = &self.config else {
            tracing::warn!(cause, "there is no configuration file to reload");
            return ReloadOutcome::NoFile;
        };
        // Held to the end: of two reloads the one that read the file later has to win.
        let mut known = self.known.lock();
        let outcome = self.replace(path, &mut known);
        drop(known);
        let file = path.display();
        let result = match &outcome {
            Ok(changes) if changes.is_empty() => {
                tracing::info!(%file, cause, "configuration reloaded: nothing has changed");
                ReloadResult::Unchanged
            }
            Ok(changes) => {
                tell(path, cause, changes);
                ReloadResult::Success
            }
            Err(refusal) => {
                let problems = &refusal.report;
                tracing::error!(%file, cause, %problems, "reload refused: nothing is changed");
                ReloadResult::Failure
            }
        };
        let at = SystemTime::now();
        self.metrics.reloaded(result, at);
        self.reloaded.send_replace(Some(LastReload { at, succeeded: outcome.is_ok() }));
        match outcome {
            Ok(changes) => ReloadOutcome::Done(changes),
            Err(refusal) => ReloadOutcome::Refused(refusal.lines),
        }
    }

    /// Whether the files hold something else than when they were last read. Blocks.
    pub fn has_changed(&self) -> bool {
        let (files, known) = {
            let known = self.known.lock();
            (known.files.clone(), known.contents)
        };
        known != Some(contents(&files))
    }

    fn opened(&self, models: &[Model]) -> Stored {
        let seal = self.snapshot.load().access.salt.as_ref().and_then(Seal::new);
        Stored::open(models, seal.as_ref())
    }

    fn replace(&self, path: &Path, known: &mut Known) -> Result<Changes, Refusal> {
        // Before they are read: what is written into them meanwhile is then seen as a change.
        let before = contents(&known.files);
        let stored = self.stored.lock().clone();
        let (mut loaded, left_out) = stored.load(path);
        for one in &left_out {
            tracing::error!(model = %one.id, problem = %one.problems.join("; "), "a model of the database is left out");
        }
        let tls = self.certificate.is_some();
        if let Some(new) = &mut loaded.snapshot {
            new.warnings.extend(left_out.iter().map(|one| one.to_string().into()));
            // As long as the process is not started anew, whatever is reloaded meanwhile.
            let waiting = needs_restart(known.started.differences(&loaded.outline), tls, new);
            new.warnings.extend(waiting.iter().map(|name| {
                format!("`{name}` was changed since the start: it takes effect after a restart")
                    .into()
            }));
        }
        let files = match &loaded.snapshot {
            Some(new) => with_authorities(loaded.files, &new.catalog),
            None => {
                // What was watched stays so: the mistake may be in the name of an included file.
                let mut files = loaded.files;
                let more = known.files.iter().filter(|file| !files.contains(file));
                let more: Vec<_> = more.cloned().collect();
                files.extend(more);
                files
            }
        };
        known.contents = (files == known.files).then_some(before);
        known.files = files;
        let Some(new) = loaded.snapshot else { return Err(Refusal::of(&loaded.problems)) };
        if !new.access.is_guarded() && !self.loopback {
            let problem = "it has no master key, and the gateway listens on more than loopback";
            return Err(problem.to_owned().into());
        }
        let files = new.traffic.tls.as_ref().map(|(certificate, key)| CertificateFiles {
            certificate: certificate.clone(),
            key: key.clone(),
        });
        let reading =
            self.certificate.as_ref().map(|one| Ok((one, one.read_again(files.as_ref())?)));
        let certificate: Option<_> = reading.transpose().map_err(|problem: String| problem)?;
        self.upstreams.apply(&new.catalog, &new.traffic)?;

        let old = self.snapshot.load_full();
        for problem in &loaded.problems {
            let line = problem.one_line();
            if !old.warnings.iter().any(|known| **known == *line) {
                problem.log();
            }
        }
        let options_changed = known.outline.differences(&loaded.outline);
        let mut changes = Changes {
            needs_restart: needs_restart(options_changed.clone(), tls, &new),
            options_changed,
            ..Changes::default()
        };
        compare(&old.catalog, &new.catalog, &mut changes);
        known.outline = loaded.outline;
        self.routing.retain(&new.catalog);
        self.identities.retain(&new.catalog, new.callbacks.identities());
        if let Some((in_force, new)) = certificate {
            changes.certificate_changed = in_force.replace(new);
        }
        self.snapshot.store(Arc::new(new));
        Ok(changes)
    }
}

/// Which of these options a reload does not put into force; `tls`: whether the listeners speak it.
fn needs_restart(mut options: Vec<Box<str>>, tls: bool, new: &Snapshot) -> Vec<Box<str>> {
    let tls_begins_or_ends = tls != new.traffic.tls.is_some();
    options.retain(|name| {
        NEEDS_RESTART.contains(&&**name) || (tls_begins_or_ends && TLS.contains(&&**name))
    });
    options
}

/// Why a file was not taken over.
struct Refusal {
    /// For the log: with positions and help.
    report: String,
    /// One line for each problem.
    lines: Vec<String>,
}

impl Refusal {
    fn of(problems: &[config::Problem]) -> Self {
        let (report, _) = config::report(problems, false, false);
        let errors = problems.iter().filter(|one| one.severity == config::Severity::Error);
        Self { report, lines: errors.map(config::Problem::one_line).collect() }
    }
}

impl From<String> for Refusal {
    fn from(problem: String) -> Self {
        Self { report: problem.clone(), lines: vec![problem] }
    }
}

/// Which deployments came, went, or are called differently now.
fn compare(old: &Catalog, new: &Catalog, changes: &mut Changes) {
    let mut before: HashMap<DeploymentId, u64> =
        old.deployments().iter().map(|one| (Arc::clone(&one.id), fingerprint(one))).collect();
    for deployment in new.deployments() {
        match before.remove(&deployment.id) {
            None => changes.deployments_added.push(Arc::clone(&deployment.id)),
            Some(known) if known != fingerprint(deployment) => {
                changes.deployments_changed.push(Arc::clone(&deployment.id));
            }
            Some(_) => {}
        }
    }
    // In the order of the file, which a map does not keep.
    let gone = old.deployments().iter().filter(|one| before.contains_key(&one.id));
    changes.deployments_removed.extend(gone.map(|one| Arc::clone(&one.id)));
}

/// A hash of everything that a deployment is. `Debug` shows every field but secrets, so that a new
/// field cannot be forgotten here; credentials are in the headers.
fn fingerprint(deployment: &Deployment) -> u64 {
    struct Hashing(DefaultHasher);
    impl fmt::Write for Hashing {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    let mut hashing = Hashing(DefaultHasher::new());
    // Writing into a hasher cannot fail.
    // Who else uses its account says nothing about it.
    let alone = Deployment { account: Arc::clone(&deployment.id), ..deployment.clone() };
    write!(hashing, "{alone:?}").ok();
    for (name, value) in &deployment.target.headers {
        name.as_str().hash(&mut hashing.0);
        value.as_bytes().hash(&mut hashing.0);
    }
    hashing.0.finish()
}

/// Says what changed: names only, never values.
fn tell(path: &Path, cause: &'static str, changes: &Changes) {
    let Changes { options_changed, needs_restart, .. } = changes;
    tracing::info!(
        file = %path.display(),
        cause,
        deployments_added = changes.deployments_added.len(),
        deployments_removed = changes.deployments_removed.len(),
        deployments_changed = changes.deployments_changed.len(),
        added = %Names(&changes.deployments_added),
        removed = %Names(&changes.deployments_removed),
        changed = %Names(&changes.deployments_changed),
        options = %Names(options_changed),
        certificate_changed = changes.certificate_changed,
        "configuration reloaded"
    );
    if !needs_restart.is_empty() {
        tracing::warn!(options = %Names(needs_restart), "these options take effect after a restart");
    }
}

/// A list for one line of the log.
struct Names<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Names<'_, T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.iter().take(NAMES_MAX).enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(out, "{comma}{name}")?;
        }
        match self.0.len().checked_sub(NAMES_MAX) {
            Some(more) if more > 0 => write!(out, ",... and {more} more"),
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn catalog(entries: &str) -> Catalog {
        let yaml = format!("model_list:\n{entries}");
        let loaded = config::load_text(Path::new("test"), &yaml, &BTreeMap::new());
        loaded.snapshot.expect("the test writes good files").catalog
    }

    fn entry(id: &str, key: &str, more: &str) -> String {
        format!(
            "- model_name: gpt\n  litellm_params:\n    model: openai/gpt-4o\n    api_key: {key}\n\
             {more}  model_info:\n    id: {id}\n"
        )
    }

    fn changes(old: &str, new: &str) -> [Vec<String>; 3] {
        let mut changes = Changes::default();
        compare(&catalog(old), &catalog(new), &mut changes);
        let names =
            |ids: Vec<Arc<str>>| -> Vec<String> { ids.iter().map(ToString::to_string).collect() };
        [
            names(changes.deployments_added),
            names(changes.deployments_removed),
            names(changes.deployments_changed),
        ]
    }

    #[test]
    fn deployments_are_told_apart_by_all_that_they_are() {
        let same = entry("one", "sk-a", "") + &entry("two", "sk-a", "");
        let none = Vec::<String>::new;
        assert_eq!(changes(&same, &same), [none(), none(), none()]);
        let rekeyed = entry("one", "sk-b", "") + &entry("two", "sk-a", "");
        assert_eq!(changes(&same, &rekeyed)[2], ["one"], "a key is part of it");
        let weighted = entry("one", "sk-a", "") + &entry("two", "sk-a", "    weight: 3\n");
        assert_eq!(changes(&same, &weighted)[2], ["two"]);
        let other = entry("three", "sk-a", "") + &entry("two", "sk-a", "");
        let expected = [vec!["three".to_owned()], vec!["one".to_owned()], none()];
        assert_eq!(changes(&same, &other), expected);
    }

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<_> = (0..25).map(|n| n.to_string()).collect();
        assert!(Names(&names).to_string().ends_with(",19,... and 5 more"));
        assert_eq!(Names(&names[..2]).to_string(), "0,1");
    }
}
