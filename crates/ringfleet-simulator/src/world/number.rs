//! Phone numbers: digits with a country code, in eight bytes.

use std::fmt;

use serde::{Serialize, Serializer};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct Number(pub(crate) u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberProblem {
    /// Six digits or fewer: a short code or an extension number.
    Short,
    Invalid,
}

impl Number {
    /// Reads E.164 and what people write instead: `(555) 010-0001`, digits without `+`, ten digits as a US number.
    pub(crate) fn parse(raw: &str) -> Result<Self, NumberProblem> {
        let mut digits = 0u64;
        let mut count = 0u32;
        let mut plus = false;
        for c in raw.bytes() {
            match c {
                b'0'..=b'9' if count < 15 => {
                    digits = digits * 10 + u64::from(c - b'0');
                    count += 1;
                }
                b'+' if count == 0 && !plus => plus = true,
                b' ' | b'(' | b')' | b'-' | b'.' => {}
                _ => return Err(NumberProblem::Invalid),
            }
        }
        match count {
            1..=6 if !plus => Err(NumberProblem::Short),
            10 if !plus => Ok(Self(10_000_000_000 + digits)),
            11..=15 => Ok(Self(digits)),
            8..=10 if plus => Ok(Self(digits)),
            _ => Err(NumberProblem::Invalid),
        }
    }

    pub(crate) fn without_plus(self) -> WithoutPlus {
        WithoutPlus(self)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{}", self.0)
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

pub(crate) struct WithoutPlus(Number);

impl Serialize for WithoutPlus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        let us = Number(15_550_100_001);
        for raw in ["+15550100001", "15550100001", "(555) 010-0001", "+1 555.010.0001"] {
            assert_eq!(Number::parse(raw), Ok(us), "{raw}");
        }
        assert_eq!(us.to_string(), "+15550100001");
        assert_eq!(Number::parse("12345"), Err(NumberProblem::Short));
        for raw in ["", "+", "x", "+1555", "1+5550100001", "+1234567890123456"] {
            assert_eq!(Number::parse(raw), Err(NumberProblem::Invalid), "{raw}");
        }
    }
}
