//! Tag lists: the `v=1; a=rsa-sha256` of DKIM signatures and of key and policy records (RFC 6376 3.2).

/// The tags in order: name and value, white space around them gone, that inside kept. Parts without `=` are left out.
pub(super) fn tags(list: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    list.split(|byte| *byte == b';').filter_map(|part| {
        let equals = memchr::memchr(b'=', part)?;
        let (name, value) = part.split_at_checked(equals)?;
        Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
    })
}

/// The value of the first tag of this name. Names are case-sensitive (RFC 6376 3.2).
pub(super) fn tag<'a>(list: &'a [u8], name: &str) -> Option<&'a [u8]> {
    tags(list).find(|(found, _)| *found == name.as_bytes()).map(|(_, value)| value)
}

/// RFC 6376 3.2: tags must not occur more than once.
pub(super) fn has_duplicates(list: &[u8]) -> bool {
    let mut names: Vec<&[u8]> = tags(list).map(|(name, _)| name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    names.len() < count
}

/// Whether a colon-separated value has this item, in any case.
pub(super) fn has_item(value: &[u8], item: &str) -> bool {
    value.split(|byte| *byte == b':').any(|found| found.trim_ascii().eq_ignore_ascii_case(item.as_bytes()))
}

/// The value as text, without any white space; bytes beyond ASCII are replaced.
pub(super) fn text(value: &[u8]) -> String {
    let bytes: Vec<u8> = value.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_lists() {
        let list = b" v=1 ; a = rsa-sha256;b=a b\r\n c==;;x; =y; h=From : To";
        assert_eq!(tag(list, "v"), Some(&b"1"[..]));
        assert_eq!(tag(list, "a"), Some(&b"rsa-sha256"[..]));
        assert_eq!(tag(list, "b").map(text).as_deref(), Some("abc=="));
        assert_eq!(tag(list, "x"), None);
        assert_eq!(tag(list, "V"), None);
        assert!(has_item(tag(list, "h").unwrap(), "to"));
        assert!(!has_item(tag(list, "h").unwrap(), "t"));
        assert!(!has_duplicates(list));
        assert!(has_duplicates(b"d=a; s=x; d=b"));
    }
}
