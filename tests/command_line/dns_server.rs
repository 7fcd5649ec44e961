//! A name server with a few TXT records, on a port of its own.

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
    /// The name has no TXT.
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
    let (code, texts) = match answers.get(&name) {
        Some(Answer::Texts(texts)) => (0, texts.as_slice()),
        Some(Answer::NoRecord) => (0, &[][..]),
        Some(Answer::Failure) => (2, &[][..]),
        None => (3, &[][..]),
    };
    let mut response = query[..2].to_vec();
    response.extend([
        0x81,
        0x80 | code,
        0,
        1,
        0,
        u8::try_from(texts.len()).unwrap(),
    ]);
    response.extend([0; 4]);
    response.extend(&query[12..end]);
    for text in texts {
        let strings: Vec<&[u8]> = text.as_bytes().chunks(255).collect();
        let length = u16::try_from(text.len() + strings.len()).unwrap();
        // The name of the question, TXT, IN, a minute.
        response.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60]);
        response.extend(length.to_be_bytes());
        for string in strings {
            response.push(u8::try_from(string.len()).unwrap());
            response.extend(string);
        }
    }
    response
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
