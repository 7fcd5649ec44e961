//! The frames of the milter protocol as they pass by, in both directions.
//!
//! indymilter reads and answers them; what it leaves to its user is done here, before it
//! sees them (`reliability.md` calls these facts by number):
//! - a frame of length nothing or beyond reason, or of no kind that there is, ends the
//!   connection, and is counted;
//! - the macros of MAIL always replace those of the message before (a macro frame that is
//!   empty or can't be read, or none, would leave the login of the last message in place);
//! - the address of the SMTP client is in the form that it reads ([`address`]);
//! - an offer of nothing is one of nothing (it would be taken for what version 1 offered);
//! - the end of an SMTP session is the end of the connection too, where the MTA would go on
//!   with another: indymilter would not answer that one;
//! - where a message begins and ends is known, for time limits and for draining.

use super::address;

/// The largest frame taken: indymilter's own bound, one octet below 1 MiB with its kind.
const LARGEST_FRAME: usize = 1024 * 1024;
const LENGTH_OCTETS: usize = 4;
/// With the length and the kind: version, actions and protocol bits have four octets each.
const NEGOTIATION_OCTETS: usize = LENGTH_OCTETS + 1 + 12;

/// A host name and an address are shorter than that by far.
const LARGEST_CONNECT: usize = 4096;

/// Commands of the MTA that matter here.
mod command {
    pub(super) const ABORT: u8 = b'A';
    pub(super) const BODY: u8 = b'B';
    pub(super) const MACROS: u8 = b'D';
    pub(super) const BODY_END: u8 = b'E';
    pub(super) const CONNECT: u8 = b'C';
    pub(super) const QUIT_NEW_CONNECTION: u8 = b'K';
    pub(super) const HEADER: u8 = b'L';
    pub(super) const MAIL: u8 = b'M';
    pub(super) const END_OF_HEADER: u8 = b'N';
    pub(super) const NEGOTIATE: u8 = b'O';
    pub(super) const QUIT: u8 = b'Q';
    /// All that there are.
    pub(super) const KINDS: &[u8] = b"ABCDEHKLMNOQRTU";
}

/// Replies that end a message when they answer its end.
const FINAL_REPLIES: &[u8] = b"acrtyd";

/// A macro that no MTA defines, which stands where the macros of MAIL would be none.
const NO_MACROS: &[u8] = b"\0\0\0\x0bDM{zegel}\0\0";

/// Where a connection stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// Between messages.
    Idle,
    /// From MAIL until the content comes: an SMTP client may take its time.
    Envelope,
    /// From the first header field until the end of the message.
    Content,
    /// From the end of the message until our reply.
    Reply,
}

/// The frame can't be one of the milter protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct BadFrame;

/// Follows the frames from the MTA.
#[derive(Debug)]
pub(super) struct Commands {
    head: Vec<u8>,
    payload: usize,
    mail_macros: bool,
    phase: Phase,
    has_quit: bool,
}

impl Commands {
    pub(super) fn new() -> Self {
        Self {
            head: Vec::with_capacity(LENGTH_OCTETS + 2),
            payload: 0,
            mail_macros: false,
            phase: Phase::Idle,
            has_quit: false,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Our final reply has gone out.
    pub(super) fn replied(&mut self) {
        self.phase = Phase::Idle;
    }

    /// Whether the MTA has taken its leave.
    pub(super) fn has_quit(&self) -> bool {
        self.has_quit
    }

    /// Whether nothing of a next frame has come yet.
    pub(super) fn between_frames(&self) -> bool {
        self.head.is_empty() && self.payload == 0
    }

    /// How many octets of the current frame pass through as they are.
    pub(super) fn payload(&self) -> usize {
        self.payload
    }

    /// Says that so many octets of the payload have been passed through by the caller.
    pub(super) fn passed(&mut self, octets: usize) {
        self.payload -= octets;
    }

    /// Takes what came and appends what indymilter is to see.
    pub(super) fn feed(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<(), BadFrame> {
        let mut rest = input;
        while !rest.is_empty() {
            if self.payload > 0 {
                let (payload, behind) = rest.split_at(self.payload.min(rest.len()));
                output.extend_from_slice(payload);
                self.payload -= payload.len();
                rest = behind;
                continue;
            }
            let (&octet, behind) = rest.split_first().expect("the loop checks for an octet");
            self.head.push(octet);
            rest = behind;
            self.look_at_head(output)?;
        }
        Ok(())
    }

    /// Passes the head of a frame on as soon as enough of it is there.
    fn look_at_head(&mut self, output: &mut Vec<u8>) -> Result<(), BadFrame> {
        let Some((length, kind)) = self.head.split_first_chunk::<LENGTH_OCTETS>() else {
            return Ok(());
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| BadFrame)?;
        if length == 0 || length > LARGEST_FRAME {
            return Err(BadFrame);
        }
        let Some((&kind, payload)) = kind.split_first() else {
            return Ok(());
        };
        match kind {
            _ if !command::KINDS.contains(&kind) => return Err(BadFrame),
            command::MACROS if length > 1 => match payload.first() {
                None => return Ok(()),
                Some(&command::MAIL) => {
                    // In front, in case that indymilter finds nothing in the frame itself.
                    output.extend_from_slice(NO_MACROS);
                    self.mail_macros = true;
                }
                Some(_) => {}
            },
            command::MAIL if !std::mem::take(&mut self.mail_macros) => {
                output.extend_from_slice(NO_MACROS);
            }
            command::NEGOTIATE if length > NEGOTIATION_OCTETS - LENGTH_OCTETS - 1 => {
                if self.head.len() < NEGOTIATION_OCTETS {
                    return Ok(());
                }
                never_offer_nothing(&mut self.head);
            }
            command::CONNECT if length > LARGEST_CONNECT => return Err(BadFrame),
            command::CONNECT => {
                if self.head.len() < length + LENGTH_OCTETS {
                    return Ok(());
                }
                self.put_connect(output);
                return Ok(());
            }
            command::QUIT | command::QUIT_NEW_CONNECTION => {
                self.has_quit = true;
                self.head[LENGTH_OCTETS] = command::QUIT;
            }
            _ => {}
        }
        if kind != command::MACROS {
            // They were for the command right behind them, and for no other.
            self.mail_macros = false;
        }
        self.phase = next_phase(self.phase, kind);
        self.payload = length + LENGTH_OCTETS - self.head.len();
        output.append(&mut self.head);
        Ok(())
    }
}

impl Commands {
    /// Passes on a whole CONNECT frame, its address in the form that indymilter reads.
    fn put_connect(&mut self, output: &mut Vec<u8>) {
        let payload = address::normalised(&self.head[LENGTH_OCTETS + 1..]);
        // Never longer than what came, which is bounded.
        let length = u32::try_from(payload.len() + 1).unwrap_or(u32::MAX);
        output.extend_from_slice(&length.to_be_bytes());
        output.push(command::CONNECT);
        output.extend_from_slice(&payload);
        self.head.clear();
        self.mail_macros = false;
    }
}

/// Adds to an offer one action and one protocol bit that we never ask for (to replace the
/// body, and to skip the rest of it).
fn never_offer_nothing(head: &mut [u8]) {
    const REPLACE_BODY: u8 = 0x02;
    const SKIP: u8 = 0x04;
    let actions = LENGTH_OCTETS + 1 + 4;
    head[actions + 3] |= REPLACE_BODY;
    // SMFIP_SKIP is 0x400.
    head[actions + 4 + 2] |= SKIP;
}

fn next_phase(phase: Phase, kind: u8) -> Phase {
    match kind {
        command::MAIL => Phase::Envelope,
        command::HEADER | command::END_OF_HEADER | command::BODY if phase != Phase::Idle => {
            Phase::Content
        }
        command::BODY_END if phase != Phase::Idle => Phase::Reply,
        command::ABORT | command::QUIT | command::QUIT_NEW_CONNECTION => Phase::Idle,
        _ => phase,
    }
}

/// Follows the frames to the MTA.
#[derive(Debug, Default)]
pub(super) struct Replies {
    head: Vec<u8>,
    payload: usize,
}

impl Replies {
    /// Takes what went out and says whether a reply that can be final was begun in it.
    pub(super) fn feed(&mut self, output: &[u8]) -> bool {
        let mut is_final = false;
        let mut rest = output;
        while !rest.is_empty() {
            let passed = self.payload.min(rest.len());
            self.payload -= passed;
            rest = &rest[passed..];
            let wanted = (LENGTH_OCTETS + 1 - self.head.len()).min(rest.len());
            self.head.extend_from_slice(&rest[..wanted]);
            rest = &rest[wanted..];
            if let Some((length, [kind])) = self.head.split_first_chunk::<LENGTH_OCTETS>() {
                is_final |= FINAL_REPLIES.contains(kind);
                let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(1);
                self.payload = length.saturating_sub(1);
                self.head.clear();
            }
        }
        is_final
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len() + 1).unwrap();
        [&length.to_be_bytes()[..], &[kind], payload].concat()
    }

    fn feed(frames: &[Vec<u8>]) -> (Vec<u8>, Phase) {
        let input = frames.concat();
        let mut whole = Vec::new();
        let mut commands = Commands::new();
        commands.feed(&input, &mut whole).unwrap();
        let phase = commands.phase();
        let mut cut = Vec::new();
        let mut commands = Commands::new();
        for octet in input {
            commands.feed(&[octet], &mut cut).unwrap();
        }
        assert_eq!(whole, cut);
        assert_eq!(phase, commands.phase());
        assert!(commands.between_frames());
        (whole, phase)
    }

    #[test]
    fn frames_pass_as_they_are() {
        let frames = [
            frame(b'O', &[0xff; 12]),
            frame(b'D', b"Cj\0relay\0"),
            frame(b'C', b"host\x004\x00\x00127.0.0.1\0"),
            NO_MACROS.to_vec(),
            frame(b'M', b"<a@b>\0"),
            frame(b'L', b"From\0a@b\0"),
            frame(b'N', b""),
            frame(b'B', &vec![b'x'; 70_000]),
        ];
        let mut input = frames.to_vec();
        input.remove(3);
        let (output, phase) = feed(&input);
        assert_eq!(output, frames.concat());
        assert_eq!(phase, Phase::Content);
    }

    #[test]
    fn mail_never_sees_the_macros_of_the_message_before() {
        let mail = frame(b'M', b"<a>\0");
        let login = frame(b'D', b"M{auth_authen}\0a\0");
        let first = [&login[..], &mail].concat();
        let recipient = frame(b'D', b"R{rcpt_addr}\0a\0");
        let empty = frame(b'D', b"M");
        let unreadable = frame(b'D', b"M{auth_authen}");
        let abort = frame(b'A', b"");
        for (second, expected) in [
            (vec![], vec![NO_MACROS]),
            (vec![&recipient], vec![&recipient[..], NO_MACROS]),
            (vec![&empty], vec![NO_MACROS, &empty]),
            (vec![&unreadable], vec![NO_MACROS, &unreadable]),
            (vec![&login], vec![NO_MACROS, &login]),
            (
                vec![&login, &abort],
                vec![NO_MACROS, &login, &abort, NO_MACROS],
            ),
        ] {
            let second = second.into_iter().cloned().collect::<Vec<_>>().concat();
            let (output, _) = feed(&[first.clone(), second, mail.clone()]);
            let expected = [expected.concat(), mail.clone()].concat();
            assert_eq!(output, [NO_MACROS, &first, &expected].concat());
        }
    }

    #[test]
    fn an_offer_of_nothing_is_told_from_that_of_version_one() {
        let offer = |octets: [u8; 12]| frame(b'O', &octets);
        let (output, _) = feed(&[offer([0; 12])]);
        assert_eq!(output, offer([0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 4, 0]));
        let short = frame(b'O', &[0; 8]);
        assert_eq!(feed(std::slice::from_ref(&short)).0, short);
    }

    #[test]
    fn every_farewell_ends_the_connection() {
        for kind in [b'Q', b'K'] {
            let mut output = Vec::new();
            let mut commands = Commands::new();
            commands.feed(&frame(kind, b""), &mut output).unwrap();
            assert_eq!(output, frame(b'Q', b""));
            assert!(commands.has_quit());
        }
    }

    #[test]
    fn the_injected_frame_is_well_formed() {
        assert_eq!(NO_MACROS, frame(b'D', b"M{zegel}\0\0"));
    }

    #[test]
    fn phases() {
        let mail = frame(b'M', b"<a>\0");
        let header = frame(b'L', b"A\0b\0");
        let end = frame(b'E', b"");
        assert_eq!(feed(std::slice::from_ref(&mail)).1, Phase::Envelope);
        assert_eq!(feed(&[mail.clone(), header.clone()]).1, Phase::Content);
        assert_eq!(feed(&[mail.clone(), header.clone(), end]).1, Phase::Reply);
        assert_eq!(feed(&[mail, frame(b'A', b"")]).1, Phase::Idle);
        assert_eq!(feed(&[header]).1, Phase::Idle);
    }

    #[test]
    fn impossible_frames() {
        for kind in [0, b' ', b'Z', b'a', 0xff] {
            let fed = Commands::new().feed(&frame(kind, b"x"), &mut Vec::new());
            assert_eq!(fed, Err(BadFrame));
        }
        for length in [0_u32, 1024 * 1024 + 1, u32::MAX] {
            let mut output = Vec::new();
            let fed = Commands::new().feed(&length.to_be_bytes(), &mut output);
            assert_eq!(fed, Err(BadFrame));
        }
    }

    #[test]
    fn final_replies() {
        let insert = frame(b'i', &[b'a'; 300]);
        let mut replies = Replies::default();
        assert!(!replies.feed(&insert));
        assert!(!replies.feed(&insert[..100]));
        assert!(!replies.feed(&insert[100..]));
        assert!(replies.feed(&frame(b'a', b"")));
        let both = [insert, frame(b'y', b"451 4.7.1 x\0")].concat();
        let mut replies = Replies::default();
        let finals = both.iter().filter(|octet| replies.feed(&[**octet])).count();
        assert_eq!(finals, 1);
    }
}
