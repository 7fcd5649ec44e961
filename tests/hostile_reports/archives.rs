//! Gzip and zip: bombs, lies, and what is cut off.

use std::io::{Cursor, Write};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::kinds::{Kind, Sizes, file, gzip, head, pieces, report, stream};

pub(crate) fn kinds() -> Vec<Kind> {
    [bombs(), gzips(), zips(), lies(), cut()]
        .into_iter()
        .flatten()
        .collect()
}

/// A zip with these entries.
pub(crate) fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, octets) in entries {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        out.start_file(*name, options).unwrap();
        out.write_all(octets).unwrap();
    }
    out.finish().unwrap().into_inner()
}

static ZEROS: [u8; 1 << 20] = [0; 1 << 20];
static BLANKS: [u8; 1 << 20] = [b' '; 1 << 20];

/// A zip with one deflated entry of so many MiB of zeros. What it says of its size is true.
fn zip_bomb(mebibytes: usize) -> Vec<u8> {
    let mut gzip = Vec::new();
    pieces(&mut gzip, &[(&ZEROS, mebibytes)]);
    let (sums, deflated) = (&gzip[gzip.len() - 8..], &gzip[10..gzip.len() - 8]);
    let size = u32::try_from(deflated.len()).unwrap().to_le_bytes();
    // From the version that is needed to the length of the extra field.
    let described = [
        &[20, 0, 0, 0, 8, 0, 0, 0, 0, 0][..],
        &sums[..4],
        &size,
        &sums[4..],
        &[1, 0, 0, 0],
    ]
    .concat();
    let local = [&b"PK\x03\x04"[..], &described, b"a", deflated].concat();
    let central = [&b"PK\x01\x02\x14\0"[..], &described, &[0; 14], b"a"].concat();
    ended(&local, &central, 1)
}

/// Entries, their directory, and the end that says where it is.
fn ended(entries: &[u8], directory: &[u8], number: u16) -> Vec<u8> {
    let number = number.to_le_bytes();
    let length = u32::try_from(directory.len()).unwrap().to_le_bytes();
    let place = u32::try_from(entries.len()).unwrap().to_le_bytes();
    [
        entries,
        directory,
        b"PK\x05\x06\0\0\0\0",
        &number,
        &number,
        &length,
        &place,
        b"\0\0",
    ]
    .concat()
}

fn bombs() -> Vec<Kind> {
    let zeros = |gibibytes: usize| {
        move |out: &mut dyn Write, sizes: &Sizes| {
            pieces(out, &[(&ZEROS, sizes.of(gibibytes << 10).max(10))]);
        }
    };
    let zipped = |gibibytes: usize| {
        move |out: &mut dyn Write, sizes: &Sizes| {
            out.write_all(&zip_bomb(sizes.of(gibibytes << 10).max(10)))
                .unwrap();
        }
    };
    vec![
        // Zeros are no text, and that is seen at once.
        stream("gzip of 1 GiB of zeros", "not_a_report", zeros(1)),
        stream("gzip of 2 GiB of zeros", "not_a_report", zeros(2)),
        stream("zip of 1 GiB of zeros", "not_a_report", zipped(1)),
        stream("zip of 2 GiB of zeros", "not_a_report", zipped(2)),
        stream(
            "gzip of a gzip of 1 GiB",
            "not_a_report",
            move |out, sizes| {
                let mut inner = Vec::new();
                zeros(1)(&mut inner, sizes);
                out.write_all(&gzip(&inner)).unwrap();
            },
        ),
        stream(
            "gzip of a report in 1 GiB of blanks",
            "limit_expanded",
            |out, sizes| {
                let begin = format!("<feedback>{}", head());
                let blanks = sizes.of(1 << 10).max(10);
                // A comment, since what is between two tags is one value.
                let parts: [(&[u8], usize); 3] =
                    [(begin.as_bytes(), 1), (b"<!-- ", 1), (&BLANKS, blanks)];
                pieces(out, &parts);
            },
        ),
        stream("zip of a hundred bombs", "limit_expanded", |out, sizes| {
            let begin = format!("<feedback>{}<!--", head());
            let mut bomb = Vec::new();
            pieces(
                &mut bomb,
                &[(begin.as_bytes(), 1), (&BLANKS, sizes.expanded >> 20)],
            );
            let names: Vec<String> = (0..100).map(|number| format!("{number}.gz")).collect();
            let entries: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, &*bomb)).collect();
            out.write_all(&zip(&entries)).unwrap();
        }),
        stream(
            "gzip of a message beyond the limit",
            "limit_message",
            |out, sizes| {
                pieces(
                    out,
                    &[(b"Subject: x\n\n", 1), (&BLANKS, (sizes.message >> 20) + 1)],
                );
            },
        ),
        stream(
            "a million gzip members with nothing in them",
            "empty",
            |out, sizes| {
                let member = gzip(b"");
                for _ in 0..sizes.of(1_000_000) {
                    out.write_all(&member).unwrap();
                }
            },
        ),
        stream("a zip beyond the limit", "limit_message", |out, sizes| {
            out.write_all(b"PK\x03\x04").unwrap();
            out.write_all(&vec![0; sizes.message + 1]).unwrap();
        }),
    ]
}

fn gzips() -> Vec<Kind> {
    let good = gzip(report("").as_bytes());
    let changed = |at: usize, octet: u8| {
        let mut octets = gzip(report("").as_bytes());
        octets[at] = octet;
        octets
    };
    let end = good.len();
    let mut extra = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 255, 255];
    extra.resize(300, b'x');
    let mut name = vec![0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 255];
    name.resize(1 << 20, b'x');
    vec![
        file(
            "gzip with a wrong CRC",
            "gzip",
            changed(end - 8, good[end - 8] ^ 1),
        ),
        file("gzip with a wrong length", "gzip", changed(end - 1, 9)),
        file("gzip packed in another way", "gzip", changed(2, 7)),
        file(
            "gzip with a damaged middle",
            "gzip",
            changed(40, good[40] ^ 0xff),
        ),
        file("gzip with an extra field that never ends", "gzip", extra),
        file("gzip with a name of 1 MiB", "gzip", name),
        file("gzip of nothing", "empty", gzip(b"")),
        file(
            "gzip with rubbish behind it",
            "stored",
            [&*good, b"rubbish"].concat(),
        ),
        file(
            "gzip with half a member behind it",
            "gzip",
            [&*good, &good[..20]].concat(),
        ),
        file(
            "gzip four deep",
            "limit_nesting",
            gzip(&gzip(&gzip(&gzip(report("").as_bytes())))),
        ),
        file(
            "gzip three deep",
            "stored",
            gzip(&gzip(&gzip(report("").as_bytes()))),
        ),
    ]
}

fn zips() -> Vec<Kind> {
    let text = report("");
    let one = zip(&[("a.xml", text.as_bytes())]);
    let long = "x".repeat(65_000);
    let layer = |inner: &[u8]| {
        let names: Vec<String> = (0..16).map(|number| format!("{number}.zip")).collect();
        let entries: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, inner)).collect();
        zip(&entries)
    };
    let deep = layer(&layer(&layer(&layer(b"<feedback/>"))));
    vec![
        file(
            "zip with ways out of the folder in its names",
            "stored duplicate",
            {
                let text = report("");
                let text = text.as_bytes();
                zip(&[
                    ("../../../etc/passwd", text),
                    ("/etc/passwd", text),
                    ("C:\\x", text),
                ])
            },
        ),
        file(
            "zip with control characters in its names",
            "not_a_report",
            zip(&[("\x1b[2J\n\r\0", b"x")]),
        ),
        file(
            "zip with a name of 64 KiB",
            "not_a_report",
            zip(&[(&long, b"x")]),
        ),
        file(
            "zip with nothing but folders",
            "not_a_report",
            zip(&[("a/", b""), ("b/", b"")]),
        ),
        file(
            "zip with nothing but the Mac's",
            "not_a_report",
            zip(&[("__MACOSX/a", b"x")]),
        ),
        file("zip with nothing in it", "not_a_report", ended(b"", b"", 0)),
        file(
            "zip in zip in zip in zip, sixteen each",
            "limit_nesting limit_reports",
            deep,
        ),
        file(
            "zip with a gzip in it, and a zip in that",
            "stored",
            zip(&[("a", &gzip(&one))]),
        ),
        file("zip with an empty entry", "empty", zip(&[("a", b"")])),
        stream("zip with 400,000 entries", "limit_entries", |out, sizes| {
            // As many central headers, all of one entry.
            let (entries, directory) = parts(&zip(&[("a", b"x")]));
            let number = sizes.of(400_000).max(20_000);
            out.write_all(&ended(&entries, &directory.repeat(number), u16::MAX))
                .unwrap();
        }),
        stream("zip with 101 entries", "limit_entries", |out, _| {
            let names: Vec<String> = (0..101).map(|number| number.to_string()).collect();
            let entries: Vec<(&str, &[u8])> =
                names.iter().map(|name| (&**name, &b"x"[..])).collect();
            out.write_all(&zip(&entries)).unwrap();
        }),
    ]
}

/// The entries and the directory of a zip.
fn parts(zip: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let find = |signature: &[u8]| {
        let mut windows = zip.windows(4);
        windows.rposition(|window| window == signature).unwrap()
    };
    let (directory, end) = (find(b"PK\x01\x02"), find(b"PK\x05\x06"));
    (zip[..directory].to_vec(), zip[directory..end].to_vec())
}

/// What the headers say is not so.
fn lies() -> Vec<Kind> {
    // In the central header, from its beginning.
    let central = |at: usize, octets: &[u8]| {
        let (entries, mut directory) = parts(&zip(&[("a.xml", report("").as_bytes())]));
        directory[at..at + octets.len()].copy_from_slice(octets);
        ended(&entries, &directory, 1)
    };
    let (entries, directory) = parts(&zip(&[("a.xml", report("").as_bytes())]));
    let zip64 = [
        &entries[..],
        &directory,
        b"PK\x06\x06\x2c\0\0\0\0\0\0\0\x2d\0\x2d\0\0\0\0\0\0\0\0\0",
        &[0xff; 32],
        b"PK\x06\x07\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7f\x01\0\0\0",
        b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0",
    ]
    .concat();
    vec![
        file("zip with a password", "zip", central(8, &[1])),
        file("zip packed in an unknown way", "zip", central(10, &[99])),
        file("zip with a wrong CRC", "zip", central(16, &[1, 2, 3, 4])),
        file(
            "zip whose entry is smaller than it is",
            "zip",
            central(20, &[9, 0, 0, 0]),
        ),
        file(
            "zip whose entry is larger than the file",
            "stored",
            central(20, &[255, 255, 255, 127]),
        ),
        file(
            "zip whose entry expands to more than it says",
            "zip",
            central(24, &[1, 0, 0, 0]),
        ),
        file(
            "zip whose entry is beyond the end",
            "zip",
            central(42, &[255, 255, 255, 127]),
        ),
        file("zip whose entry is in its directory", "zip", {
            let place = u32::try_from(entries.len()).unwrap().to_le_bytes();
            central(42, &place)
        }),
        file(
            "zip with 65,535 entries, it says",
            "zip",
            ended(&entries, &directory, u16::MAX),
        ),
        file("zip whose directory is beyond the end", "zip", {
            let mut octets = ended(&entries, &directory, 1);
            let at = octets.len() - 6;
            octets[at..at + 4].copy_from_slice(&[255, 255, 255, 127]);
            octets
        }),
        file("zip64 with 18 quintillion entries", "zip", zip64),
        file("zip with one entry a hundred times", "stored", {
            ended(&entries, &directory.repeat(100), 100)
        }),
        file("zip without a directory", "zip", entries.clone()),
    ]
}

/// Cut off at many places.
fn cut() -> Vec<Kind> {
    let text = report("");
    let mut all = Vec::new();
    for (name, reason, octets) in [
        ("gzip", "gzip", gzip(text.as_bytes())),
        ("zip", "zip", zip(&[("a.xml", text.as_bytes())])),
        ("XML", "ends_early", text.clone().into_bytes()),
    ] {
        for tenth in 1..10 {
            let end = octets.len() * tenth / 10;
            let name = format!("{name} cut off after {tenth} tenths");
            all.push(file(&name, reason, &octets[..end]));
        }
    }
    all
}
