//! What scripts say: trees of numbers in texts.

use redis::FromRedisValue;

/// What the script said, as a tree of numbers in texts.
#[derive(Debug, Default)]
pub(super) struct Said(redis::Value);

impl Said {
    pub(super) fn list(&self) -> &[redis::Value] {
        list(&self.0)
    }
}

impl FromRedisValue for Said {
    fn from_redis_value(value: redis::Value) -> Result<Self, redis::ParsingError> {
        Ok(Self(value))
    }
}

pub(super) fn list(value: &redis::Value) -> &[redis::Value] {
    match value {
        redis::Value::Array(list) => list,
        _ => &[],
    }
}

pub(super) fn number(value: Option<&redis::Value>) -> u64 {
    match value {
        Some(redis::Value::Int(number)) => u64::try_from(*number).unwrap_or(0),
        Some(redis::Value::BulkString(text)) => {
            let text = std::str::from_utf8(text).unwrap_or_default();
            // Less than nothing would be a correction that went too far.
            text.parse::<i64>().map_or(0, |number| u64::try_from(number).unwrap_or(0))
        }
        _ => 0,
    }
}

pub(super) fn word(value: Option<&redis::Value>) -> &[u8] {
    match value {
        Some(redis::Value::BulkString(text)) => text,
        _ => b"",
    }
}
