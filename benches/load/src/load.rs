//! Load of two forms. Closed loop: every connection sends its next request when it has the reply
//! to the one before; this finds the capacity. Open loop: requests leave at a constant rate,
//! whatever the replies do; this finds the latency.
//!
//! In the open loop a latency counts from the moment the request should have left. Counted from
//! the moment it did leave, a target that stalls would delay its own measurements, and look good.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::connection::{Connection, Progress, READ_BYTES};
use crate::poll::{Poller, Ready, Ticker};
use crate::reply::{Fault, Kind};

/// Longest time waited for replies after the last request has left.
const GRACE: Duration = Duration::from_secs(10);
/// A target that fails this often is not worth measuring further.
const FAULTS_MAX: u64 = 1_000;
const LATENCY_MAX: Duration = Duration::from_secs(60);
const TIMER: u64 = u64::MAX;

pub struct Plan {
    pub target: SocketAddr,
    pub request: Vec<u8>,
    pub kind: Kind,
    /// Frames a stream must have.
    pub frames: usize,
    pub connections: usize,
    /// Requests per second of the open loop; none: closed loop.
    pub rate: Option<u32>,
    /// Most requests of one phase.
    pub requests_max: u64,
    /// Every so manieth reply of a connection is left alone after its first bytes, as by a client
    /// that goes away.
    pub abandon_every: Option<u64>,
}

/// What one phase has seen.
pub struct Tally {
    /// Replies that were complete, right, and there before the phase ended.
    pub in_time: u64,
    /// All replies that were complete and right.
    pub complete: u64,
    pub abandoned: u64,
    pub reconnects: u64,
    /// Requests of the schedule that did not leave in time, and requests without a reply.
    pub missed: u64,
    pub faults: u64,
    pub first_fault: Option<Fault>,
    pub elapsed: Duration,
    /// To the last byte, in nanoseconds.
    pub latency: Histogram<u64>,
    /// To the first byte of the reply, in nanoseconds.
    pub first_byte: Histogram<u64>,
}

pub struct Generator {
    plan: Plan,
    poller: Poller,
    lines: Vec<Line>,
    scratch: Box<[u8]>,
}

/// A connection and the request on it.
struct Line {
    connection: Connection,
    /// When the request left or, in the open loop, should have left.
    since: Option<Instant>,
    first_byte: Option<Duration>,
    count: u64,
}

/// One phase under way.
struct Phase {
    tally: Tally,
    start: Instant,
    end: Instant,
    interval: Option<Duration>,
    /// Requests that have left.
    sent: u64,
    /// Most requests that may leave.
    sent_max: u64,
    /// Lines without a request. Used in turn, so that all stay warm.
    idle: VecDeque<usize>,
    under_way: usize,
}

impl Generator {
    /// Opens all connections.
    ///
    /// # Errors
    /// The target does not accept them.
    pub fn new(plan: Plan) -> io::Result<Self> {
        let poller = Poller::new()?;
        let lines = (0..plan.connections)
            .map(|place| {
                let connection = Connection::open(plan.target, &poller, place as u64)?;
                Ok(Line { connection, since: None, first_byte: None, count: 0 })
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { plan, poller, lines, scratch: vec![0; READ_BYTES].into_boxed_slice() })
    }

    /// Puts load on the target for a time, then waits for the replies that are still to come.
    ///
    /// # Errors
    /// The target no longer accepts connections, or fails all the time.
    pub fn run(&mut self, time: Duration) -> io::Result<Tally> {
        let interval = self.plan.rate.map(|rate| Duration::from_secs(1) / rate.max(1));
        let ticker = interval.map(Ticker::every).transpose()?;
        if let Some(ticker) = &ticker {
            self.poller.watch_source(ticker, TIMER)?;
        }
        let start = Instant::now();
        let scheduled = interval.map(|each| time.as_nanos() / each.as_nanos().max(1));
        let mut phase = Phase {
            tally: Tally::new()?,
            start,
            end: start + time,
            interval,
            sent: 0,
            sent_max: scheduled
                .and_then(|count| u64::try_from(count).ok())
                .unwrap_or(u64::MAX)
                .min(self.plan.requests_max),
            idle: (0..self.lines.len()).collect(),
            under_way: 0,
        };
        let mut ready: Vec<Ready> = Vec::new();
        self.send_due(&mut phase, Instant::now())?;
        loop {
            let now = Instant::now();
            let finished = phase.under_way == 0 && (now >= phase.end || phase.all_sent());
            if finished || now >= phase.end + GRACE {
                break;
            }
            let until = if now < phase.end { phase.end } else { phase.end + GRACE };
            ready.clear();
            self.poller.wait(Some(until.saturating_duration_since(now)), &mut ready)?;
            for event in &ready {
                if event.token == TIMER {
                    if let Some(ticker) = &ticker {
                        ticker.take();
                    }
                } else if let Ok(place) = usize::try_from(event.token) {
                    self.serve_line(&mut phase, place, event)?;
                }
            }
            if interval.is_some() {
                self.send_due(&mut phase, Instant::now())?;
            }
        }
        phase.tally.elapsed = start.elapsed().min(time);
        phase.tally.missed = phase.under_way as u64;
        if scheduled.is_some() {
            phase.tally.missed += phase.sent_max - phase.sent;
        }
        // A reply that comes after the grace would be taken for the answer to a later request.
        for place in 0..self.lines.len() {
            if self.lines[place].since.is_some() {
                self.reopen(place)?;
            }
        }
        Ok(phase.tally)
    }

    /// Sends every request whose time has come, as far as there are lines.
    fn send_due(&mut self, phase: &mut Phase, now: Instant) -> io::Result<()> {
        while let Some(since) = phase.next_due(now) {
            let Some(place) = phase.idle.pop_front() else { return Ok(()) };
            self.start(phase, place, since)?;
        }
        Ok(())
    }

    fn start(&mut self, phase: &mut Phase, place: usize, since: Instant) -> io::Result<()> {
        let line = &mut self.lines[place];
        line.since = Some(since);
        line.first_byte = None;
        line.count += 1;
        phase.sent += 1;
        phase.under_way += 1;
        match line.connection.start(&self.plan.request) {
            Ok(()) => Ok(()),
            Err(fault) => self.fail(phase, place, fault),
        }
    }

    fn serve_line(&mut self, phase: &mut Phase, place: usize, event: &Ready) -> io::Result<()> {
        let line = &mut self.lines[place];
        let Some(since) = line.since else {
            // The target has closed a connection that rests, which it may.
            if event.closing {
                phase.tally.reconnects += 1;
                self.reopen(place)?;
            }
            return Ok(());
        };
        let progress =
            if event.writable { line.connection.send_rest(&self.plan.request) } else { Ok(()) }
                .and_then(|()| line.connection.receive(&mut self.scratch, event.closing));
        match progress {
            Err(fault) => self.fail(phase, place, fault),
            Ok(Progress::Nothing) => Ok(()),
            Ok(Progress::Some) => {
                line.first_byte.get_or_insert_with(|| since.elapsed());
                if self.plan.abandon_every.is_some_and(|every| line.count.is_multiple_of(every)) {
                    phase.tally.abandoned += 1;
                    self.reopen(place)?;
                    self.release(phase, place)?;
                }
                Ok(())
            }
            Ok(Progress::Complete) => self.complete(phase, place, since, event.closing),
        }
    }

    fn complete(
        &mut self,
        phase: &mut Phase,
        place: usize,
        since: Instant,
        closing: bool,
    ) -> io::Result<()> {
        let now = Instant::now();
        let line = &mut self.lines[place];
        if let Err(fault) = line.connection.reply.check(self.plan.kind, self.plan.frames) {
            return self.fail(phase, place, fault);
        }
        let tally = &mut phase.tally;
        tally.complete += 1;
        tally.in_time += u64::from(now < phase.end);
        let latency = now - since;
        tally.latency.saturating_record(nanos(latency));
        tally.first_byte.saturating_record(nanos(line.first_byte.unwrap_or(latency)));
        if closing || line.connection.reply.closing() {
            tally.reconnects += 1;
            self.reopen(place)?;
        }
        self.release(phase, place)
    }

    fn fail(&mut self, phase: &mut Phase, place: usize, fault: Fault) -> io::Result<()> {
        phase.tally.faults += 1;
        if phase.tally.faults > FAULTS_MAX {
            return Err(io::Error::other(format!(
                "more than {FAULTS_MAX} faults, last: {fault:?}"
            )));
        }
        phase.tally.first_fault.get_or_insert(fault);
        self.reopen(place)?;
        self.release(phase, place)
    }

    /// The line is free: it takes the next request that is due, or rests.
    fn release(&mut self, phase: &mut Phase, place: usize) -> io::Result<()> {
        self.lines[place].since = None;
        phase.under_way -= 1;
        phase.idle.push_back(place);
        self.send_due(phase, Instant::now())
    }

    fn reopen(&mut self, place: usize) -> io::Result<()> {
        self.lines[place].connection =
            Connection::open(self.plan.target, &self.poller, place as u64)?;
        self.lines[place].since = None;
        Ok(())
    }
}

impl Phase {
    fn all_sent(&self) -> bool {
        self.sent >= self.sent_max
    }

    /// The time from which the next request counts, if it may leave now.
    fn next_due(&self, now: Instant) -> Option<Instant> {
        if self.all_sent() {
            return None;
        }
        match self.interval {
            None => (now < self.end).then_some(now),
            Some(interval) => {
                let behind = u64::try_from(interval.as_nanos()).ok()?.checked_mul(self.sent)?;
                let due = self.start + Duration::from_nanos(behind);
                (due <= now && now < self.end + GRACE).then_some(due)
            }
        }
    }
}

impl Tally {
    fn new() -> io::Result<Self> {
        let histogram =
            || Histogram::new_with_bounds(1_000, nanos(LATENCY_MAX), 3).map_err(io::Error::other);
        Ok(Self {
            in_time: 0,
            complete: 0,
            abandoned: 0,
            reconnects: 0,
            missed: 0,
            faults: 0,
            first_fault: None,
            elapsed: Duration::ZERO,
            latency: histogram()?,
            first_byte: histogram()?,
        })
    }

    /// The tally as the driver reads it; times in microseconds.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "per_second": self.in_time as f64 / self.elapsed.as_secs_f64().max(1e-9),
            "seconds": self.elapsed.as_secs_f64(),
            "complete": self.complete,
            "abandoned": self.abandoned,
            "reconnects": self.reconnects,
            "missed": self.missed,
            "faults": self.faults,
            "first_fault": self.first_fault.as_ref().map(|fault| format!("{fault:?}")),
            "latency_us": percentiles(&self.latency),
            "first_byte_us": percentiles(&self.first_byte),
        })
    }
}

fn percentiles(histogram: &Histogram<u64>) -> Value {
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
    json!({
        "p50": at(0.5),
        "p90": at(0.9),
        "p99": at(0.99),
        "p999": at(0.999),
        "max": histogram.max() as f64 / 1e3,
        "mean": histogram.mean() / 1e3,
    })
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
