//! Sinks of callbacks of keys and teams: made when there is something to tell, ended when there was
//! nothing for a while, and bounded in number, in memory and on the disk.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{Own, Settings};
use crate::callbacks::sink::Sink;
use crate::callbacks::{Counts, Shared, add, settings::SinkSettings, spill};
use crate::keys::OwnCallback;
use crate::seal::Seal;
use crate::secret::Secret;

/// The most sinks at work. Where there is one more, the one that was not needed for longest ends.
const SINKS_MAX: usize = 128;
/// Those that end deliver for a while; no more of them are waited for.
const ENDING_MAX: usize = 128;
/// Seals that were opened and are kept so.
const OPENED_MAX: usize = 4_096;
/// One that nobody needed for so long ends.
const IDLE: Duration = Duration::from_secs(10 * 60);
/// How often that is looked at, and the disk.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
const LOOK_AT_DISK_EVERY: Duration = Duration::from_secs(60 * 60);
/// What waits on the disk goes after so long: its team may be gone, and nobody would send it.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The folder of all their folders.
const FOLDER: &str = "own";
/// What one of them keeps on the disk, as a part of what a callback of the gateway may.
const DISK_PART: u64 = 16;

/// All of them.
pub(in crate::callbacks) struct Sinks {
    shared: Arc<Shared>,
    /// By what their variables are sealed as.
    opened: HashMap<Box<str>, Opened>,
    working: Vec<Working>,
    ending: Vec<Weak<Sink>>,
    seal: Option<(Secret, Seal)>,
    swept: Option<Instant>,
    disk_looked_at: Option<Instant>,
}

/// What was found in a seal.
struct Opened {
    /// `None`: it does not open, or what is in it makes no callback.
    settings: Option<Arc<SinkSettings>>,
    used: Instant,
}

struct Working {
    sink: Arc<Sink>,
    used: Instant,
}

/// What there is for a callback.
pub(in crate::callbacks) enum Found {
    Working(Arc<Sink>),
    /// It is to be made, and counted like this.
    Wanted(Arc<SinkSettings>, Arc<Counts>),
}

/// Where a sink that is made keeps things.
pub(in crate::callbacks) struct Places {
    pub(in crate::callbacks) folder: PathBuf,
    pub(in crate::callbacks) disk_bytes: u64,
    pub(in crate::callbacks) counts: Arc<Counts>,
}

impl Sinks {
    pub(in crate::callbacks) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            opened: HashMap::new(),
            working: Vec::new(),
            ending: Vec::new(),
            seal: None,
            swept: None,
            disk_looked_at: None,
        }
    }

    /// The sink of a callback. `None`: there is none to be had, which is counted; or it names no receiver.
    pub(in crate::callbacks) fn find(
        &mut self,
        (owner, callback): (&str, Own<'_>),
        settings: &Settings,
        salt: impl Fn() -> Option<Secret>,
        now: Instant,
    ) -> Option<Found> {
        let wanted = match callback {
            Own::Written(written) => Some(Arc::clone(written.sink())),
            Own::Kept(kept) => {
                let sealed = kept.sealed.as_deref()?;
                if !self.opened.contains_key(sealed) {
                    self.open((owner, kept), sealed, settings, (salt(), now));
                }
                let opened = self.opened.get_mut(sealed)?;
                opened.used = now;
                opened.settings.clone()
            }
        };
        let counts = self.shared.counts_of(&format!("{FOLDER}:{}", callback.name()));
        let Some(wanted) = wanted else {
            add(&counts.dropped, 1);
            return None;
        };
        if let Some(known) = self.working.iter_mut().find(|it| it.sink.settings == wanted) {
            known.used = now;
            return Some(Found::Working(Arc::clone(&known.sink)));
        }
        if !self.has_room() {
            add(&counts.dropped, 1);
            return None;
        }
        Some(Found::Wanted(wanted, counts))
    }

    /// One that was wanted is at work.
    pub(in crate::callbacks) fn add(&mut self, sink: &Arc<Sink>, now: Instant) {
        self.working.push(Working { sink: Arc::clone(sink), used: now });
    }

    /// Opens a seal, and remembers what was in it.
    fn open(
        &mut self,
        (owner, callback): (&str, &OwnCallback),
        sealed: &str,
        settings: &Settings,
        (salt, now): (Option<Secret>, Instant),
    ) {
        if self.opened.len() >= OPENED_MAX {
            let oldest = self.opened.iter().min_by_key(|(_, opened)| opened.used);
            if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                self.opened.remove(&name);
            }
        }
        let read = self.opened_vars(owner, sealed, salt).and_then(|vars| {
            let receiver = settings.read(&callback.callback_name, &vars)?;
            receiver.ok_or_else(|| "it has no receiver".to_owned())
        });
        let name = &callback.callback_name;
        if let Err(problem) = &read {
            tracing::error!(of = owner, callback = name, problem, "a callback is not called");
        }
        let sink = read.ok().map(|receiver| Arc::new(settings.sink(name, receiver)));
        if let Some(sink) = &sink {
            tracing::info!(of = owner, callback = &*sink.name, "requests are told to a callback");
        }
        let opened = Opened { settings: sink, used: now };
        self.opened.insert(sealed.into(), opened);
    }

    fn opened_vars(
        &mut self,
        owner: &str,
        sealed: &str,
        salt: Option<Secret>,
    ) -> Result<BTreeMap<String, String>, String> {
        let none = || "there is no LITELLM_SALT_KEY and no master key to open it with".to_owned();
        let salt = salt.ok_or_else(none)?;
        let is_known = |(known, _): &(Secret, Seal)| known.matches(salt.expose().as_bytes());
        if !self.seal.as_ref().is_some_and(is_known) {
            self.seal = Seal::new(&salt).map(|seal| (salt, seal));
        }
        let (_, seal) = self.seal.as_ref().ok_or_else(none)?;
        let text = seal.open(owner, sealed).map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|_| "what is sealed are no variables".to_owned())
    }

    /// Whether there is room for one more, after the least needed one has ended where there was none.
    fn has_room(&mut self) -> bool {
        self.ending.retain(|sink| sink.strong_count() > 0);
        if self.working.len() < SINKS_MAX {
            return true;
        }
        if self.ending.len() >= ENDING_MAX {
            return false;
        }
        let oldest = self.working.iter().enumerate().min_by_key(|(_, it)| it.used);
        if let Some(at) = oldest.map(|(at, _)| at) {
            let Working { sink, .. } = self.working.swap_remove(at);
            self.end(&sink);
        }
        true
    }

    fn end(&mut self, sink: &Arc<Sink>) {
        sink.end();
        self.ending.push(Arc::downgrade(sink));
    }

    /// The configuration is another one: what was read by it is read anew.
    pub(in crate::callbacks) fn forget(&mut self) {
        self.opened.clear();
    }

    /// Ends those that nobody needed for a while and that have nothing left to tell. The folder whose old
    /// files are to go, if it is time for that.
    pub(in crate::callbacks) fn sweep(&mut self, folder: &Path, now: Instant) -> Option<PathBuf> {
        if self.swept.is_some_and(|last| now < last + SWEEP_EVERY) {
            return None;
        }
        self.swept = Some(now);
        self.opened.retain(|_, opened| now < opened.used + IDLE);
        let (idle, working): (Vec<_>, Vec<_>) = std::mem::take(&mut self.working)
            .into_iter()
            .partition(|it| now >= it.used + IDLE && !it.sink.has_work());
        self.working = working;
        idle.iter().for_each(|it| self.end(&it.sink));
        let is_due = self.disk_looked_at.is_none_or(|last| now >= last + LOOK_AT_DISK_EVERY);
        is_due.then(|| {
            self.disk_looked_at = Some(now);
            folder.join(FOLDER)
        })
    }

    /// All of them deliver what they have, and end.
    pub(in crate::callbacks) fn end_all(&mut self) {
        self.working.drain(..).for_each(|it| it.sink.end());
    }
}

/// Removes what has waited for too long. Blocks.
pub(in crate::callbacks) fn remove_old(folder: &Path, now: SystemTime) {
    let Some(before) = now.checked_sub(KEPT_FOR) else { return };
    match spill::remove_older(folder, before) {
        Ok(0) => {}
        Ok(count) => tracing::warn!(
            count,
            "requests that callbacks of keys and teams were not told for a week are given up"
        ),
        Err(error) => tracing::warn!(%error, "what waits for callbacks cannot be looked at"),
    }
}

impl Places {
    /// Where the sinks of keys and teams keep things, beside those of the gateway.
    pub(in crate::callbacks) fn of_own(
        folder: &Path,
        disk_bytes: u64,
        counts: Arc<Counts>,
    ) -> Self {
        Self { folder: folder.join(FOLDER), disk_bytes: disk_bytes / DISK_PART, counts }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::callbacks::courier::Courier;
    use crate::callbacks::inbox::Inbox;
    use crate::callbacks::own::owner_of_team;
    use crate::callbacks::post::Client;
    use crate::callbacks::spill::Spill;

    fn salt() -> Option<Secret> {
        Some(Secret::new("salt"))
    }

    /// One of team `t` whose project has this key.
    fn callback(project: usize) -> OwnCallback {
        let vars = json!({"langfuse_public_key": format!("pk-{project}"), "langfuse_secret": "sk"});
        let seal = Seal::new(&salt().unwrap()).unwrap();
        OwnCallback {
            callback_name: "langfuse".to_owned(),
            sealed: Some(seal.seal(&owner_of_team("t"), &vars.to_string()).unwrap()),
            ..OwnCallback::default()
        }
    }

    fn sinks() -> Sinks {
        Sinks::new(Arc::default())
    }

    /// Finds the sink of a callback, or makes one.
    fn work(
        sinks: &mut Sinks,
        client: &Client,
        callback: &OwnCallback,
        now: Instant,
    ) -> Option<Arc<Sink>> {
        let whose = (&*owner_of_team("t"), Own::Kept(callback));
        let (wanted, counts) = match sinks.find(whose, &Settings::default(), salt, now)? {
            Found::Working(sink) => return Some(sink),
            Found::Wanted(wanted, counts) => (wanted, counts),
        };
        let courier = Courier::new(Arc::clone(&wanted), client.clone(), Arc::default());
        let spill = Spill::new(Path::new("/nowhere"), &wanted.name, 1);
        let sink = Arc::new(Sink::new(wanted, Inbox::new(1), spill, counts, courier));
        sinks.add(&sink, now);
        Some(sink)
    }

    #[test]
    fn there_are_no_more_than_so_many_and_the_least_needed_makes_room() {
        let (mut sinks, client) = (sinks(), Client::new().unwrap());
        let began = Instant::now();
        let after = |seconds: usize| began + Duration::from_secs(seconds as u64);
        let all: Vec<_> = (0..SINKS_MAX).map(callback).collect();
        for (at, callback) in all.iter().enumerate() {
            work(&mut sinks, &client, callback, after(at)).unwrap();
        }
        let later = SINKS_MAX;
        // The first one is needed again, so the second one is the least needed.
        let first = work(&mut sinks, &client, &all[0], after(later)).unwrap();
        let same = work(&mut sinks, &client, &callback(0), after(later)).unwrap();
        assert!(Arc::ptr_eq(&first, &same), "the same project sealed twice is one");
        let second = Arc::clone(&sinks.working[1].sink);
        work(&mut sinks, &client, &callback(SINKS_MAX), after(later + 1)).unwrap();
        assert_eq!(sinks.working.len(), SINKS_MAX);
        assert!(second.ends() && !first.ends());
    }

    #[test]
    fn one_that_nobody_needs_for_a_while_ends() {
        let (mut sinks, client) = (sinks(), Client::new().unwrap());
        let began = Instant::now();
        let idle = work(&mut sinks, &client, &callback(1), began).unwrap();
        let later = began + IDLE;
        let needed = work(&mut sinks, &client, &callback(2), later).unwrap();
        let folder = sinks.sweep(Path::new("/state"), later);
        assert_eq!(folder.as_deref(), Some(Path::new("/state/own")), "the disk is looked at");
        assert!(idle.ends() && !needed.ends());
        assert_eq!((sinks.working.len(), sinks.opened.len()), (1, 1));
        let soon = later + SWEEP_EVERY;
        assert_eq!(sinks.sweep(Path::new("/state"), soon), None, "not each time");
    }

    #[test]
    fn a_seal_of_another_owner_or_with_another_key_makes_no_sink_and_is_counted() {
        let (mut sinks, now) = (sinks(), Instant::now());
        let settings = Settings::default();
        let own = callback(1);
        let other = owner_of_team("other");
        assert!(
            sinks.find((&other, Own::Kept(&own)), &settings, salt, now).is_none(),
            "moved to another team"
        );
        let pepper = || Some(Secret::new("pepper"));
        let of_team = owner_of_team("t");
        assert!(sinks.find((&of_team, Own::Kept(&callback(1))), &settings, pepper, now).is_none());
        assert!(sinks.find((&of_team, Own::Kept(&callback(1))), &settings, || None, now).is_none());
        let counts = sinks.shared.counts_of("own:langfuse");
        assert_eq!(counts.dropped.load(std::sync::atomic::Ordering::Relaxed), 3);
        assert!(sinks.find((&of_team, Own::Kept(&callback(1))), &settings, salt, now).is_some());
    }
}
