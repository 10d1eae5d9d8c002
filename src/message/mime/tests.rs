use std::io::Write as _;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use proptest::prelude::*;

use super::*;
use crate::message::header::Header;

fn scan_in_pieces(message: &[u8], cut: usize) -> Contents {
    let header = Header::of_message(message, 1 << 20).unwrap();
    let mut scanner = Scanner::new(&header);
    message[header.len()..].chunks(cut).for_each(|piece| scanner.push(piece));
    scanner.finish()
}

fn scan(text: &str) -> Contents {
    scan_in_pieces(text.replace('\n', "\r\n").as_bytes(), 64 * 1024)
}

fn told(contents: &Contents) -> Vec<String> {
    let one = |part: &Part| {
        let attached = if part.attached { "+" } else { "" };
        format!("{attached}{} {} {}", part.content_type, part.name, part.size)
    };
    contents.parts.iter().map(one).collect()
}

/// A message whose only part is this file.
fn with_file(name: &str, file: &[u8]) -> Contents {
    let lines: Vec<String> = BASE64
        .encode(file)
        .as_bytes()
        .chunks(76)
        .map(|line| String::from_utf8(line.to_vec()).unwrap())
        .collect();
    scan(&format!(
        "Content-Type: application/octet-stream; name=\"{name}\"\nContent-Transfer-Encoding: base64\n\n{}\n",
        lines.join("\n")
    ))
}

fn file(name: &str, content: &[u8]) -> Part {
    with_file(name, content).parts.remove(0)
}

fn names(part: &Part) -> Vec<&str> {
    part.entries.iter().map(|entry| entry.name.as_str()).collect()
}

// === structure ===

#[test]
fn parts_of_an_ordinary_message() {
    let message = "Subject: x\nContent-Type: multipart/mixed; boundary=out\n\npreamble\n--out\n\
        Content-Type: multipart/alternative; boundary=\"in\"\n\n--in\n\nplain\n--in\n\
        Content-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n<b>=41</b>=\n\n--in--\nepilogue\n--out \n\
        Content-Type: image/png; name=dot.png\nContent-Transfer-Encoding: base64\n\niVBORw0KGgo=\n\n--out--\nrest\n";
    let expected = ["text/plain  5", "text/html  8", "+image/png dot.png 8"];
    assert_eq!(told(&scan(message)), expected);
    assert_eq!(scan(message).parts[2].real_type, "image/png");
    for cut in 1..40 {
        let octets = message.replace('\n', "\r\n");
        assert_eq!(scan_in_pieces(octets.as_bytes(), cut), scan(message), "in pieces of {cut}");
    }
}

#[test]
fn messages_in_messages() {
    let message = "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822; name=m.eml\n\n\
        Subject: inner\nContent-Type: multipart/mixed; boundary=c\n\n--c\nContent-Type: a/b; name=deep.exe\n\nMZ\n--c--\n\n\
        --b\n\nlast\n--b--\n";
    let contents = scan(message);
    assert_eq!(told(&contents)[1..], ["+a/b deep.exe 2", "text/plain  4"]);
    assert_eq!(
        (contents.parts[0].name.as_str(), contents.parts[0].content_type.as_str()),
        ("m.eml", "message/rfc822")
    );
    assert!(contents.parts[0].size > 80);
}

/// Against RFC 2046 5.2.1, but mail programs open them.
#[test]
fn messages_that_are_encoded_as_a_whole() {
    let inner = "Subject: inner\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\
        Content-Type: a/b; name=deep.exe\r\n\r\nMZ\r\n--c--\r\n";
    let base64 = |text: &str| BASE64.encode(text.as_bytes());
    let whole = |encoding: &str, text: &str| {
        format!("Content-Type: message/rfc822; name=m.eml\nContent-Transfer-Encoding: {encoding}\n\n{text}\n")
    };
    let in_parts = |message: String| {
        format!("Content-Type: multipart/mixed; boundary=b\n\n--b\n{message}--b\n\nlast\n--b--\n")
    };
    for message in [
        whole("base64", &base64(inner)),
        whole("quoted-printable", &inner.replace('=', "=3D").replace("\r\n", "\n")),
        whole("base64", &base64(&whole("base64", &base64(inner)))),
    ] {
        for contents in [scan(&message), scan(&in_parts(message.clone()))] {
            let depth = contents.parts.iter().filter(|part| part.name == "m.eml").count();
            assert_eq!(told(&contents)[depth], "+a/b deep.exe 2", "{message}");
            assert!(contents.parts[0].size > 80 && !contents.truncated);
        }
    }
    assert_eq!(told(&scan(&in_parts(whole("base64", &base64(inner)))))[2], "text/plain  4");
    let program = scan(&whole("base64", &BASE64.encode(b"MZ\x90\0")));
    assert_eq!(program.parts[0].real_type, "application/vnd.microsoft.portable-executable");
    let archive = scan(&whole("base64", &BASE64.encode(&zip(&[("evil.exe", &b"MZ"[..], 0)]))));
    assert_eq!(names(&archive.parts[0]), ["evil.exe"]);
    let deep = (0..=MAX_ENCODED).fold("\r\nx".to_owned(), |text, _| whole("base64", &base64(&text)));
    assert!(scan(&deep).truncated && scan(&deep).parts.len() == MAX_ENCODED + 1);
}

#[test]
fn odd_structures() {
    for (message, parts) in [
        ("\n", &["text/plain  0"][..]),
        ("Subject: x\n\nbody\n", &["text/plain  6"]),
        ("Content-Type: multipart/mixed\n\n--b\n\nx\n", &["+multipart/mixed  10"]),
        ("Content-Type: multipart/mixed; boundary=b\n\nno boundary\n", &[]),
        ("Content-Type: multipart/mixed; boundary=b\n\n--b\n\nunclosed", &["text/plain  8"]),
        ("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: a/b; name=x", &["+a/b x 0"]),
        ("Content-Type: multipart/mixed; boundary=b\n\n--bc\n--b--c\n--b", &["text/plain  0"][..0]),
        ("Content-Type: garbage\n\nx", &["+garbage  1"]),
        (
            "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nYQ==\n",
            &["+message/rfc822  1", "text/plain  0"],
        ),
    ] {
        assert_eq!(told(&scan(message)), parts, "{message}");
    }
}

/// The outer boundary ends what is inside it, whether that was closed or not.
#[test]
fn the_outer_boundary_counts() {
    let message = "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=oo\n\n\
        --oo\n\ninner\n--o\n\nouter\n--oo\nstill outer\n--o--\n";
    assert_eq!(told(&scan(message)), ["text/plain  5", "text/plain  24"]);
}

#[test]
fn nesting_and_numbers_are_bounded() {
    let began = Instant::now();
    let mut nested = "Content-Type: multipart/mixed; boundary=b0\n\n".to_owned();
    for depth in 0..3_000 {
        nested += &format!("--b{depth}\nContent-Type: multipart/mixed; boundary=b{}\n\n", depth + 1);
    }
    let contents = scan(&nested);
    assert!(contents.truncated && contents.parts.len() <= 1);

    let letters = "Content-Type: message/rfc822\n\n".repeat(3_000);
    let contents = scan(&letters);
    assert!(contents.truncated && contents.parts.len() <= MAX_DEPTH + 1, "{}", contents.parts.len());

    let many = format!("Content-Type: multipart/mixed; boundary=b\n\n{}", "--b\n\nx\n".repeat(100_000));
    let contents = scan(&many);
    assert!(contents.truncated && contents.parts.len() == MAX_PARTS && !contents.urls_truncated);

    let links: String = (0..=MAX_URLS).map(|number| format!("http://a.test/{number}\n")).collect();
    let contents = scan(&format!("\n{links}"));
    assert!(contents.urls_truncated && !contents.truncated && contents.urls.len() == MAX_URLS);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

proptest! {
    #[test]
    fn nothing_panics_and_pieces_do_not_matter(
        body in "(--b|--|\r\n|\n|Content-Type: multipart/mixed; boundary=b|Content-Type: message/rfc822|=4|[a-z:; =]){0,60}",
        cut in 1_usize..20,
    ) {
        let message = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{body}");
        prop_assert_eq!(scan_in_pieces(message.as_bytes(), cut), scan_in_pieces(message.as_bytes(), 1 << 20));
    }

    #[test]
    fn damaged_archives_are_survived(at in 0_usize..2_000, octet in any::<u8>(), which in 0_usize..3) {
        let mut archive = [
            zip(&[("a.exe", b"MZ", 0), ("b/c.txt", b"text", 0)]),
            tar(&[("a.exe", b"MZ"), ("b.txt", &[b'x'; 700])]),
            gzip(&tar(&[("a.exe", b"MZ")])),
        ][which].clone();
        let length = archive.len();
        archive[at % length] = octet;
        let whole = file("x.bin", &archive);
        let cut = file("x.zip", &archive[..at % length]);
        prop_assert!(whole.entries.len() <= 4 && cut.entries.len() <= 4);
    }
}

// === archives ===

/// A zip archive of stored files, with flags.
fn zip(files: &[(&str, &[u8], u16)]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, content, flags) in files {
        let offset = archive.len() as u32;
        let size = (content.len() as u32).to_le_bytes();
        let name_length = (name.len() as u16).to_le_bytes();
        let common = [&flags.to_le_bytes()[..], &[0; 10], &size, &size, &name_length, &[0; 2]].concat();
        archive.extend([b"PK\x03\x04\x14\x00", &common[..], name.as_bytes(), content].concat());
        directory.extend(
            [b"PK\x01\x02\x14\x00\x14\x00", &common[..], &[0; 10], &offset.to_le_bytes(), name.as_bytes()]
                .concat(),
        );
    }
    let total = (files.len() as u16).to_le_bytes();
    let (size, offset) = ((directory.len() as u32).to_le_bytes(), (archive.len() as u32).to_le_bytes());
    archive.extend([&directory[..], b"PK\x05\x06\0\0\0\0", &total, &total, &size, &offset, &[0; 2]].concat());
    archive
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, content) in files {
        let mut block = vec![0; 512];
        block[..name.len().min(100)].copy_from_slice(&name.as_bytes()[..name.len().min(100)]);
        block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        block[148..156].fill(b' ');
        block[156] = if *name == "././@LongLink" { b'L' } else { b'0' };
        block[257..263].copy_from_slice(b"ustar\0");
        let sum: u64 = block.iter().map(|&octet| u64::from(octet)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        archive.extend(block);
        archive.extend_from_slice(content);
        archive.resize(archive.len().div_ceil(512) * 512, 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn names_in_zip_archives() {
    let part =
        file("docs.zip", &zip(&[("readme.txt", b"hi", 0), ("bin/", b"", 0), ("bin/Setup.EXE. ", b"MZ", 0)]));
    assert_eq!(names(&part), ["readme.txt", "bin/Setup.EXE. "]);
    assert_eq!((part.entries[1].extension.as_str(), part.entries[1].size), ("exe", 2));
    assert_eq!((part.real_type.as_str(), part.entries_result), ("application/zip", EntriesResult::Complete));
    assert!(!part.encrypted && !part.has_macros);
}

#[test]
fn passwords_and_macros() {
    let locked = file("a.zip", &zip(&[("a.exe", b"xx", 1)]));
    assert!(locked.encrypted);
    assert_eq!((names(&locked), locked.entries_result), (vec!["a.exe"], EntriesResult::Complete));
    let masked = file("a.zip", &zip(&[("x", b"xx", 1 | 1 << 13)]));
    assert_eq!(masked.entries_result, EntriesResult::Encrypted);
    assert!(file("a.docm", &zip(&[("word/vbaProject.bin", b"x", 0)])).has_macros);
    assert!(!file("a.docx", &zip(&[("word/document.xml", b"x", 0)])).has_macros);
    let wide = |name: &str| name.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let compound =
        |name: &str| [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", &[0; 9_000][..], &wide(name), &[0; 100]].concat();
    let old = file("a.doc", &compound("_VBA_PROJECT"));
    assert!(old.has_macros && !old.encrypted);
    assert_eq!(
        (old.real_type.as_str(), old.entries_result),
        ("application/x-ole-storage", EntriesResult::NotArchive)
    );
    assert!(file("a.docx", &compound("EncryptedPackage")).encrypted);
    assert!(!file("a.doc", &compound("WordDocument")).has_macros);
    assert!(file("a.pdf", b"%PDF-1.7 ... trailer << /Encrypt 5 0 R >>").encrypted);
}

#[test]
fn archives_that_contradict_themselves_are_broken() {
    let honest = zip(&[("a.txt", b"hi", 0)]);
    let hidden = [zip(&[("evil.exe", b"MZ", 0)])[..46 - 6].to_vec(), honest.clone()].concat();
    let part = file("a.zip", &hidden);
    assert_eq!((names(&part), part.entries_result), (vec!["a.txt", "evil.exe"], EntriesResult::Broken));
    let cut = file("a.zip", &honest[..honest.len() - 30]);
    assert_eq!((names(&cut), cut.entries_result), (vec!["a.txt"], EntriesResult::Broken));
    assert_eq!(file("a.zip", b"no archive").entries_result, EntriesResult::Broken);
    let mut wrong = honest.clone();
    let at = wrong.len() - 12;
    wrong[at] = 9;
    assert_eq!(file("a.zip", &wrong).entries_result, EntriesResult::Broken);
    // An archive behind a program is opened by its end.
    let prefixed = file("a.zip", &[&b"#!/bin/sh\nexit\n"[..], &honest].concat());
    assert_eq!((names(&prefixed), prefixed.entries_result), (vec!["a.txt"], EntriesResult::Complete));
}

/// Whatever the name, and whatever is in front; what only looks like an end is none.
#[test]
fn archives_behind_something_else() {
    let archive = zip(&[("evil.exe", &b"MZ"[..], 0)]);
    let front = [&b"\x89PNG\r\n\x1a\n"[..], &vec![7; 300 << 10]].concat();
    for name in ["a.dat", "a", "a.png"] {
        let part = file(name, &[&front[..], &archive].concat());
        assert_eq!(
            (names(&part), part.entries_result),
            (vec!["evil.exe"], EntriesResult::Complete),
            "{name}"
        );
    }
    let text = scan(&format!(
        "Content-Type: text/plain; name=a.dat\nContent-Transfer-Encoding: base64\n\n{}\n",
        BASE64.encode(&[&b"junk"[..], &archive].concat())
    ));
    assert_eq!(names(&text.parts[0]), ["evil.exe"]);
    let compound = [&b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"[..], &[0; 600]].concat();
    for (front, entries) in [
        (b"%PDF-1.4 /Encrypt".to_vec(), &["evil.exe"][..]),
        (compound.clone(), &["evil.exe"]),
        (gzip(b"x"), &["a", "evil.exe"]),
        (tar(&[("b.txt", b"hi")]), &["b.txt", "evil.exe"]),
    ] {
        for name in ["a.zip", "a.dat", "a"] {
            let part = file(name, &[&front[..], &archive].concat());
            let names: Vec<_> =
                names(&part).into_iter().map(|entry| entry.split('.').next().unwrap()).collect();
            let entries: Vec<_> = entries.iter().map(|entry| entry.split('.').next().unwrap()).collect();
            assert_eq!(names, entries, "{name}");
        }
    }
    let both = file("a.pdf", &[&b"%PDF-1.4 /Encrypt"[..], &archive].concat());
    assert!(both.encrypted && both.entries_result == EntriesResult::Complete);
    let office = file("a.docx", &compound);
    assert_eq!((office.entries.len(), office.entries_result), (0, EntriesResult::NotArchive));
    for content in [&b"junk PK\x05\x06"[..], &[&b"junk"[..], &archive[..archive.len() - 12]].concat()] {
        let part = file("a.dat", content);
        assert_eq!((part.entries.len(), part.entries_result), (0, EntriesResult::NotArchive));
    }
}

// === names and files in texts ===

#[test]
fn all_names_of_a_part_are_told() {
    let contents = scan(
        "Content-Type: a/b; name=\"evil.exe\"\nContent-Disposition: attachment; filename=\"good.txt\"\n\nx\n",
    );
    let part = &contents.parts[0];
    assert_eq!((part.name.as_str(), part.extension.as_str()), ("good.txt", "txt"));
    assert_eq!(part.names().collect::<Vec<_>>(), ["good.txt", "evil.exe"]);
    assert_eq!(part.extensions().collect::<Vec<_>>(), ["txt", "exe"]);
    let none = scan("\nx\n");
    assert_eq!((none.parts[0].names().count(), none.parts[0].extensions().count()), (0, 0));
    let many: String = (0..20).map(|number| format!("; filename={number}.txt")).collect();
    assert!(scan(&format!("Content-Disposition: attachment{many}\n\nx\n")).truncated);
    // An archive by any of its names.
    let second = "Content-Disposition: attachment; filename=a.txt; filename=a.zip\n\nno archive\n";
    assert_eq!(scan(second).parts[0].entries_result, EntriesResult::Broken);
}

#[test]
fn files_in_texts_are_parts() {
    let text = "Hello,\n\nbegin 644 evil.exe\n#35H`\n`\nend\n\nBye";
    for (head, body) in [
        ("", text.to_owned()),
        ("Content-Type: text/plain\nContent-Transfer-Encoding: base64\n", BASE64.encode(text.as_bytes())),
    ] {
        let contents = scan(&format!("{head}\n{body}\n"));
        let [text, file] = contents.parts.as_slice() else { panic!("{contents:?}") };
        assert_eq!(text.content_type, "text/plain");
        assert_eq!((file.name.as_str(), file.extension.as_str(), file.size), ("evil.exe", "exe", 3));
        assert!(file.attached && file.real_type == "application/vnd.microsoft.portable-executable");
    }
    let html = scan(&format!("Content-Type: text/html\n\n{text}\n"));
    assert_eq!(html.parts.len(), 1, "no mail program looks there");
    let many = scan(&format!("\n{}", "begin 644 a.txt\n#0V%T\n`\n".repeat(3 * MAX_PARTS)));
    assert!(many.truncated && many.parts.len() == MAX_PARTS);
}

#[test]
fn names_in_tar_and_gzip() {
    let long = format!("{}/evil.exe", "d".repeat(150));
    let files = [("a.txt", &b"hi"[..]), ("././@LongLink", long.as_bytes()), ("short", b"MZ")];
    for (name, archive) in
        [("a.tar", tar(&files)), ("a.tar.gz", gzip(&tar(&files))), ("a.bin", gzip(&tar(&files)))]
    {
        let part = file(name, &archive);
        assert_eq!(
            (names(&part), part.entries_result),
            (vec!["a.txt", &long], EntriesResult::Complete),
            "{name}"
        );
    }
    let part = file("invoice.exe.GZ", &gzip(b"MZ"));
    assert_eq!(
        (names(&part), part.entries[0].extension.as_str(), part.entries[0].size),
        (vec!["invoice.exe"], "exe", 2)
    );
    let packed = gzip(&tar(&files));
    assert_eq!(file("a.tgz", &packed[..packed.len() / 2]).entries_result, EntriesResult::Broken);
}

#[test]
fn bombs_cost_little() {
    let began = Instant::now();
    let bomb = gzip(&vec![0; 80 << 20]);
    let part = file("a.gz", &bomb);
    assert_eq!(part.entries_result, EntriesResult::Truncated);
    let many: Vec<(String, &[u8], u16)> = (0..5_000).map(|n| (format!("{n}.txt"), &b""[..], 0)).collect();
    let many: Vec<_> = many.iter().map(|(name, content, flags)| (name.as_str(), *content, *flags)).collect();
    let part = file("a.zip", &zip(&many));
    assert_eq!((part.entries.len(), part.entries_result), (1_000, EntriesResult::Truncated));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn real_types() {
    for (content, real_type) in [
        (&b"MZ\x90\0"[..], "application/vnd.microsoft.portable-executable"),
        (&[&b"MZ"[..], &[b'x'; 58], &[0x80, 0, 0, 0]].concat(), "application/vnd.microsoft.portable-executable"),
        ("MZ-Leser schreiben: \u{fc}ber Gr\u{fc}\u{df}e\r\n\tund mehr, so lange, dass es keine vier Oktette mehr sind".as_bytes(), ""),
        (b"MZ", ""),
        (b"MZ\x1b$B%F%9%H\x1b(B", ""),
        (&[&b"\x7fELF\x02\x01\x01"[..], &[0; 60]].concat(), "application/x-executable"),
        (b"%PDF-1.4", "application/pdf"),
        (b"L\0\0\0\x01\x14\x02\0\0", "application/x-ms-shortcut"),
        (b"<html><body>", "text/html"),
        (b"just text", ""),
        (b"", ""),
    ] {
        assert_eq!(file("x", content).real_type, real_type);
    }
}

// === urls ===

#[test]
fn urls_in_texts() {
    let message = "Content-Type: multipart/alternative; boundary=b\n\n--b\n\nsee http://a.test/x and www.b.test\n--b\n\
        Content-Type: text/html\nContent-Transfer-Encoding: base64\n\nPGEgaHJlZj0iaHR0cDovL2MudGVzdC8iPg==\n--b\n\
        Content-Type: application/pdf\n\nhttp://not-a-text.test/\n--b--\n";
    let hosts: Vec<_> = scan(message).urls.into_iter().map(|url| url.host).collect();
    assert_eq!(hosts, ["a.test", "www.b.test", "c.test"]);
}
