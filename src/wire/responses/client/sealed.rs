//! What other providers want to see again with a conversation, in the place where the Responses API
//! has it: the `encrypted_content` of a reasoning item. Clients send such items back as they are.

use serde_json::value::RawValue;

/// Begins what was sealed here; the rest is a list of thinking blocks as JSON.
pub(in crate::wire::responses) const MARK: &str = "tollgate.thinking_blocks:";

/// The text that holds the blocks; `None` if there are none.
pub(super) fn seal(blocks: &[Box<RawValue>]) -> Option<String> {
    let list = serde_json::to_string(blocks).ok().filter(|_| !blocks.is_empty())?;
    Some(format!("{MARK}{list}"))
}

/// The blocks in it; `None` if it was sealed by somebody else.
pub(super) fn open(sealed: &str) -> Option<Vec<Box<RawValue>>> {
    serde_json::from_str(sealed.strip_prefix(MARK)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_comes_back() {
        let block = RawValue::from_string(r#"{"type":"thinking","signature":"s=="}"#.to_owned());
        let blocks = vec![block.unwrap()];
        let sealed = seal(&blocks).unwrap();
        let opened = open(&sealed).unwrap();
        assert_eq!(opened[0].get(), blocks[0].get());
        assert!(seal(&[]).is_none() && open("gAAAA").is_none());
    }
}
