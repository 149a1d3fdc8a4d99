//! Paths below which requests are handed to a provider as they are.

use std::sync::Arc;

use http::Method;

use super::Resolved;
use crate::money::Usd;

/// One path and who answers below it.
#[derive(Clone, Debug)]
pub struct Mount {
    /// As `/openai`: no slash at the end.
    pub path: Arc<str>,
    /// Paths below it are served too.
    pub subpaths: bool,
    /// What comes after `path` is put after the target's own path as it is. Otherwise the target is a
    /// provider's API, and a version that the client writes replaces the one that is configured.
    pub verbatim: bool,
    /// The words with which what stands behind `path` may begin; empty: any. Goes before a mount of
    /// the same path that takes any.
    pub only: &'static [&'static str],
    /// `None`: all.
    pub methods: Option<Vec<Method>>,
    /// A key of the gateway is asked for.
    pub needs_key: bool,
    /// The client's headers go on to the target, except for its credentials.
    pub forwards_headers: bool,
    /// Parameters of the query, where the client sends none of that name.
    pub query: Vec<(Box<str>, Box<str>)>,
    /// What a request costs, where the reply says nothing of its use.
    pub price: Option<Usd>,
    /// The deployments that can take the request.
    pub resolved: Resolved,
}

impl Mount {
    /// What stands behind the mount's path in `path`, with one slash at its start; `None` if the mount is for other paths.
    #[must_use]
    pub fn rest<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(&*self.path)?;
        // A base URL that ends with a slash makes two of it; a path must not begin like a host.
        let doubled = rest.bytes().take_while(|byte| *byte == b'/').count().saturating_sub(1);
        let rest = rest.get(doubled..).unwrap_or(rest);
        let below = rest.starts_with('/') && self.subpaths;
        let first = || rest.split('/').nth(1).unwrap_or_default();
        let is_meant = self.only.is_empty() || self.only.contains(&first());
        ((below || rest.is_empty()) && is_meant).then_some(rest)
    }
}

impl super::Catalog {
    /// The same catalog with these mounts. Longer paths go first.
    #[must_use]
    pub fn with_mounts(mut self, mut mounts: Vec<Mount>) -> Self {
        mounts.sort_by_key(|mount| std::cmp::Reverse((mount.path.len(), !mount.only.is_empty())));
        self.mounts = mounts.into_iter().map(Arc::new).collect();
        self
    }

    /// Who answers this path, and what stands behind the mount's own.
    #[must_use]
    pub fn mounted<'a>(&self, path: &'a str) -> Option<(&Arc<Mount>, &'a str)> {
        self.mounts.iter().find_map(|mount| Some((mount, mount.rest(path)?)))
    }

    /// All mounts.
    #[must_use]
    pub fn mounts(&self) -> &[Arc<Mount>] {
        &self.mounts
    }

    /// Every deployment that may be connected to: those of the list and those of mounts.
    pub fn connected(&self) -> impl Iterator<Item = &Arc<super::Deployment>> {
        let mounted = self.mounts.iter().flat_map(|mount| mount.resolved.deployments.iter());
        self.deployments.iter().chain(mounted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, sample};

    fn mount(path: &str, subpaths: bool) -> Mount {
        let deployment = Arc::new(sample::deployment("g = openai/m #id"));
        Mount {
            path: path.into(),
            subpaths,
            verbatim: false,
            only: &[],
            methods: None,
            needs_key: true,
            forwards_headers: true,
            query: Vec::new(),
            price: None,
            resolved: Resolved::of(&path.into(), Arc::new([deployment])),
        }
    }

    #[test]
    fn a_mount_for_some_words_goes_first() {
        let some = Mount { only: &["x", "y"], verbatim: true, ..mount("/a", true) };
        let catalog = Catalog::default().with_mounts(vec![mount("/a", true), some]);
        for (path, is_some) in
            [("/a/x", true), ("/a/y/z", true), ("/a/xy", false), ("/a/z/x", false), ("/a", false)]
        {
            let (mount, rest) = catalog.mounted(path).unwrap();
            assert_eq!((mount.verbatim, rest), (is_some, path.strip_prefix("/a").unwrap()));
        }
    }

    #[test]
    fn the_longest_mount_answers() {
        let mounts = vec![mount("/a", true), mount("/a/b", true), mount("/exact", false)];
        let catalog = Catalog::default().with_mounts(mounts);
        for (path, found) in [
            ("/a", Some(("/a", ""))),
            ("/a/x", Some(("/a", "/x"))),
            ("/a//x//y", Some(("/a", "/x//y"))),
            ("/a///", Some(("/a", "/"))),
            ("/a/b/c", Some(("/a/b", "/c"))),
            ("/a/bc", Some(("/a", "/bc"))),
            ("/ab", None),
            ("/exact", Some(("/exact", ""))),
            ("/exact/x", None),
        ] {
            let mounted = catalog.mounted(path).map(|(mount, rest)| (&*mount.path, rest));
            assert_eq!(mounted, found, "{path}");
        }
    }
}
