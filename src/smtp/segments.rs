//! For tests: the same bytes in segments as a network might cut them.

/// `bytes` in pieces of the sizes in `cuts`, which are used over and over.
pub(super) fn cut<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut segments = Vec::new();
    let mut rest = bytes;
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (front, back) = rest.split_at((*cut).min(rest.len()));
        segments.push(front);
        rest = back;
    }
    segments
}
