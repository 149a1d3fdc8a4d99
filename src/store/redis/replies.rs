//! Replies in Redis. Whatever goes wrong is a miss, and the deadline is that of all operations.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use redis::Cmd;

use super::Redis;
use crate::cache::{Mark, Nearest, Remote};

/// Keys that are looked at and removed in one step.
const FLUSHED_AT_ONCE: usize = 500;

impl Redis {
    fn reply(&self, name: &str) -> String {
        format!("{}reply:{name}", self.prefix)
    }
}

#[async_trait]
impl Remote for Redis {
    async fn get(&self, name: &str) -> Option<Bytes> {
        let found: Option<Vec<u8>> = self.link.query(&Cmd::get(self.reply(name))).await.ok()?;
        found.map(Into::into)
    }

    async fn set(&self, name: &str, entry: Bytes, ttl: Duration) -> bool {
        let mut command = redis::cmd("SET");
        let lives_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        command.arg(self.reply(name)).arg(&entry[..]).arg("PX").arg(lives_ms);
        self.link.command(&command).await.is_ok()
    }

    async fn delete(&self, names: &[String]) -> Option<u64> {
        if names.is_empty() {
            return Some(0);
        }
        let mut command = redis::cmd("UNLINK");
        for name in names {
            command.arg(self.reply(name));
        }
        self.link.query(&command).await.ok()
    }

    async fn compares(&self) -> bool {
        self.searches().await
    }

    async fn mark(&self, mark: &Mark, name: &str, ttl: Duration) -> bool {
        self.add_vector(mark, name, ttl).await
    }

    async fn nearest(&self, mark: &Mark) -> Option<Nearest> {
        self.nearest_vector(mark).await
    }

    async fn unmark(&self, mark: &Mark, name: &str) {
        self.forget_vector(mark, name).await;
    }

    async fn flush(&self) -> Option<u64> {
        self.remove("vector:*").await?;
        self.remove("reply:*").await
    }

    async fn ping(&self) -> bool {
        self.link.command(&redis::cmd("PING")).await.is_ok()
    }

    async fn info(&self) -> Option<(String, String)> {
        let info: String = self.link.query(&redis::cmd("INFO")).await.ok()?;
        let mut clients = redis::cmd("CLIENT");
        clients.arg("LIST");
        let clients: String = self.link.query(&clients).await.ok()?;
        Some((info, clients))
    }
}

impl Redis {
    /// Removes what has names of a pattern, behind what all names begin with.
    async fn remove(&self, names: &str) -> Option<u64> {
        // Signs of a pattern that stand in the namespace mean themselves.
        let mut pattern = String::new();
        for sign in self.prefix.chars() {
            if matches!(sign, '*' | '?' | '[' | ']' | '\\' | '^') {
                pattern.push('\\');
            }
            pattern.push(sign);
        }
        pattern.push_str(names);
        let (mut cursor, mut gone) = (0_u64, 0);
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(FLUSHED_AT_ONCE);
            let (next, keys): (u64, Vec<String>) = self.link.query(&scan).await.ok()?;
            if !keys.is_empty() {
                let unlinked: u64 = self.link.query(&Cmd::unlink(&keys)).await.ok()?;
                gone += unlinked;
            }
            if next == 0 {
                return Some(gone);
            }
            cursor = next;
        }
    }
}
