//! Ids of responses, which name the deployment that made them.
//!
//! A response lives where it was made. Its id as the client has it is `resp_tg`, sixteen hex digits
//! of a hash of the deployment's id, `_`, and the provider's own id. So no gateway has to remember
//! anything, and an SDK that looks for `resp_` finds it.

use std::fmt;

const MARK: &str = "resp_tg";
const DIGITS: usize = 16;

/// Who made a response: a hash of an account's name, which is a deployment's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner(u64);

impl Owner {
    /// The account of this name. The same in every process (FNV-1a).
    #[must_use]
    pub fn of(account: &str) -> Self {
        let mut sum = 0xcbf2_9ce4_8422_2325_u64;
        for byte in account.bytes() {
            sum = (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self(sum)
    }

    /// Reads what [`fmt::Display`] writes.
    pub(super) fn read(digits: &str) -> Option<Self> {
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_one = digits.len() == DIGITS && digits.bytes().all(hex);
        is_one.then(|| u64::from_str_radix(digits, 16).ok().map(Self))?
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:0DIGITS$x}", self.0)
    }
}

/// A response of a provider, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made<'a> {
    pub by: Owner,
    /// The provider's own id.
    pub id: &'a str,
}

impl<'a> Made<'a> {
    /// Reads an id that a client shows; `None` if it is none of ours.
    #[must_use]
    pub fn read(id: &'a str) -> Option<Self> {
        let (digits, rest) = id.strip_prefix(MARK)?.split_at_checked(DIGITS)?;
        let own = rest.strip_prefix('_').filter(|own| !own.is_empty())?;
        Some(Self { by: Owner::read(digits)?, id: own })
    }
}

impl fmt::Display for Made<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{MARK}{}_{}", self.by, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_leads_back_to_its_maker() {
        let made = Made { by: Owner::of("gpt-1"), id: "resp_68af" };
        let shown = made.to_string();
        assert!(shown.starts_with("resp_tg") && shown.ends_with("_resp_68af"), "{shown}");
        assert_eq!(Made::read(&shown), Some(made));
        assert_ne!(Owner::of("gpt-1"), Owner::of("gpt-2"));
        for foreign in [
            "",
            "resp_68af",
            "resp_tg",
            "resp_tg0123456789abcdef",
            "resp_tg0123456789abcdef_",
            "resp_tg+123456789abcdef_x",
            "resp_tgé123456789abcde_x",
        ] {
            assert_eq!(Made::read(foreign), None, "{foreign}");
        }
    }
}
