//! What the DNS shows of a key, as far as the life of the key goes.

use std::time::Duration;

/// What the DNS of one domain showed of one key at one moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sight {
    /// Every authoritative server, over every address family it has, answered exactly one
    /// TXT record that parses and holds our key.
    Everywhere {
        /// The longest that a cache may keep it, aliases included.
        ttl: Duration,
        /// The longest that a cache may keep the knowledge that it is not there.
        negative_ttl: Duration,
    },
    /// Every authoritative server answered, and none has a record of that name.
    Absent {
        /// The longest that a cache may keep that.
        negative_ttl: Duration,
    },
    /// Every authoritative server answered with an empty `p=` (RFC 6376 §3.6.1).
    Revoked {
        /// The longest that a cache may keep it.
        ttl: Duration,
    },
    /// Some servers show our key, and the others show none.
    Partly,
    /// At least one server shows something else: another key, two records, half a key.
    Wrong,
    /// At least one server that counts could not be asked: nothing is concluded.
    Unknown,
}
