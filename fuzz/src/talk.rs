//! The milter protocol once more, with all that a peer will ever say at hand: what it must be
//! told, and of what each final reply is. The names are those of Sendmail's `mfdef.h`.

use std::net::IpAddr;

/// The largest frame, and the largest that shows a client.
const FRAME: usize = 1024 * 1024;
const CONNECT: usize = 4096;

/// `SMFIF_ADDHDRS`, and that with `SMFIF_SETSYMLIST`.
const ADD_HEADER: u32 = 0x1;
const ACTIONS: u32 = 0x101;
/// What is asked for of `SMFIP_…`: leading space, no replies, and less to be sent.
const PROTOCOL: u32 = 0x1f_f38a;
const LEADING_SPACE: u32 = 0x10_0000;

/// What is taken of a peer without the end of a message: frames, and octets in them.
pub const COMMANDS: usize = 100;
pub const COMMAND_OCTETS: usize = 64 * 1024;

/// A reply that must come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reply {
    /// An agreement on version, actions and protocol.
    Agreement([u32; 3]),
    /// Go on.
    GoOn,
    /// The one that ends this message.
    Final(Mail),
}

/// How it ends when the peer has said all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// Behind a whole frame: more could come.
    Open,
    /// Within a frame.
    Within,
    /// The signer closes the connection, or the peer takes its leave.
    Closed,
}

/// A message as it is complete.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Mail {
    /// Whether anything was agreed upon, and that header fields may be added.
    pub agreed: bool,
    pub may_add: bool,
    /// Whether a blank in front of a value is part of it.
    pub leading_space: bool,
    /// An agreement or a client came in the middle: nobody knows what it is worth.
    pub broken: bool,
    pub client: Option<IpAddr>,
    pub login: Option<Vec<u8>>,
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub body: Vec<u8>,
}

#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Phase {
    Idle,
    Envelope,
    Header,
    Body,
}

/// A connection.
pub struct Talk {
    pub replies: Vec<Reply>,
    pub end: End,
    agreement: Option<[u32; 3]>,
    has_client: bool,
    client: Option<IpAddr>,
    login: Option<Vec<u8>>,
    phase: Phase,
    mail: Mail,
    commands: usize,
    octets: usize,
}

/// The connection ends.
struct Over;

/// What must come of all that a peer says.
pub fn talk(said: &[u8]) -> Talk {
    let mut talk = Talk {
        replies: Vec::new(),
        end: End::Open,
        agreement: None,
        has_client: false,
        client: None,
        login: None,
        phase: Phase::Idle,
        mail: Mail::default(),
        commands: 0,
        octets: 0,
    };
    let mut rest = said;
    talk.end = loop {
        match frame(&mut rest) {
            Err(Over) => break End::Closed,
            Ok(None) if rest.is_empty() => break End::Open,
            Ok(None) => break End::Within,
            Ok(Some((kind, data))) => {
                if talk.frame(kind, data).is_err() {
                    break End::Closed;
                }
            }
        }
    };
    talk
}

/// The next frame, if it is whole.
fn frame<'a>(rest: &mut &'a [u8]) -> Result<Option<(u8, &'a [u8])>, Over> {
    let Some((length, behind)) = rest.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length) as usize;
    if length == 0 || length > FRAME {
        return Err(Over);
    }
    let Some(&kind) = behind.first() else {
        return Ok(None);
    };
    if !b"ABCDEHKLMNOQRTU".contains(&kind) || kind == b'C' && length > CONNECT {
        return Err(Over);
    }
    let Some((whole, behind)) = behind.split_at_checked(length) else {
        return Ok(None);
    };
    *rest = behind;
    Ok(Some((kind, &whole[1..])))
}

/// Up to a NUL, and what is behind it.
fn string(data: &[u8]) -> Result<(&[u8], &[u8]), Over> {
    let end = data.iter().position(|&octet| octet == 0).ok_or(Over)?;
    Ok((&data[..end], &data[end + 1..]))
}

impl Talk {
    /// Whether a message can be signed on this connection, were it to go on.
    pub fn can_go_on(&self) -> bool {
        self.end == End::Open && (self.agreement.is_some() || !self.has_client)
    }

    /// Whether something is agreed upon already.
    pub fn has_agreed(&self) -> bool {
        self.agreement.is_some()
    }

    fn frame(&mut self, kind: u8, data: &[u8]) -> Result<(), Over> {
        if kind != b'B' {
            self.commands += 1;
            self.octets += if kind == b'E' { 0 } else { data.len() };
            if self.commands > COMMANDS || self.octets > COMMAND_OCTETS {
                return Err(Over);
            }
        }
        if kind == b'D' {
            return self.macros(data);
        }
        let before = self.phase;
        let reply = self.command(kind, data)?;
        self.login = None;
        if before != Phase::Idle && self.phase == Phase::Idle {
            (self.commands, self.octets) = (0, 0);
        }
        let protocol = self.agreement.map_or(0, |[_, _, protocol]| protocol);
        if reply.is_some_and(|left_out_by| protocol & left_out_by == 0) {
            self.replies.push(Reply::GoOn);
        }
        Ok(())
    }

    /// Gives the bit that leaves out the reply, where there is to be one.
    fn command(&mut self, kind: u8, data: &[u8]) -> Result<Option<u32>, Over> {
        let before_body = matches!(self.phase, Phase::Envelope | Phase::Header);
        Ok(match kind {
            b'O' if self.agreement.is_none() => {
                self.negotiate(data)?;
                None
            }
            b'C' if !self.has_client => {
                self.client = client(data)?;
                self.has_client = true;
                self.mail.broken = true;
                Some(0x1000)
            }
            b'H' => {
                string(data)?;
                Some(0x2000)
            }
            b'M' => {
                string(data)?;
                self.phase = Phase::Envelope;
                self.mail = Mail {
                    client: self.client,
                    login: self.login.take().filter(|login| !login.is_empty()),
                    ..Mail::default()
                };
                Some(0x4000)
            }
            b'R' if self.phase == Phase::Envelope => Some(0x8000),
            b'T' if self.phase == Phase::Envelope => Some(0x1_0000),
            b'U' => Some(0x2_0000),
            b'L' if before_body => {
                let (name, rest) = string(data)?;
                let (value, _) = string(rest)?;
                if name.is_empty() {
                    return Err(Over);
                }
                self.phase = Phase::Header;
                self.mail.fields.push((name.to_vec(), value.to_vec()));
                Some(0x80)
            }
            b'N' if before_body => {
                self.phase = Phase::Body;
                Some(0x4_0000)
            }
            b'B' if self.phase == Phase::Body => {
                self.mail.body.extend_from_slice(data);
                Some(0x8_0000)
            }
            b'E' if self.phase == Phase::Body => {
                self.mail.body.extend_from_slice(data);
                self.end_of_message();
                None
            }
            b'A' => {
                self.phase = Phase::Idle;
                None
            }
            b'K' | b'Q' => return Err(Over),
            _ => None,
        })
    }

    fn negotiate(&mut self, data: &[u8]) -> Result<(), Over> {
        let offer = data.first_chunk::<12>().ok_or(Over)?;
        let word = |place: usize| {
            let octets = offer[place * 4..][..4].try_into().expect("four of twelve");
            u32::from_be_bytes(octets)
        };
        if self.has_client || word(0) < 2 {
            return Err(Over);
        }
        let agreement = [word(0).min(6), word(1) & ACTIONS, word(2) & PROTOCOL];
        self.agreement = Some(agreement);
        self.mail.broken = true;
        self.replies.push(Reply::Agreement(agreement));
        Ok(())
    }

    fn macros(&mut self, data: &[u8]) -> Result<(), Over> {
        let (stage, mut rest) = data.split_first().ok_or(Over)?;
        if *stage != b'M' {
            return Ok(());
        }
        self.login = None;
        while let Ok((name, behind)) = string(rest) {
            let Ok((value, behind)) = string(behind) else {
                break;
            };
            if name == b"{auth_authen}" {
                self.login = Some(value.to_vec());
                break;
            }
            rest = behind;
        }
        Ok(())
    }

    fn end_of_message(&mut self) {
        self.phase = Phase::Idle;
        let mut mail = std::mem::take(&mut self.mail);
        mail.agreed = self.agreement.is_some();
        let [_, actions, protocol] = self.agreement.unwrap_or_default();
        mail.may_add = actions & ADD_HEADER != 0;
        mail.leading_space = protocol & LEADING_SPACE != 0;
        self.replies.push(Reply::Final(mail));
    }
}

fn client(data: &[u8]) -> Result<Option<IpAddr>, Over> {
    let (_, rest) = string(data)?;
    let (&family, rest) = rest.split_first().ok_or(Over)?;
    match family {
        b'U' | b'L' => return Ok(None),
        b'4' | b'6' => {}
        _ => return Err(Over),
    }
    let text = rest.get(2..).and_then(|rest| string(rest).ok());
    let address = text.and_then(|(text, _)| {
        let text = text.split(|&octet| octet == b'%').next()?;
        let text = std::str::from_utf8(text).ok()?;
        let prefix = text.get(..5).filter(|it| it.eq_ignore_ascii_case("IPv6:"));
        text[prefix.map_or(0, str::len)..].parse::<IpAddr>().ok()
    });
    Ok(address.map(|address| address.to_canonical()))
}
