//! Name servers in strangers' hands. What they answer is what the primary answers; what is wrong
//! is how they do it.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often each server sees to what is due.
const TICK: Duration = Duration::from_millis(50);
/// One octet of an answer by TCP is sent so often.
const TRICKLE: Duration = Duration::from_millis(500);
/// How long the primary may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is wrong with a server.
#[derive(Clone, Copy, Debug)]
pub(super) enum Manner {
    /// It says nothing, by UDP or TCP.
    Silent,
    /// It answers, after this time.
    Late(Duration),
    /// Its answers belong to other questions.
    Forged,
    /// It answers by UDP that the answer is to be had by TCP.
    Truncated(Tcp),
}

/// What is to be had by TCP.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tcp {
    /// No connection.
    Refused,
    /// A connection, and nothing by it.
    Mute,
    /// The answer, octet by octet.
    Trickle,
}

/// A server that works until it is dropped.
#[derive(Debug)]
pub(super) struct Stranger {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    /// Open, and nobody reads them.
    deaf: (Option<UdpSocket>, Option<TcpListener>),
}

impl Stranger {
    /// Listens there, on port 53.
    pub(super) fn start(address: Ipv4Addr, primary: Ipv4Addr, manner: Manner) -> Self {
        let primary = SocketAddr::from((primary, 53));
        let stop = Arc::new(AtomicBool::new(false));
        let udp = UdpSocket::bind((address, 53)).expect("an address of the test's own");
        udp.set_read_timeout(Some(TICK)).expect("a timeout");
        let tcp = match manner {
            Manner::Truncated(Tcp::Refused) => None,
            _ => Some(TcpListener::bind((address, 53)).expect("the same by TCP")),
        };
        let mut stranger = Self {
            stop: Arc::clone(&stop),
            threads: Vec::new(),
            deaf: (None, None),
        };
        if matches!(manner, Manner::Silent) {
            stranger.deaf = (Some(udp), tcp);
            return stranger;
        }
        match (manner, tcp) {
            (Manner::Truncated(Tcp::Trickle), Some(tcp)) => {
                let stop = Arc::clone(&stop);
                let work = move || trickle(&tcp, primary, &stop);
                stranger.threads.push(thread::spawn(work));
            }
            (_, tcp) => stranger.deaf.1 = tcp,
        }
        let work = move || answer(&udp, primary, manner, &stop);
        stranger.threads.push(thread::spawn(work));
        stranger
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
        drop(std::mem::take(&mut self.deaf));
    }
}

fn answer(udp: &UdpSocket, primary: SocketAddr, manner: Manner, stop: &AtomicBool) {
    let mut waiting = VecDeque::new();
    while !stop.load(Ordering::Relaxed) {
        let mut query = [0; 1232];
        if let Ok((length, from)) = udp.recv_from(&mut query) {
            let query = &query[..length];
            match manner {
                Manner::Silent => {}
                Manner::Late(time) => {
                    let due = Instant::now() + time;
                    waiting.extend(asked(primary, query).map(|answer| (due, answer, from)));
                }
                Manner::Forged => {
                    if let Some(mut answer) = asked(primary, query) {
                        answer[1] ^= 1;
                        udp.send_to(&answer, from).ok();
                    }
                }
                Manner::Truncated(_) => {
                    udp.send_to(&truncated(query), from).ok();
                }
            }
        }
        let now = Instant::now();
        while let Some((_, answer, to)) = waiting.pop_front_if(|(due, _, _)| *due <= now) {
            udp.send_to(&answer, to).ok();
        }
    }
}

/// The question itself, as an answer with QR, AA and TC.
fn truncated(query: &[u8]) -> Vec<u8> {
    let mut answer = query.to_vec();
    if let Some(flags) = answer.get_mut(2) {
        *flags |= 0x86;
    }
    answer
}

fn asked(primary: SocketAddr, query: &[u8]) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    socket.connect(primary).ok()?;
    socket.send(query).ok()?;
    let mut answer = vec![0; 4096];
    let length = socket.recv(&mut answer).ok()?;
    answer.truncate(length);
    Some(answer)
}

/// Serves each connection for as long as its client bears it.
fn trickle(tcp: &TcpListener, primary: SocketAddr, stop: &AtomicBool) {
    tcp.set_nonblocking(true).expect("a mode");
    let mut connections: Vec<(TcpStream, VecDeque<u8>)> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        while let Ok((connection, _)) = tcp.accept() {
            connections.extend(asked_by_tcp(connection, primary));
        }
        connections.retain_mut(|(connection, octets)| {
            let next = octets.pop_front();
            next.is_some_and(|octet| connection.write_all(&[octet]).is_ok())
        });
        thread::sleep(TRICKLE);
    }
}

fn asked_by_tcp(
    mut connection: TcpStream,
    primary: SocketAddr,
) -> Option<(TcpStream, VecDeque<u8>)> {
    connection.set_nonblocking(false).ok()?;
    connection.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut length = [0; 2];
    connection.read_exact(&mut length).ok()?;
    let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
    connection.read_exact(&mut query).ok()?;
    let answer = asked(primary, &query)?;
    let length = u16::try_from(answer.len()).ok()?.to_be_bytes();
    let framed = length.into_iter().chain(answer).collect();
    Some((connection, framed))
}
