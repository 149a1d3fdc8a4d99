//! `regional_routing`: which model serves which region.

use std::sync::Arc;

use rustc_hash::FxHashSet;

/// Regions and their models, in the order written.
#[derive(Clone, Debug)]
pub struct Regions {
    list: Box<[(Arc<str>, Arc<str>)]>,
    models: FxHashSet<Arc<str>>,
}

impl Regions {
    /// `list`: regions with their models. `aliases`: see [`super::Custom::new`]. `None`: the list is
    /// empty.
    #[must_use]
    pub fn new<'a>(
        list: Vec<(Arc<str>, Arc<str>)>,
        aliases: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Option<Self> {
        let mut models: FxHashSet<Arc<str>> =
            list.iter().map(|(_, model)| Arc::clone(model)).collect();
        let aliases = aliases.into_iter().filter(|(_, group)| models.contains(*group));
        let meant: Vec<Arc<str>> = aliases.map(|(alias, _)| alias.into()).collect();
        models.extend(meant);
        let list: Vec<_> =
            list.into_iter().map(|(region, model)| (normalised(&region).into(), model)).collect();
        (!list.is_empty()).then(|| Self { list: list.into(), models })
    }

    /// Whether this is the model of a region.
    pub(super) fn mention(&self, model: &str) -> bool {
        self.models.contains(model)
    }

    /// The model of the nearest region, those of the others in the order written, and which region
    /// is the nearest, if any is near.
    pub(super) fn choose(
        &self,
        region: Option<&str>,
    ) -> (Arc<str>, Vec<Arc<str>>, Option<Arc<str>>) {
        let region = region.map(normalised);
        let near = |of: &str| {
            let fitting = self.list.iter().enumerate().filter(|(_, (key, _))| serves(key, of));
            fitting.max_by_key(|(_, (key, _))| key.len()).map(|(index, _)| index)
        };
        let nearest = region.as_deref().and_then(near);
        let first = nearest.unwrap_or(0);
        let mut others: Vec<Arc<str>> = Vec::new();
        let chosen = &self.list[first];
        for (index, (_, model)) in self.list.iter().enumerate() {
            if index != first && *model != chosen.1 && !others.contains(model) {
                others.push(Arc::clone(model));
            }
        }
        (Arc::clone(&chosen.1), others, nearest.map(|_| Arc::clone(&chosen.0)))
    }
}

/// A region as it is compared: `US_East` and `us-east` are one.
#[must_use]
pub fn normalised(region: &str) -> String {
    region.trim().to_ascii_lowercase().replace('_', "-")
}

/// Whether `key` is the region or a larger one around it. Providers write `us-east-1`, `us-east1`
/// and `eastus`, so a name may go on with anything, only not a number with a further digit:
/// `us-east-1` is not around `us-east-10`.
fn serves(key: &str, region: &str) -> bool {
    let digit = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_digit());
    region
        .strip_prefix(key)
        .is_some_and(|rest| !(digit(key.bytes().next_back()) && digit(rest.bytes().next())))
}
