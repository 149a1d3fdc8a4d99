//! Puts data in place of the addresses that a request names, for a provider that fetches nothing.
//!
//! Done anew for each attempt: what one provider needs as data another fetches itself. That
//! something cannot be fetched is the request's fault, not the deployment's.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};

use super::Gateway;
use super::exchange::Bounds;
use super::intake::left;
use super::opening::Order;
use crate::failure::Failure;
use crate::fetch::{Fetched, Unfetched, shown};
use crate::patience::within;
use crate::provider;
use crate::wire::fields::invalid;
use crate::wire::json::Object;
use crate::wire::remote::{self, Data, Remote, Shape};

/// How many things of one request are fetched at a time.
const AT_ONCE: usize = 4;

/// The longest time that all things of one request take together.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request with data in it.
pub(super) struct Filled {
    /// It is in the client's own words.
    pub native: bool,
    pub body: Object,
}

/// Fetches what the deployment must be given as data; `None` if nothing.
///
/// # Errors
/// Something cannot be fetched, or may not be.
pub(super) async fn filled(
    order: &Order<'_>,
    body: &Object,
    asked: &provider::Call<'_>,
    bounds: Bounds,
) -> Result<Option<Filled>, Failure> {
    if order.snapshot.fetching.max_bytes == 0 {
        return Ok(None);
    }
    let Some(wanted) = provider::wanted(&order.deployment, body, asked) else { return Ok(None) };
    let body = match asked.native.filter(|_| wanted.native) {
        Some(native) => native.body,
        None => body,
    };
    // The provider is to have as much time as this.
    let patience = (left(order.call.deadline) / 2).min(PATIENCE);
    let patience = bounds.whole.map_or(patience, |whole| whole.min(patience));
    let mut fetched = Vec::with_capacity(wanted.media.len());
    let came = {
        let all = pin!(fetch_all(order, body, &wanted.media, &mut fetched));
        within(patience, all).await
    };
    if let Ok(came) = came {
        came?;
    } else if let Some(slow) = wanted.media.get(fetched.len()) {
        order.gateway.metrics.fetch("timeout");
        return Err(refused(slow, &Unfetched::TimedOut(patience)));
    }
    let replaced = wanted.media.iter().zip(&fetched).map(|(remote, fetched)| {
        let media_type = fetched.media_type.as_deref().unwrap_or_default();
        (remote, Data { media_type, bytes: &fetched.bytes })
    });
    let body = remote::replace(body, &replaced.collect::<Vec<_>>());
    Ok(Some(Filled { native: wanted.native, body }))
}

/// Fetches all, a few at a time; the first that fails ends it.
async fn fetch_all(
    order: &Order<'_>,
    body: &Object,
    media: &[Remote],
    fetched: &mut Vec<Arc<Fetched>>,
) -> Result<(), Failure> {
    let max = order.snapshot.traffic.max_request_bytes;
    let mut room = max.saturating_sub(body.bytes().len());
    let mut waiting = media.iter();
    let mut coming = FuturesOrdered::new();
    for remote in waiting.by_ref().take(AT_ONCE) {
        coming.push_back(fetch(order, remote).boxed());
    }
    while let Some(came) = coming.next().await {
        if let Some(remote) = waiting.next() {
            coming.push_back(fetch(order, remote).boxed());
        }
        let (remote, came) = came?;
        let needed = remote::written_bytes(came.bytes.len());
        room = room.checked_sub(needed).ok_or_else(|| {
            let what = format!("with what it names, the request is larger than {max} bytes");
            without_blame(remote, format!("`{}`: {what}", remote.param))
        })?;
        fetched.push(came);
    }
    Ok(())
}

async fn fetch<'r>(
    order: &Order<'_>,
    remote: &'r Remote,
) -> Result<(&'r Remote, Arc<Fetched>), Failure> {
    let Gateway { fetcher, metrics, .. } = order.gateway;
    let (answer, is_fresh) = fetcher.get(&remote.url, &order.snapshot.fetching).await;
    metrics.fetch(match &answer {
        _ if !is_fresh => "kept",
        Ok(_) => "fetched",
        Err(Unfetched::Private) => "refused",
        Err(Unfetched::TimedOut(_)) => "timeout",
        Err(_) => "failure",
    });
    let fetched = answer.map_err(|why| {
        let address = shown(&remote.url);
        if why == Unfetched::Private {
            tracing::warn!(%address, "a client names an address that is not public");
        } else {
            tracing::debug!(%address, %why, "what a client names was not fetched");
        }
        refused(remote, &why)
    })?;
    let noun = remote.shape.noun();
    match fetched.media_type.as_deref() {
        Some(kind) if remote.shape.takes(kind) => Ok((remote, fetched)),
        Some(kind) => Err(refused(remote, &format!("it is {kind}, which is no {noun}"))),
        None => Err(refused(remote, &"nothing tells of what type it is")),
    }
}

fn refused(remote: &Remote, why: &dyn std::fmt::Display) -> Failure {
    let Remote { param, url, shape, .. } = remote;
    let (noun, address) = (shape.noun(), shown(url));
    without_blame(remote, format!("`{param}`: the {noun} at {address} was not fetched: {why}"))
}

fn without_blame(remote: &Remote, message: String) -> Failure {
    let code = match remote.shape {
        Shape::Image | Shape::ImageSource => "invalid_image_url",
        Shape::File | Shape::DocumentSource => "invalid_file_url",
    };
    let failure = Failure { code: Some(code.into()), ..invalid(&remote.param, message) };
    failure.without_blame()
}
