//! What another signer does, in words that are not its own.

use std::{fmt, path::PathBuf};

use ipnet::IpNet;
use zeroize::Zeroize;

use super::{
    Files,
    finding::{Code, Finding, Place},
    table::{self, Entry},
};
use crate::{
    dkim::{CanonicalisationPair, HeaderRules},
    names::{DomainName, Selector},
    organisation::Action,
};

/// Where a private key is.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum KeySource {
    /// In a file.
    File(PathBuf),
    /// In the configuration itself: PEM or base64.
    Inline(Secret),
}

impl fmt::Display for KeySource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::Inline(_) => formatter.write_str("the key in the table"),
        }
    }
}

/// A text that is not shown.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Secret(String);

impl Secret {
    /// Takes a text over.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

/// Mail of one domain, and the key that signs it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signing {
    /// In From.
    pub author: DomainName,
    /// In `d=`.
    pub signer: DomainName,
    /// In `s=`.
    pub selector: Selector,
    /// The private key.
    pub key: KeySource,
    /// Whether such mail is signed by it today: its record is in the DNS then, as far as
    /// anybody can know.
    pub in_use: bool,
    /// The line that takes the mail before this one is looked at.
    pub hidden_by: Option<Place>,
    /// Where it says so.
    pub place: Place,
}

/// Everything that was read.
#[derive(Debug, Default)]
pub struct Setup {
    /// In the order in which they count: the first one for a domain is the one that signs.
    pub signings: Vec<Signing>,
    /// Domains that send, and of whose keys nothing can be made.
    pub keyless: Vec<DomainName>,
    /// For `zegel.toml`.
    pub hints: Hints,
    /// What is to be said.
    pub findings: Vec<Finding>,
}

impl Setup {
    pub(super) fn say(
        &mut self,
        code: Code,
        place: &Place,
        found: impl Into<String>,
        done: impl Into<String>,
    ) {
        self.findings.push(Finding::at(code, place, found, done));
    }

    pub(super) fn say_of_the_whole(&mut self, code: Code, found: &str, done: &str) {
        self.findings.push(Finding::new(code, found, done));
    }

    /// A network of clients whose mail is outbound: one that holds everybody is said.
    pub(super) fn say_if_open(&mut self, network: IpNet, place: &Place) {
        if network.prefix_len() == 0 {
            self.say(
                Code::OpenNetworks,
                place,
                format!("by {network} all mail of the world is outbound"),
                "it was taken over as it is; if this MTA also takes mail from outside, name \
                 your own networks instead, or use a listener of its own for outbound mail",
            );
        }
    }

    /// The lines of a file that a setting names; nothing when it cannot be read, which is said.
    pub(super) fn lines_of(
        &mut self,
        path: PathBuf,
        files: &dyn Files,
        setting: &str,
        place: &Place,
    ) -> Option<Vec<Entry>> {
        match files.read(&path) {
            Ok(text) => Some(table::entries(path, &text)),
            Err(error) => {
                self.say(
                    Code::UnreadableFile,
                    place,
                    format!("{setting}: {} cannot be read: {error}", path.display()),
                    "nothing in it was taken over; see that it can be read, and try again",
                );
                None
            }
        }
    }
}

/// What `zegel.toml` is to say, where it differs from the defaults.
#[derive(Debug, Default)]
pub struct Hints {
    /// `c=`.
    pub canonicalisation: Option<CanonicalisationPair>,
    /// From `t=` to `x=`, in seconds.
    pub expire: Option<u64>,
    /// Which fields are signed.
    pub headers: Option<HeaderRules>,
    /// Clients whose mail is outbound without a login.
    pub networks: Option<Vec<IpNet>>,
    /// The octets of a header section.
    pub header_octets: Option<usize>,
    /// What is done with mail that should be signed and cannot.
    pub signing_failure: Option<Action>,
    /// Set when a login does not make mail outbound.
    pub ignores_logins: bool,
}
