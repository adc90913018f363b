//! Full commit ids: SHA-1 (40 digits) or SHA-256 (64 digits), lower-case hexadecimal.

/// Whether the text is a full commit id.
#[inline]
#[must_use]
pub fn is_full(text: &[u8]) -> bool {
    matches!(text.len(), 40 | 64)
        && text
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::is_full;

    #[test]
    fn only_full_lower_case_ids() {
        let sha1 = "0123456789abcdef0123456789abcdef01234567";
        assert!(is_full(sha1.as_bytes()));
        assert!(is_full("ab".repeat(32).as_bytes()));
        for text in [
            "",
            "abc123",
            &sha1[1..],
            &sha1.to_uppercase(),
            &format!("{sha1}0"),
        ] {
            assert!(!is_full(text.as_bytes()), "{text}");
        }
        assert!(!is_full("g".repeat(40).as_bytes()));
    }
}
