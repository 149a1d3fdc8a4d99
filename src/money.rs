//! Amounts of money as integers, so that adding up a million requests loses nothing.
//!
//! The unit is the pico-dollar (1e-12 USD): the cheapest published price, a cached token of a small
//! model, is a few thousand of them, and a `u64` holds 18 million dollars.

use std::fmt;

const PICO_PER_USD: f64 = 1e12;

/// An amount of US dollars, in pico-dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(u64);

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// An amount given in pico-dollars.
    #[must_use]
    pub const fn from_pico(pico_usd: u64) -> Self {
        Self(pico_usd)
    }

    /// An amount given in dollars, as price lists write it. `None` if it is negative, not a number
    /// or beyond 18 million dollars.
    #[must_use]
    pub fn from_dollars(dollars: f64) -> Option<Self> {
        let pico_usd = (dollars * PICO_PER_USD).round();
        let fits = pico_usd >= 0.0 && pico_usd < u64::MAX as f64;
        // The cast cannot truncate: the range was checked on the line above.
        fits.then_some(Self(pico_usd as u64))
    }

    /// The amount in pico-dollars.
    #[must_use]
    pub const fn pico(self) -> u64 {
        self.0
    }

    /// The amount in dollars, for headers, logs and metrics; never for adding up.
    #[must_use]
    pub fn dollars(self) -> f64 {
        self.0 as f64 / PICO_PER_USD
    }

    /// This price taken `count` times.
    #[must_use]
    pub const fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }

    /// What is left of this amount without the other: nothing, if the other is larger.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Both amounts together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// Dollars without an exponent and without trailing zeros: `0.0000375`.
impl fmt::Display for Usd {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, pico) = (self.0 / 1_000_000_000_000, self.0 % 1_000_000_000_000);
        if pico == 0 {
            return write!(out, "{whole}");
        }
        // By hand: each request writes its cost twice, and padding by format is slow.
        let mut digits = [0; 12];
        let mut rest = pico;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let fraction = std::str::from_utf8(&digits).map_err(|_| fmt::Error)?;
        write!(out, "{whole}.{}", fraction.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_written_without_exponent() {
        assert_eq!(Usd::from_dollars(0.000_037_5).unwrap().to_string(), "0.0000375");
        assert_eq!(Usd::from_dollars(2.0).unwrap().to_string(), "2");
        assert_eq!(Usd::ZERO.to_string(), "0");
    }

    #[test]
    fn amounts_that_are_none_are_refused() {
        for bad in [-0.1, f64::NAN, f64::INFINITY, 1e12] {
            assert_eq!(Usd::from_dollars(bad), None, "{bad}");
        }
    }
}
