//! A name server with a few records, on a port of its own.

use std::{
    collections::HashMap,
    net::{SocketAddr, UdpSocket},
    thread,
};

/// What is answered for a name.
#[derive(Clone)]
pub(crate) enum Answer {
    /// One record for each.
    Texts(Vec<String>),
    /// A PTR to a name of these labels.
    Pointer(Vec<String>),
    /// A domain: TXT and MX records, and whether a resolver that validates finds it signed.
    Domain {
        texts: Vec<String>,
        mail: Vec<String>,
        signed: bool,
    },
    /// A TLSA record.
    Tlsa,
    /// The name has no such record.
    NoRecord,
    /// SERVFAIL
    Failure,
}

/// Serves until the test process ends. Names that are not there do not exist.
pub(crate) fn serve(answers: HashMap<String, Answer>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            let response = respond(&buffer[..length], &answers);
            let _ = socket.send_to(&response, client);
        }
    });
    address
}

/// RFC 1035 §4.1, as far as it is needed.
fn respond(query: &[u8], answers: &HashMap<String, Answer>) -> Vec<u8> {
    let (name, end) = question(query);
    let kind = query[end - 3];
    // RFC 6840 §5.7: only those who ask for it are told that the answer is validated.
    let asks = query[3] & 0x20;
    let mut signed = 0;
    let (code, records) = match answers.get(&name) {
        Some(Answer::Domain {
            texts,
            mail,
            signed: is_signed,
        }) => {
            signed = if *is_signed { asks } else { 0 };
            let mut records: Vec<_> = texts.iter().map(|text| txt(text)).collect();
            records.extend(mail.iter().map(|name| mx(name)));
            records.retain(|(one, _)| *one == kind);
            (0, records)
        }
        Some(Answer::Tlsa) => (0, vec![(52, vec![3, 1, 1, 0xaa, 0xbb])]),
        Some(Answer::Texts(texts)) => (0, texts.iter().map(|text| txt(text)).collect()),
        Some(Answer::Pointer(labels)) => (0, vec![ptr(labels)]),
        Some(Answer::NoRecord) => (0, Vec::new()),
        Some(Answer::Failure) => (2, Vec::new()),
        None => (3, Vec::new()),
    };
    let mut response = query[..2].to_vec();
    response.extend([
        0x81,
        0x80 | signed | code,
        0,
        1,
        0,
        u8::try_from(records.len()).unwrap(),
    ]);
    response.extend([0; 4]);
    response.extend(&query[12..end]);
    for (kind, data) in records {
        // The name of the question, the type, IN, a minute.
        response.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60]);
        response.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        response.extend(data);
    }
    response
}

/// The number of the type, and the data.
fn txt(text: &str) -> (u8, Vec<u8>) {
    (16, strings(text.as_bytes().chunks(255)))
}

fn ptr(labels: &[String]) -> (u8, Vec<u8>) {
    let mut data = strings(labels.iter().map(String::as_bytes));
    data.push(0);
    (12, data)
}

/// `.` is the null MX.
fn mx(name: &str) -> (u8, Vec<u8>) {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut data = vec![0, 10];
    data.extend(strings(labels.map(str::as_bytes)));
    data.push(0);
    (15, data)
}

fn strings<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut data = Vec::new();
    for part in parts {
        data.push(u8::try_from(part.len()).unwrap());
        data.extend(part);
    }
    data
}

/// The name, in lower case, and the place behind the question.
fn question(query: &[u8]) -> (String, usize) {
    let mut labels = Vec::new();
    let mut place = 12;
    while query[place] != 0 {
        let end = place + 1 + usize::from(query[place]);
        let label = String::from_utf8_lossy(&query[place + 1..end]);
        labels.push(label.to_lowercase());
        place = end;
    }
    (labels.join("."), place + 5)
}
