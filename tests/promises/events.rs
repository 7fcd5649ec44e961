//! What may happen.

use proptest::{collection, prelude::*, sample};

/// Which organisation, by its place in [`ORGANISATIONS`].
pub(crate) type Org = usize;
/// Which domain, by its place in [`DOMAINS`].
pub(crate) type Dom = usize;

pub(crate) const ORGANISATIONS: [&str; 2] = ["alfa", "beta"];
/// The first is alfa's and the second beta's; the third goes about.
pub(crate) const DOMAINS: [&str; 3] = ["alfa.example", "beta.example", "third.example"];

/// Where the third domain is, by the files.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    Sent(Org),
    Parked(Org),
    /// Two files have it, which is a mistake.
    Both,
    Nowhere,
}

/// One thing that happens. Where there is a last number it says which one of several.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// The keeper looks at an organisation; not every server may answer.
    Look(Org, bool),
    /// The administrators of a domain publish what is asked of them.
    Publish(Dom),
    /// They take away, or empty, a record.
    Unpublish(Dom, usize),
    Roll(Org),
    Generate(Org),
    Activate(Org, usize),
    Revoke(Org, usize),
    Suspend(Org),
    Resume(Org),
    Retire(Org, Dom),

    FolderAway(Org),
    FolderBack(Org),
    KeyringGone(Org),
    KeyringEmptied(Org),
    /// That of a backup.
    KeyringOld(Org, usize),
    KeyFileGone(Org, usize),
    GenerationGone,
    GenerationBack,
    IdGone,
    AuditGone,
    AuditCut,
    MarkGone,
    Backup,
    RollBack(usize),
    /// `zegel keystore restore`, on purpose.
    Restore,
    /// An empty folder in the place of the keystore.
    Unmount,
    Mount,
    /// `zegel keystore init`.
    Initialise,

    FileGone(Org),
    FileIsFolder(Org),
    FileBack(Org),
    FolderOfFilesGone,
    FolderOfFilesBack,
    Put(Place),
    /// A domain of its own is parked, or is not any more.
    Park(Org),
    /// Its algorithm is off, or on again.
    Algorithm(Org),

    Reload,
    Restart,
    KeeperRestart,
}

/// Whether keys drain for long, and what happens. It begins with keys in use, mostly, so that there is something to lose.
pub(crate) fn history() -> impl Strategy<Value = (bool, Vec<Event>)> {
    (
        any::<bool>(),
        sample::select(vec![true, true, true, false]),
        collection::vec(events(), 1..40),
    )
        .prop_map(|(drains_long, has_keys, events)| {
            let mut all = Vec::new();
            if has_keys {
                for organisation in 0..ORGANISATIONS.len() {
                    all.push(Event::Look(organisation, true));
                }
                all.extend((0..DOMAINS.len()).map(Event::Publish));
                for _ in 0..2 {
                    all.extend((0..ORGANISATIONS.len()).map(|one| Event::Look(one, true)));
                }
            }
            all.extend(events.into_iter().flatten());
            (drains_long, all)
        })
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    prop_oneof![
        60 => event().prop_map(|event| vec![event]),
        1 => there_and_back(),
    ]
}

/// A domain is elsewhere when the keeper looks, and comes back. By chance alone that is rare.
fn there_and_back() -> impl Strategy<Value = Vec<Event>> {
    let ways = sample::select(vec![Event::Park, Event::Algorithm]);
    (org(), ways).prop_map(|(org, way)| {
        let look = Event::Look(org, true);
        vec![way(org), look, way(org), look]
    })
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        5 => life(),
        3 => loss(),
        2 => configuration(),
        2 => sample::select(vec![
            Event::Reload,
            Event::Reload,
            Event::Restart,
            Event::Restart,
            Event::KeeperRestart,
        ]),
    ]
}

fn org() -> impl Strategy<Value = Org> {
    0..ORGANISATIONS.len()
}

fn dom() -> impl Strategy<Value = Dom> {
    0..DOMAINS.len()
}

fn life() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (org(), sample::select(vec![true, true, true, false]))
            .prop_map(|(org, answers)| Event::Look(org, answers)),
        4 => dom().prop_map(Event::Publish),
        1 => (dom(), 0..8_usize).prop_map(|(dom, which)| Event::Unpublish(dom, which)),
        2 => org().prop_map(Event::Roll),
        1 => org().prop_map(Event::Generate),
        1 => (org(), 0..8_usize).prop_map(|(org, which)| Event::Activate(org, which)),
        2 => (org(), 0..8_usize).prop_map(|(org, which)| Event::Revoke(org, which)),
        1 => org().prop_map(Event::Suspend),
        1 => org().prop_map(Event::Resume),
        1 => (org(), dom()).prop_map(|(org, dom)| Event::Retire(org, dom)),
    ]
}

fn loss() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => org().prop_map(Event::FolderAway),
        2 => org().prop_map(Event::FolderBack),
        1 => org().prop_map(Event::KeyringGone),
        1 => org().prop_map(Event::KeyringEmptied),
        2 => (org(), 0..4_usize).prop_map(|(org, which)| Event::KeyringOld(org, which)),
        1 => (org(), 0..8_usize).prop_map(|(org, which)| Event::KeyFileGone(org, which)),
        3 => Just(Event::Backup),
        3 => (0..4_usize).prop_map(Event::RollBack),
        4 => sample::select(vec![
            Event::GenerationGone,
            Event::GenerationBack,
            Event::IdGone,
            Event::AuditGone,
            Event::AuditCut,
            Event::MarkGone,
            Event::Restore,
            Event::Initialise,
        ]),
        2 => sample::select(vec![Event::Unmount, Event::Mount]),
    ]
}

fn configuration() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => org().prop_map(Event::FileGone),
        1 => org().prop_map(Event::FileIsFolder),
        3 => org().prop_map(Event::FileBack),
        1 => sample::select(vec![Event::FolderOfFilesGone, Event::FolderOfFilesBack]),
        5 => sample::select(vec![
            Place::Sent(0),
            Place::Sent(0),
            Place::Sent(1),
            Place::Sent(1),
            Place::Parked(0),
            Place::Parked(1),
            Place::Both,
            Place::Nowhere,
        ])
        .prop_map(Event::Put),
        1 => org().prop_map(Event::Park),
        1 => org().prop_map(Event::Algorithm),
    ]
}
