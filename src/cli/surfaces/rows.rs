//! The states that an organisation can be in, one row each. A kind of matter, step or level that
//! is new has to be given a row here, or this does not compile.

use jiff::{SignedDuration, Timestamp};

use crate::{
    dns::Code,
    judgement::{Advised, Fact, Hold},
    keys::{Publication, Revocation, State, Way, What, Why, Withdrawal},
    ladder::{
        Action,
        holds::{Asks, HoldCode},
    },
    words::Level,
};

/// One organisation in its state. Its domain is its id below `example`.
pub(super) struct Row {
    pub(super) id: String,
    /// What its file says beyond its name; none: its domain alone.
    pub(super) file: Option<String>,
    /// One key for each.
    pub(super) keys: Vec<Publication>,
    /// What it is beside that.
    pub(super) also: Also,
    /// How it stands: its level, and the word of its worst matter, which is empty where all is
    /// well. None of a finding that may or may not be a matter.
    pub(super) stands: Option<(Level, &'static str)>,
}

/// What is so beside the keys.
pub(super) enum Also {
    Nothing,
    /// Mail has come for which there was no key.
    Sends,
    /// The same, before this signer began.
    SentOnce,
    Suspended,
    /// A notice that runs, or that is over.
    Leaves {
        is_over: bool,
    },
    /// The file of its key is gone.
    KeyGone,
    KeyringBroken,
    NoticeBroken,
    /// The keeper saw this wrong with its policies.
    Policy(Code),
    /// This holds its domain on its rung of DMARC.
    Held(HoldCode),
    /// The keeper found that someone has to do this about its DMARC record.
    Advised(Action),
    /// By reports, a key that nobody knows signs in its name.
    StrangeKey,
    /// By reports, far more mail passes with its key than was signed with it.
    Replay,
    /// The keeper saw its keys in its own DNS, and not in the zone of the operator.
    InItsOwnZone,
}

/// zegel.toml names no zone, so that there is none to hand a domain over to.
pub(super) const NO_TARGET: &str = "delegation_without_target";

/// The row of each level.
pub(super) fn of_level(level: Level) -> &'static str {
    match level {
        Level::Compromised => "stolen",
        Level::Unverifiable => "gone",
        Level::Tempfailed => "refused",
        Level::Unsigned => "returns",
        Level::Act => "next-key",
        Level::Waits => "settles",
        Level::NotLive => "first-key",
        Level::Well => "signs",
    }
}

/// The row in which this is so.
pub(super) fn of_fact(fact: &Fact) -> String {
    let row = match fact {
        Fact::Step(what) => of_step(what),
        Fact::NoKey => "no-key",
        Fact::Keyring(_) => "broken",
        Fact::KeyRefused(_) => "refused",
        Fact::Suspended => "suspended",
        Fact::Leaving => "leaving",
        Fact::Left => "left",
        Fact::Departures(_) => "notice-broken",
        Fact::Overdue => "overdue",
        Fact::NotLooked => "not-looked",
        Fact::NoTarget(Way::Cname | Way::Dname) => "no-zone",
        Fact::NoTarget(Way::Ns) => "no-servers",
        Fact::Policy { code, .. } => return of_code(*code),
        Fact::Held(hold) => return of_hold(hold.code),
        Fact::Advised(advised) if advised.is_step_back => return of_action(Action::StepBack),
        Fact::Advised(_) => return of_action(Action::Publish),
        Fact::UnknownSelector(_) => "strange-key",
        Fact::Replay(_) => "replayed",
    };
    row.to_owned()
}

/// The row in which this comes next for a key.
pub(super) fn of_step(what: &What) -> &'static str {
    match what {
        What::Look => "looks",
        What::PublishRecord => "next-key",
        What::Delegate => "delegates",
        What::MendRecord => "wrong",
        What::Unrevoke => "emptied",
        What::AwaitServers => "silent",
        What::MendClock => "clock",
        What::Activate | What::AwaitSuccessor(_) => "settles",
        What::RestoreRecord => "gone",
        What::MakeSuccessor => "signs",
        What::Leave => "parks",
        What::SignUntil => "leaving",
        What::SettleDomain => "missed",
        What::TakeOver => "takes-over",
        What::TakeIn => "takes-in",
        What::Return => "returns",
        What::KeepRecord => "drains",
        What::AwaitReports => "reported",
        What::RestoreDrainingRecord => "gone-early",
        What::EmptyRecord => "stolen",
        What::RemoveRecord => "to-remove",
        What::Configure => "unconfigured",
        What::Forget => "superseded",
        What::Nothing => "withdrawn",
    }
}

fn of_code(code: Code) -> String {
    let code = code.as_str().replace(['.', '_'], "-");
    format!("saw-{code}")
}

fn of_hold(code: HoldCode) -> String {
    format!("held-{}", code.as_str().replace('_', "-"))
}

fn of_action(action: Action) -> String {
    format!("climbs-{}", action.as_str().replace('_', "-"))
}

fn key(state: State, why: Why) -> Publication {
    let now = Timestamp::now();
    Publication {
        state,
        why: Some(why),
        checked: Some(now),
        ..Publication::generated(now - SignedDuration::from_hours(1))
    }
}

fn row(id: &str, keys: &[Publication], level: Level, what: &'static str) -> Row {
    Row {
        id: id.to_owned(),
        file: None,
        keys: keys.to_vec(),
        also: Also::Nothing,
        stands: Some((level, what)),
    }
}

fn filed(file: &str, row: Row) -> Row {
    Row {
        file: Some(file.to_owned()),
        ..row
    }
}

fn also(also: Also, row: Row) -> Row {
    Row { also, ..row }
}

/// All of them.
pub(super) fn rows() -> Vec<Row> {
    let mut rows = of_keys();
    rows.extend(of_draining_keys());
    rows.extend(of_organisations());
    rows.extend(of_files());
    rows.extend(of_ladder());
    rows.extend(of_reported_keys());
    rows.extend(Code::ALL.into_iter().map(|code| Row {
        id: of_code(code),
        stands: None,
        also: Also::Policy(code),
        ..row("", &[key(State::Active, Why::Signing)], Level::Well, "")
    }));
    rows
}

/// Of the DMARC record of its domain, and what holds that.
fn of_ladder() -> Vec<Row> {
    let signs = key(State::Active, Why::Signing);
    let of = |id: String, also, level, fact: &Fact| Row {
        id,
        also,
        ..row("", &[signs], level, fact.as_str())
    };
    let holds = HoldCode::ALL.into_iter().map(|code| {
        let level = match code.asks() {
            Asks::Wait => Level::Waits,
            Asks::Ask | Asks::Fix => Level::Act,
        };
        let fact = Fact::Held(Hold::of(code));
        of(of_hold(code), Also::Held(code), level, &fact)
    });
    let advised = [
        (Action::StepBack, Level::Unverifiable),
        (Action::Publish, Level::Act),
    ];
    let advised = advised.into_iter().map(|(action, level)| {
        let fact = Fact::Advised(Advised::of(action == Action::StepBack));
        of(of_action(action), Also::Advised(action), level, &fact)
    });
    let nothing = [Action::Ask, Action::Fix, Action::Wait, Action::Done].into_iter();
    // What holds says more than these.
    let nothing = nothing.map(|action| Row {
        id: of_action(action),
        also: Also::Advised(action),
        ..row("", &[signs], Level::Well, "")
    });
    holds.chain(advised).chain(nothing).collect()
}

/// Of what reports show of keys.
fn of_reported_keys() -> Vec<Row> {
    let signs = key(State::Active, Why::Signing);
    let of = |id, what| row(id, &[signs], Level::Act, what);
    vec![
        also(Also::StrangeKey, of("strange-key", "dkim.unknown_selector")),
        also(Also::Replay, of("replayed", "dkim.replay")),
    ]
}

/// Of one key and its record.
fn of_keys() -> Vec<Row> {
    use Level::{Act, Compromised, NotLive, Unsigned, Unverifiable, Waits, Well};
    let signs = key(State::Active, Why::Signing);
    let waits = |why| key(State::Published, why);
    let made = |why| key(State::Generated, why);
    let drains = |why| key(State::Draining, why);
    let asked = Publication {
        withdrawal: Some(Withdrawal::Asked),
        ..drains(Why::AwaitingWithdrawal)
    };
    let revoked = |revocation| Publication {
        revocation: Some(revocation),
        ..key(State::Revoked, Why::AwaitingWithdrawal)
    };
    let withdrawn = |withdrawal, why| Publication {
        withdrawal: Some(withdrawal),
        ..key(State::Withdrawn, why)
    };
    let unseen = Publication {
        why: None,
        ..waits(Why::Settling)
    };
    let gone = withdrawn(Withdrawal::Gone, Why::Done);
    let first = made(Why::NotSeen);
    vec![
        row("signs", &[signs], Well, ""),
        row("first-key", &[first], NotLive, "publish_record"),
        row("again-key", &[gone, first], Unsigned, "publish_record"),
        row("next-key", &[signs, first], Act, "publish_record"),
        row("looks", &[signs, unseen], Waits, "look"),
        row(
            "wrong",
            &[key(State::Active, Why::SeenWrong)],
            Unverifiable,
            "mend_record",
        ),
        row(
            "partly",
            &[signs, made(Why::SeenPartly)],
            Act,
            "mend_record",
        ),
        row("emptied", &[signs, made(Why::SeenRevoked)], Act, "unrevoke"),
        row(
            "silent",
            &[signs, waits(Why::Unreachable)],
            Waits,
            "await_servers",
        ),
        row("clock", &[drains(Why::Clock), signs], Act, "mend_clock"),
        row("settles", &[signs, waits(Why::Settling)], Waits, "activate"),
        row(
            "first-settles",
            &[waits(Why::Settling)],
            NotLive,
            "activate",
        ),
        row(
            "gone",
            &[key(State::Active, Why::NotSeen)],
            Unverifiable,
            "restore_record",
        ),
        row("to-empty", &[asked, signs], Act, "empty_record"),
        row(
            "stolen",
            &[revoked(Revocation::Compromised), signs],
            Compromised,
            "empty_record",
        ),
        row(
            "aborted",
            &[signs, revoked(Revocation::Aborted)],
            Act,
            "empty_record",
        ),
        row(
            "to-remove",
            &[withdrawn(Withdrawal::Emptied, Why::AwaitingRemoval), signs],
            Act,
            "remove_record",
        ),
        row("unconfigured", &[signs, made(Why::NotConfigured)], Well, ""),
        row("superseded", &[made(Why::Superseded), signs], Well, ""),
        row("withdrawn", &[gone, signs], Well, ""),
    ]
}

/// Of a key that signs no more, while its record stays.
fn of_draining_keys() -> Vec<Row> {
    use Level::{Unsigned, Unverifiable, Well};
    let signs = key(State::Active, Why::Signing);
    let drains = |why| key(State::Draining, why);
    let returns = Publication {
        left: Some(Timestamp::now()),
        ..drains(Why::Draining)
    };
    let reported = Publication {
        drain_until: Some(Timestamp::now()),
        reported: Some(Timestamp::now()),
        ..drains(Why::Draining)
    };
    vec![
        row("returns", &[returns], Unsigned, "return"),
        row("drains", &[drains(Why::Draining), signs], Well, ""),
        row("reported", &[reported, signs], Well, ""),
        row(
            "gone-early",
            &[drains(Why::GoneEarly), signs],
            Unverifiable,
            "restore_draining_record",
        ),
    ]
}

/// Of the organisation as a whole.
fn of_organisations() -> Vec<Row> {
    use Level::{Act, NotLive, Tempfailed, Unsigned, Waits};
    let signs = key(State::Active, Why::Signing);
    let first = key(State::Generated, Why::NotSeen);
    let drains = key(State::Draining, Why::Draining);
    let old = |hours| Timestamp::now() - SignedDuration::from_hours(hours);
    let overdue = Publication {
        since: old(24 * 3650),
        ..signs
    };
    let not_looked = Publication {
        checked: Some(old(24)),
        ..signs
    };
    let is_over = |is_over| Also::Leaves { is_over };
    vec![
        row("no-key", &[], NotLive, "no_key"),
        also(Also::Sends, row("no-key-sends", &[], Unsigned, "no_key")),
        also(
            Also::Sends,
            row("first-key-sends", &[first], Unsigned, "publish_record"),
        ),
        also(Also::SentOnce, row("no-key-sent", &[], Unsigned, "no_key")),
        also(
            Also::KeyringBroken,
            // A signer that starts does not know which key is in use.
            row("broken", &[], Tempfailed, "key_refused"),
        ),
        also(
            Also::KeyGone,
            row("refused", &[signs], Tempfailed, "key_refused"),
        ),
        also(
            Also::Suspended,
            row("suspended", &[signs], Tempfailed, "suspended"),
        ),
        also(is_over(false), row("leaving", &[signs], Waits, "leaving")),
        also(is_over(true), row("left", &[], Act, "left")),
        also(is_over(true), row("left-drains", &[drains], Waits, "left")),
        also(
            Also::NoticeBroken,
            row("notice-broken", &[signs], Act, "leaving_unreadable"),
        ),
        row("overdue", &[overdue], Act, "rotation_overdue"),
        row("not-looked", &[not_looked], Act, "not_looked"),
    ]
}

/// Of what the files say.
fn of_files() -> Vec<Row> {
    use Level::{Act, NotLive, Tempfailed, Unsigned, Waits};
    let signs = key(State::Active, Why::Signing);
    let first = key(State::Generated, Why::NotSeen);
    let own = |id: &str, more: &str| format!("domains = [\"{id}.example\"]\n{more}\n");
    let none = |id: &str| format!("domains = [\"other.{id}.example\"]\n");
    vec![
        filed(
            &own("delegates", "delegation = \"dname\""),
            also(
                Also::InItsOwnZone,
                row("delegates", &[first], Act, NO_TARGET),
            ),
        ),
        filed(
            &own("no-servers", "delegation = \"ns\""),
            row("no-servers", &[signs], Act, NO_TARGET),
        ),
        filed(
            &own("no-zone", "delegation = \"dname\""),
            row("no-zone", &[signs], Act, NO_TARGET),
        ),
        filed(
            &(none("parks") + "parked = [\"parks.example\"]\n"),
            row("parks", &[signs], Waits, "leave"),
        ),
        filed(
            &none("missed"),
            row("missed", &[signs], Tempfailed, "key_refused"),
        ),
        filed(
            &own("gives", "").replace("gives.", "takes-over."),
            row("gives", &[], NotLive, "no_key"),
        ),
        filed(
            &(none("takes-over") + "incoming = [\"takes-over.example\"]\n"),
            row("takes-over", &[signs], Act, "take_over"),
        ),
        filed(
            &(none("takes-in") + "incoming = [\"takes-in.example\"]\n"),
            row("takes-in", &[signs], Act, "take_in"),
        ),
        filed(
            &own("let-through", "[policy]\nsuspended = \"accept\""),
            also(
                Also::Suspended,
                row("let-through", &[signs], Unsigned, "suspended"),
            ),
        ),
        filed(
            &own("waiting", "[policy]\nawaiting_key = \"tempfail\""),
            also(
                Also::Sends,
                row("waiting", &[first], Tempfailed, "publish_record"),
            ),
        ),
    ]
}
