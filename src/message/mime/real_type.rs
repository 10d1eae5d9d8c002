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

/// The type of a file that begins with `head`; empty where nothing shows.
pub(super) fn real_type(head: &[u8]) -> &'static str {
    if let Some((_, name)) = MORE.iter().find(|(magic, _)| head.starts_with(magic)) {
        return name;
    }
    match Kind::of(head) {
        Some(Kind::Compound) => "application/x-ole-storage",
        _ => infer::get(head).map_or("", |kind| kind.mime_type()),
    }
}
