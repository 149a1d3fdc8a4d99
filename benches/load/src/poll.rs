//! Readiness of sockets and a precise timer, over epoll.
//!
//! Sockets are edge-triggered: reported once per change, so the owner reads until a read comes back
//! short. The timer is a timerfd, because the timeout of a wait has a slack of 50 us, and that is
//! the size of what is measured here.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

/// Events taken from the kernel in one wait.
const BATCH: usize = 256;

pub struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
}

/// What happened to the source that was registered under `token`.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    pub token: u64,
    pub readable: bool,
    pub writable: bool,
    /// The other side has closed its half, or the socket failed: reading to the end is needed to
    /// see which.
    pub closing: bool,
}

impl Poller {
    /// # Errors
    /// The kernel refuses another file descriptor.
    pub fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(BATCH) })
    }

    /// Reports connections, data, free send space and the peer's closing, each once per change.
    ///
    /// # Errors
    /// The kernel's, from `epoll_ctl`.
    pub fn watch_socket(&self, source: impl AsFd, token: u64) -> io::Result<()> {
        let wanted = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, source, EventData::new_u64(token), wanted)?)
    }

    /// Reports a listener or a timer as long as something waits in it.
    ///
    /// # Errors
    /// The kernel's, from `epoll_ctl`.
    pub fn watch_source(&self, source: impl AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, source, EventData::new_u64(token), EventFlags::IN)?)
    }

    /// Waits until something is ready or the timeout has passed, and appends what is ready.
    ///
    /// # Errors
    /// The kernel's, from `epoll_wait`; an interrupted wait is no error and reports nothing.
    pub fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        let timeout = timeout.map(|t| Timespec {
            tv_sec: i64::try_from(t.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(t.subsec_nanos()),
        });
        self.events.clear();
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut self.events),
            timeout.as_ref(),
        ) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        ready.extend(self.events.iter().map(|event| {
            // The event is a packed structure: its fields are copied out, never borrowed.
            let flags = event.flags;
            let data = event.data;
            Ready {
                token: data.u64(),
                readable: flags.contains(EventFlags::IN),
                writable: flags.contains(EventFlags::OUT),
                closing: flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR),
            }
        }));
        Ok(())
    }
}

/// A timer that becomes readable at a fixed interval.
pub struct Ticker {
    fd: OwnedFd,
}

impl Ticker {
    /// # Errors
    /// The kernel's, from `timerfd_create` and `timerfd_settime`.
    pub fn every(interval: Duration) -> io::Result<Self> {
        let fd = rustix::time::timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        let interval = Timespec {
            tv_sec: i64::try_from(interval.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(interval.subsec_nanos()),
        };
        rustix::time::timerfd_settime(
            &fd,
            TimerfdTimerFlags::empty(),
            &Itimerspec { it_interval: interval, it_value: interval },
        )?;
        Ok(Self { fd })
    }

    /// Takes the ticks that have come, so that the timer is no longer readable.
    pub fn take(&self) {
        let mut ticks = [0_u8; 8];
        // Nothing to read is fine: the wait was ended by something else.
        rustix::io::read(&self.fd, &mut ticks).ok();
    }
}

impl AsFd for Ticker {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
