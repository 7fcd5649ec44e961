//! What to tell the administrator of the DNS about a finding.

use super::finding::{Code, Finding};
use crate::{
    keystore::{FindingSeen, KeySighting},
    words::{Language, Severity, filled},
};

/// What to tell about what the keeper saw of the record of a key.
pub fn advise(key: &KeySighting, seen: &FindingSeen, language: Language) -> Option<String> {
    let finding = Finding {
        code: Code::named(&seen.code)?,
        severity: Severity::Act,
        domain: key.domain.to_string(),
        selector: Some(key.selector.to_string()),
        name: seen.name.clone(),
        servers: seen.servers.clone(),
        seen: seen.seen.clone(),
        expected: seen.expected.clone(),
    };
    Some(finding.advice(language))
}

impl Finding {
    /// What to tell the administrator of the DNS.
    pub fn advice(&self, language: Language) -> String {
        let (_, english, dutch) = SENTENCES[self.code as usize];
        let sentence = match language {
            Language::English => english,
            Language::Dutch => dutch,
        };
        let record = match &self.selector {
            Some(selector) => format!("{selector}._domainkey.{}", self.domain),
            None => self.domain.clone(),
        };
        let values = [
            ("name", self.name.as_str()),
            // The name of the key record, where `name` is the target of an alias.
            ("record", &record),
            ("servers", &self.servers.join(", ")),
            ("seen", &self.seen),
            ("expected", &self.expected),
        ];
        filled(sentence, &values)
    }
}

/// What is said of each code, in the order of [`Code::ALL`]: in English and in Dutch.
const SENTENCES: [(Code, &str, &str); Code::ALL.len()] = [
    (
        Code::Missing,
        "Add a TXT record at {name} with the expected value, exactly as it is given. If it was added just now: wait until every name server has it.",
        "Voeg op {name} een TXT-record toe met precies de verwachte waarde. Is dat zojuist gedaan, wacht dan tot alle nameservers het record hebben.",
    ),
    (
        Code::Mismatch,
        "The TXT record at {name} holds another key. Replace its value by the expected one; do not add a second record.",
        "Het TXT-record op {name} bevat een andere sleutel. Vervang de waarde door de verwachte; voeg geen tweede record toe.",
    ),
    (
        Code::TwoRecords,
        "There must be exactly one TXT record at {name}. Remove all others. If the value was entered in pieces: the pieces are strings of one record, not records of their own.",
        "Op {name} moet precies één TXT-record staan. Verwijder de andere. Is de waarde in stukken ingevoerd: de stukken horen als strings in één record, niet in aparte records.",
    ),
    (
        Code::Truncated,
        "The value at {name} has been cut off. A string in a TXT record has at most 255 characters: enter the value as several strings of one record, \"first part\" \"second part\", or ask the provider how it takes a longer value.",
        "De waarde op {name} is afgekapt. Een string in een TXT-record heeft ten hoogste 255 tekens: voer de waarde in als meerdere strings van één record, \"eerste deel\" \"tweede deel\", of vraag de provider hoe een langere waarde moet worden ingevoerd.",
    ),
    (
        Code::Quoting,
        "Quotes or backslashes have become part of the value at {name}. Enter the value without them: no quotes at the begin, the end or in the middle, and ; instead of \\;.",
        "Aanhalingstekens of backslashes zijn deel geworden van de waarde op {name}. Voer de waarde zonder in: geen aanhalingstekens aan het begin, aan het eind of in het midden, en ; in plaats van \\;.",
    ),
    (
        Code::Blanks,
        "There are blanks inside the key at {name}. Verifiers skip them; with the next change, enter the value without them.",
        "In de sleutel op {name} staan spaties. Ontvangers slaan die over; laat ze bij een volgende wijziging weg.",
    ),
    (
        Code::WrongType,
        "There is a record of another type at {name} ({seen}). Make it a TXT record with the expected value.",
        "Op {name} staat een record van een ander type ({seen}). Maak er een TXT-record met de verwachte waarde van.",
    ),
    (
        Code::DanglingAlias,
        "The alias at {record} leads to {name}, where no TXT record is. Correct the target of the CNAME, or add the record there.",
        "De alias op {record} wijst naar {name}, maar daar staat geen TXT-record. Verbeter het doel van de CNAME of voeg daar het record toe.",
    ),
    (
        Code::DoubledName,
        "The record is at {seen}: the DNS panel adds the domain by itself. Enter the name without the domain, or with a dot at its end, so that the record is at {name}.",
        "Het record staat op {seen}: het DNS-paneel voegt het domein zelf toe. Voer de naam zonder het domein in, of met een punt erachter, zodat het record op {name} komt.",
    ),
    (
        Code::Testing,
        "Remove t=y from the value at {name}: it asks receivers to act as if the mail were not signed.",
        "Verwijder t=y uit de waarde op {name}: daarmee vraagt u ontvangers de mail als niet ondertekend te behandelen.",
    ),
    (
        Code::Revoked,
        "The key at {name} is revoked (p= is empty). If that was not meant, restore the expected value.",
        "De sleutel op {name} is ingetrokken (p= is leeg). Was dat niet de bedoeling, zet dan de verwachte waarde terug.",
    ),
    (
        Code::Malformed,
        "Verifiers find no key in the value at {name}. Replace it by the expected value, copied as a whole.",
        "Ontvangers vinden geen sleutel in de waarde op {name}. Vervang die door de verwachte waarde, in haar geheel gekopieerd.",
    ),
    (
        Code::PartlyRead,
        "Only some receivers read the value at {name} as it is written there. Replace it by the expected value, copied as a whole.",
        "Zoals de waarde op {name} er staat, lezen alleen sommige ontvangers die. Vervang die door de verwachte waarde, in haar geheel gekopieerd.",
    ),
    (
        Code::Weak,
        "The key at {name} has a size that verifiers refuse. Replace the value by the expected one.",
        "De sleutel op {name} heeft een lengte die ontvangers weigeren. Vervang de waarde door de verwachte.",
    ),
    (
        Code::ServersDisagree,
        "The name servers do not give the same answer for {name}. Check that the secondary servers fetch the zone: compare the serial numbers of the SOA records, and increase the number with every change.",
        "De nameservers geven niet hetzelfde antwoord voor {name}. Controleer of de secundaire servers de zone ophalen: vergelijk de serienummers in de SOA-records en verhoog het nummer bij elke wijziging.",
    ),
    (
        Code::NxdomainAtOne,
        "For {servers} the name {name} does not exist, and other servers know it. Reload the zone there, or remove that server from the NS records.",
        "Volgens {servers} bestaat {name} niet, terwijl andere servers de naam kennen. Laad de zone daar opnieuw of haal die server uit de NS-records.",
    ),
    (
        Code::Unreachable,
        "{servers} gave no usable answer about {name}. Check that it runs, that UDP and TCP port 53 are open over IPv4 and IPv6, and that its addresses are right; or remove it from the NS records.",
        "{servers} gaf geen bruikbaar antwoord over {name}. Controleer of de server draait, of UDP- en TCP-poort 53 via IPv4 en IPv6 open staan en of de adressen kloppen; of haal de server uit de NS-records.",
    ),
    (
        Code::Servfail,
        "{servers} cannot answer for {name}. Check that the zone is loaded and not expired there, and that its DNSSEC signatures and DS record are right.",
        "{servers} kan {name} niet beantwoorden. Controleer of de zone daar geladen en niet verlopen is, en of de DNSSEC-handtekeningen en het DS-record kloppen.",
    ),
    (
        Code::NotAuthoritative,
        "{servers} is a name server of the zone by its NS records, and does not serve the zone of {name} ({seen}): a lame delegation. Configure the zone there, or remove the server from the NS records of the zone and from the delegation.",
        "{servers} is volgens de NS-records een nameserver van de zone, maar bedient de zone van {name} niet ({seen}): een lamme delegatie. Richt de zone daar in of haal de server uit de NS-records van de zone en uit de delegatie.",
    ),
    (
        Code::DelegationDiffers,
        "The zone of {name} and its parent do not name the same name servers: {seen}. Receivers ask all of them. Make the NS records of the zone and the delegation, which the registrar or the parent zone keeps, the same.",
        "De zone van {name} en de bovenliggende zone noemen niet dezelfde nameservers: {seen}. Ontvangers bevragen ze allemaal. Maak de NS-records van de zone en de delegatie, die de registrar of de bovenliggende zone beheert, gelijk.",
    ),
    (
        Code::ParentSilent,
        "The servers of the parent do not tell who serves the zone of {name} ({seen}), so only the servers that the zone names itself were asked. Nothing is to be done if it passes.",
        "De servers van de bovenliggende zone vertellen niet wie de zone van {name} bedient ({seen}); daarom zijn alleen de nameservers bevraagd die de zone zelf noemt. Gaat dat vanzelf over, dan hoeft u niets te doen.",
    ),
    (
        Code::AddressPassedOver,
        "{servers} has an address that was {seen}, so nobody can tell what it shows of {name}. Give the name server its public address, or remove it from the NS records. If the address is right within your own network, whoever runs Zegel can allow it.",
        "{servers} heeft een adres dat niet wordt bevraagd ({seen}), dus niemand weet wat die server over {name} laat zien. Geef de nameserver zijn openbare adres of haal hem uit de NS-records. Klopt het adres binnen uw eigen netwerk, dan kan de beheerder van Zegel het toestaan.",
    ),
    (
        Code::OverBudget,
        "Looking for {name} took more than is allowed: {seen}. Nothing is concluded until that ends. Use fewer and faster name servers, remove those that do not answer, and shorten chains of aliases.",
        "Het opzoeken van {name} kostte meer dan is toegestaan: {seen}. Tot dat ophoudt wordt er niets geconcludeerd. Gebruik minder en snellere nameservers, verwijder nameservers die niet antwoorden en maak ketens van aliassen korter.",
    ),
    (
        Code::AliasLoop,
        "The aliases at {name} lead in a circle or through too many names. Let one CNAME lead straight to the name with the TXT record.",
        "De aliassen op {name} lopen in een kring of via te veel namen. Laat één CNAME rechtstreeks naar de naam met het TXT-record wijzen.",
    ),
    (
        Code::ResolverBehind,
        "Resolver {servers} still has an older answer for {name}. Wait until its TTL is over; nothing has to be changed.",
        "Resolver {servers} heeft nog een ouder antwoord voor {name}. Wacht tot de TTL voorbij is; er hoeft niets te worden gewijzigd.",
    ),
    (
        Code::UnknownSelector,
        "At {name} is a key that is not in this keystore. If no other service signs with it, remove the record.",
        "Op {name} staat een sleutel die niet in deze sleutelopslag voorkomt. Ondertekent geen andere dienst ermee, verwijder het record dan.",
    ),
    (
        Code::SpfMissing,
        "Add a TXT record at {name} with an SPF policy that names everything that sends for the domain; for this relay at least: {expected}.",
        "Voeg op {name} een TXT-record toe met een SPF-beleid dat alles noemt wat namens het domein verzendt; voor deze relay ten minste: {expected}.",
    ),
    (
        Code::SpfTwoRecords,
        "There must be exactly one SPF record at {name}. Join what they allow into one, and remove the others.",
        "Op {name} moet precies één SPF-record staan. Voeg samen wat ze toestaan en verwijder de andere.",
    ),
    (
        Code::SpfRelay,
        "Add {expected} to the SPF record at {name}, before its last term: this relay sends from there.",
        "Voeg {expected} toe aan het SPF-record op {name}, vóór de laatste term: deze relay verzendt daarvandaan.",
    ),
    (
        Code::SpfBroken,
        "Receivers cannot evaluate the SPF record at {name}. Correct its syntax and the names that it includes; at most ten terms may need a lookup.",
        "Ontvangers kunnen het SPF-record op {name} niet verwerken. Verbeter de schrijfwijze en de namen waarnaar het verwijst; ten hoogste tien termen mogen een opzoeking vragen.",
    ),
    (
        Code::SpfOpen,
        "Let the SPF record at {name} end in -all (or ~all), so that it says who may not send.",
        "Laat het SPF-record op {name} eindigen op -all (of ~all), zodat vaststaat wie niet mag verzenden.",
    ),
    (
        Code::SpfNotParked,
        "No mail is sent from {name}. Let its only SPF record be exactly: {expected}.",
        "Vanaf {name} wordt geen mail verzonden. Laat het enige SPF-record precies zijn: {expected}.",
    ),
    (
        Code::DmarcMissing,
        "Add a TXT record at {name}, to begin with: {expected}. For a domain that sends, add rua=mailto:… with an address that takes the reports.",
        "Voeg op {name} een TXT-record toe, om te beginnen: {expected}. Voeg bij een domein dat verzendt rua=mailto:… toe, met een adres dat de rapporten aanneemt.",
    ),
    (
        Code::DmarcTwoRecords,
        "There must be exactly one DMARC record at {name}. Remove the others: with two, receivers use none.",
        "Op {name} moet precies één DMARC-record staan. Verwijder de andere: bij twee gebruiken ontvangers er geen.",
    ),
    (
        Code::DmarcMalformed,
        "Receivers ignore the DMARC record at {name}. Begin with v=DMARC1; and give p= as none, quarantine or reject.",
        "Ontvangers negeren het DMARC-record op {name}. Begin met v=DMARC1; en geef p= als none, quarantine of reject.",
    ),
    (
        Code::DmarcNone,
        "When the reports show that all mail is signed, go on from p=none at {name}: quarantine; t=y, then quarantine, reject; t=y, and reject.",
        "Ga, zodra de rapporten laten zien dat alle mail ondertekend is, op {name} verder dan p=none: quarantine; t=y, dan quarantine, reject; t=y en reject.",
    ),
    (
        Code::DmarcTesting,
        "With t=y at {name} receivers do one step less than p= says. Remove t=y when the reports are good.",
        "Met t=y op {name} doen ontvangers een stap minder dan p= zegt. Verwijder t=y als de rapporten goed zijn.",
    ),
    (
        Code::DmarcPercentage,
        "Remove pct= at {name}: RFC 9989 no longer has it, and receivers never applied it alike. Use t=y to go step by step.",
        "Verwijder pct= op {name}: RFC 9989 kent het niet meer en ontvangers pasten het nooit gelijk toe. Gebruik t=y om stap voor stap te gaan.",
    ),
    (
        Code::DmarcSubdomains,
        "Make sp= and np= at {name} as strong as p=, or leave them out: otherwise names below the domain can be forged.",
        "Maak sp= en np= op {name} even streng als p= of laat ze weg: anders kunnen namen onder het domein worden vervalst.",
    ),
    (
        Code::DmarcNoReports,
        "Add rua=mailto:… at {name}, to receive reports of who sends in the name of the domain.",
        "Voeg op {name} rua=mailto:… toe, om te zien wie er namens het domein verzendt.",
    ),
    (
        Code::DmarcReportsUnwanted,
        "Reports are to go to {seen}, which has not agreed. Ask its administrator for this record: {expected}.",
        "Rapporten gaan naar {seen}, dat daar niet mee heeft ingestemd. Vraag de beheerder daarvan om dit record: {expected}.",
    ),
    (
        Code::DmarcNotParked,
        "No mail is sent from this domain. Let the DMARC record at {name} be: {expected}.",
        "Vanaf dit domein wordt geen mail verzonden. Laat het DMARC-record op {name} zijn: {expected}.",
    ),
    (
        Code::MxNotNull,
        "{name} takes no mail. Let its only MX record be {expected} (the null MX). Leave the MX out if the name has no A or AAAA record.",
        "{name} ontvangt geen mail. Laat het enige MX-record {expected} zijn (de null MX). Laat de MX weg als de naam geen A- of AAAA-record heeft.",
    ),
    (
        Code::ParkedKey,
        "No mail is signed for this domain. Remove what is left at and below {name}.",
        "Voor dit domein wordt geen mail ondertekend. Verwijder wat er nog op en onder {name} staat.",
    ),
    (
        Code::PolicyUnknown,
        "Nobody can tell for now what {name} says. Check its name servers and DNSSEC, and try again.",
        "Niemand kan nu zeggen wat {name} inhoudt. Controleer de nameservers en DNSSEC en probeer het opnieuw.",
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::words::Severity;

    #[test]
    fn every_code_has_its_own_word_and_advice_in_both_languages() {
        let words: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        assert_eq!(SENTENCES.map(|(code, ..)| code), Code::ALL);
        let mut said = HashSet::new();
        for code in Code::ALL {
            let finding = Finding {
                code,
                severity: Severity::Act,
                domain: "voorbeeld.nl".to_owned(),
                selector: Some("s1".to_owned()),
                name: "s1._domainkey.voorbeeld.nl".to_owned(),
                servers: vec!["ns1.voorbeeld.nl (192.0.2.1)".to_owned()],
                seen: "something".to_owned(),
                expected: "v=DKIM1; k=rsa; p=AAAA".to_owned(),
            };
            for language in [Language::English, Language::Dutch] {
                let advice = finding.advice(language);
                assert!(advice.ends_with('.'), "{advice}");
                assert!(said.insert(advice), "{code:?} {language:?}");
            }
        }
    }
    #[test]
    fn a_null_mx_is_written_as_it_is_entered() {
        let finding = Finding {
            code: Code::MxNotNull,
            severity: Severity::Warning,
            domain: "voorbeeld.nl".to_owned(),
            selector: None,
            name: "voorbeeld.nl".to_owned(),
            servers: Vec::new(),
            seen: "no MX record".to_owned(),
            expected: crate::dns::NULL_MX.to_owned(),
        };
        for language in [Language::English, Language::Dutch] {
            let advice = finding.advice(language);
            assert!(
                advice.contains(" 0 . (") || advice.contains(" 0 . zijn"),
                "{advice}"
            );
            assert!(!advice.contains(".."), "{advice}");
        }
    }
}
