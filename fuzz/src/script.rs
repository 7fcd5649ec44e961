//! What an MTA says, written so that mutations of it are still frames: the kind, the length of
//! the data in one octet, the data. Kind 255 says the data as it is; 254 says the frame before
//! once more, with its data 256 times.

use crate::{input, talk::Talk};

/// More is not said: large messages begin at half of it.
const MOST_SAID: usize = 512 * 1024;

fn frame(kind: u8, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len() + 1).expect("it is small");
    [&length.to_be_bytes()[..], &[kind], data].concat()
}

/// What the script stands for.
pub fn spoken(mut script: &[u8]) -> Vec<u8> {
    let mut said = Vec::new();
    let mut before = (0, &b""[..]);
    while !script.is_empty() && said.len() < MOST_SAID {
        let kind = input::octet(&mut script);
        if kind == 254 {
            said.extend(frame(before.0, &before.1.repeat(256)));
            continue;
        }
        let length = usize::from(input::octet(&mut script)).min(script.len());
        let (data, rest) = script.split_at(length);
        script = rest;
        if kind == 255 {
            said.extend_from_slice(data);
        } else {
            said.extend(frame(kind, data));
            before = (kind, data);
        }
    }
    said
}

/// A message that is to be signed, and all that has to be said before it.
pub fn well_formed(before: &Talk) -> Vec<u8> {
    let mut said = Vec::new();
    if !before.has_agreed() {
        let offer = [[0, 0, 0, 6], [0, 0, 1, 0xff], [0, 0x1f, 0xff, 0xff]];
        said.extend(frame(b'O', &offer.concat()));
        said.extend(frame(b'C', b"host\x004\0\x19127.0.0.1\0"));
    }
    for (kind, data) in [
        (b'A', &b""[..]),
        (b'D', b"M{auth_authen}\0crm\0"),
        (b'M', b"<a@elsewhere.example>\0"),
        (b'L', b"From\0 a@voorbeeld.example\0"),
        (b'L', b"Subject\0 one\0"),
        (b'N', b""),
        (b'B', b"body\r\n"),
        (b'E', b""),
    ] {
        said.extend(frame(kind, data));
    }
    said
}
