//! An error that lasts, and when the log says it again.

use std::time::{Duration, Instant};

/// How long it is before an error that stays as it is is said again; twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// What is wrong for now. It is said whenever it changes, and otherwise more and more seldom: ten
/// seconds later, then 20, at last every ten minutes.
#[derive(Debug, Default)]
pub struct Complaint {
    said: Option<Said>,
}

#[derive(Debug)]
struct Said {
    reason: String,
    again: Instant,
    pause: Duration,
}

impl Complaint {
    /// Whether the log is to say this reason now.
    pub fn is_due(&mut self, reason: &str, now: Instant) -> bool {
        let pause = match &self.said {
            Some(said) if said.reason == reason && now < said.again => return false,
            Some(said) if said.reason == reason => (said.pause * 2).min(LONGEST_PAUSE),
            _ => FIRST_PAUSE,
        };
        self.said = Some(Said {
            reason: reason.to_owned(),
            again: now + pause,
            pause,
        });
        true
    }

    /// Nothing is wrong any more. Gives whether something was.
    pub fn end(&mut self) -> bool {
        self.said.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_said_at_once_and_what_stays_more_and_more_seldom() {
        let begun = Instant::now();
        let mut complaint = Complaint::default();
        let mut said = Vec::new();
        for second in (0..3600).step_by(2) {
            if complaint.is_due("not mounted", begun + Duration::from_secs(second)) {
                said.push(second);
            }
        }
        assert_eq!(said, [0, 10, 30, 70, 150, 310, 630, 1230, 1830, 2430, 3030]);
        let now = begun + Duration::from_hours(1);
        assert!(complaint.is_due("not readable", now));
        assert!(!complaint.is_due("not readable", now + Duration::from_secs(9)));
        assert!(complaint.is_due("not mounted", now + Duration::from_secs(9)));
        assert!(complaint.end());
        assert!(!complaint.end());
        assert!(complaint.is_due("not mounted", now + Duration::from_secs(9)));
    }
}
