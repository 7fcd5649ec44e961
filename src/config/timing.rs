//! What the life of keys goes by, as the settings and the organisations have it.

use super::settings::Settings;
use crate::{
    keys::{Keyring, Situation, Timing},
    organisation::Organisation,
};

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

/// The keys of an organisation, with what it wants of them.
pub fn situation<'a>(
    organisation: &'a Organisation,
    keyring: &'a Keyring,
    timing: &'a Timing,
) -> Situation<'a> {
    Situation {
        keyring,
        domains: &organisation.domains,
        algorithms: &organisation.algorithms,
        timing,
    }
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
