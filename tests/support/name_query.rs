//! What a verifier finds: one TXT question by hand, with nothing of ours between.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use super::name_server::name_length;

const TXT: u16 = 16;
/// RD=1: servers that know by themselves do not mind.
const HEADER: [u8; 12] = [0x5a, 0x47, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
/// RFC 6891: answers of up to 1232 octets.
const EDNS: [u8; 11] = [0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0];
const TRIES: usize = 3;
const PATIENCE: Duration = Duration::from_secs(1);

/// An answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// The TXT records, each with its strings joined.
    Texts(Vec<String>),
    /// There are none.
    Nothing,
    /// Nobody answers, or only to say that it cannot.
    Unknown,
}

/// Asks this server for the TXT records of a name.
pub fn texts(server: SocketAddr, name: &str) -> Answer {
    let query = query(name);
    (0..TRIES)
        .find_map(|_| parse(&exchange(server, &query)?, query.len()))
        .unwrap_or(Answer::Unknown)
}

fn query(name: &str) -> Vec<u8> {
    let mut query = HEADER.to_vec();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        query.push(u8::try_from(label.len()).expect("a label"));
        query.extend(label.as_bytes());
    }
    query.push(0);
    query.extend(TXT.to_be_bytes());
    query.extend(1_u16.to_be_bytes());
    query.extend(EDNS);
    query
}

fn exchange(server: SocketAddr, query: &[u8]) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    socket.connect(server).ok()?;
    socket.send(query).ok()?;
    let mut answer = vec![0; 1232];
    let length = socket.recv(&mut answer).ok()?;
    answer.truncate(length);
    Some(answer)
}

/// Nothing when it is no good answer.
fn parse(answer: &[u8], query_length: usize) -> Option<Answer> {
    const NO_ERROR: u8 = 0;
    const NO_SUCH_NAME: u8 = 3;
    let code = answer.get(3)? & 0x0f;
    if ![NO_ERROR, NO_SUCH_NAME].contains(&code) {
        return None;
    }
    let count = u16::from_be_bytes(answer.get(6..8)?.try_into().ok()?);
    let mut position = query_length - EDNS.len();
    let mut texts = Vec::new();
    for _ in 0..count {
        position += name_length(answer.get(position..)?)?;
        let fixed = answer.get(position..position + 10)?;
        let number = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let (kind, length) = (number(0), usize::from(number(8)));
        let data = answer.get(position + 10..position + 10 + length)?;
        position += 10 + length;
        if kind == TXT {
            texts.push(joined(data)?);
        }
    }
    Some(if texts.is_empty() {
        Answer::Nothing
    } else {
        Answer::Texts(texts)
    })
}

fn joined(mut data: &[u8]) -> Option<String> {
    let mut text = Vec::new();
    while let Some((length, rest)) = data.split_first() {
        let (string, more) = rest.split_at_checked(usize::from(*length))?;
        text.extend_from_slice(string);
        data = more;
    }
    String::from_utf8(text).ok()
}
