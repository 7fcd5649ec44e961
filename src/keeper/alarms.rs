//! Writes down when alarms begin and when they are over, for `zegel audit`. What stood when the
//! keeper ended stands on for the next one.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;

use crate::{
    keys::Alarm,
    keystore::{AlarmNews, Keystore, KeystoreError, Recorded},
    names::{DomainName, OrganisationId, Selector},
};

/// Kind, domain and key.
type Standing = (String, DomainName, Option<Selector>);

/// The alarms that were written down and are not over.
#[derive(Debug)]
pub(super) struct Alarms {
    keystore: Keystore,
    /// None before they are read.
    standing: Mutex<Option<HashMap<OrganisationId, BTreeSet<Standing>>>>,
}

impl Alarms {
    pub(super) fn new(keystore: Keystore) -> Self {
        Self {
            keystore,
            standing: Mutex::new(None),
        }
    }

    /// After a look. Reads and writes a file.
    pub(super) fn looked(
        &self,
        organisation: &OrganisationId,
        alarms: &[Alarm],
        now: Timestamp,
    ) -> Result<(), KeystoreError> {
        let mut known = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let all = match &mut *known {
            Some(all) => all,
            unread => unread.insert(read(&self.keystore)?),
        };
        let before = all.get(organisation).cloned().unwrap_or_default();
        let standing = |alarm: &Alarm| {
            let kind = alarm.kind.as_str().to_owned();
            (kind, alarm.domain.clone(), alarm.selector.clone())
        };
        let after: BTreeSet<Standing> = alarms.iter().map(standing).collect();
        let news = |(kind, domain, selector), begins| AlarmNews {
            organisation,
            domain,
            selector: Option::as_ref(selector),
            kind: String::as_str(kind),
            begins,
        };
        let over = before
            .difference(&after)
            .map(|(a, b, c)| news((a, b, c), false));
        let begun = after
            .difference(&before)
            .map(|(a, b, c)| news((a, b, c), true));
        let all_news: Vec<AlarmNews<'_>> = over.chain(begun).collect();
        if all_news.is_empty() {
            return Ok(());
        }
        // What could not be written is new the next time too.
        self.keystore.note_alarms(&all_news, now)?;
        all.insert(organisation.clone(), after);
        Ok(())
    }
}

fn read(keystore: &Keystore) -> Result<HashMap<OrganisationId, BTreeSet<Standing>>, KeystoreError> {
    let mut all: HashMap<OrganisationId, BTreeSet<Standing>> = HashMap::new();
    keystore.each_alarm(|line| {
        let begins = line.alarm_begins();
        let Recorded {
            organisation: Some(organisation),
            selector,
            domains,
            evidence: Some(kind),
            ..
        } = line
        else {
            return;
        };
        let standing = all.entry(organisation).or_default();
        for domain in domains {
            let alarm = (kind.clone(), domain, selector.clone());
            match begins {
                Some(true) => drop(standing.insert(alarm)),
                Some(false) => drop(standing.remove(&alarm)),
                None => {}
            }
        }
    })?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dkim::Algorithm, keys::AlarmKind};

    #[test]
    fn an_alarm_is_written_when_it_begins_and_when_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let keystore = Keystore::create(&folder.path().join("keys")).unwrap();
        let een: OrganisationId = "een".parse().unwrap();
        let alarm = |domain: &str, kind| Alarm {
            kind,
            domain: domain.parse().unwrap(),
            algorithm: Algorithm::RsaSha256,
            selector: Some("s1".parse().unwrap()),
        };
        let gone = alarm("een.nl", AlarmKind::ActiveGone);
        let late = alarm("een.nl", AlarmKind::RotationOverdue);
        let now = Timestamp::UNIX_EPOCH;
        let alarms = Alarms::new(keystore.clone());
        alarms.looked(&een, &[], now).unwrap();
        for _ in 0..2 {
            alarms
                .looked(&een, &[gone.clone(), late.clone()], now)
                .unwrap();
        }
        // Another keeper goes on from there.
        let alarms = Alarms::new(keystore.clone());
        for _ in 0..2 {
            alarms
                .looked(&een, std::slice::from_ref(&late), now)
                .unwrap();
        }
        let mut lines = Vec::new();
        let tell = |line: Recorded| lines.push((line.event, line.evidence.unwrap()));
        keystore.each_alarm(tell).unwrap();
        let line = |event: &str, kind: &str| (event.to_owned(), kind.to_owned());
        let expected = [
            line("alarm", "active_gone"),
            line("alarm", "rotation_overdue"),
            line("alarm_over", "active_gone"),
        ];
        assert_eq!(lines, expected);
    }
}
