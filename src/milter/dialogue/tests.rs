use super::*;
use crate::milter::service::tests::service;

/// A message from nobody that is known here, with a panic before this command.
fn message(dialogue: &mut Dialogue, panics_at: Option<Command>) -> Ending {
    for (command, data) in [
        (Command::Mail, &b"<a@b.example>\0"[..]),
        (Command::Header, b"From\0 a@b.example\0"),
        (Command::EndOfHeader, b""),
        (Command::Body, b""),
        (Command::EndOfMessage, b""),
    ] {
        if panics_at == Some(command) {
            let step: Option<()> = dialogue.guard(|_| panic!("of a test"));
            assert!(step.is_none());
        }
        match dialogue.command(command, data, &mut Vec::new()) {
            Ok(Step::GoOn) => {}
            Ok(Step::Ended(ending)) => {
                dialogue.told(&ending, true);
                return ending;
            }
            _ => panic!("{command:?}"),
        }
    }
    panic!("no end");
}

#[test]
fn a_panic_costs_its_message_alone() {
    let (service, _folder) = service();
    let mut dialogue = Dialogue::new(Arc::clone(&service.context));
    let offer = [0, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0];
    let agreed = dialogue.command(Command::Negotiate, &offer, &mut Vec::new());
    assert!(agreed.is_ok());
    for (times, command) in (1..).zip([
        Command::Header,
        Command::EndOfHeader,
        Command::Body,
        Command::EndOfMessage,
    ]) {
        // Not even mail of others goes on as if nothing had been.
        let ending = message(&mut dialogue, Some(command));
        assert!(matches!(ending, Ending::Incomplete), "{command:?}");
        let ending = message(&mut dialogue, None);
        assert!(matches!(
            ending,
            Ending::Refused(message) if message.action == Action::Accept
        ));
        let page = service.context.all_metrics.render().unwrap();
        assert!(page.contains(&format!("zegel_panics_total {times}\n")));
    }
}
