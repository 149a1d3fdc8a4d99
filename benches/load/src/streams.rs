//! Many streams that are open at the same time and hardly move: what one of them costs in memory.
//!
//! Every stream counts as open when its first frame has come, so that the target holds both
//! connections and all its state for it.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::connection::{Connection, Progress, READ_BYTES};
use crate::poll::{Poller, Ready};
use crate::reply::count_frames;

/// Time in which all streams must be open.
const OPEN_WITHIN: Duration = Duration::from_secs(30);

pub struct Plan {
    pub target: SocketAddr,
    pub request: Vec<u8>,
    pub streams: usize,
    pub hold: Duration,
}

struct Stream {
    /// None once it has ended, which is too early in every case.
    connection: Option<Connection>,
    frames: u64,
}

/// Opens the streams, calls `opened` with the number that are open, and holds them.
///
/// # Errors
/// The target does not accept the connections.
pub fn hold(plan: &Plan, opened: impl FnOnce(usize)) -> io::Result<Value> {
    let mut poller = Poller::new()?;
    let mut streams = Vec::with_capacity(plan.streams);
    for place in 0..plan.streams {
        let mut connection = Connection::open(plan.target, &poller, place as u64)?;
        let started = connection.start(&plan.request).is_ok();
        streams.push(Stream { connection: started.then_some(connection), frames: 0 });
    }
    let open = |streams: &[Stream]| {
        streams.iter().filter(|s| s.connection.is_some() && s.frames > 0).count()
    };
    let mut scratch = vec![0; READ_BYTES].into_boxed_slice();
    let start = Instant::now();
    let waiting = |streams: &[Stream]| {
        streams.iter().any(|stream| stream.connection.is_some() && stream.frames == 0)
    };
    while waiting(&streams) && start.elapsed() < OPEN_WITHIN {
        read_once(&mut poller, &mut streams, &plan.request, &mut scratch)?;
    }
    let open_at_start = open(&streams);
    opened(open_at_start);
    let before: u64 = streams.iter().map(|stream| stream.frames).sum();
    let held = Instant::now();
    while held.elapsed() < plan.hold {
        read_once(&mut poller, &mut streams, &plan.request, &mut scratch)?;
    }
    let after: u64 = streams.iter().map(|stream| stream.frames).sum();
    Ok(json!({
        "wanted": plan.streams,
        "open": open_at_start,
        "open_at_end": open(&streams),
        "seconds": held.elapsed().as_secs_f64(),
        "frames_while_held": after - before,
    }))
}

fn read_once(
    poller: &mut Poller,
    streams: &mut [Stream],
    request: &[u8],
    scratch: &mut [u8],
) -> io::Result<()> {
    let mut ready: Vec<Ready> = Vec::new();
    // Short, so that the time to hold is kept although nothing may come.
    poller.wait(Some(Duration::from_millis(50)), &mut ready)?;
    for event in &ready {
        let Some(stream) = usize::try_from(event.token).ok().and_then(|at| streams.get_mut(at))
        else {
            continue;
        };
        let Some(connection) = &mut stream.connection else { continue };
        let progress =
            connection.send_rest(request).and_then(|()| connection.receive(scratch, event.closing));
        match progress {
            Ok(Progress::Nothing) => {}
            Ok(Progress::Some) if connection.reply.status() == 200 => {
                stream.frames += count_frames(connection.reply.body()) as u64;
                connection.reply.forget_body();
            }
            Ok(Progress::Some) if connection.reply.status() == 0 => {}
            Ok(Progress::Some | Progress::Complete) | Err(_) => stream.connection = None,
        }
    }
    Ok(())
}
