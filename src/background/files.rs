//! `reload_on_change`: notices that a file of the configuration is another one now.
//!
//! Folders are watched, not files. Editors and deployment tools replace a file by renaming another
//! over it, and Kubernetes swaps a link in the folder of a ConfigMap: a watch on the file itself
//! would go on looking at the one that is gone. What happened in a folder matters only if the
//! content of one of the files is different afterwards.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::systemd;
use crate::reload::Reload;

/// How long after an event one waits for the rest of the change: an editor that truncates and
/// writes, a tool that replaces several files.
const SETTLE: Duration = Duration::from_millis(200);

/// Without any event, the files are compared this often: network file systems have no events, and
/// the kernel drops them when too many come.
const LOOK_ANYWAY: Duration = Duration::from_secs(30);

/// Reloads whenever a file has changed, for as long as the configuration in force asks for it.
pub(super) async fn reload_on_change(reload: Arc<Reload>) {
    let mut reloaded = reload.reloaded.subscribe();
    loop {
        reloaded.mark_unchanged();
        if !reload.snapshot.load().edge.reload_on_change {
            if reloaded.changed().await.is_err() {
                return;
            }
            continue;
        }
        let (sender, mut events) = mpsc::channel(1);
        let files = reload.known.lock().files.clone();
        let _watcher = watch(&files, sender);
        loop {
            // Looked at once the watch is there: a change before it has no event.
            if has_changed(&reload).await {
                run(&reload, "file changed").await;
                break;
            }
            tokio::select! {
                _ = events.recv() => {
                    tokio::time::sleep(SETTLE).await;
                    while events.try_recv().is_ok() {}
                }
                () = tokio::time::sleep(LOOK_ANYWAY) => {}
                // The files may be others now, and so may the setting.
                _ = reloaded.changed() => break,
            }
        }
    }
}

async fn has_changed(reload: &Arc<Reload>) -> bool {
    let reload = Arc::clone(reload);
    tokio::task::spawn_blocking(move || reload.has_changed()).await.unwrap_or(false)
}

/// Reloads on a thread that may block.
pub(super) async fn run(reload: &Arc<Reload>, cause: &'static str) {
    let reload = Arc::clone(reload);
    systemd::reloading();
    if let Err(error) = tokio::task::spawn_blocking(move || reload.reload(cause)).await {
        tracing::error!(%error, "the reload broke");
    }
    systemd::ready();
}

/// Watches the folders of the files, and those that links lead to. The watch ends when the watcher
/// is dropped.
fn watch(files: &[PathBuf], sender: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    let told = move |event: notify::Result<notify::Event>| {
        // Reading a file is an event as well, and would lead to the next reading of it.
        let read_only = event.as_ref().is_ok_and(|event| event.kind.is_access());
        if !read_only {
            // A full queue means that a look is due anyway.
            sender.try_send(()).ok();
        }
    };
    let mut watcher = match notify::recommended_watcher(told) {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::warn!(%error, "changes are noticed by looking from time to time only");
            return None;
        }
    };
    for folder in folders(files) {
        if let Err(error) = watcher.watch(&folder, RecursiveMode::NonRecursive) {
            tracing::warn!(folder = %folder.display(), %error, "this folder cannot be watched");
        }
    }
    Some(watcher)
}

fn folders(files: &[PathBuf]) -> BTreeSet<PathBuf> {
    let parent = |file: &Path| {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.unwrap_or_else(|| Path::new(".")).to_path_buf()
    };
    let mut folders = BTreeSet::new();
    for file in files {
        folders.insert(parent(file));
        folders.extend(fs::canonicalize(file).ok().map(|real| parent(&real)));
    }
    folders
}
