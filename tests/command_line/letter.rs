//! `zegel dmarc letter`: a page for the customer, made of reports and of the records in the DNS.

use std::{collections::HashMap, fmt::Write as _, fs, ops::Range};

use crate::{
    dns_server::{Answer, serve},
    setup::{Done, Setup},
};

/// 1 September 2026, and the days of months from there.
const FIRST: i64 = 1_788_220_800;
const SEPTEMBER: Range<i64> = 0..30;
const OCTOBER: Range<i64> = 30..61;
const RUA: &str = "rua=mailto:dmarc@relay.example";
const AS_OF: [&str; 2] = ["--as-of", "2026-11-03"];

/// What a receiver saw: an address, how many messages, whether they were recognised, what it did
/// with them, and who signed.
struct Row<'a> {
    address: &'a str,
    messages: u64,
    dkim: &'a str,
    disposition: &'a str,
    signed: Option<(&'a str, &'a str)>,
}

const OURS: Row<'_> = Row {
    address: "192.0.2.1",
    messages: 100,
    dkim: "pass",
    disposition: "none",
    signed: Some(("voorbeeld.nl", "s1")),
};
const INVOICES: Row<'_> = Row {
    address: "203.0.113.66",
    messages: 5,
    dkim: "fail",
    disposition: "none",
    signed: Some(("factuur.nl", "fs")),
};
const FORGED: Row<'_> = Row {
    address: "203.0.113.250",
    messages: 4,
    dkim: "fail",
    disposition: "reject",
    signed: None,
};

/// A day's report of each of three receivers.
fn reports(setup: &Setup, domain: &str, days: Range<i64>, policy: &str, rows: &[Row<'_>]) {
    let folder = setup.path("in");
    fs::create_dir_all(&folder).unwrap();
    let mut records = String::new();
    for row in rows {
        let signed = row.signed.map_or_else(String::new, |(domain, selector)| {
            format!(
                "<dkim><domain>{domain}</domain><selector>{selector}</selector>\
                 <result>pass</result></dkim>"
            )
        });
        write!(
            records,
            "<record><row><source_ip>{}</source_ip><count>{}</count><policy_evaluated>\
             <disposition>{}</disposition><dkim>{}</dkim><spf>fail</spf></policy_evaluated></row>\
             <identifiers><header_from>{domain}</header_from></identifiers>\
             <auth_results>{signed}</auth_results></record>",
            row.address, row.messages, row.disposition, row.dkim
        )
        .unwrap();
    }
    for day in days {
        for reporter in ["google.com", "outlook.com", "ziggo.nl"] {
            let begin = FIRST + day * 86_400;
            let id = format!("{domain}-{day}-{}", records.len());
            let text = format!(
                "<feedback><report_metadata><org_name>{reporter}</org_name><email>a@b.nl</email>\
                 <report_id>{id}</report_id><date_range><begin>{begin}</begin><end>{}</end>\
                 </date_range></report_metadata><policy_published><domain>{domain}</domain>\
                 <p>{policy}</p></policy_published>{records}</feedback>",
                begin + 86_399,
            );
            fs::write(folder.join(format!("{reporter}-{id}.xml")), text).unwrap();
        }
    }
    let folder = folder.display().to_string();
    let ingest = ["report", "ingest", "--as-of", "2026-11-03", &folder];
    setup.run(ingest).expect(0);
    fs::remove_dir_all(setup.path("in")).unwrap();
}

/// With a key, a relay, and this DMARC record of voorbeeld.nl in the DNS.
fn setup(published: &str) -> Setup {
    let setup = Setup::with_key();
    let records = HashMap::from([(
        "_dmarc.voorbeeld.nl".to_owned(),
        Answer::Texts(vec![published.to_owned()]),
    )]);
    let resolver = serve(records);
    let text = format!(
        "[keystore]\npath = \"{}\"\n[keeper]\nresolvers = [\"{resolver}\"]\n\
         relay_addresses = [\"192.0.2.1\"]\n[handover]\nrua = \"dmarc@relay.example\"\n\
         sender = \"Regio <ICT>\"\ncontact = \"010 123 45 67\"\n\
         [reports]\nstate = \"{}\"\n",
        setup.path("keys").display(),
        setup.path("reports").display()
    );
    setup.write("zegel.toml", &text);
    setup
}

/// Written on 3 November.
fn letter(setup: &Setup, more: &[&str]) -> Done {
    let command = ["dmarc", "letter", "voorbeeld"];
    setup.run(command.iter().chain(&AS_OF).chain(more))
}

/// In one line.
fn text(setup: &Setup, more: &[&str]) -> String {
    let done = letter(setup, &[&["--format", "text"], more].concat()).expect(0);
    let words: Vec<&str> = done.out.split_whitespace().collect();
    words.join(" ")
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn a_customer_reads_who_sent_and_what_to_do() {
    let setup = setup(&format!("v=DMARC1; p=none; {RUA}"));
    reports(&setup, "voorbeeld.nl", SEPTEMBER, "none", &[OURS, FORGED]);
    let rows = [OURS, INVOICES, FORGED];
    reports(&setup, "voorbeeld.nl", 30..63, "none", &rows);
    let parked = "oud-voorbeeld.nl";
    reports(&setup, parked, OCTOBER, "reject", &[FORGED]);
    let dutch = text(&setup, &[]);
    says(
        &dutch,
        &[
            "E-mail uit naam van Gemeente Voorbeeld: oktober 2026",
            "Datum: 3 november 2026 Van: Regio <ICT> Vragen: 010 123 45 67",
            "Uiterlijk 17 november 2026: laat uw DNS-beheerder vastleggen dat er van \
             oud-voorbeeld.nl geen e-mail komt.",
            "TXT-record onder _dmarc.oud-voorbeeld.nl",
            &format!("v=DMARC1; p=reject; {RUA}"),
            "Uiterlijk 17 november 2026: laat ons weten wie hierachter zit: via factuur.nl (495 \
             berichten), in acht weken uit naam van voorbeeld.nl.",
            "Stap 1 van 5, sinds 1 september 2026.",
            "De volgende stap kan als is gedaan wat hierboven staat. E-mail uit naam van \
             nieuws.voorbeeld.nl telt hier mee.",
            "onze mailservers 9.300 100% 9.000",
            "via factuur.nl (onbekend) 465 0% 0",
            "Vals: 372 berichten. Daarvan 372 geweigerd en 0 bij de ongewenste e-mail gezet. \
             Vergeleken met september 2026",
            "nieuw: via factuur.nl.",
            "oud-voorbeeld.nl 372 372 0 0",
        ],
    );
    let english = text(&setup, &["--lang", "en"]);
    says(
        &english,
        &[
            "E-mail in the name of Gemeente Voorbeeld: October 2026",
            "By 17 November 2026: let us know who is behind this: through factuur.nl (495 \
             messages)",
            "our mail servers 9,300 100% 9,000",
            "False: 372 messages. Of these, 372 refused",
        ],
    );
    let html = letter(&setup, &[]).expect(0).out;
    says(
        &html,
        &[
            "<!DOCTYPE html>\n<html lang=\"nl\">",
            "default-src 'none'; style-src 'unsafe-inline'",
            "@page { size: A4;",
            "<dd>Regio &lt;ICT&gt;</dd>",
            "<th scope=\"row\">onze mailservers</th><td>9.300</td><td>100%</td><td>9.000</td>",
        ],
    );
    for foreign in [
        "<script", "<link", "<img", "src=", "href=", "url(", "@import",
    ] {
        assert!(!html.contains(foreign), "{foreign}\n{html}");
    }
    let markdown = letter(&setup, &["--format", "markdown", "--lang", "en"]).expect(0);
    markdown.says(&[
        "# E-mail in the name of Gemeente Voorbeeld: October 2026\n",
        "| Sender | Messages | Recognised as yours | In September |\n|---|---:|---:|---:|\n",
        "| our mail servers | 9,300 | 100% | 9,000 |\n",
    ]);
}

#[test]
fn any_month_can_be_asked_for() {
    let setup = setup(&format!("v=DMARC1; p=none; {RUA}"));
    reports(&setup, "voorbeeld.nl", SEPTEMBER, "none", &[OURS]);
    let september = text(&setup, &["--month", "2026-09"]);
    says(
        &september,
        &[
            "Gemeente Voorbeeld: september 2026",
            "onze mailservers 9.000 100% 0",
            "Valse e-mail is niet gezien. Dit is de eerste maand waarover wij verslagen hebben.",
        ],
    );
    let october = text(&setup, &[]);
    says(
        &october,
        &[
            "Over oktober 2026 hebben wij over dit domein geen verslagen ontvangen. Wie er uit die \
             naam heeft verstuurd, weten wij dus niet.",
            "Er komen te weinig verslagen binnen om verder te gaan.",
            "Geen verslagen over oud-voorbeeld.nl.",
        ],
    );
    let running = text(&setup, &["--month", "2026-11"]);
    says(&running, &["in november tot en met 3 november 2026 e-mail"]);
    letter(&setup, &["--month", "2026-12"])
        .expect(2)
        .complains(&["--month: it has not begun yet"]);
    letter(&setup, &["--month", "oktober"]).expect(2);
}

#[test]
fn names_that_strangers_chose_are_no_markup() {
    let setup = setup(&format!("v=DMARC1; p=none; {RUA}"));
    let evil = Row {
        signed: Some(("&lt;b&gt;evil|x`y&lt;/b&gt;.example", "s")),
        ..INVOICES
    };
    let key = Row {
        dkim: "pass",
        signed: Some(("voorbeeld.nl", "&lt;img src=x&gt;")),
        ..INVOICES
    };
    reports(
        &setup,
        "voorbeeld.nl",
        0..63,
        "none",
        &[OURS, INVOICES, evil, key],
    );
    let label = format!(
        "<i>Facturen</i> | [hier](http://kwaad.example) {}",
        "w".repeat(300)
    );
    let name = ["report", "name", "voorbeeld.nl", "via:factuur.nl"];
    let named = ["--as", "known", "--label", &label[..label.len().min(200)]];
    setup.run(name.iter().chain(&named)).expect(0);
    for lang in ["nl", "en"] {
        let html = letter(&setup, &["--lang", lang]).expect(0).out;
        for tag in ["<i>", "<b>", "<img", "<a "] {
            assert!(!html.contains(tag), "{tag}\n{html}");
        }
        says(&html, &["&lt;i&gt;Facturen&lt;/i&gt;"]);
        let markdown = letter(&setup, &["--lang", lang, "--format", "markdown"]).expect(0);
        for line in markdown.out.lines().filter(|line| line.starts_with("| ")) {
            let bars = line.replace("\\|", "").matches('|').count();
            assert_eq!(bars, 5, "{line}");
        }
        assert!(!markdown.out.contains(&"w".repeat(100)), "{}", markdown.out);
    }
}

#[test]
fn mail_that_is_lost_comes_first() {
    let published = format!("v=DMARC1; p=reject; {RUA}");
    let setup = setup(&published);
    reports(&setup, "voorbeeld.nl", 0..59, "reject", &[OURS]);
    let news = Row {
        signed: Some(("nieuws.example", "n")),
        ..INVOICES
    };
    reports(&setup, "voorbeeld.nl", 0..59, "reject", &[news]);
    let lost = Row {
        address: "192.0.2.1",
        dkim: "fail",
        disposition: "reject",
        ..OURS
    };
    reports(&setup, "voorbeeld.nl", 59..63, "reject", &[lost]);
    let text = text(&setup, &[]);
    let parts = [
        "Wat wij van u vragen -------------------- !! Vandaag nog: laat uw DNS-beheerder het \
         record van voorbeeld.nl vervangen.",
        "TXT-record onder _dmarc.voorbeeld.nl",
        &format!("v=DMARC1; p=quarantine; t=y; pct=0; {RUA}"),
        "Uiterlijk 17 november 2026: laat uw DNS-beheerder vastleggen dat er van oud-voorbeeld.nl",
        "Stap 5 van 5",
        "Van uw eigen afzenders zijn ook berichten getroffen: 600 geweigerd en 0 bij",
    ];
    says(&text, &parts);
    let places: Vec<usize> = (parts.iter())
        .map(|part| text.find(part).unwrap())
        .collect();
    assert!(places.is_sorted(), "{places:?}\n{text}");
}

#[test]
fn a_letter_without_dns_and_without_reports_says_so() {
    let setup = Setup::with_key();
    let silent = text(&setup, &[]);
    says(
        &silent,
        &[
            "U hoeft nu niets te doen.",
            "Wij konden uw DNS niet bevragen. Welk record er nu staat, weten wij dus niet.",
            "Over oktober 2026 hebben wij over dit domein geen verslagen ontvangen.",
        ],
    );
    // And as if a record were there.
    let record = "voorbeeld.nl=v=DMARC1; p=quarantine; rua=mailto:a@b.nl";
    let assumed = text(&setup, &["--published", record, "--lang", "en"]);
    says(
        &assumed,
        &["Step 3 of 5. E-mail that is not demonstrably yours goes to the junk mail."],
    );
    let nobody = ["dmarc", "letter", "niemand"];
    assert_ne!(setup.run(nobody).status, 0);
}
