//! The validated settings of `zegel.toml`, and their defaults.

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;

use super::{
    below::SendersBelow, database::DatabaseSettings, handover::HandoverSettings,
    hooks::HookSettings, log::LogSettings, mistakes::Mistakes, problem::Problem,
    reports::ReportSettings, signers::Signers,
};
use crate::{
    dkim::{CanonicalisationPair, HeaderRules},
    keys::{Delegated, Keyring, Reported, Situation, Timing},
    keystore::{Keystore, KeystoreError, marked_in_use},
    ladder::Thresholds,
    names::{DomainName, OrganisationId},
    organisation::{Client, Ground, Organisation, Policy, Sender, network_of},
};

/// A configuration whose `zegel.toml` has no problems.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Loaded {
    /// What `zegel.toml` and the environment say.
    pub settings: Settings,
    /// In the order of their files; no domain is in two of them. One whose file has not
    /// changed is the same one after a reload.
    pub organisations: Vec<Arc<Organisation>>,
    /// What deserves attention.
    pub warnings: Vec<Problem>,
    /// What is wrong with files of organisations. The others are not touched by that.
    pub mistakes: Mistakes,
}

/// Everything that `zegel.toml` says, checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The folder with the keys.
    pub keystore_path: PathBuf,
    /// The folder that tells an older keystore from the one that was there last; none: beside
    /// the keystore, with `.mark` after its name.
    pub keystore_mark: Option<PathBuf>,
    /// The files of the keys that seal private keys: the first one seals, all of them open. A name
    /// without `/` is that of a credential of systemd. None: keys lie in the clear.
    pub sealing_keys: Vec<PathBuf>,
    /// Never empty; names and sockets are unique.
    pub listeners: Vec<ListenerSettings>,
    /// What signatures look like.
    pub signing: SigningSettings,
    /// What is done with mail that is not signed; an organisation's own is resolved in
    /// [`crate::organisation::Organisation::policy`].
    pub policy: Policy,
    /// Bounds on connections and messages.
    pub limits: Limits,
    /// Where the signer serves `/metrics` and `/health`.
    pub http: HttpListen,
    /// How many organisations have series of their own in the metrics, of signer and keeper
    /// each; the others are summed.
    pub organisation_series: usize,
    /// Whether it serves the status page there, too.
    pub http_page: bool,
    /// What is logged, and how.
    pub log: LogSettings,
    /// The lifecycle of keys.
    pub keeper: KeeperSettings,
    /// What packs say beside the keys.
    pub handover: HandoverSettings,
    /// The program that is told of changes.
    pub hooks: HookSettings,
    /// DMARC reports.
    pub reports: ReportSettings,
    /// The numbers of the ladder of DMARC.
    pub dmarc: Thresholds,
    /// The database that several relays share; without it a relay has its folder alone.
    pub database: Option<DatabaseSettings>,
}

impl Settings {
    /// Opens the keystore.
    ///
    /// # Errors
    /// As [`Keystore::open`].
    pub fn open_keystore(&self) -> Result<Keystore, KeystoreError> {
        Keystore::open(&self.keystore_path).map(|keystore| self.configured(keystore))
    }

    /// Opens the keystore, and makes its folder if need be.
    ///
    /// # Errors
    /// As [`Keystore::make`].
    pub fn make_keystore(&self) -> Result<Keystore, KeystoreError> {
        Keystore::make(&self.keystore_path).map(|keystore| self.configured(keystore))
    }

    /// Whether only a database changes the keystore of this relay.
    pub fn follows(&self) -> bool {
        self.database.is_some() && !self.keeper.lead
    }

    /// What no program of the operator is to read.
    pub fn hidden(&self, keystore: &Keystore) -> Vec<PathBuf> {
        let database = self.database.as_ref();
        let password = database.and_then(|database| database.password_file.clone());
        keystore.places().into_iter().chain(password).collect()
    }

    fn configured(&self, keystore: Keystore) -> Keystore {
        let keystore = keystore.sealed_by(&self.sealing_keys);
        let keystore = keystore.following(self.follows());
        match &self.keystore_mark {
            Some(mark) => keystore.with_mark(mark),
            None => keystore,
        }
    }

    /// Where reports of receivers go: what packs ask for.
    pub fn report_address(&self) -> Option<&str> {
        let here = self.reports.address.as_deref();
        self.handover.rua.as_deref().or(here)
    }

    /// The domains for which a key is in use by the mark of the keystore, for as long as the
    /// keystore itself can't be read. Reads a file.
    pub fn marked_in_use(&self) -> Vec<(OrganisationId, DomainName)> {
        marked_in_use(&self.keystore_path, self.keystore_mark.as_deref())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keystore_path: "/var/lib/zegel/keys".into(),
            keystore_mark: None,
            sealing_keys: Vec::new(),
            listeners: vec![ListenerSettings::default()],
            signing: SigningSettings::default(),
            policy: Policy::default(),
            limits: Limits::default(),
            http: HttpListen::Tcp(SocketAddr::from(([127, 0, 0, 1], 9465))),
            organisation_series: 1000,
            http_page: true,
            log: LogSettings::default(),
            keeper: KeeperSettings::default(),
            handover: HandoverSettings::default(),
            hooks: HookSettings::default(),
            reports: ReportSettings::default(),
            dmarc: Thresholds::default(),
            database: None,
        }
    }
}

/// A milter socket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListenerSettings {
    /// `[a-z0-9-]`, 1 to 40 characters.
    pub name: String,
    /// Where it listens.
    pub socket: Socket,
    /// The users of this host whose processes may connect; without it all that the mode lets.
    /// Never empty, and never for a TCP address.
    pub allow_users: Option<Vec<AllowedUser>>,
    /// Which mail on it is outbound.
    pub outbound: Outbound,
    /// Whether it only looks on: it signs as if, counts and logs, and changes nothing.
    pub observe: bool,
}

/// A user that may connect to a socket file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AllowedUser {
    /// As written.
    pub name: String,
    /// The user's number.
    pub number: u32,
}

/// As `postfix (101)`.
impl fmt::Display for AllowedUser {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.name, self.number)
    }
}

impl Default for ListenerSettings {
    fn default() -> Self {
        Self {
            name: "relay".into(),
            socket: Socket::Unix {
                path: "/run/zegel/relay.sock".into(),
                mode: Socket::DEFAULT_MODE,
                group: None,
            },
            allow_users: None,
            outbound: Outbound::default(),
            observe: false,
        }
    }
}

/// The address of a milter socket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Socket {
    /// `unix:/path`, absolute.
    Unix {
        /// At most 107 octets.
        path: PathBuf,
        /// Permission bits, never writable for others.
        mode: u32,
        /// The group that the socket is given.
        group: Option<String>,
    },
    /// `inet:ADDRESS:PORT`.
    Tcp(SocketAddr),
    /// `fd:NAME`: made by systemd, with this `FileDescriptorName=`.
    Inherited(String),
}

impl Socket {
    /// For the owner and the group.
    pub const DEFAULT_MODE: u32 = 0o660;
}

/// In the form of `zegel.toml`.
impl fmt::Display for Socket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix { path, .. } => write!(formatter, "unix:{}", path.display()),
            Self::Tcp(address) => write!(formatter, "inet:{address}"),
            Self::Inherited(name) => write!(formatter, "fd:{name}"),
        }
    }
}

/// Which mail on a listener is outbound, and so to be signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outbound {
    /// All of it.
    All,
    /// That of clients that are known.
    Rule {
        /// Whether any SASL login suffices.
        authenticated: bool,
        /// Client addresses that suffice.
        networks: Vec<IpNet>,
        /// Whether it suffices that the client has no address ([`Client::WithoutAddress`]).
        without_address: bool,
    },
}

impl Outbound {
    /// What makes mail from this sender outbound; none if it is not.
    pub fn ground(&self, sender: &Sender<'_>) -> Option<Ground> {
        match self {
            Self::All => Some(Ground::Anybody),
            Self::Rule {
                authenticated,
                networks,
                without_address,
            } => {
                let login = sender.login.is_some_and(|login| !login.is_empty());
                if *authenticated && login {
                    return Some(Ground::Login);
                }
                if sender.client == Client::WithoutAddress {
                    return without_address.then_some(Ground::NoAddress);
                }
                network_of(networks, sender.client.address()).map(Ground::Network)
            }
        }
    }
}

impl Default for Outbound {
    fn default() -> Self {
        let network = |address: IpAddr, length| {
            IpNet::new(address, length).expect("the length is within that of the address")
        };
        Self::Rule {
            authenticated: true,
            networks: vec![
                network(IpAddr::from([127, 0, 0, 0]), 8),
                network(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]), 128),
            ],
            without_address: false,
        }
    }
}

/// The `[signing]` table.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SigningSettings {
    /// For `c=`.
    pub canonicalisation: CanonicalisationPair,
    /// From `t=` to `x=`, at least an hour; none: no `x=`.
    pub expire: Option<Duration>,
    /// Which header fields are signed. No name is in two lists, and From is in `oversign`
    /// or `sign` (RFC 6376 §5.4).
    pub headers: HeaderRules,
}

/// The `[limits]` table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Connections of each listener at one time.
    pub connections: usize,
    /// How long a connection may be silent between messages.
    pub idle: Duration,
    /// From the first header field of a message to our reply at its end.
    pub message: Duration,
    /// Octets of all header fields of a message together.
    pub header_bytes: usize,
    /// Header fields of a message.
    pub header_fields: usize,
    /// Octets that all connections together may hold of header sections that are not complete,
    /// beyond 64 KiB each.
    pub header_memory: usize,
    /// Of one message, other than its body: frames, with macros and recipients.
    pub commands: usize,
    /// What is in those frames, in octets.
    pub command_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1000,
            idle: Duration::from_secs(7210),
            message: Duration::from_mins(5),
            header_bytes: 1024 * 1024,
            header_fields: 2000,
            header_memory: 128 * 1024 * 1024,
            commands: 1_000_000,
            command_bytes: 256 * 1024 * 1024,
        }
    }
}

/// Where metrics and health are served.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HttpListen {
    /// Nowhere.
    Off,
    /// On a TCP socket.
    Tcp(SocketAddr),
    /// On a Unix socket, by its absolute path.
    Unix(PathBuf),
}

impl HttpListen {
    /// Whether none but processes of this host can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Off | Self::Unix(_) => true,
            Self::Tcp(address) => address.ip().is_loopback(),
        }
    }
}

/// In the form of `zegel.toml`.
impl fmt::Display for HttpListen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => formatter.write_str("off"),
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

/// The `[keeper]` table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeeperSettings {
    /// Where the search for the authoritative servers starts.
    pub resolvers: Resolvers,
    /// Whether name servers at loopback and link-local addresses are asked.
    pub local_servers: bool,
    /// Whether name servers at addresses of private networks are asked.
    pub private_servers: bool,
    /// From one look at the DNS to the next.
    pub check_every: Duration,
    /// How long a key serves.
    pub rotate_every: Duration,
    /// A successor is made this long before it is due; less than `rotate_every`.
    pub lead_time: Duration,
    /// The least time that a record must have been seen everywhere before it signs.
    pub settle: Duration,
    /// The longest life of mail in a queue, with a margin: how long a record must stay.
    pub drain: Duration,
    /// How long mail of an organisation that leaves is signed, unless the command says otherwise.
    pub retire_grace: Duration,
    /// The addresses that the relay sends from, for SPF advice.
    pub relay_addresses: Vec<IpAddr>,
    /// Where the keeper serves its metrics. If the default can't be had, it does without.
    pub http: HttpListen,
    /// With a database: whether the keeper of this relay takes the steps; the others follow.
    pub lead: bool,
    /// The signers whose mail it counts.
    pub signers: Signers,
}

impl Default for KeeperSettings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self {
            resolvers: Resolvers::System,
            local_servers: false,
            private_servers: true,
            check_every: Duration::from_hours(1),
            rotate_every: 26 * 7 * DAY,
            lead_time: 30 * DAY,
            settle: Duration::from_mins(10),
            drain: 7 * DAY,
            retire_grace: 14 * DAY,
            relay_addresses: Vec::new(),
            http: HttpListen::Tcp(SocketAddr::from(([127, 0, 0, 1], 9466))),
            lead: true,
            signers: Signers::ThisHost,
        }
    }
}

/// Which resolvers are asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Resolvers {
    /// Those of `/etc/resolv.conf`.
    System,
    /// These; never empty.
    Addresses(Vec<SocketAddr>),
}

impl Settings {
    /// What [`crate::keys`] goes by.
    pub fn timing(&self) -> Timing {
        let keeper = &self.keeper;
        Timing {
            check_every: keeper.check_every,
            settle: keeper.settle,
            drain: keeper.drain,
            longest_expiry: self.signing.expire.unwrap_or_default(),
            rotate_every: keeper.rotate_every,
            lead_time: keeper.lead_time,
        }
    }
}

/// The keys of an organisation, with what it wants of them. Nothing was seen or reported of them.
pub fn situation<'a>(
    organisation: &'a Organisation,
    keyring: &'a Keyring,
    away: &'a [DomainName],
    timing: &'a Timing,
) -> Situation<'a> {
    Situation {
        keyring,
        domains: &organisation.domains,
        incoming: &organisation.incoming,
        away,
        algorithms: &organisation.algorithms,
        timing,
        delegated: Delegated {
            wanted: &organisation.delegations,
            leads: &[],
        },
        reported: Reported::default(),
    }
}

/// Every domain that a file of `orgs.d/` has, sent from or parked.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    domains: HashSet<DomainName>,
    below: SendersBelow,
}

impl Claims {
    /// The domains of a keyring that the configuration has elsewhere than among those that the
    /// organisation sends from: parked, or another organisation's, from which they may be to come.
    pub fn away(&self, organisation: &Organisation, keyring: &Keyring) -> Vec<DomainName> {
        away(organisation, keyring, |domain| {
            self.domains.contains(domain)
        })
    }

    /// Who sends below the domains that never do.
    pub fn below(&self) -> &SendersBelow {
        &self.below
    }
}

impl Loaded {
    /// See [`Claims`].
    pub fn claims(&self) -> Claims {
        let organisations = self.organisations.iter();
        let names = organisations.flat_map(|one| one.domains.iter().chain(&one.parked));
        Claims {
            domains: names.cloned().collect(),
            below: SendersBelow::of(&self.organisations, &self.mistakes),
        }
    }
}

/// As [`Claims::away`], where something else knows which domains the files have.
pub fn away(
    organisation: &Organisation,
    keyring: &Keyring,
    is_claimed: impl Fn(&DomainName) -> bool,
) -> Vec<DomainName> {
    let keys = keyring.keys().iter();
    let domains: BTreeSet<&DomainName> = keys.flat_map(|key| key.publications.keys()).collect();
    let elsewhere = |domain: &&DomainName| {
        !organisation.domains.contains(domain)
            && (organisation.parked.contains(domain) || is_claimed(domain))
    };
    domains.into_iter().filter(elsewhere).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_record_outlives_the_signatures() {
        let mut settings = Settings::default();
        assert_eq!(settings.timing().longest_expiry, Duration::ZERO);
        settings.signing.expire = Some(Duration::from_hours(48));
        let timing = settings.timing();
        assert_eq!(timing.longest_expiry, Duration::from_hours(48));
        assert_eq!(timing.rotate_every, settings.keeper.rotate_every);
    }
}
