//! What to tell the administrator of the DNS about a finding on a key record.

use super::{
    finding::{Code, Finding},
    policy_advice,
};

/// In English.
pub(super) fn english(finding: &Finding) -> String {
    let Finding { name, seen, .. } = finding;
    let servers = finding.servers.join(", ");
    match finding.code {
        Code::Missing => format!(
            "Add a TXT record at {name} with the expected value, exactly as it is given. If it was added just now: wait until every name server has it."
        ),
        Code::Mismatch => format!(
            "The TXT record at {name} holds another key. Replace its value by the expected one; do not add a second record."
        ),
        Code::TwoRecords => format!(
            "There must be exactly one TXT record at {name}. Remove all others. If the value was entered in pieces: the pieces are strings of one record, not records of their own."
        ),
        Code::Truncated => format!(
            "The value at {name} has been cut off. A string in a TXT record has at most 255 characters: enter the value as several strings of one record, \"first part\" \"second part\", or ask the provider how it takes a longer value."
        ),
        Code::Quoting => format!(
            "Quotes or backslashes have become part of the value at {name}. Enter the value without them: no quotes at the begin, the end or in the middle, and ; instead of \\;."
        ),
        Code::Blanks => format!(
            "There are blanks inside the key at {name}. Verifiers skip them; with the next change, enter the value without them."
        ),
        Code::WrongType => format!(
            "There is a record of another type at {name} ({seen}). Make it a TXT record with the expected value."
        ),
        Code::DanglingAlias => format!(
            "The alias at {} leads to {name}, where no TXT record is. Correct the target of the CNAME, or add the record there.",
            original(finding)
        ),
        Code::DoubledName => format!(
            "The record is at {seen}: the DNS panel adds the domain by itself. Enter the name without the domain, or with a dot at its end, so that the record is at {name}."
        ),
        Code::Testing => format!(
            "Remove t=y from the value at {name}: it asks receivers to act as if the mail were not signed."
        ),
        Code::Revoked => format!(
            "The key at {name} is revoked (p= is empty). If that was not meant, restore the expected value."
        ),
        Code::Malformed => format!(
            "Verifiers find no key in the value at {name}. Replace it by the expected value, copied as a whole."
        ),
        Code::Weak => format!(
            "The key at {name} has a size that verifiers refuse. Replace the value by the expected one."
        ),
        Code::ServersDisagree => format!(
            "The name servers do not give the same answer for {name}. Check that the secondary servers fetch the zone: compare the serial numbers of the SOA records, and increase the number with every change."
        ),
        Code::NxdomainAtOne => format!(
            "For {servers} the name {name} does not exist, and other servers know it. Reload the zone there, or remove that server from the NS records."
        ),
        Code::Unreachable => format!(
            "{servers} gave no usable answer about {name}. Check that it runs, that UDP and TCP port 53 are open over IPv4 and IPv6, and that its addresses are right; or remove it from the NS records."
        ),
        Code::Servfail => format!(
            "{servers} cannot answer for {name}. Check that the zone is loaded and not expired there, and that its DNSSEC signatures and DS record are right."
        ),
        Code::NotAuthoritative => format!(
            "{servers} is a name server of the zone by its NS records, and does not serve the zone of {name}. Configure the zone there, or remove the server from the NS records."
        ),
        Code::AliasLoop => format!(
            "The aliases at {name} lead in a circle or through too many names. Let one CNAME lead straight to the name with the TXT record."
        ),
        Code::ResolverBehind => format!(
            "Resolver {servers} still has an older answer for {name}. Wait until its TTL is over; nothing has to be changed."
        ),
        Code::UnknownSelector => format!(
            "At {name} is a key that is not in this keystore. If no other service signs with it, remove the record."
        ),
        _ => policy_advice::english(finding),
    }
}

/// In Dutch.
pub(super) fn dutch(finding: &Finding) -> String {
    let Finding { name, seen, .. } = finding;
    let servers = finding.servers.join(", ");
    match finding.code {
        Code::Missing => format!(
            "Voeg op {name} een TXT-record toe met precies de verwachte waarde. Is dat zojuist gedaan, wacht dan tot alle nameservers het record hebben."
        ),
        Code::Mismatch => format!(
            "Het TXT-record op {name} bevat een andere sleutel. Vervang de waarde door de verwachte; voeg geen tweede record toe."
        ),
        Code::TwoRecords => format!(
            "Op {name} moet precies één TXT-record staan. Verwijder de andere. Is de waarde in stukken ingevoerd: de stukken horen als strings in één record, niet in aparte records."
        ),
        Code::Truncated => format!(
            "De waarde op {name} is afgekapt. Een string in een TXT-record heeft ten hoogste 255 tekens: voer de waarde in als meerdere strings van één record, \"eerste deel\" \"tweede deel\", of vraag de provider hoe een langere waarde moet worden ingevoerd."
        ),
        Code::Quoting => format!(
            "Aanhalingstekens of backslashes zijn deel geworden van de waarde op {name}. Voer de waarde zonder in: geen aanhalingstekens aan het begin, aan het eind of in het midden, en ; in plaats van \\;."
        ),
        Code::Blanks => format!(
            "In de sleutel op {name} staan spaties. Ontvangers slaan die over; laat ze bij een volgende wijziging weg."
        ),
        Code::WrongType => format!(
            "Op {name} staat een record van een ander type ({seen}). Maak er een TXT-record met de verwachte waarde van."
        ),
        Code::DanglingAlias => format!(
            "De alias op {} wijst naar {name}, maar daar staat geen TXT-record. Verbeter het doel van de CNAME of voeg daar het record toe.",
            original(finding)
        ),
        Code::DoubledName => format!(
            "Het record staat op {seen}: het DNS-paneel voegt het domein zelf toe. Voer de naam zonder het domein in, of met een punt erachter, zodat het record op {name} komt."
        ),
        Code::Testing => format!(
            "Verwijder t=y uit de waarde op {name}: daarmee vraagt u ontvangers de mail als niet ondertekend te behandelen."
        ),
        Code::Revoked => format!(
            "De sleutel op {name} is ingetrokken (p= is leeg). Was dat niet de bedoeling, zet dan de verwachte waarde terug."
        ),
        Code::Malformed => format!(
            "Ontvangers vinden geen sleutel in de waarde op {name}. Vervang die door de verwachte waarde, in haar geheel gekopieerd."
        ),
        Code::Weak => format!(
            "De sleutel op {name} heeft een lengte die ontvangers weigeren. Vervang de waarde door de verwachte."
        ),
        Code::ServersDisagree => format!(
            "De nameservers geven niet hetzelfde antwoord voor {name}. Controleer of de secundaire servers de zone ophalen: vergelijk de serienummers in de SOA-records en verhoog het nummer bij elke wijziging."
        ),
        Code::NxdomainAtOne => format!(
            "Volgens {servers} bestaat {name} niet, terwijl andere servers de naam kennen. Laad de zone daar opnieuw of haal die server uit de NS-records."
        ),
        Code::Unreachable => format!(
            "{servers} gaf geen bruikbaar antwoord over {name}. Controleer of de server draait, of UDP- en TCP-poort 53 via IPv4 en IPv6 open staan en of de adressen kloppen; of haal de server uit de NS-records."
        ),
        Code::Servfail => format!(
            "{servers} kan {name} niet beantwoorden. Controleer of de zone daar geladen en niet verlopen is, en of de DNSSEC-handtekeningen en het DS-record kloppen."
        ),
        Code::NotAuthoritative => format!(
            "{servers} is volgens de NS-records een nameserver van de zone, maar bedient de zone van {name} niet. Richt de zone daar in of haal de server uit de NS-records."
        ),
        Code::AliasLoop => format!(
            "De aliassen op {name} lopen in een kring of via te veel namen. Laat één CNAME rechtstreeks naar de naam met het TXT-record wijzen."
        ),
        Code::ResolverBehind => format!(
            "Resolver {servers} heeft nog een ouder antwoord voor {name}. Wacht tot de TTL voorbij is; er hoeft niets te worden gewijzigd."
        ),
        Code::UnknownSelector => format!(
            "Op {name} staat een sleutel die niet in deze sleutelopslag voorkomt. Ondertekent geen andere dienst ermee, verwijder het record dan."
        ),
        _ => policy_advice::dutch(finding),
    }
}

/// The name of the key record, where `name` is the target of an alias.
fn original(finding: &Finding) -> String {
    match &finding.selector {
        Some(selector) => format!("{selector}._domainkey.{}", finding.domain),
        None => finding.domain.clone(),
    }
}
