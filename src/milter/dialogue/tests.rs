use super::*;
use crate::milter::service::{
    Service,
    tests::{revoke, service},
};

fn agreed(service: &Service) -> Dialogue {
    let mut dialogue = Dialogue::new(Arc::clone(&service.context));
    let offer = [0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0];
    let agreed = dialogue.command(Command::Negotiate, &offer, &mut Vec::new());
    assert!(agreed.is_ok());
    dialogue
}

/// A message of this author. What is to happen before a command does.
fn message(
    dialogue: &mut Dialogue,
    author: &str,
    mut happens: impl FnMut(&mut Dialogue, Command),
) -> Ending {
    let from = format!("From\0 {author}\0");
    for (command, data) in [
        (Command::Mail, &b"<a@b.example>\0"[..]),
        (Command::Header, from.as_bytes()),
        (Command::EndOfHeader, b""),
        (Command::Body, b""),
        (Command::EndOfMessage, b""),
    ] {
        happens(dialogue, command);
        let ending = match dialogue.command(command, data, &mut Vec::new()) {
            Ok(Step::GoOn) => continue,
            Ok(Step::ReadKeys(pending)) => {
                dialogue.keys_read(Some(pending.read_keys()));
                continue;
            }
            Ok(Step::ToSign(_)) => dialogue.end_of_message(),
            Ok(Step::Ended(ending)) => ending,
            _ => panic!("{command:?}"),
        };
        dialogue.told(&ending, true);
        return ending;
    }
    panic!("no end");
}

#[test]
fn a_panic_costs_its_message_alone() {
    let (service, _folder) = service();
    let mut dialogue = agreed(&service);
    for (times, panics_at) in (1..).zip([
        Command::Header,
        Command::EndOfHeader,
        Command::Body,
        Command::EndOfMessage,
    ]) {
        // Not even mail of others goes on as if nothing had been.
        let ending = message(&mut dialogue, "a@b.example", |dialogue, command| {
            if command == panics_at {
                let step: Option<()> = dialogue.guard(|_| panic!("of a test"));
                assert!(step.is_none());
            }
        });
        assert!(matches!(ending, Ending::Incomplete), "{panics_at:?}");
        let ending = message(&mut dialogue, "a@b.example", |_, _| {});
        assert!(matches!(
            ending,
            Ending::Refused(message) if message.action == Action::Accept
        ));
        let page = service.context.all_metrics.render().unwrap();
        assert!(page.contains(&format!("zegel_panics_total {times}\n")));
    }
}

/// A key that is revoked while the client of a MAIL is silent signs no more.
#[test]
fn a_message_has_the_snapshot_of_the_moment_in_which_its_content_begins() {
    for (revoked_before, is_signed) in [
        (Command::Mail, false),
        (Command::Header, false),
        (Command::EndOfHeader, true),
        (Command::EndOfMessage, true),
    ] {
        let (service, folder) = service();
        let mut dialogue = agreed(&service);
        let ending = message(&mut dialogue, "a@een.example", |_, command| {
            if command == revoked_before {
                let before = revoke(&service, &folder);
                let is_held = Arc::strong_count(&before) > 1;
                assert_eq!(is_held, is_signed, "{command:?}");
            }
        });
        let signed = matches!(ending, Ending::Signed(_));
        assert_eq!(signed, is_signed, "{revoked_before:?}");
    }
}

/// Macros of a MAIL that come before the end of another message are not those of the next.
#[test]
fn a_login_is_for_the_command_behind_it() {
    let (service, _folder) = service();
    for given_before in [
        Command::Header,
        Command::EndOfHeader,
        Command::Body,
        Command::EndOfMessage,
    ] {
        let mut dialogue = agreed(&service);
        message(&mut dialogue, "a@b.example", |dialogue, command| {
            if command == given_before {
                let macros = b"M{auth_authen}\0crm\0";
                let step = dialogue.command(Command::Macros, macros, &mut Vec::new());
                assert!(matches!(step, Ok(Step::GoOn)));
            }
        });
        assert_eq!(dialogue.login, None, "{given_before:?}");
    }
}

#[test]
fn a_listener_that_looks_on_tells_of_a_panic_at_the_end() {
    let (mut service, _folder) = service();
    let context = Arc::get_mut(&mut service.context);
    context.expect("nobody else has it").observe = true;
    let mut dialogue = agreed(&service);
    let lost: Option<Ending> = dialogue.guard(|_| panic!("of a test"));
    assert!(matches!(dialogue.ending(lost), Ending::Observed));
    let page = service.context.all_metrics.render().unwrap();
    let counted = r#"zegel_observed_total{listener="relay",result="tempfailed"} 1"#;
    assert!(page.contains(counted), "{page}");
}
