//! What a file is, by what it begins with.

use super::archive::Kind;

/// What executable formats that infer does not know begin with, and their types.
const MORE: [(&[u8], &str); 3] = [
    // A shortcut of Windows: [MS-SHLLINK] 2.1.
    (b"L\0\0\0\x01\x14\x02\0", "application/x-ms-shortcut"),
    // [MS-CAB]: cabinets, also of installers.
    (b"MSCF\0\0\0\0", "application/vnd.ms-cab-compressed"),
    (b"ITSF\x03\0\0\0", "application/vnd.ms-htmlhelp"),
];

/// As long is the header of programs of DOS, which those of Windows begin with (\[PE/COFF\] 2.1).
const DOS_HEADER: usize = 0x40;

/// The type of a file that begins with `head`; empty where nothing shows.
pub(super) fn real_type(head: &[u8]) -> &'static str {
    if head.starts_with(b"MZ") && is_text(head) {
        return "";
    }
    if let Some((_, name)) = MORE.iter().find(|(magic, _)| head.starts_with(magic)) {
        return name;
    }
    match Kind::of(head) {
        Some(Kind::Compound) => "application/x-ole-storage",
        _ => infer::get(head).map_or("", |kind| kind.mime_type()),
    }
}

/// Whether text may begin so. Of what begins with `MZ` no program does: the last four octets of its header say how far it is to the
/// one that Windows looks for, and as four signs of a text they would be more than any message is long.
fn is_text(head: &[u8]) -> bool {
    // Texts in Asian character sets (ISO 2022) switch between them with 0e, 0f and 1b.
    let is_sign = |octet: &u8| matches!(octet, b'\t' | b'\n' | 0x0c..=0x0f | 0x1b | b' '..=b'~' | 0x80..);
    head.iter().take(DOS_HEADER).all(is_sign)
}
