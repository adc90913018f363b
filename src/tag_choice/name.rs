//! The names of tags, read as versions.

use semver::{Prerelease, Version};
use std::cmp::Ordering;

/// A tag's name without the prefix of its stream and without `v` or `V`.
pub(super) enum Name<'a> {
    /// `MAJOR.MINOR.PATCH[-pre][+build]`, no leading zeros.
    Strict(Version),
    /// One to three numeric parts that are not a strict version: `1.2`, `2024.01.05`.
    Numeric(Numbers<'a>),
}

impl<'a> Name<'a> {
    /// Reads a tag of the stream with this prefix.
    pub(super) fn parse(prefix: &str, tag: &'a str) -> Option<Self> {
        let name = tag.strip_prefix(prefix)?;
        let name = name.strip_prefix(['v', 'V']).unwrap_or(name);
        // Most tags of other streams end here, before anything is allocated.
        if !name.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        match Version::parse(name) {
            Ok(version) => Some(Self::Strict(version)),
            Err(_) => Numbers::parse(name).map(Self::Numeric),
        }
    }

    /// The major number; one too long for the type counts as its highest value.
    pub(super) fn major(&self) -> u64 {
        match self {
            Self::Strict(version) => version.major,
            Self::Numeric(numbers) => numbers.0[0].saturated(),
        }
    }

    /// Precedence by Semantic Versioning. A numeric name counts as the stable version whose
    /// missing parts are 0.
    pub(super) fn cmp_precedence(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Strict(a), Self::Strict(b)) => a.cmp_precedence(b),
            (Self::Numeric(a), Self::Numeric(b)) => a.cmp(b),
            (Self::Strict(a), Self::Numeric(b)) => cmp_mixed(a, b),
            (Self::Numeric(a), Self::Strict(b)) => cmp_mixed(b, a).reverse(),
        }
    }
}

fn cmp_mixed(strict: &Version, numeric: &Numbers<'_>) -> Ordering {
    let digits = [strict.major, strict.minor, strict.patch].map(|part| part.to_string());
    let core = Numbers([&digits[0], &digits[1], &digits[2]].map(|part| Number::new(part)));
    core.cmp(numeric)
        .then_with(|| strict.pre.cmp(&Prerelease::EMPTY))
}

/// Up to three numbers, missing ones 0. The order is numeric, part by part.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Numbers<'a>([Number<'a>; 3]);

impl<'a> Numbers<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let mut numbers = Self::default();
        for (place, part) in name.split('.').enumerate() {
            let is_number = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            *numbers.0.get_mut(place).filter(|_| is_number)? = Number::new(part);
        }
        Some(numbers)
    }
}

/// A number of any length. Without leading zeros, the longer one is the higher: the derived order
/// needs `len` to come first.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Number<'a> {
    len: usize,
    digits: &'a str,
}

impl<'a> Number<'a> {
    fn new(part: &'a str) -> Self {
        let digits = part.trim_start_matches('0');
        Self {
            len: digits.len(),
            digits,
        }
    }

    fn saturated(self) -> u64 {
        if self.len == 0 {
            0
        } else {
            self.digits.parse().unwrap_or(u64::MAX)
        }
    }
}
