//! What an import has to say: what was found, where, and what was done about it.

use std::{fmt, path::PathBuf, sync::Arc};

use serde::Serialize;

use crate::words::{Severity, words};

/// A line of a file of the other signer.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// The file.
    pub file: Arc<PathBuf>,
    /// From 1; 0 for the file as a whole.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "{}", self.file.display()),
            line => write!(formatter, "{}:{line}", self.file.display()),
        }
    }
}

/// As it is displayed.
impl Serialize for Place {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

words! {
    /// What a finding is about; `docs/migration.md` has them all.
    #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
    pub enum Code {
        /// A key of domains that are not obviously one organisation's.
        SharedKey = "shared_key",
        /// An RSA key below 2048 bits.
        WeakKey = "weak_key",
        /// There is no such key file.
        MissingKey = "missing_key",
        /// What is there is not a key that signs, or cannot be read.
        UnusableKey = "unusable_key",
        /// Others than its owner can read a key file.
        UnsafeKeyFile = "unsafe_key_file",
        /// The keystore has the key or the selector for something else already.
        KeystoreRefusal = "keystore_refusal",
        /// One key under several selectors.
        SeveralSelectors = "several_selectors",
        /// Several keys of an organisation under one selector.
        SelectorTwice = "selector_twice",
        /// A domain is named more than once, with other keys.
        SeveralKeys = "several_keys",
        /// A domain is named more than once, to the same effect.
        DomainTwice = "domain_twice",
        /// `*@*` or the like: mail of every domain.
        CatchAll = "catch_all",
        /// A pattern for domains that are not named.
        WildcardPattern = "wildcard_pattern",
        /// Signed for some addresses of a domain only.
        SingleAddress = "single_address",
        /// A line that the other signer never comes to.
        NeverMatches = "never_matches",
        /// `d=` is another domain than that of From.
        OtherDomain = "other_domain",
        /// What decides on `d=` is not the From field.
        NotFrom = "not_from",
        /// Mail of subdomains was signed as well.
        Subdomains = "subdomains",
        /// Not a selector by RFC 6376 §3.1.
        BadSelector = "bad_selector",
        /// Not a domain name.
        BadDomain = "bad_domain",
        /// A line that cannot be understood.
        BadEntry = "bad_entry",
        /// A key that is named, and that no table has.
        UnknownKeyName = "unknown_key_name",
        /// A key that no domain uses.
        UnusedKey = "unused_key",
        /// A data set that is not in a file: LDAP, SQL, Lua, a database.
        DataSet = "data_set",
        /// A file that cannot be read.
        UnreadableFile = "unreadable_file",
        /// A setting that Zegel has no counterpart of, and that decides what is signed.
        UnsupportedOption = "unsupported_option",
        /// A setting that is not known at all.
        UnknownOption = "unknown_option",
        /// A setting that signatures can do without.
        DroppedOption = "dropped_option",
        /// A client that is named and not numbered, or exempted.
        ClientName = "client_name",
        /// A rule by which mail of the whole world is outbound.
        OpenNetworks = "open_networks",
        /// The body was signed in part (`l=`).
        BodyLength = "body_length",
        /// SHA-1.
        Sha1 = "sha1",
        /// It was only being tested.
        Testing = "testing",
        /// It did not sign at all.
        SignsNothing = "signs_nothing",
        /// It verifies incoming mail too.
        Verifies = "verifies",
        /// A domain that another organisation has.
        DomainTaken = "domain_taken",
        /// An organisation without a key that can sign.
        NoKey = "no_key",
        /// The domain cannot be in a configuration of Zegel.
        Configuration = "configuration",
    }
}

impl Code {
    /// Whether a human has to look at it, or it is only good to know.
    pub fn severity(self) -> Severity {
        match self {
            Self::DomainTwice
            | Self::UnusedKey
            | Self::DroppedOption
            | Self::BodyLength
            | Self::Sha1
            | Self::Verifies => Severity::Note,
            _ => Severity::Act,
        }
    }
}

/// Something that the operator is told.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// What it is about.
    pub code: Code,
    /// Whether a human has to look at it.
    pub severity: Severity,
    /// Where it stands.
    pub place: Option<Place>,
    /// What was found.
    pub found: String,
    /// What was done about it, and what is left to do.
    pub done: String,
}

impl Finding {
    /// At a place.
    pub fn at(
        code: Code,
        place: &Place,
        found: impl Into<String>,
        done: impl Into<String>,
    ) -> Self {
        Self {
            place: Some(place.clone()),
            ..Self::new(code, found, done)
        }
    }

    /// Of the whole.
    pub fn new(code: Code, found: impl Into<String>, done: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            place: None,
            found: found.into(),
            done: done.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.code.as_str())?;
        if let Some(place) = &self.place {
            write!(formatter, "{place}: ")?;
        }
        write!(formatter, "{}; {}", self.found, self.done)
    }
}
