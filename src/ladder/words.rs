//! What is said about a hold, and about the next step.

use super::{
    Action, Standing,
    holds::{Hold, HoldCode},
    record::same,
};
use crate::{names::DomainName, shell::quoted};

/// What a hold asks for, and the command that answers it, if one does.
pub fn hold(hold: &Hold, domain: &DomainName, owner: &DomainName) -> (String, Option<String>) {
    let stream = quoted(hold.stream.as_deref().unwrap_or_default());
    let name = |class: &str| format!("zegel report name {owner} {stream} --as {class}");
    let look = || format!("zegel report streams {owner} {stream}");
    let command = match hold.code {
        HoldCode::UnknownRecord => Some(format!("zegel dns check --domain {domain}")),
        HoldCode::UnknownStream => Some(name("known")),
        HoldCode::ListStream => Some(name("list")),
        HoldCode::FailingStream | HoldCode::SpfOnlyStream | HoldCode::SubdomainStream => {
            Some(look())
        }
        HoldCode::Unconfirmed => Some(format!("zegel dmarc confirm {owner}")),
        HoldCode::RecordElsewhere
        | HoldCode::NotEnoughDays
        | HoldCode::NoRecentReports
        | HoldCode::NoLegitimateMail => None,
    };
    (sentence(hold, domain, owner), command)
}

fn sentence(hold: &Hold, domain: &DomainName, owner: &DomainName) -> String {
    let stream = hold.stream.as_deref().unwrap_or_default();
    let named = hold.name.as_deref().unwrap_or(stream);
    let messages = hold.messages;
    match hold.code {
        HoldCode::UnknownRecord => format!("nobody can tell which record {domain} has"),
        HoldCode::RecordElsewhere => format!(
            "the record of {owner}, which is no domain of ours, speaks for {domain}: ask who has \
             it to climb, or publish a record of its own"
        ),
        HoldCode::NotEnoughDays => {
            format!("{} more days of reports are needed on this rung", hold.days)
        }
        HoldCode::NoRecentReports => {
            "no reports about the last four days, or from too few receivers: if they ought to \
             come, see whether rua= leads here and zegel report ingest runs"
                .to_owned()
        }
        HoldCode::NoLegitimateMail => format!(
            "none of {messages} messages is known to be legitimate: list the addresses of your \
             relays in [keeper] relay_addresses before reports are read, or name who sends; if \
             nobody does, park the domain"
        ),
        HoldCode::UnknownStream => format!(
            "{stream} sent {messages} messages in eight weeks, and nobody has said who that is: \
             look at it, and name it (known, list, forwarding or abuse)"
        ),
        HoldCode::FailingStream => format!(
            "{messages} messages of {named} failed on the last days it sent: have them signed \
             with a domain of yours, or sent from an address that SPF allows"
        ),
        HoldCode::SpfOnlyStream => format!(
            "{messages} messages of {named} passed by SPF alone, which forwarding breaks: have \
             them signed"
        ),
        HoldCode::ListStream => format!(
            "{messages} messages came by {stream}: people write to mailing lists, which may break \
             their mail; naming it says that you accept that"
        ),
        HoldCode::SubdomainStream => format!(
            "{messages} messages of {named} from a name below {owner} failed: put them right; \
             sp=none could spare them for the time being"
        ),
        HoldCode::Unconfirmed => format!(
            "nobody has said this year that the list of who sends in the name of {owner} is whole, \
             those with them who send once a year"
        ),
    }
}

/// What the next step is said of.
pub struct Next<'a> {
    /// How the domain stands.
    pub standing: &'a Standing,
    /// Whose record it is.
    pub owner: &'a DomainName,
    /// Whether that is a domain above.
    pub is_below: bool,
    /// The record that is there.
    pub published: Option<&'a str>,
}

/// What to do next.
pub fn advice(next: &Next<'_>) -> String {
    let advice = &next.standing.advice;
    let sentence = match advice.action {
        Action::StepBack => {
            let lost: u64 = next.standing.lost.iter().map(|(_, failed)| failed).sum();
            return format!(
                "publish this record at once: {lost} legitimate messages failed in the last days \
                 while the policy is enforced"
            );
        }
        Action::Publish if next.standing.step == Some(advice.step) => {
            return "publish this record: it is on the same rung, and says what is missing"
                .to_owned();
        }
        Action::Publish => return "publish this record: nothing holds it back".to_owned(),
        Action::Done if next.is_below => {
            return format!("the record of {} speaks for it: see there", next.owner);
        }
        Action::Ask => "someone has to answer; the rung stays",
        Action::Fix => "a stream has to be put right; the rung stays",
        Action::Wait => "nothing to do but wait",
        Action::Done => "nothing to do",
    };
    let says_more = (next.published.zip(advice.record.as_deref()))
        .is_some_and(|(published, record)| !same(published, record));
    let more = if says_more {
        "; the record may say more than the one that is there: publish it now, or with the next step"
    } else {
        ""
    };
    format!("{sentence}{more}")
}
