//! The copying of `docs/several-relays.md`, with a signer that has the copy.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use super::{
    page::{What, steps},
    pages,
    support::milter::{Message, send},
    world::World,
};

const DEADLINE: Duration = Duration::from_mins(1);
/// In which the signer has looked at the generation more than once.
const LOOKS: Duration = Duration::from_secs(5);
const FIRST: &str = "--selector eerste";
const SECOND: &str = "--selector tweede";

/// The commands of the page that copy the keystore, in their order.
fn copying() -> Vec<String> {
    let steps = steps(&pages()["docs/several-relays.md"]);
    let commands = steps.into_iter().filter_map(|step| match step.what {
        What::Command(command, _) => ["cp -p ", "rsync "]
            .iter()
            .any(|start| command.starts_with(start))
            .then_some(command),
        _ => None,
    });
    commands
        .filter(|command| !command.contains("audit.log"))
        .collect()
}

fn run(world: &World, command: &str) {
    let done = world.run(command);
    assert_eq!(done.status, 0, "{command}: {}", done.said);
}

fn make_key(world: &World, options: &str) {
    let selector = options.split(' ').nth(1).unwrap();
    run(
        world,
        &format!("zegel key generate gemeente-voorbeeld {options}"),
    );
    let activate = format!("zegel key activate gemeente-voorbeeld {selector}");
    run(world, &format!("{activate} --assume-published"));
}

/// The `s=` of what the signer of the copy puts on a message.
fn selector(world: &World) -> Option<String> {
    let message = Message::parse(b"From: a@voorbeeld.example\r\nSubject: s\r\n\r\nbody\r\n");
    let outcome = send(&world.milter(), &message);
    let field = outcome.inserted.first()?;
    let value = String::from_utf8_lossy(&field.value).into_owned();
    let tag = value
        .split(';')
        .map(str::trim)
        .find_map(|tag| tag.strip_prefix("s="));
    tag.map(str::to_owned)
}

fn wait_for(world: &World, expected: &str) {
    let start = Instant::now();
    while selector(world).as_deref() != Some(expected) {
        assert!(start.elapsed() < DEADLINE, "{expected} does not sign");
        sleep(Duration::from_millis(200));
    }
}

/// Even when a copy before it was cut in two by a change, so that the number of the generation
/// tells nothing any more.
#[test]
fn a_signer_takes_up_what_has_been_copied() {
    let world = World::new(false);
    let copying = copying();
    assert_eq!(copying.len(), 5, "{copying:?}");
    make_key(&world, FIRST);
    run(&world, &copying.join(" && "));
    world.start_signer_of("relay2/var/lib/zegel/keys");
    wait_for(&world, "eerste");

    make_key(&world, SECOND);
    // The end of a copy whose beginning was before the change.
    let generation = copying.iter().find(|one| one.contains("/generation "));
    run(&world, generation.expect("the copying of the generation"));
    sleep(LOOKS);
    assert_eq!(selector(&world).as_deref(), Some("eerste"));
    run(&world, &copying.join(" && "));
    wait_for(&world, "tweede");
}
