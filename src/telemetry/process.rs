//! What the operating system says of this process. Linux only; elsewhere nothing is known.

use std::fs;

/// Linux reports processor time in hundredths of a second on every architecture we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Resources in use.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) resident_bytes: Option<f64>,
    pub(crate) open_fds: Option<f64>,
}

impl Usage {
    pub(crate) fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").ok();
        let status = fs::read_to_string("/proc/self/status").ok();
        Self {
            cpu_seconds: stat.as_deref().and_then(cpu_seconds),
            resident_bytes: status.as_deref().and_then(resident_bytes),
            // One of them is the descriptor that lists the directory.
            open_fds: fs::read_dir("/proc/self/fd").ok().map(|fds| fds.count() as f64 - 1.0),
        }
    }
}

/// Fields 14 and 15 of `/proc/self/stat`. The second field is the program's name in parentheses and
/// may hold anything, so counting begins behind the last one.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn resident_bytes(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_files_are_read() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 161 0 0 0 250 50 0 0 20 0 9 0 100 1 2";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2_097_152.0));
        assert_eq!((cpu_seconds(""), resident_bytes("")), (None, None));
    }
}
