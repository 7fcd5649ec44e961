//! What to tell the administrator of the DNS about SPF, DMARC and MX.

use super::finding::{Code, Finding};

/// In English.
pub(super) fn english(finding: &Finding) -> String {
    let Finding {
        name,
        seen,
        expected,
        ..
    } = finding;
    match finding.code {
        Code::SpfMissing => format!(
            "Add a TXT record at {name} with an SPF policy that names everything that sends for the domain; for this relay at least: {expected}."
        ),
        Code::SpfTwoRecords => format!(
            "There must be exactly one SPF record at {name}. Join what they allow into one, and remove the others."
        ),
        Code::SpfRelay => format!(
            "Add {expected} to the SPF record at {name}, before its last term: this relay sends from there."
        ),
        Code::SpfBroken => format!(
            "Receivers cannot evaluate the SPF record at {name}. Correct its syntax and the names that it includes; at most ten terms may need a lookup."
        ),
        Code::SpfOpen => format!(
            "Let the SPF record at {name} end in -all (or ~all), so that it says who may not send."
        ),
        Code::SpfNotParked => {
            format!("No mail is sent from {name}. Let its only SPF record be exactly: {expected}.")
        }
        Code::DmarcMissing => format!(
            "Add a TXT record at {name}: for a domain that never sends {expected}, for others v=DMARC1; p=none; rua=mailto:… to begin with."
        ),
        Code::DmarcTwoRecords => format!(
            "There must be exactly one DMARC record at {name}. Remove the others: with two, receivers use none."
        ),
        Code::DmarcMalformed => format!(
            "Receivers ignore the DMARC record at {name}. Begin with v=DMARC1; and give p= as none, quarantine or reject."
        ),
        Code::DmarcNone => format!(
            "When the reports show that all mail is signed, go on from p=none at {name}: quarantine; t=y, then quarantine, reject; t=y, and reject."
        ),
        Code::DmarcTesting => format!(
            "With t=y at {name} receivers do one step less than p= says. Remove t=y when the reports are good."
        ),
        Code::DmarcPercentage => format!(
            "Remove pct= at {name}: RFC 9989 no longer has it, and receivers never applied it alike. Use t=y to go step by step."
        ),
        Code::DmarcSubdomains => format!(
            "Make sp= and np= at {name} as strong as p=, or leave them out: otherwise names below the domain can be forged."
        ),
        Code::DmarcNoReports => format!(
            "Add rua=mailto:… at {name}, to receive reports of who sends in the name of the domain."
        ),
        Code::DmarcReportsUnwanted => format!(
            "Reports are to go to {seen}, which has not agreed. Ask its administrator for this record: {expected}."
        ),
        Code::DmarcNotParked => format!(
            "No mail is sent from this domain. Let the DMARC record at {name} be: {expected}."
        ),
        Code::MxNotNull => format!(
            "{name} takes no mail. Let its only MX record be the null MX: {expected}. Leave the MX out if the name has no A or AAAA record."
        ),
        Code::ParkedKey => {
            format!("No mail is signed for this domain. Remove what is left at and below {name}.")
        }
        // Nobody knows; and what concerns keys has its advice elsewhere.
        _ => format!(
            "Nobody can tell for now what {name} says. Check its name servers and DNSSEC, and try again."
        ),
    }
}

/// In Dutch.
pub(super) fn dutch(finding: &Finding) -> String {
    let Finding {
        name,
        seen,
        expected,
        ..
    } = finding;
    match finding.code {
        Code::SpfMissing => format!(
            "Voeg op {name} een TXT-record toe met een SPF-beleid dat alles noemt wat namens het domein verzendt; voor deze relay ten minste: {expected}."
        ),
        Code::SpfTwoRecords => format!(
            "Op {name} moet precies één SPF-record staan. Voeg samen wat ze toestaan en verwijder de andere."
        ),
        Code::SpfRelay => format!(
            "Voeg {expected} toe aan het SPF-record op {name}, vóór de laatste term: deze relay verzendt daarvandaan."
        ),
        Code::SpfBroken => format!(
            "Ontvangers kunnen het SPF-record op {name} niet verwerken. Verbeter de schrijfwijze en de namen waarnaar het verwijst; ten hoogste tien termen mogen een opzoeking vragen."
        ),
        Code::SpfOpen => format!(
            "Laat het SPF-record op {name} eindigen op -all (of ~all), zodat vaststaat wie niet mag verzenden."
        ),
        Code::SpfNotParked => format!(
            "Vanaf {name} wordt geen mail verzonden. Laat het enige SPF-record precies zijn: {expected}."
        ),
        Code::DmarcMissing => format!(
            "Voeg op {name} een TXT-record toe: voor een domein dat nooit verzendt {expected}, voor andere om te beginnen v=DMARC1; p=none; rua=mailto:… met een eigen adres."
        ),
        Code::DmarcTwoRecords => format!(
            "Op {name} moet precies één DMARC-record staan. Verwijder de andere: bij twee gebruiken ontvangers er geen."
        ),
        Code::DmarcMalformed => format!(
            "Ontvangers negeren het DMARC-record op {name}. Begin met v=DMARC1; en geef p= als none, quarantine of reject."
        ),
        Code::DmarcNone => format!(
            "Ga, zodra de rapporten laten zien dat alle mail ondertekend is, op {name} verder dan p=none: quarantine; t=y, dan quarantine, reject; t=y en reject."
        ),
        Code::DmarcTesting => format!(
            "Met t=y op {name} doen ontvangers een stap minder dan p= zegt. Verwijder t=y als de rapporten goed zijn."
        ),
        Code::DmarcPercentage => format!(
            "Verwijder pct= op {name}: RFC 9989 kent het niet meer en ontvangers pasten het nooit gelijk toe. Gebruik t=y om stap voor stap te gaan."
        ),
        Code::DmarcSubdomains => format!(
            "Maak sp= en np= op {name} even streng als p= of laat ze weg: anders kunnen namen onder het domein worden vervalst."
        ),
        Code::DmarcNoReports => format!(
            "Voeg op {name} rua=mailto:… toe, om te zien wie er namens het domein verzendt."
        ),
        Code::DmarcReportsUnwanted => format!(
            "Rapporten gaan naar {seen}, dat daar niet mee heeft ingestemd. Vraag de beheerder daarvan om dit record: {expected}."
        ),
        Code::DmarcNotParked => format!(
            "Vanaf dit domein wordt geen mail verzonden. Laat het DMARC-record op {name} zijn: {expected}."
        ),
        Code::MxNotNull => format!(
            "{name} ontvangt geen mail. Laat het enige MX-record de null MX zijn: {expected}. Laat de MX weg als de naam geen A- of AAAA-record heeft."
        ),
        Code::ParkedKey => format!(
            "Voor dit domein wordt geen mail ondertekend. Verwijder wat er nog op en onder {name} staat."
        ),
        // Nobody knows; and what concerns keys has its advice elsewhere.
        _ => format!(
            "Niemand kan nu zeggen wat {name} inhoudt. Controleer de nameservers en DNSSEC en probeer het opnieuw."
        ),
    }
}
