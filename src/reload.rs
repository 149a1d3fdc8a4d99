//! A new configuration file becomes the snapshot in force, or changes nothing.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::config;
use crate::routing;
use crate::snapshot::Snapshot;
use crate::upstream::Upstreams;

/// What a reload reads and replaces.
pub struct Reload {
    /// `None` if there is no file: quick start.
    pub config: Option<PathBuf>,
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    pub upstreams: Arc<Upstreams>,
    pub routing: Arc<routing::State>,
    /// Only this machine can reach the listener.
    pub loopback: bool,
}

impl Reload {
    /// Reads the file again and swaps the snapshot if the file is good. Requests in flight finish
    /// on the snapshot they began with.
    pub fn reload(&self) {
        let Some(path) = &self.config else {
            tracing::warn!("there is no configuration file to reload");
            return;
        };
        let loaded = config::load(path, &config::ProcessEnv);
        let Some(snapshot) = loaded.snapshot else {
            let (report, _) = config::report(&loaded.problems, false, false);
            tracing::error!(file = %path.display(), %report, "reload refused: nothing is changed");
            return;
        };
        if snapshot.access.master_key.is_none() && !self.loopback {
            let problem = "it has no master key, and the gateway listens on more than loopback";
            tracing::error!(file = %path.display(), problem, "reload refused: nothing is changed");
            return;
        }
        if let Err(problem) = self.upstreams.apply(&snapshot.catalog, &snapshot.traffic) {
            tracing::error!(file = %path.display(), %problem, "reload refused: nothing is changed");
            return;
        }
        self.routing.retain(&snapshot.catalog);
        let deployments = snapshot.catalog.deployments().len();
        self.snapshot.store(Arc::new(snapshot));
        tracing::info!(file = %path.display(), deployments, "configuration reloaded");
    }
}
