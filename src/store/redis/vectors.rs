//! Questions in Redis, compared by its own vector search, where it has one: the module RediSearch, or
//! Redis from version 8 on.
//!
//! A question is a hash of its group, the name of its reply and its vector, and ends with the reply. There
//! is an index for each number of dimensions, made by who needs it first. The search is exact (`FLAT`)
//! within a group, as it is in memory.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::{Cmd, Script, Value};
use sha2::{Digest, Sha256};

use super::Redis;
use crate::cache::{Mark, Nearest};

/// Numbers of dimensions whose indexes are remembered to be there.
const INDEXES_MAX: usize = 32;
/// In one step, so that no question outlives its reply.
const ADD: &str = "redis.call('HSET', KEYS[1], 'group', ARGV[1], 'name', ARGV[2], 'vector', ARGV[3])\n\
                   return redis.call('PEXPIRE', KEYS[1], ARGV[4])";

const UNKNOWN: u8 = 0;
const THERE: u8 = 1;
const NOT_THERE: u8 = 2;

/// What is known of the search.
#[derive(Debug)]
pub(super) struct Search {
    state: AtomicU8,
    indexes: Mutex<Vec<usize>>,
}

impl Default for Search {
    fn default() -> Self {
        Self { state: AtomicU8::new(UNKNOWN), indexes: Mutex::default() }
    }
}

impl Redis {
    /// Whether there is a search. Asked until there is an answer, which holds for the life of the process.
    pub(super) async fn searches(&self) -> bool {
        match self.search.state.load(Ordering::Relaxed) {
            THERE => return true,
            NOT_THERE => return false,
            _ => {}
        }
        let mut command = redis::cmd("COMMAND");
        command.arg("INFO").arg("FT.SEARCH");
        let Ok(known) = self.link.query::<Vec<Value>>(&command).await else { return false };
        // For a command that it has not, a server says nil, or nothing at all.
        let is_there = known.iter().any(|command| matches!(command, Value::Array(_)));
        let (state, message) = match is_there {
            true => (THERE, "Redis compares the vectors of the cache, for all gateways together"),
            false => (
                NOT_THERE,
                "Redis has no vector search (the module RediSearch, or Redis 8): each gateway compares \
                 the vectors of the cache by itself",
            ),
        };
        if self.search.state.swap(state, Ordering::Relaxed) == UNKNOWN {
            tracing::info!("{message}");
        }
        is_there
    }

    pub(super) async fn add_vector(&self, mark: &Mark, name: &str, ttl: Duration) -> bool {
        if !self.has_index(mark.vector.dimensions()).await {
            return false;
        }
        let lives_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        let script = Script::new(ADD);
        let mut adding = script.key(self.vector_key(mark, name));
        adding.arg(digest(&mark.group)).arg(name).arg(mark.vector.to_bytes()).arg(lives_ms);
        self.link.ask::<Value>(&adding).await.is_ok()
    }

    pub(super) async fn nearest_vector(&self, mark: &Mark) -> Option<Nearest> {
        let dimensions = mark.vector.dimensions();
        if !self.has_index(dimensions).await {
            return None;
        }
        let mut command = redis::cmd("FT.SEARCH");
        command.arg(self.index(dimensions));
        command
            .arg(format!("(@group:{{{}}})=>[KNN 1 @vector $v AS distance]", digest(&mark.group)));
        command.arg("PARAMS").arg(2).arg("v").arg(mark.vector.to_bytes());
        command.arg("SORTBY").arg("distance").arg("RETURN").arg(2).arg("name").arg("distance");
        command.arg("DIALECT").arg(2);
        let Ok(found) = self.link.query::<Vec<Value>>(&command).await else {
            // It may have been started anew, with nothing in it.
            self.search.indexes.lock().clear();
            return None;
        };
        nearest(&found)
    }

    pub(super) async fn forget_vector(&self, mark: &Mark, name: &str) {
        // What stays ends by itself.
        self.link.command(&Cmd::unlink(self.vector_key(mark, name))).await.ok();
    }

    /// Sees to it that there is an index.
    async fn has_index(&self, dimensions: usize) -> bool {
        if self.search.indexes.lock().contains(&dimensions) {
            return true;
        }
        let name = self.index(dimensions);
        let Ok(listed) = self.link.query::<Vec<String>>(&redis::cmd("FT._LIST")).await else {
            return false;
        };
        if !listed.contains(&name) {
            let mut command = redis::cmd("FT.CREATE");
            command.arg(&name).arg("ON").arg("HASH").arg("PREFIX").arg(1);
            command.arg(self.vectors(dimensions)).arg("SCHEMA").arg("group").arg("TAG");
            command.arg("vector").arg("VECTOR").arg("FLAT").arg(6).arg("TYPE").arg("FLOAT32");
            command.arg("DIM").arg(dimensions).arg("DISTANCE_METRIC").arg("COSINE");
            // Another gateway may have made it just now; then the next one finds it in the list.
            if self.link.command(&command).await.is_err() {
                return false;
            }
        }
        let mut indexes = self.search.indexes.lock();
        if indexes.len() < INDEXES_MAX && !indexes.contains(&dimensions) {
            indexes.push(dimensions);
        }
        true
    }

    fn index(&self, dimensions: usize) -> String {
        format!("{}vectors:{dimensions}", self.prefix)
    }

    /// What the names of questions with so many dimensions begin with.
    fn vectors(&self, dimensions: usize) -> String {
        format!("{}vector:{dimensions}:", self.prefix)
    }

    fn vector_key(&self, mark: &Mark, name: &str) -> String {
        let both = digest(&format!("{}/{name}", mark.group));
        format!("{}{both}", self.vectors(mark.vector.dimensions()))
    }
}

/// Letters and digits only, as tags are.
fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first of what a search has found: how many, and for each its key and its fields.
fn nearest(found: &[Value]) -> Option<Nearest> {
    let [_, _, Value::Array(fields), ..] = found else { return None };
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    };
    let field = |name: &str| {
        let mut pairs = fields.chunks_exact(2);
        pairs.find_map(|pair| text(&pair[1]).filter(|_| text(&pair[0]).as_deref() == Some(name)))
    };
    let distance: f32 = field("distance")?.parse().ok()?;
    Some(Nearest { name: field("name")?.into(), similarity: 1.0 - distance })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn the_first_that_was_found_is_the_nearest() {
        let fields = ["distance", "0.25", "name", "ns:abc"].map(text).to_vec();
        let found = [Value::Int(1), text("key"), Value::Array(fields)];
        let expected = Nearest { name: "ns:abc".into(), similarity: 0.75 };
        assert_eq!(nearest(&found), Some(expected));
        for odd in [
            vec![],
            vec![Value::Int(0)],
            vec![Value::Int(1), text("key"), Value::Nil],
            vec![Value::Int(1), text("key"), Value::Array(vec![text("name"), text("x")])],
        ] {
            assert_eq!(nearest(&odd), None, "{odd:?}");
        }
    }
}
