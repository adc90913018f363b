//! How error texts show a piece of what the user sent: in quotes, escaped, and cut.

/// The first `most` characters in double quotes; what cannot be printed is escaped.
#[must_use]
pub fn quoted(text: &[u8], most: usize) -> String {
    // Four bytes a character at the most: a huge value is not decoded to show its beginning.
    let head = &text[..text.len().min(most.saturating_mul(4))];
    let shown: String = String::from_utf8_lossy(head).chars().take(most).collect();
    format!("{shown:?}")
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn escapes_and_cuts() {
        assert_eq!(quoted(b"a\"b\\\n", 9), r#""a\"b\\\n""#);
        assert_eq!(quoted("ééé".as_bytes(), 2), "\"éé\"");
        assert_eq!(quoted(b"", 2), "\"\"");
        assert_eq!(quoted(&[b'a', 0xFF], 9), "\"a\u{fffd}\"");
    }
}
