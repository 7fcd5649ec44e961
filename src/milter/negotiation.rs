//! What is agreed upon with the MTA at the beginning of a connection.
//!
//! We ask for as little as possible, and only for what is offered: an MTA closes the
//! connection when more is asked for. Every version from 2 to 6 will do.

use super::wire::Malformed;
use crate::dkim::LeadingSpace;

/// The newest version of the protocol that we speak, and the oldest.
const NEWEST_VERSION: u32 = 6;
const OLDEST_VERSION: u32 = 2;

/// What a milter may do (`SMFIF_…`).
mod action {
    pub(super) const ADD_HEADER: u32 = 0x1;
    pub(super) const REQUEST_MACROS: u32 = 0x100;
}

/// What the two sides do (`SMFIP_…`).
pub(super) mod protocol {
    pub(in crate::milter) const NO_REPLY_HEADER: u32 = 0x80;
    pub(in crate::milter) const NO_REPLY_CONNECT: u32 = 0x1000;
    pub(in crate::milter) const NO_REPLY_HELO: u32 = 0x2000;
    pub(in crate::milter) const NO_REPLY_MAIL: u32 = 0x4000;
    pub(in crate::milter) const NO_REPLY_RECIPIENT: u32 = 0x8000;
    pub(in crate::milter) const NO_REPLY_DATA: u32 = 0x1_0000;
    pub(in crate::milter) const NO_REPLY_UNKNOWN: u32 = 0x2_0000;
    pub(in crate::milter) const NO_REPLY_END_OF_HEADER: u32 = 0x4_0000;
    pub(in crate::milter) const NO_REPLY_BODY: u32 = 0x8_0000;
    pub(super) const LEADING_SPACE: u32 = 0x10_0000;
    const NO_HELO: u32 = 0x2;
    const NO_RECIPIENT: u32 = 0x8;
    const NO_UNKNOWN: u32 = 0x100;
    const NO_DATA: u32 = 0x200;

    /// What decides nothing need not be sent, and nothing needs a reply before the end of
    /// the message.
    pub(super) const WISHES: u32 = LEADING_SPACE
        | NO_HELO
        | NO_RECIPIENT
        | NO_UNKNOWN
        | NO_DATA
        | NO_REPLY_CONNECT
        | NO_REPLY_HELO
        | NO_REPLY_MAIL
        | NO_REPLY_RECIPIENT
        | NO_REPLY_DATA
        | NO_REPLY_HEADER
        | NO_REPLY_END_OF_HEADER
        | NO_REPLY_BODY
        | NO_REPLY_UNKNOWN;
}

/// The macros that are asked for, by the number of their stage (`SMFIM_…`): who has logged
/// in, and the queue id. `{mail_addr}` is always defined, so that the frame always comes.
const MACROS: [(u32, &str); 2] = [(2, "{auth_authen} {auth_type} {mail_addr}"), (5, "i")];

/// What the MTA agreed to, as far as it touches us.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Agreement {
    pub(super) leading_space: LeadingSpace,
    pub(super) insertion: Insertion,
    protocol: u32,
}

/// Whether header fields may be inserted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Insertion {
    Allowed,
    Forbidden,
}

impl Agreement {
    /// Before anything is agreed upon: every command has a reply.
    pub(super) const NONE: Self = Self {
        leading_space: LeadingSpace::AddedByMta,
        insertion: Insertion::Forbidden,
        protocol: 0,
    };

    /// Agrees to what is offered, as far as it is wanted. The data of our reply is appended
    /// to `answer`.
    pub(super) fn on(offer: &[u8], answer: &mut Vec<u8>) -> Result<Self, Malformed> {
        // A later version may offer more behind the three.
        let (&offer, _) = offer.split_first_chunk::<12>().ok_or(Malformed)?;
        let [version, actions, protocol] = words(offer);
        if version < OLDEST_VERSION {
            return Err(Malformed);
        }
        let wanted = actions & (action::ADD_HEADER | action::REQUEST_MACROS);
        let agreed = protocol & protocol::WISHES;
        for word in [version.min(NEWEST_VERSION), wanted, agreed] {
            answer.extend_from_slice(&word.to_be_bytes());
        }
        if actions & action::REQUEST_MACROS != 0 {
            for (stage, macros) in MACROS {
                answer.extend_from_slice(&stage.to_be_bytes());
                answer.extend_from_slice(macros.as_bytes());
                answer.push(0);
            }
        }
        Ok(Self {
            leading_space: if agreed & protocol::LEADING_SPACE == 0 {
                LeadingSpace::AddedByMta
            } else {
                LeadingSpace::Ours
            },
            insertion: if actions & action::ADD_HEADER == 0 {
                Insertion::Forbidden
            } else {
                Insertion::Allowed
            },
            protocol: agreed,
        })
    }

    /// Whether a command whose reply can be left out by this bit has one.
    pub(super) fn wants_reply(self, left_out_by: u32) -> bool {
        self.protocol & left_out_by == 0
    }
}

fn words(octets: [u8; 12]) -> [u32; 3] {
    let mut words = [0; 3];
    for (word, octets) in words.iter_mut().zip(octets.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*octets);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(version: u32, actions: u32, protocol: u32) -> Vec<u8> {
        [version, actions, protocol]
            .iter()
            .flat_map(|word| word.to_be_bytes())
            .collect()
    }

    #[test]
    fn nothing_is_asked_for_that_is_not_offered() {
        let mut answer = Vec::new();
        let agreement = Agreement::on(&offer(2, 0, 0), &mut answer).unwrap();
        assert_eq!(answer, offer(2, 0, 0));
        assert_eq!(agreement, Agreement::NONE);
    }

    #[test]
    fn the_offer_of_postfix() {
        let mut answer = Vec::new();
        let agreement = Agreement::on(&offer(6, 0x1ff, 0x1f_ffff), &mut answer).unwrap();
        let macros = b"\0\0\0\x02{auth_authen} {auth_type} {mail_addr}\0\0\0\0\x05i\0";
        let expected = [&offer(6, 0x101, 0x1f_f38a)[..], macros].concat();
        assert_eq!(answer, expected);
        assert_eq!(agreement.leading_space, LeadingSpace::Ours);
        assert_eq!(agreement.insertion, Insertion::Allowed);
        assert!(!agreement.wants_reply(protocol::NO_REPLY_BODY));
    }

    #[test]
    fn offers_that_are_none() {
        for data in [
            offer(1, 0xff, 0xff),
            offer(0, 0, 0),
            vec![0, 0, 0, 6],
            vec![],
        ] {
            assert_eq!(Agreement::on(&data, &mut Vec::new()), Err(Malformed));
        }
        assert!(Agreement::on(&offer(99, 0, 0), &mut Vec::new()).is_ok());
    }
}
