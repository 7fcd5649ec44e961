//! What is agreed upon with the MTA at the beginning of a connection.
//!
//! We ask for as little as possible, and only for what is offered: an MTA closes the
//! connection when more is asked for. Every version from 2 to 6 will do.

use std::{collections::HashMap, ffi::CStr};

use bytes::Bytes;
use indymilter::{
    Actions, MacroStage, ProtoOpts,
    message::{
        PROTOCOL_VERSION, Version,
        command::{CommandKind, OptNegPayload},
        reply::Reply,
    },
};

use super::wire::Malformed;
use crate::dkim::LeadingSpace;

const OLDEST_VERSION: Version = 2;

/// What decides nothing need not be sent, and nothing needs a reply before the end of the
/// message.
const WISHES: ProtoOpts = ProtoOpts::LEADING_SPACE
    .union(ProtoOpts::NO_HELO)
    .union(ProtoOpts::NO_RCPT)
    .union(ProtoOpts::NO_UNKNOWN)
    .union(ProtoOpts::NO_DATA)
    .union(ProtoOpts::NOREPLY_CONNECT)
    .union(ProtoOpts::NOREPLY_HELO)
    .union(ProtoOpts::NOREPLY_MAIL)
    .union(ProtoOpts::NOREPLY_RCPT)
    .union(ProtoOpts::NOREPLY_DATA)
    .union(ProtoOpts::NOREPLY_HEADER)
    .union(ProtoOpts::NOREPLY_EOH)
    .union(ProtoOpts::NOREPLY_BODY)
    .union(ProtoOpts::NOREPLY_UNKNOWN);

/// The macros that we ask for: who has logged in, and the queue id. `{mail_addr}` is always
/// defined, so that the frame always comes.
const MACROS: [(MacroStage, &CStr); 2] = [
    (MacroStage::Mail, c"{auth_authen} {auth_type} {mail_addr}"),
    (MacroStage::Eom, c"i"),
];

/// What both sides have agreed to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Agreement {
    version: Version,
    actions: Actions,
    options: ProtoOpts,
}

impl Agreement {
    /// Before anything is agreed upon: every command has a reply.
    pub(super) const NONE: Self = Self {
        version: OLDEST_VERSION,
        actions: Actions::empty(),
        options: ProtoOpts::empty(),
    };

    /// Agrees to what is offered, as far as it is wanted.
    pub(super) fn on(offer: &[u8]) -> Result<Self, Malformed> {
        // A later version may offer more behind these three.
        let offer = OptNegPayload::parse_buffer(Bytes::copy_from_slice(offer));
        let offer = offer.map_err(|_| Malformed)?;
        if offer.version < OLDEST_VERSION {
            return Err(Malformed);
        }
        Ok(Self {
            version: offer.version.min(PROTOCOL_VERSION),
            actions: offer.actions & (Actions::ADD_HEADER | Actions::REQUEST_MACROS),
            options: offer.opts & WISHES,
        })
    }

    /// What the MTA is told of it.
    pub(super) fn reply(self) -> Reply {
        let macros = if self.actions.contains(Actions::REQUEST_MACROS) {
            MACROS
                .map(|(stage, names)| (stage, names.to_owned()))
                .into()
        } else {
            HashMap::new()
        };
        Reply::OptNeg {
            version: self.version,
            actions: self.actions,
            opts: self.options,
            macros,
        }
    }

    /// Whose the blank in front of a field's value is.
    pub(super) fn leading_space(self) -> LeadingSpace {
        if self.options.contains(ProtoOpts::LEADING_SPACE) {
            LeadingSpace::Ours
        } else {
            LeadingSpace::AddedByMta
        }
    }

    /// Whether header fields may be inserted.
    pub(super) fn allows_insertion(self) -> bool {
        self.actions.contains(Actions::ADD_HEADER)
    }

    /// Whether the MTA waits for a reply to this command before it goes on. (That of an
    /// offer and of the end of a message are of another kind.)
    pub(super) fn wants_reply(self, command: CommandKind) -> bool {
        let left_out_by = match command {
            CommandKind::ConnInfo => ProtoOpts::NOREPLY_CONNECT,
            CommandKind::Helo => ProtoOpts::NOREPLY_HELO,
            CommandKind::Mail => ProtoOpts::NOREPLY_MAIL,
            CommandKind::Rcpt => ProtoOpts::NOREPLY_RCPT,
            CommandKind::Data => ProtoOpts::NOREPLY_DATA,
            CommandKind::Header => ProtoOpts::NOREPLY_HEADER,
            CommandKind::Eoh => ProtoOpts::NOREPLY_EOH,
            CommandKind::BodyChunk => ProtoOpts::NOREPLY_BODY,
            CommandKind::Unknown => ProtoOpts::NOREPLY_UNKNOWN,
            CommandKind::Abort
            | CommandKind::BodyEnd
            | CommandKind::DefMacros
            | CommandKind::OptNeg
            | CommandKind::Quit
            | CommandKind::QuitNc => return false,
        };
        !self.options.contains(left_out_by)
    }
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

    fn answer(agreement: Agreement) -> Vec<u8> {
        let message = agreement.reply().into_message();
        assert_eq!(message.kind, b'O');
        message.buffer.to_vec()
    }

    #[test]
    fn nothing_is_asked_for_that_is_not_offered() {
        let agreement = Agreement::on(&offer(2, 0, 0)).unwrap();
        assert_eq!(answer(agreement), offer(2, 0, 0));
        assert_eq!(agreement, Agreement::NONE);
    }

    #[test]
    fn the_offer_of_postfix() {
        let agreement = Agreement::on(&offer(6, 0x1ff, 0x1f_ffff)).unwrap();
        let macros = b"\0\0\0\x02{auth_authen} {auth_type} {mail_addr}\0\0\0\0\x05i\0";
        let expected = [&offer(6, 0x101, 0x1f_f38a)[..], macros].concat();
        assert_eq!(answer(agreement), expected);
        assert_eq!(agreement.leading_space(), LeadingSpace::Ours);
        assert!(agreement.allows_insertion());
        assert!(!agreement.wants_reply(CommandKind::BodyChunk));
    }

    #[test]
    fn each_reply_is_left_out_by_a_bit_of_its_own() {
        for (command, bit) in [
            (CommandKind::Header, 0x80),
            (CommandKind::ConnInfo, 0x1000),
            (CommandKind::Helo, 0x2000),
            (CommandKind::Mail, 0x4000),
            (CommandKind::Rcpt, 0x8000),
            (CommandKind::Data, 0x1_0000),
            (CommandKind::Unknown, 0x2_0000),
            (CommandKind::Eoh, 0x4_0000),
            (CommandKind::BodyChunk, 0x8_0000),
        ] {
            assert!(Agreement::NONE.wants_reply(command));
            let all = Agreement::on(&offer(6, 0, 0x1f_ffff)).unwrap();
            assert!(!all.wants_reply(command));
            let all_others = Agreement::on(&offer(6, 0, 0x1f_ffff & !bit)).unwrap();
            assert!(all_others.wants_reply(command), "{command:?}");
        }
    }

    #[test]
    fn offers_that_are_none() {
        for data in [
            offer(1, 0xff, 0xff),
            offer(0, 0, 0),
            vec![0, 0, 0, 6],
            vec![],
        ] {
            assert_eq!(Agreement::on(&data), Err(Malformed));
        }
        assert!(Agreement::on(&offer(99, 0, 0)).is_ok());
    }
}
