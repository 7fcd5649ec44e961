//! One question to one address: UDP with EDNS, TCP on truncation, one retry; never more of
//! them at once, and in a second, than is allowed.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mail_auth::hickory_resolver::proto::{
    op::{Edns, Message, MessageType, Query, ResponseCode},
    rr::{Name, RecordType},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    sync::Semaphore,
    time::{Instant, sleep_until, timeout},
};

/// How long an answer by UDP is waited for, the first time and the second.
const UDP_TIMEOUTS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(4)];
/// How long a whole exchange by TCP may take.
const TCP_TIMEOUT: Duration = Duration::from_secs(5);
/// What passes everywhere without fragments (RFC 9715 §3).
const PAYLOAD: u16 = 1232;
/// More than was offered, for those who do not heed it.
const LARGEST_DATAGRAM: usize = 4096;

/// A question, and of whom it is asked.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) name: Name,
    pub(super) record_type: RecordType,
    pub(super) to: Party,
}

impl Question {
    pub(super) fn new(name: &Name, record_type: RecordType, to: Party) -> Self {
        Self {
            name: name.clone(),
            record_type,
            to,
        }
    }
}

/// What kind of server is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Party {
    /// One that knows by itself: RD=0.
    Authority,
    /// One that finds out, as mail servers ask it: RD=1.
    Resolver,
    /// One that finds out, and passes on what it finds without validation: RD=1, CD=1.
    ResolverUnvalidated,
}

/// Why there is no answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Silence {
    /// This host has no way to the address: says nothing about the server.
    #[error("this host has no route to it")]
    NoRoute,
    /// Nothing came in time, twice.
    #[error("no answer in time")]
    TimedOut,
    /// The host is there, and nobody listens on the port, or the connection broke.
    #[error("{0}")]
    Broken(ErrorKind),
    /// What came is no DNS message.
    #[error("the answer is not a DNS message")]
    Garbled,
}

/// How much may be asked.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of all servers together, on average.
    pub questions_per_second: u32,
    /// Questions that may wait for their answer at the same time; at least 1.
    pub at_once: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            questions_per_second: 500,
            at_once: 64,
        }
    }
}

/// A token bucket: so many questions a second, and as many at once after a pause.
#[derive(Debug)]
pub struct Rate {
    /// Between two questions.
    interval: Duration,
    /// How far the questions may run ahead of their time.
    burst: Duration,
    /// When the next question is due.
    next: Mutex<Instant>,
}

impl Rate {
    /// At most `questions` a second on average; 0 counts as 1.
    pub fn per_second(questions: u32) -> Self {
        Self {
            interval: Duration::from_secs(1) / questions.max(1),
            burst: Duration::from_secs(1),
            next: Mutex::new(Instant::now()),
        }
    }

    /// Waits until one more question may be asked.
    pub(super) async fn wait(&self) {
        let due = {
            let now = Instant::now();
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let due = (*next).max(now.checked_sub(self.burst).unwrap_or(now));
            *next = due + self.interval;
            due
        };
        // In the past for those within the burst.
        sleep_until(due).await;
    }
}

/// Asks, within what the whole process may ask at once and in a second.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) rate: Arc<Rate>,
    in_flight: Arc<Semaphore>,
}

impl Asker {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            rate: Arc::new(Rate::per_second(limits.questions_per_second)),
            in_flight: Arc::new(Semaphore::new(usize::from(limits.at_once.max(1)))),
        }
    }

    /// The answer of this address, whatever its response code.
    pub(super) async fn ask(
        &self,
        address: SocketAddr,
        question: &Question,
    ) -> Result<Message, Silence> {
        let answer = self.exchange(address, question, Extension::Edns).await?;
        match answer.metadata.response_code {
            // A server from before EDNS (RFC 6891 §7).
            ResponseCode::FormErr | ResponseCode::NotImp => {
                self.exchange(address, question, Extension::None).await
            }
            _ => Ok(answer),
        }
    }

    async fn exchange(
        &self,
        address: SocketAddr,
        question: &Question,
        extension: Extension,
    ) -> Result<Message, Silence> {
        // The semaphore is never closed, so this waits and does not fail.
        let _permit = self.in_flight.acquire().await;
        let mut last = Silence::TimedOut;
        for limit in UDP_TIMEOUTS {
            self.rate.wait().await;
            let query = message(question, extension);
            match timeout(limit, by_udp(address, &query)).await {
                Ok(Ok(answer)) if answer.metadata.truncation => {
                    self.rate.wait().await;
                    return timeout(TCP_TIMEOUT, by_tcp(address, &query))
                        .await
                        .unwrap_or(Err(Silence::TimedOut));
                }
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(Silence::NoRoute)) => return Err(Silence::NoRoute),
                Ok(Err(silence)) => last = silence,
                Err(_) => last = Silence::TimedOut,
            }
        }
        Err(last)
    }
}

#[derive(Clone, Copy, Debug)]
enum Extension {
    Edns,
    None,
}

fn message(question: &Question, extension: Extension) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = question.to != Party::Authority;
    message.metadata.checking_disabled = question.to == Party::ResolverUnvalidated;
    message.add_query(Query::query(question.name.clone(), question.record_type));
    if matches!(extension, Extension::Edns) {
        let mut edns = Edns::new();
        edns.set_max_payload(PAYLOAD);
        message.set_edns(edns);
    }
    message
}

async fn by_udp(address: SocketAddr, query: &Message) -> Result<Message, Silence> {
    let own = match address.ip() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    // A port of its own for each question, and only this address may answer.
    let socket = UdpSocket::bind((own, 0)).await.map_err(|e| silence(&e))?;
    socket.connect(address).await.map_err(|e| silence(&e))?;
    let octets = query.to_vec().map_err(|_| Silence::Garbled)?;
    socket.send(&octets).await.map_err(|e| silence(&e))?;
    let mut buffer = vec![0; LARGEST_DATAGRAM];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(|e| silence(&e))?;
        // What does not belong to the question may be forged: the true answer may yet come.
        if let Some(answer) = belonging(&buffer[..length], query) {
            return Ok(answer);
        }
    }
}

async fn by_tcp(address: SocketAddr, query: &Message) -> Result<Message, Silence> {
    let mut stream = TcpStream::connect(address).await.map_err(|e| silence(&e))?;
    let octets = query.to_vec().map_err(|_| Silence::Garbled)?;
    let length = u16::try_from(octets.len()).map_err(|_| Silence::Garbled)?;
    let framed = [&length.to_be_bytes()[..], &octets].concat();
    stream.write_all(&framed).await.map_err(|e| silence(&e))?;
    let length = stream.read_u16().await.map_err(|e| silence(&e))?;
    let mut buffer = vec![0; usize::from(length)];
    let read = stream.read_exact(&mut buffer).await;
    read.map_err(|e| silence(&e))?;
    belonging(&buffer, query).ok_or(Silence::Garbled)
}

/// The message, if it answers this query (RFC 5452 §9.1).
fn belonging(octets: &[u8], query: &Message) -> Option<Message> {
    let answer = Message::from_vec(octets).ok()?;
    let expected = answer.metadata.id == query.metadata.id
        && answer.metadata.message_type == MessageType::Response
        // With an error a server may leave the question out.
        && (answer.queries == query.queries
            || (answer.queries.is_empty()
                && answer.metadata.response_code != ResponseCode::NoError));
    expected.then_some(answer)
}

fn silence(error: &io::Error) -> Silence {
    match error.kind() {
        ErrorKind::NetworkUnreachable
        | ErrorKind::AddrNotAvailable
        | ErrorKind::Unsupported
        // A policy of this host, such as a firewall or a unit without AF_INET6.
        | ErrorKind::PermissionDenied => Silence::NoRoute,
        // EAFNOSUPPORT has no kind of its own.
        _ if error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) => {
            Silence::NoRoute
        }
        kind => Silence::Broken(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query() -> Message {
        let name = Name::from_ascii("a.example.").expect("a name");
        let question = Question::new(&name, RecordType::TXT, Party::Authority);
        message(&question, Extension::Edns)
    }

    fn answer_to(query: &Message) -> Message {
        let mut answer = query.clone();
        answer.metadata.message_type = MessageType::Response;
        answer
    }

    #[test]
    fn only_the_answer_to_the_question_belongs() {
        let query = query();
        let octets = |answer: &Message| answer.to_vec().expect("a message");
        let answer = answer_to(&query);
        assert!(belonging(&octets(&answer), &query).is_some());
        assert!(belonging(&octets(&query), &query).is_none());
        let mut other_id = answer.clone();
        other_id.metadata.id ^= 1;
        assert!(belonging(&octets(&other_id), &query).is_none());
        let mut no_question = answer.clone();
        no_question.queries.clear();
        assert!(belonging(&octets(&no_question), &query).is_none());
        no_question.metadata.response_code = ResponseCode::FormErr;
        assert!(belonging(&octets(&no_question), &query).is_some());
        assert!(belonging(b"nonsense", &query).is_none());
    }

    #[test]
    fn no_route_is_told_from_a_dead_server() {
        let unreachable = io::Error::from(ErrorKind::NetworkUnreachable);
        assert_eq!(silence(&unreachable), Silence::NoRoute);
        let refused = io::Error::from(ErrorKind::ConnectionRefused);
        let broken = Silence::Broken(ErrorKind::ConnectionRefused);
        assert_eq!(silence(&refused), broken);
    }

    #[tokio::test]
    async fn the_rate_holds_after_the_burst() {
        let rate = Rate::per_second(50);
        let begin = Instant::now();
        // Nothing is saved up when it is new: 25 questions take half a second.
        for _ in 0..25 {
            rate.wait().await;
        }
        let taken = begin.elapsed();
        assert!(taken >= Duration::from_millis(450), "{taken:?}");
        assert!(taken < Duration::from_secs(2), "{taken:?}");
    }
}
