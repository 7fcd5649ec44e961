//! One question to one address: UDP with EDNS, TCP on truncation, one retry; never more of
//! them at once, in a second, and for one who asks, than is allowed.

use std::{
    collections::HashMap,
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, StreamExt};
use mail_auth::hickory_resolver::proto::{
    op::{Edns, Message, MessageType, Query, ResponseCode},
    rr::{Name, RecordType},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    sync::Semaphore,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    budget::{Budget, Excess},
    reach::{Kind, Reach},
};

/// How long an answer by UDP is waited for, the first time and the second.
const UDP_TIMEOUTS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(4)];
/// How long a whole exchange by TCP may take.
const TCP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the first address has before the next one is asked too, where one answer is enough.
const A_MOMENT: Duration = Duration::from_millis(250);
/// How many questions one organisation may have under way. An address that gives no answer holds
/// its place for as long as the timeouts say.
const OWN_AT_ONCE: u16 = 16;
/// After so many questions without an answer an address is not asked again in the same look.
const MOST_SILENCES: u8 = 2;
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
    /// One that finds out, and says whether it has validated that (RFC 6840 §5.7): RD=1, AD=1.
    ResolverValidating,
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
    /// It would take more than is allowed.
    #[error("{0}")]
    OverBudget(Excess),
    /// Such addresses are not asked.
    #[error("{0}")]
    PassedOver(Kind),
}

/// How much may be asked.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of all servers together, on average.
    pub questions_per_second: u32,
    /// Questions that may wait for their answer at the same time; at least 1.
    pub at_once: u16,
    /// Which addresses are asked, of those that zones name.
    pub reach: Reach,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            questions_per_second: 500,
            at_once: 256,
            reach: Reach::default(),
        }
    }
}

/// Among whom is asked: slow ones have limits apart, so that they hold up nobody else.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Pace {
    /// The usual.
    #[default]
    Quick,
    /// Those that are known to take long: half as many questions a second.
    Slow,
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

/// What many may ask together.
#[derive(Debug)]
struct Pool {
    rate: Rate,
    in_flight: Semaphore,
}

impl Pool {
    fn new(questions_per_second: u32, at_once: u16) -> Self {
        Self {
            rate: Rate::per_second(questions_per_second),
            in_flight: Semaphore::new(usize::from(at_once.max(1))),
        }
    }
}

/// What one look at an organisation may ask, and has learned of who is silent.
#[derive(Debug)]
struct Own {
    in_flight: Semaphore,
    /// How many questions each address left without an answer.
    silences: Mutex<HashMap<SocketAddr, u8>>,
}

impl Own {
    fn new(at_once: u16) -> Self {
        Self {
            in_flight: Semaphore::new(usize::from(at_once.max(1))),
            silences: Mutex::default(),
        }
    }

    fn is_silent(&self, address: SocketAddr) -> bool {
        let silences = self.silences.lock().unwrap_or_else(PoisonError::into_inner);
        silences
            .get(&address)
            .is_some_and(|count| *count >= MOST_SILENCES)
    }

    fn note_silence(&self, address: SocketAddr) {
        let mut silences = self.silences.lock().unwrap_or_else(PoisonError::into_inner);
        let count = silences.entry(address).or_default();
        *count = count.saturating_add(1);
    }
}

/// Asks, within what the whole process may ask at once and in a second, and what the one who asks
/// may spend.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    quick: Arc<Pool>,
    slow: Arc<Pool>,
    pace: Pace,
    reach: Reach,
    /// Asked whatever `reach` says.
    known: Arc<[IpAddr]>,
    own: Arc<Own>,
    pub(super) budget: Option<Arc<Budget>>,
}

impl Asker {
    /// Asks `known` addresses whatever the limits say of such addresses.
    pub(super) fn new(limits: Limits, known: Arc<[IpAddr]>) -> Self {
        let Limits {
            questions_per_second,
            at_once,
            reach,
        } = limits;
        Self {
            quick: Arc::new(Pool::new(questions_per_second, at_once)),
            slow: Arc::new(Pool::new(questions_per_second / 2, at_once)),
            pace: Pace::Quick,
            reach,
            known,
            own: Arc::new(Own::new(at_once)),
            budget: None,
        }
    }

    /// For one look: with a budget, and with what it may have under way.
    pub(super) fn of_look(&self, pace: Pace, budget: Budget) -> Self {
        Self {
            pace,
            own: Arc::new(Own::new(OWN_AT_ONCE)),
            budget: Some(Arc::new(budget)),
            ..self.clone()
        }
    }

    /// For a part of that, which has a budget of its own besides.
    pub(super) fn part(&self, budget: impl FnOnce(Option<Arc<Budget>>) -> Budget) -> Self {
        Self {
            budget: Some(Arc::new(budget(self.budget.clone()))),
            ..self.clone()
        }
    }

    /// The answer of this address, whatever its response code.
    pub(super) async fn ask(
        &self,
        address: SocketAddr,
        question: &Question,
    ) -> Result<Message, Silence> {
        let is_authority = question.to == Party::Authority;
        if is_authority {
            if let Some(kind) = self.passes_over(address.ip()) {
                return Err(Silence::PassedOver(kind));
            }
            if self.own.is_silent(address) {
                return Err(Silence::TimedOut);
            }
        }
        let asking = self.in_time(self.ask_at_last(address, question));
        let answer = asking.await.and_then(|answer| answer);
        // A resolver may be silent about one name only.
        if is_authority && matches!(answer, Err(Silence::TimedOut)) {
            self.own.note_silence(address);
        }
        answer
    }

    /// Waits for nothing longer than the budget says.
    pub(super) async fn in_time<F: Future>(&self, future: F) -> Result<F::Output, Silence> {
        match &self.budget {
            Some(budget) => budget.in_time(future).await.map_err(Silence::OverBudget),
            None => Ok(future.await),
        }
    }

    /// Waits until one more question may be asked.
    ///
    /// # Errors
    ///
    /// When the budget has none left.
    pub(super) async fn turn(&self) -> Result<(), Silence> {
        if let Some(budget) = &self.budget {
            budget.spend().map_err(Silence::OverBudget)?;
        }
        self.pool().rate.wait().await;
        Ok(())
    }

    fn passes_over(&self, address: IpAddr) -> Option<Kind> {
        let kind = self.reach.passes_over(address)?;
        (!self.known.contains(&address)).then_some(kind)
    }

    fn pool(&self) -> &Pool {
        match self.pace {
            Pace::Quick => &self.quick,
            Pace::Slow => &self.slow,
        }
    }

    async fn ask_at_last(
        &self,
        address: SocketAddr,
        question: &Question,
    ) -> Result<Message, Silence> {
        // The semaphores are never closed, so this waits and does not fail. One's own first: who
        // has many questions must not hold places that others need.
        let _own = self.own.in_flight.acquire().await;
        let _permit = self.pool().in_flight.acquire().await;
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
        let mut last = Silence::TimedOut;
        for limit in UDP_TIMEOUTS {
            self.turn().await?;
            let query = message(question, extension);
            match timeout(limit, by_udp(address, &query)).await {
                Ok(Ok(answer)) if answer.metadata.truncation => {
                    self.turn().await?;
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

/// Asks these addresses side by side, each a moment after the one before, until an answer is
/// taken; none if there is no such answer.
///
/// # Errors
///
/// When there is no such answer, and the budget ended before all could give theirs.
pub(super) async fn first<T>(
    asker: &Asker,
    addresses: impl Iterator<Item = SocketAddr>,
    question: &Question,
    take: impl Fn(Message) -> Option<T>,
) -> Result<Option<T>, Excess> {
    let mut addresses = addresses.peekable();
    let mut pending = FuturesUnordered::new();
    let mut over = None;
    loop {
        if let Some(address) = addresses.next() {
            pending.push(asker.ask(address, question));
        } else if pending.is_empty() {
            return over.map_or(Ok(None), Err);
        }
        let are_more = addresses.peek().is_some();
        tokio::select! {
            Some(answer) = pending.next() => match answer.map(&take) {
                Ok(Some(taken)) => return Ok(Some(taken)),
                Err(Silence::OverBudget(excess)) => over = Some(excess),
                Ok(None) | Err(_) => {}
            },
            () = sleep(A_MOMENT), if are_more => {}
        }
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
    message.metadata.authentic_data = question.to == Party::ResolverValidating;
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
