//! What is said of each fact, in English and Dutch.
//!
//! A sentence says what is so, and then who has to do what. What is typed stands between
//! backquotes.

use jiff::Timestamp;

use super::{Advised, Fact, Hold, Matter, alarms, harmless};
use crate::{
    dns::Code,
    keys::{Actor, Way, What},
    ladder::holds::HoldCode,
    names::{DomainName, OrganisationId, Selector},
    words::{Language, Level, filled},
};

/// English, and Dutch.
type Sentence = (&'static str, &'static str);

pub(super) fn sentence(
    matter: &Matter,
    organisation: &OrganisationId,
    language: Language,
) -> String {
    match &matter.fact {
        Fact::Held(hold) => return of_hold(matter, hold, language),
        Fact::Advised(advised) => return of_advised(matter, advised, organisation, language),
        Fact::UnknownSelector(_) | Fact::Replay(_) => {
            return of_alarm(matter, organisation, language);
        }
        _ => {}
    }
    let (english, dutch) = of_fact(matter);
    let sentence = match language {
        Language::English => english,
        Language::Dutch => dutch,
    };
    let (why, successor) = match &matter.fact {
        Fact::Keyring(why) | Fact::KeyRefused(why) | Fact::Departures(why) => (why.as_str(), ""),
        Fact::Step(What::AwaitSuccessor(successor)) => ("", successor.as_str()),
        _ => ("", ""),
    };
    let (name, expected) = match &matter.fact {
        Fact::Policy { name, expected, .. } => (name.as_str(), expected.as_str()),
        _ => ("", ""),
    };
    let named = |name: Option<&str>| name.unwrap_or_default().to_owned();
    let domain = named(matter.domain.as_ref().map(DomainName::as_str));
    let key = named(matter.selector.as_ref().map(Selector::as_str));
    let told = |time: Timestamp| time.strftime("%Y-%m-%d %H:%M").to_string();
    let (since, when) = (matter.since.map(told), matter.when.map(told));
    let retire = match &matter.domain {
        None => format!("zegel org retire {organisation}"),
        Some(domain) => format!("zegel org retire {organisation} --domain {domain}"),
    };
    let values = [
        (
            "who",
            if domain.is_empty() {
                organisation.as_str()
            } else {
                domain.as_str()
            },
        ),
        ("retire", retire.as_str()),
        ("when", when.as_deref().unwrap_or("?")),
        ("domain", domain.as_str()),
        ("key", key.as_str()),
        ("organisation", organisation.as_str()),
        ("why", why),
        ("successor", successor),
        ("name", name),
        ("expected", expected),
        ("since", since.as_deref().unwrap_or("?")),
    ];
    filled(sentence, &values)
}

fn of_fact(matter: &Matter) -> Sentence {
    match &matter.fact {
        Fact::Step(what) => of_step(what, matter),
        Fact::NoTarget(Way::Cname | Way::Dname) => (
            "{domain} is to point to our own zone with its keys, and zegel.toml does not name that zone. The operator sets zone in [handover].",
            "{domain} moet met de sleutels naar onze eigen zone wijzen, en zegel.toml noemt die zone niet. De beheerder zet zone in [handover].",
        ),
        Fact::NoTarget(Way::Ns) => (
            "The keys of {domain} are to be a zone on our own name servers, and zegel.toml does not name those. The operator sets name_servers in [handover].",
            "De sleutels van {domain} moeten een zone op onze eigen nameservers worden, en zegel.toml noemt die niet. De beheerder zet name_servers in [handover].",
        ),
        Fact::NoKey => of_no_key(matter.level),
        Fact::Keyring(_) => (
            "The keyring of {organisation} can't be read: {why}. A signer that runs goes on with what it has; one that starts puts the mail off.",
            "De sleutelbos van {organisation} kan niet worden gelezen: {why}. Een signer die draait gaat verder met wat hij heeft; een die start stelt de mail uit.",
        ),
        Fact::KeyRefused(_) => (
            "Mail of {domain} is put off, since a key in use can't be used: {why}.",
            "Mail van {domain} wordt uitgesteld, want een sleutel in gebruik is niet bruikbaar: {why}.",
        ),
        Fact::Suspended => (
            "The operator has suspended {organisation}: its mail is not signed. `zegel org resume {organisation}` ends that.",
            "De beheerder heeft {organisation} opgeschort: de mail wordt niet ondertekend. `zegel org resume {organisation}` beëindigt dat.",
        ),
        Fact::Leaving => (
            "{who} leaves: its mail is signed until {when}. Then the keeper lets its keys drain, and asks for their records back. Leave its file as it is until then; `{retire} --undo` takes it back.",
            "{who} vertrekt: de mail wordt ondertekend tot {when}. Daarna laat de keeper de sleutels uitlopen, en vraagt de records terug. Laat het bestand tot dan zoals het is; `{retire} --undo` maakt het ongedaan.",
        ),
        Fact::Left if matter.level == Level::Act => (
            "{who} has left, since {since}, and its records are gone: its mail is not signed. The operator takes it out of orgs.d; `{retire} --undo` lets it come back.",
            "{who} is vertrokken, sinds {since}, en de records zijn weg: de mail wordt niet ondertekend. De beheerder haalt het uit orgs.d; `{retire} --undo` laat het terugkomen.",
        ),
        Fact::Left => (
            "{who} has left, since {since}: its mail is not signed any more. The keeper watches its records until they are gone, and asks for that when no mail needs them; `{retire} --undo` lets it come back.",
            "{who} is vertrokken, sinds {since}: de mail wordt niet meer ondertekend. De keeper let op de records tot ze weg zijn, en vraagt daarom als geen mail ze nog nodig heeft; `{retire} --undo` laat het terugkomen.",
        ),
        Fact::Departures(_) => (
            "Nobody can tell whether {organisation} or a domain of it leaves: {why}. Until then it gets no new key, and no key comes back. The operator restores that file, or removes it and says again who leaves: `zegel org retire {organisation}`.",
            "Niemand weet of {organisation} of een domein ervan vertrekt: {why}. Tot dan krijgt het geen nieuwe sleutel, en komt er geen terug. De beheerder zet dat bestand terug, of haalt het weg en zegt opnieuw wie vertrekt: `zegel org retire {organisation}`.",
        ),
        Fact::Overdue => (
            "The key {key} of {domain} is in use for longer than it should be, since {since}. See that its successor is published, or make one with `zegel key roll {organisation}`.",
            "De sleutel {key} van {domain} is langer in gebruik dan de bedoeling is, sinds {since}. Laat de opvolger publiceren, of maak er een met `zegel key roll {organisation}`.",
        ),
        Fact::Policy { code, .. } => of_policy(*code),
        // They have sentences of their own.
        Fact::Held(_) | Fact::Advised(_) | Fact::UnknownSelector(_) | Fact::Replay(_) => ("", ""),
        Fact::NotLooked => (
            "Nobody has looked at the DNS of {organisation} since {since}. See that `zegel keeper` runs.",
            "Sinds {since} heeft niemand naar de DNS van {organisation} gekeken. Zorg dat `zegel keeper` draait.",
        ),
    }
}

fn of_no_key(level: Level) -> Sentence {
    match level {
        Level::NotLive => (
            "{domain} has no key yet. The keeper makes one, or `zegel key generate {organisation}`.",
            "{domain} heeft nog geen sleutel. De keeper maakt er een, of `zegel key generate {organisation}`.",
        ),
        Level::Waits => (
            "{domain} is to come to {organisation}, which has no key for it yet. The keeper makes one, or `zegel key generate {organisation}`.",
            "{domain} moet naar {organisation} komen, die er nog geen sleutel voor heeft. De keeper maakt er een, of `zegel key generate {organisation}`.",
        ),
        _ => (
            "{domain} has no key, so its mail is not signed. The keeper makes one, or `zegel key generate {organisation}`.",
            "{domain} heeft geen sleutel, dus de mail wordt niet ondertekend. De keeper maakt er een, of `zegel key generate {organisation}`.",
        ),
    }
}

/// They are always about a domain.
fn of_alarm(matter: &Matter, organisation: &OrganisationId, language: Language) -> String {
    match (&matter.fact, &matter.domain) {
        (Fact::UnknownSelector(key), Some(domain)) => alarms::of_strange_key(key, domain, language),
        (Fact::Replay(replay), Some(domain)) => {
            alarms::of_replay(replay, (organisation, domain), language)
        }
        _ => String::new(),
    }
}

/// The English is that of the ladder.
fn of_hold(matter: &Matter, hold: &Hold, language: Language) -> String {
    let domain = matter.domain.as_ref().map_or("", DomainName::as_str);
    let (mut sentence, more) = match language {
        Language::English => (
            format!("{domain} stays on its rung of DMARC: {}", hold.text),
            "More of this kind",
        ),
        Language::Dutch => (
            format!(
                "{domain} blijft op zijn trede van DMARC: {}",
                dutch_hold(domain, hold)
            ),
            "Meer van deze soort",
        ),
    };
    sentence = harmless(&sentence);
    if let Some(command) = &hold.command {
        sentence.extend([": `", &harmless(command), "`"]);
    }
    sentence.push('.');
    if hold.others > 0 {
        let others = hold.others.to_string();
        sentence.extend([" ", more, ": ", &others, "."]);
    }
    sentence
}

fn dutch_hold(domain: &str, hold: &Hold) -> String {
    let sentence = match hold.code {
        HoldCode::UnknownRecord => "niemand kan zien welk record het heeft",
        HoldCode::RecordElsewhere => {
            "het record van een domein dat niet van ons is geldt ervoor; vraag wie dat heeft om te klimmen, of publiceer een eigen record"
        }
        HoldCode::NotEnoughDays => {
            "zoveel dagen met rapporten zijn op deze trede nog nodig: {days}"
        }
        HoldCode::NoRecentReports => {
            "er zijn geen rapporten over de laatste vier dagen, of van te weinig ontvangers; als ze horen te komen, kijk dan of rua= hierheen wijst en of zegel report ingest draait"
        }
        HoldCode::NoLegitimateMail => {
            "van geen van {messages} berichten is bekend dat ze echt zijn; zet de adressen van uw relays in [keeper] relay_addresses voordat rapporten worden gelezen, of geef wie verstuurt een naam; verstuurt niemand, parkeer dan het domein"
        }
        HoldCode::UnknownStream => {
            "{stream} verstuurde {messages} berichten in acht weken, en niemand heeft gezegd wie dat is; zoek het uit, en geef het een naam (known, list, forwarding of abuse)"
        }
        HoldCode::FailingStream => {
            "{messages} berichten van {stream} faalden op de laatste dagen dat het verstuurde; laat ze ondertekenen met een domein van u, of versturen van een adres dat SPF toestaat"
        }
        HoldCode::SpfOnlyStream => {
            "{messages} berichten van {stream} slaagden alleen door SPF, en doorsturen breekt dat; laat ze ondertekenen"
        }
        HoldCode::ListStream => {
            "{messages} berichten kwamen via {stream}; mensen schrijven naar mailinglijsten, die hun mail kunnen breken; wie ze een naam geeft aanvaardt dat"
        }
        HoldCode::SubdomainStream => {
            "{messages} berichten van {stream} van een naam onder {domain} faalden; breng ze in orde; sp=none kan ze zolang ontzien"
        }
        HoldCode::Unconfirmed => {
            "niemand heeft dit jaar gezegd dat de lijst van wie er in naam van {domain} verstuurt compleet is, met wie dat eens per jaar doet"
        }
    };
    let values = [
        ("domain", domain),
        ("stream", hold.stream.as_str()),
        ("messages", &hold.messages.to_string()),
        ("days", &hold.days.to_string()),
    ];
    filled(sentence, &values)
}

fn of_advised(
    matter: &Matter,
    advised: &Advised,
    organisation: &OrganisationId,
    language: Language,
) -> String {
    let dutch = if advised.is_step_back {
        let lost = advised.lost;
        format!(
            "publiceer dit record direct: {lost} legitieme berichten faalden in de laatste dagen, terwijl het beleid wordt toegepast"
        )
    } else if advised.is_same_rung {
        "publiceer dit record: het is dezelfde trede, en zegt wat er ontbreekt".to_owned()
    } else {
        "publiceer dit record: niets houdt het tegen".to_owned()
    };
    let (text, who) = match language {
        Language::English => (advised.text.as_str(), "The DNS administrator sets"),
        Language::Dutch => (dutch.as_str(), "De DNS-beheerder zet"),
    };
    let record = match (&advised.record, language) {
        (Some(record), _) => format!("{} TXT \"{record}\"", advised.name),
        (None, Language::English) => {
            format!("{} as zegel dmarc status {organisation} says", advised.name)
        }
        (None, Language::Dutch) => format!(
            "{} zoals zegel dmarc status {organisation} zegt",
            advised.name
        ),
    };
    let domain = matter.domain.as_ref().map_or("", DomainName::as_str);
    let (text, record) = (harmless(text), harmless(&record));
    if advised.record.is_some() {
        format!("DMARC of {domain}: {text}. {who} `{record}`.")
    } else {
        format!("DMARC of {domain}: {text}. {who} {record}.")
    }
}

/// Whether this is wrong with SPF or DMARC and asks for someone. What could be better, such as
/// `p=none`, is a step on the way and not a matter.
pub(super) fn is_policy(code: Code) -> bool {
    POLICIES.iter().any(|(known, ..)| *known == code)
}

fn of_policy(code: Code) -> Sentence {
    let row = POLICIES.iter().find(|(known, ..)| *known == code);
    row.map_or((code.as_str(), code.as_str()), |(_, english, dutch)| {
        (english, dutch)
    })
}

#[rustfmt::skip]
const POLICIES: [(Code, &str, &str); 9] = [
    (Code::SpfMissing, "{domain} has no SPF record. The DNS administrator adds one (`zegel dns records {organisation}`).", "{domain} heeft geen SPF-record. De DNS-beheerder voegt er een toe (`zegel dns records {organisation}`)."),
    (Code::SpfTwoRecords, "{domain} has more than one SPF record, so receivers use none. The DNS administrator joins them into one (`zegel dns records {organisation}`).", "{domain} heeft meer dan één SPF-record, dus ontvangers gebruiken er geen. De DNS-beheerder voegt ze samen tot één (`zegel dns records {organisation}`)."),
    (Code::SpfRelay, "The SPF record of {domain} does not allow our relays. The DNS administrator adds {expected} to it (`zegel dns records {organisation}`).", "Het SPF-record van {domain} staat onze relays niet toe. De DNS-beheerder voegt {expected} toe (`zegel dns records {organisation}`)."),
    (Code::SpfBroken, "Receivers can't evaluate the SPF record of {domain}. The DNS administrator corrects it (`zegel dns check {organisation}` says what to look for).", "Ontvangers kunnen het SPF-record van {domain} niet verwerken. De DNS-beheerder verbetert het (`zegel dns check {organisation}` zegt waar op te letten)."),
    (Code::SpfNotParked, "{domain} sends no mail, and its SPF record does not say so. The DNS administrator makes it {expected} (`zegel dns records {organisation}`).", "{domain} verstuurt geen mail, en het SPF-record zegt dat niet. De DNS-beheerder maakt er {expected} van (`zegel dns records {organisation}`)."),
    (Code::DmarcMissing, "{domain} has no DMARC record. The DNS administrator adds one at {name} (`zegel dns records {organisation}`).", "{domain} heeft geen DMARC-record. De DNS-beheerder voegt er een toe op {name} (`zegel dns records {organisation}`)."),
    (Code::DmarcTwoRecords, "There is more than one DMARC record at {name}, so receivers use none. The DNS administrator leaves one.", "Op {name} staat meer dan één DMARC-record, dus ontvangers gebruiken er geen. De DNS-beheerder laat er één staan."),
    (Code::DmarcMalformed, "Receivers ignore the DMARC record at {name}, since it is malformed. The DNS administrator corrects it (`zegel dns check {organisation}` says what is wrong).", "Ontvangers negeren het DMARC-record op {name}, want het klopt niet. De DNS-beheerder verbetert het (`zegel dns check {organisation}` zegt wat er mis is)."),
    (Code::DmarcNotParked, "{domain} sends no mail, and its DMARC record does not ask to reject what claims to come from it. The DNS administrator makes it {expected} (`zegel dns records {organisation}`).", "{domain} verstuurt geen mail, en het DMARC-record vraagt niet om te weigeren wat zegt daarvandaan te komen. De DNS-beheerder maakt er {expected} van (`zegel dns records {organisation}`)."),
];

/// The word of a step, at which level only, English, and Dutch; the first that fits.
type Row = (&'static str, Option<Level>, &'static str, &'static str);

fn of_step(what: &What, matter: &Matter) -> Sentence {
    let fits = |(word, only, ..): &&Row| {
        *word == what.as_str() && only.is_none_or(|only| only == matter.level)
    };
    // What is in the operator's own zone is the operator's turn.
    let own = OWN_ZONE
        .iter()
        .filter(|_| matter.actor == Actor::Operator)
        .find(fits);
    let row = own.or_else(|| STEPS.iter().find(fits));
    row.map_or((what.as_str(), what.as_str()), |(.., english, dutch)| {
        (english, dutch)
    })
}

#[rustfmt::skip]
const OWN_ZONE: [Row; 9] = [
    ("publish_record", Some(Level::Act), "The record of the next key of {domain}, {key}, is not in our own zone. The operator puts it there (`zegel dns zone`).", "Het record van de volgende sleutel van {domain}, {key}, staat niet in onze eigen zone. De beheerder zet het daar (`zegel dns zone`)."),
    ("publish_record", Some(Level::NotLive), "The record of {key} of {domain} is not in our own zone, so no key signs yet. The operator puts it there (`zegel dns zone`).", "Het record van {key} van {domain} staat niet in onze eigen zone, dus er ondertekent nog geen sleutel. De beheerder zet het daar (`zegel dns zone`)."),
    ("publish_record", None, "Mail of {domain} is not signed: the record of {key} is not in our own zone. The operator puts it there now (`zegel dns zone`).", "Mail van {domain} wordt niet ondertekend: het record van {key} staat niet in onze eigen zone. De beheerder zet het daar nu (`zegel dns zone`)."),
    ("mend_record", None, "The record of {key} of {domain} is not right at every name server of our own zone. The operator corrects it (`zegel dns check {organisation}` says what is wrong).", "Het record van {key} van {domain} klopt niet op elke nameserver van onze eigen zone. De beheerder verbetert het (`zegel dns check {organisation}` zegt wat er mis is)."),
    ("unrevoke", None, "The record of {key} of {domain} in our own zone has an empty p=, which revokes the key. The operator puts the key back (`zegel dns zone`).", "Het record van {key} van {domain} in onze eigen zone heeft een lege p=, wat de sleutel intrekt. De beheerder zet de sleutel terug (`zegel dns zone`)."),
    ("restore_record", None, "Mail of {domain} fails to verify: the record of {key}, which signs, is gone from our own zone. The operator puts it back now (`zegel dns zone`).", "Mail van {domain} is niet te controleren: het record van {key}, dat ondertekent, is weg uit onze eigen zone. De beheerder zet het nu terug (`zegel dns zone`)."),
    ("restore_draining_record", None, "Mail of {domain} that is on its way fails to verify: the record of {key} is gone from our own zone too early. The operator puts it back now (`zegel dns zone`).", "Mail van {domain} die onderweg is is niet te controleren: het record van {key} is te vroeg weg uit onze eigen zone. De beheerder zet het nu terug (`zegel dns zone`)."),
    ("empty_record", None, "The record of {key} of {domain} in our own zone has to have an empty p=. The operator loads what `zegel dns zone` writes; if the key was revoked, at once.", "Het record van {key} van {domain} in onze eigen zone moet een lege p= hebben. De beheerder laadt wat `zegel dns zone` schrijft; als de sleutel is ingetrokken direct."),
    ("remove_record", None, "The record of {key} of {domain} in our own zone is empty and may go. The operator loads what `zegel dns zone` writes.", "Het record van {key} van {domain} in onze eigen zone is leeg en mag weg. De beheerder laadt wat `zegel dns zone` schrijft."),
];

#[rustfmt::skip]
const STEPS: [Row; 31] = [
    ("delegate", Some(Level::Act), "The keys of {domain} are to be in our own zone, and the name of {key} does not lead there. The DNS administrator adds the record that delegates it, once (`zegel dns records {organisation}`).", "De sleutels van {domain} moeten in onze eigen zone staan, en de naam van {key} wijst daar niet naartoe. De DNS-beheerder voegt eenmalig het record toe dat dit regelt (`zegel dns records {organisation}`)."),
    ("delegate", Some(Level::NotLive), "No key signs for {domain} yet: the name of {key} does not lead to our own zone. The DNS administrator adds the record that delegates it, once (`zegel dns records {organisation}`).", "Er ondertekent nog geen sleutel voor {domain}: de naam van {key} wijst niet naar onze eigen zone. De DNS-beheerder voegt eenmalig het record toe dat dit regelt (`zegel dns records {organisation}`)."),
    ("delegate", None, "Mail of {domain} suffers, since the name of {key} does not lead to our own zone. The DNS administrator adds the record that delegates it now, once (`zegel dns records {organisation}`).", "Mail van {domain} heeft er last van dat de naam van {key} niet naar onze eigen zone wijst. De DNS-beheerder voegt nu eenmalig het record toe dat dit regelt (`zegel dns records {organisation}`)."),
    ("look", None, "The record of {key} for {domain} was not looked for yet. The keeper looks.", "Naar het record van {key} voor {domain} is nog niet gekeken. De keeper kijkt."),
    ("publish_record", Some(Level::Act), "The record of the next key, {key}, is not in the DNS of {domain}. The DNS administrator adds it (`zegel dns records {organisation}`).", "Het record van de volgende sleutel, {key}, staat niet in de DNS van {domain}. De DNS-beheerder voegt het toe (`zegel dns records {organisation}`)."),
    ("publish_record", Some(Level::NotLive), "The record of {key} is not in the DNS of {domain}, so no key signs yet. The DNS administrator adds it (`zegel dns records {organisation}`).", "Het record van {key} staat niet in de DNS van {domain}, dus er ondertekent nog geen sleutel. De DNS-beheerder voegt het toe (`zegel dns records {organisation}`)."),
    ("publish_record", None, "Mail of {domain} is not signed: the record of {key} is not in the DNS. The DNS administrator adds it now (`zegel dns records {organisation}`).", "Mail van {domain} wordt niet ondertekend: het record van {key} staat niet in de DNS. De DNS-beheerder voegt het nu toe (`zegel dns records {organisation}`)."),
    ("mend_record", Some(Level::Unverifiable), "Mail of {domain} fails to verify: the record of {key}, which signs, is not right at every name server. The DNS administrator corrects it now (`zegel dns check {organisation}` says what is wrong).", "Mail van {domain} is niet te controleren: het record van {key}, dat ondertekent, klopt niet op elke nameserver. De DNS-beheerder verbetert het nu (`zegel dns check {organisation}` zegt wat er mis is)."),
    ("mend_record", None, "The record of {key} is not right at every name server of {domain}. The DNS administrator corrects it (`zegel dns check {organisation}` says what is wrong).", "Het record van {key} klopt niet op elke nameserver van {domain}. De DNS-beheerder verbetert het (`zegel dns check {organisation}` zegt wat er mis is)."),
    ("unrevoke", None, "The record of {key} for {domain} has an empty p=, which revokes the key. The DNS administrator puts the key back.", "Het record van {key} voor {domain} heeft een lege p=, wat de sleutel intrekt. De DNS-beheerder zet de sleutel terug."),
    ("await_servers", None, "A name server of {domain} does not answer, so nothing is concluded about {key}. Every one must answer.", "Een nameserver van {domain} antwoordt niet, dus over {key} wordt niets geconcludeerd. Ze moeten alle antwoorden."),
    ("mend_clock", None, "No time counts for {key} of {domain}. The operator sets the clock right, or lets the keeper run more often.", "Voor {key} van {domain} telt geen tijd. De beheerder zet de klok goed, of laat de keeper vaker draaien."),
    ("activate", None, "The record of {key} is in the DNS of {domain}. It signs when it has been seen there for long enough.", "Het record van {key} staat in de DNS van {domain}. De sleutel ondertekent zodra dat lang genoeg is gezien."),
    ("restore_record", None, "Mail of {domain} fails to verify: the record of {key}, which signs, is gone. The DNS administrator puts it back now (`zegel dns records {organisation}`).", "Mail van {domain} is niet te controleren: het record van {key}, dat ondertekent, is weg. De DNS-beheerder zet het nu terug (`zegel dns records {organisation}`)."),
    ("make_successor", None, "{key} signs for {domain}. Its successor is made in time.", "{key} ondertekent voor {domain}. De opvolger wordt op tijd gemaakt."),
    ("await_successor", None, "{key} signs for {domain}. {successor} takes its place when its record is seen everywhere.", "{key} ondertekent voor {domain}. {successor} neemt het over zodra het record daarvan overal is gezien."),
    ("leave", None, "{key} stops signing for {domain}: the configuration has the domain elsewhere, or its algorithm no more.", "{key} houdt op te ondertekenen voor {domain}: de configuratie heeft het domein elders, of het algoritme niet meer."),
    ("take_over", None, "{domain} can come to {organisation}: its key {key} is ready, and another organisation signs until then. The operator moves it: `zegel org move {domain} --to {organisation}`.", "{domain} kan naar {organisation}: de sleutel {key} is klaar, en tot dan ondertekent een andere organisatie. De beheerder verhuist het: `zegel org move {domain} --to {organisation}`."),
    ("take_in", None, "No file of orgs.d has {domain}, which was to come to {organisation}, so its mail is not signed. Its key {key} is ready. The operator adds it to domains of {organisation}, or gives the move up: `zegel org move {domain} --to {organisation} --cancel`.", "Geen bestand van orgs.d heeft {domain}, dat naar {organisation} zou komen, dus de mail wordt niet ondertekend. De sleutel {key} is klaar. De beheerder zet het bij domains van {organisation}, of geeft de verhuizing op: `zegel org move {domain} --to {organisation} --cancel`."),
    ("sign_until", None, "{key} signs for {domain} until {when}, since the operator has said that it leaves.", "{key} ondertekent voor {domain} tot {when}, want de beheerder heeft gezegd dat het vertrekt."),
    ("settle_domain", None, "{domain} is in no file of orgs.d, though {key} is in use for it. The operator puts it back, or says that it is gone: `zegel org retire {organisation} --domain {domain}`.", "{domain} staat in geen bestand van orgs.d, terwijl {key} ervoor in gebruik is. De beheerder zet het terug, of zegt dat het weg is: `zegel org retire {organisation} --domain {domain}`."),
    ("return", None, "Mail of {domain} is not signed until the keeper sees the record of {key} at every name server.", "Mail van {domain} wordt niet ondertekend tot de keeper het record van {key} op elke nameserver ziet."),
    ("keep_record", None, "{key} signs no more for {domain}; its record stays, since mail on its way needs it.", "{key} ondertekent niet meer voor {domain}; het record blijft, want mail die onderweg is heeft het nodig."),
    ("await_reports", None, "{key} signs no more for {domain}, and receivers still report that it passes; its record stays until {when}, or until seven days without such a report are over.", "{key} ondertekent niet meer voor {domain}, en ontvangers melden nog dat de handtekening klopt; het record blijft tot {when}, of tot er zeven dagen geen zo'n melding meer is."),
    ("restore_draining_record", None, "Mail of {domain} that is on its way fails to verify: the record of {key} is gone too early. The DNS administrator puts it back now.", "Mail van {domain} die onderweg is is niet te controleren: het record van {key} is te vroeg weg. De DNS-beheerder zet het nu terug."),
    ("empty_record", Some(Level::Compromised), "{key} was revoked, and others may sign as {domain} with it while its record is there. The DNS administrator gives the record an empty p= at once.", "{key} is ingetrokken, en zolang het record er staat kunnen anderen ermee ondertekenen als {domain}. De DNS-beheerder geeft het record direct een lege p=."),
    ("empty_record", None, "No mail needs the record of {key} any more. The DNS administrator of {domain} gives it an empty p=, and takes it away later.", "Geen mail heeft het record van {key} nog nodig. De DNS-beheerder van {domain} geeft het een lege p=, en haalt het later weg."),
    ("remove_record", None, "The record of {key} is empty. The DNS administrator of {domain} takes it away.", "Het record van {key} is leeg. De DNS-beheerder van {domain} haalt het weg."),
    ("configure", None, "The configuration does not have {domain} or the algorithm of {key}.", "De configuratie heeft {domain} of het algoritme van {key} niet."),
    ("forget", None, "A later key is in use for {domain}; a record of {key} may be taken away.", "Voor {domain} is een latere sleutel in gebruik; een record van {key} mag weg."),
    ("nothing", None, "Nothing has to be done about {key} of {domain}.", "Voor {key} van {domain} hoeft niets te gebeuren."),
];
