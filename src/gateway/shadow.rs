//! Shadow traffic: a copy of a request goes to another group (`silent_model`), and nobody waits for
//! its answer.
//!
//! A copy that fails says what was to be learned. How it is made and told of is `own.rs`'s.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::Gateway;
use super::ctx::RequestCtx;
use super::own::{Own, Purpose};

/// Shadows in flight at one time. Beyond it copies are left out, so that a slow experiment cannot
/// fill the memory with requests.
const SHADOWS_MAX: usize = 256;

/// The room for shadows, shared by all requests.
#[must_use]
pub fn room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(SHADOWS_MAX))
}

/// Sends a copy of the call to `group`, beside the request.
pub(super) fn cast(gateway: &Gateway, ctx: &RequestCtx, group: &Arc<str>) {
    let Some(call) = &ctx.call else { return };
    let Ok(room) = Arc::clone(&gateway.shadows).try_acquire_owned() else {
        gateway.metrics.shadow_left_out();
        return;
    };
    let shadow = Own {
        gateway: gateway.clone(),
        snapshot: Arc::clone(&ctx.snapshot),
        request_id: Arc::clone(&ctx.request_id),
        call: Arc::clone(call),
        group: Arc::clone(group),
        purpose: Purpose::Shadow,
    };
    tokio::spawn(async move {
        let bound = shadow.snapshot.traffic.total_timeout;
        // What became of it is told by then.
        shadow.run(bound).await.ok();
        drop(room);
    });
}
