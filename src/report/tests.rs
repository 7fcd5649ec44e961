use std::io::{Cursor, Write};

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use zip::{ZipWriter, write::SimpleFileOptions};

use super::*;

/// 1 March 2026, in seconds since 1970.
const NOW: i64 = 1_772_323_200;

fn reading() -> Reading {
    Reading {
        now: NOW,
        ..Reading::default()
    }
}

fn read_with(reading: &Reading, octets: &[u8]) -> Vec<(Place, Found)> {
    let mut found = Vec::new();
    reading.read(&mut Cursor::new(octets), &mut |place, one| {
        found.push((place.clone(), one));
    });
    found
}

fn reports(octets: &[u8]) -> Vec<Report> {
    read_with(&reading(), octets)
        .into_iter()
        .map(|(_, found)| match found {
            Found::Report(report) => *report,
            Found::Refused(refusal) => panic!("{refusal:?}"),
        })
        .collect()
}

fn report(octets: &[u8]) -> Report {
    let [report] = <[Report; 1]>::try_from(reports(octets)).unwrap();
    report
}

fn reasons(octets: &[u8]) -> Vec<Reason> {
    read_with(&reading(), octets)
        .into_iter()
        .map(|(_, found)| match found {
            Found::Report(report) => panic!("{report:?}"),
            Found::Refused(refusal) => refusal.reason,
        })
        .collect()
}

const HEAD: &str = "<report_metadata><org_name>google.com</org_name>\
    <email>noreply@google.com</email><report_id>17</report_id>\
    <date_range><begin>1767225600</begin><end>1767311999</end></date_range></report_metadata>\
    <policy_published><domain>Voorbeeld.NL.</domain><adkim>r</adkim><p>none</p></policy_published>";

fn record(address: &str, count: &str) -> String {
    format!(
        "<record><row><source_ip>{address}</source_ip><count>{count}</count>\
         <policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf>\
         <reason><type>mailing_list</type></reason></policy_evaluated></row>\
         <identifiers><header_from>voorbeeld.nl</header_from></identifiers>\
         <auth_results><dkim><domain>voorbeeld.nl</domain><selector>S1</selector>\
         <result>pass</result></dkim><spf><domain>lijst.nl</domain><scope>helo</scope>\
         <result>hardfail</result></spf></auth_results></record>"
    )
}

fn document(records: &str) -> String {
    format!("<feedback><version>1.0</version>{HEAD}{records}</feedback>")
}

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, octets) in entries {
        if name.ends_with('/') {
            archive
                .add_directory(*name, SimpleFileOptions::default())
                .unwrap();
        } else {
            archive
                .start_file(*name, SimpleFileOptions::default())
                .unwrap();
            archive.write_all(octets).unwrap();
        }
    }
    archive.finish().unwrap().into_inner()
}

fn base64(octets: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(octets)
}

fn one() -> String {
    document(&record("192.0.2.1", "12"))
}

#[test]
fn what_is_wrong_further_on_does_not_come_first() {
    let one = format!("<feedback>{HEAD}{}</feedback>", record("192.0.2.1", "1"));
    let text = format!("{one}{one}</x><!DOCTYPE a>");
    let found = read_with(&reading(), text.as_bytes());
    let found: Vec<_> = found.iter().map(|(_, found)| found).collect();
    let [Found::Report(_), Found::Refused(refusal)] = &*found else {
        panic!("{found:?}");
    };
    assert_eq!(refusal.reason, Reason::Xml);
}

#[test]
fn a_report_is_read_whole() {
    let report = report(one().as_bytes());
    assert_eq!(report.form, Form::Rfc7489);
    assert_eq!(report.org_name, "google.com");
    assert_eq!(report.report_id, "17");
    assert_eq!((report.begin, report.end), (1_767_225_600, 1_767_311_999));
    assert_eq!(report.policy.domain, "voorbeeld.nl");
    assert_eq!((&*report.policy.p, &*report.policy.adkim), ("none", "r"));
    let [row] = &*report.rows.rows else { panic!() };
    assert_eq!(row.address.to_string(), "192.0.2.1");
    assert_eq!(row.count, 12);
    assert_eq!(row.flags.disposition(), Disposition::None);
    assert!(row.flags.dkim_aligned() && !row.flags.spf_aligned() && row.flags.passed());
    assert!(row.flags.has(Override::MailingList) && !row.flags.has(Override::Other));
    assert_eq!(Flags::from_bits(row.flags.bits()), row.flags);
    let words = report.rows.words.in_order();
    let word = |place: u32| &**words[place as usize];
    assert_eq!(word(row.from), "voorbeeld.nl");
    let identity = report.rows.identities.in_order()[row.identity as usize];
    let [signature] = &*identity.signatures else {
        panic!()
    };
    assert_eq!(
        (
            word(signature.domain),
            word(signature.selector),
            signature.outcome
        ),
        ("voorbeeld.nl", "s1", Outcome::Pass)
    );
    let [spf] = &*identity.spf else { panic!() };
    assert_eq!(
        (word(spf.domain), spf.helo, spf.outcome),
        ("lijst.nl", true, Outcome::Fail)
    );
    assert_eq!((report.skipped, &*report.mended), (0, &[][..]));
}

#[test]
fn the_form_is_told_by_what_is_in_it() {
    let form = |text: &str| report(text.as_bytes()).form;
    let one = one();
    assert_eq!(
        form(&one.replace("<version>1.0</version>", "")),
        Form::Draft
    );
    let space = "<feedback xmlns=\"urn:ietf:params:xml:ns:dmarc-2.0\">";
    assert_eq!(form(&one.replace("<feedback>", space)), Form::Rfc9990);
    assert_eq!(
        form(&one.replace("<p>none</p>", "<p>none</p><np>reject</np>")),
        Form::Rfc9990
    );
    let identities = one.replace("identifiers", "identities");
    assert_eq!(
        report(identities.as_bytes()).rows,
        report(one.as_bytes()).rows
    );
}

#[test]
fn names_count_without_their_namespace_and_foreign_elements_not_at_all() {
    let mut prefixed = one();
    for name in ["feedback", "record", "row", "count", "org_name"] {
        prefixed = prefixed
            .replace(&format!("<{name}>"), &format!("<d:{name} lang=\"en\">"))
            .replace(&format!("</{name}>"), &format!("</d:{name}>"));
    }
    let foreign = "<extension><record><row><count>9</count></row></record></extension>";
    let prefixed = prefixed.replace(
        "<policy_published>",
        &format!("{foreign}<policy_published>"),
    );
    assert_eq!(report(prefixed.as_bytes()), report(one().as_bytes()));
}

#[test]
fn a_row_that_says_too_little_is_left_out_and_the_others_count() {
    let good = record("::ffff:192.0.2.1", "1000000000");
    for bad in [
        record("fe80::1%eth0", "1"),
        record("1.2.3", "1"),
        record("192.0.2.0/24", "1"),
        record("192.0.2.1", "-1"),
        record("192.0.2.1", "+1"),
        record("192.0.2.1", "1.5"),
        record("192.0.2.1", "1000000001"),
        record("192.0.2.1", "99999999999999999999999"),
        record("192.0.2.1", ""),
        record("192.0.2.1", "1").replace("policy_evaluated", "policy"),
    ] {
        let both = report(document(&format!("{bad}{good}")).as_bytes());
        assert_eq!((both.rows.rows.len(), both.skipped), (1, 1), "{bad}");
        assert_eq!(both.rows.rows[0].address.to_string(), "192.0.2.1");
        assert_eq!(
            reasons(document(&bad).as_bytes()),
            [Reason::NoRows],
            "{bad}"
        );
    }
}

#[test]
fn what_can_cost_no_record_is_put_right() {
    let one = one();
    for (broken, mended) in [
        (
            one.replace("noreply@google.com", "<noreply@google.com>"),
            Mended::Tag,
        ),
        (format!("<mail>\n{one}"), Mended::Wrapper),
        (format!("<mail><part>{one}</mail>"), Mended::Wrapper),
        (one.replace(">17<", ">&shy;17<"), Mended::Entity),
        (one.replace(">17<", ">A & B<"), Mended::Ampersand),
    ] {
        let report = report(broken.as_bytes());
        assert_eq!(report.mended, [mended], "{broken}");
        assert_eq!(report.rows.rows.len(), 1);
    }
    let email = one.replace("noreply@google.com", "<a@b>");
    assert_eq!(report(email.as_bytes()).email, "a@b");
    let entities = one.replace(">17<", ">&lt;&#49;7&amp;<");
    assert_eq!(report(entities.as_bytes()).report_id, "<17&");
    let mut octets = one.clone().into_bytes();
    let at = one.find("17<").unwrap();
    octets[at] = 0xff;
    assert_eq!(report(&octets).mended, [Mended::Encoding]);
    assert_eq!(report(&octets).report_id, "\u{fffd}7");
}

#[test]
fn a_report_that_cannot_be_believed_whole_is_refused() {
    let one = one();
    for (text, reason) in [
        (one.replace("</feedback>", ""), Reason::EndsEarly),
        (one[..one.len() - 30].to_owned(), Reason::EndsEarly),
        (one.replace("</record>", "<record>"), Reason::Xml),
        (one.replace("</row>", ""), Reason::Xml),
        (format!("<!DOCTYPE feedback>{one}"), Reason::Dtd),
        (one.replace("org_name", "name"), Reason::Incomplete),
        (one.replace("report_id", "id"), Reason::Incomplete),
        (one.replace(">Voorbeeld.NL.<", "><"), Reason::Incomplete),
        (one.replace("1767311999", "soon"), Reason::Incomplete),
        (one.replace("1767311999", "1767225599"), Reason::Dates),
        (one.replace("1767225600", "-1"), Reason::Dates),
        (one.replace("1767311999", "1773000000"), Reason::Dates),
        (document(""), Reason::NoRows),
        ("<feed></feed>".to_owned(), Reason::NotAReport),
        ("<html><br>hello</html>".to_owned(), Reason::NotAReport),
        ("hello".to_owned(), Reason::NotAReport),
        (String::new(), Reason::Empty),
    ] {
        assert_eq!(reasons(text.as_bytes()), [reason], "{text}");
    }
}

#[test]
fn one_document_may_hold_several() {
    let second = one().replace(">17<", ">18<");
    let both = format!("<reports>{}{second}</reports>", one());
    let ids: Vec<String> = reports(both.as_bytes())
        .into_iter()
        .map(|report| report.report_id)
        .collect();
    assert_eq!(ids, ["17", "18"]);
    // The first is whole, whatever comes behind it; of the second nothing is.
    let broken = format!("<a>{}<feedback>", one());
    let found = read_with(&reading(), broken.as_bytes());
    let [(_, Found::Report(_)), (_, Found::Refused(refusal))] = &*found else {
        panic!("{found:?}")
    };
    assert_eq!(refusal.reason, Reason::EndsEarly);
}

#[test]
fn a_file_is_what_its_octets_say() {
    let one = one();
    let octets = one.as_bytes();
    let expected = report(octets);
    let packed = gzip(octets);
    let two_members = [
        gzip(&octets[..40]),
        gzip(&octets[40..]),
        b"rubbish".to_vec(),
    ]
    .concat();
    for (what, file) in [
        ("gzip", packed.clone()),
        ("members", two_members),
        (
            "zip",
            zip(&[("a/", b""), ("__MACOSX/b.xml", b"x"), ("a/c", octets)]),
        ),
        ("gzip in zip", zip(&[("c.xml.gz", &packed)])),
        ("gzip in gzip", gzip(&packed)),
        ("mark", ["\u{feff}".as_bytes(), octets].concat()),
        (
            "blank lines",
            ["\r\n\n  <?xml version='1.0'?>".as_bytes(), octets].concat(),
        ),
        (
            "message",
            format!(
                "From: a@google.com\r\nContent-Type: application/octet-stream\r\n\
                 Content-Transfer-Encoding: base64\r\n\r\n{}",
                base64(&packed)
                    .trim_end_matches('=')
                    .replace('A', "A \r\n\r\n")
            )
            .into_bytes(),
        ),
        (
            "multipart",
            format!(
                "From: a@google.com\nContent-Type: multipart/mixed; boundary=\"x\"\n\nhi\n--x\n\
                 \nDear all,\n--x\nContent-Type: message/rfc822\n\nSubject: x\nContent-Type: \
                 text/plain; name=r.gz\nContent-Transfer-Encoding: BASE64\n\n{}\n--x--\nend",
                base64(&packed)
            )
            .into_bytes(),
        ),
        (
            "quoted-printable",
            format!(
                "Subject: x\nContent-Type: text/xml\nContent-Transfer-Encoding: \
                 quoted-printable\n\n{}",
                one.replace('=', "=3D").replace("<row>", "<r=\now>")
            )
            .into_bytes(),
        ),
    ] {
        assert_eq!(report(&file), expected, "{what}");
    }
    let archive = zip(&[("a", octets), ("b", one.replace(">17<", ">18<").as_bytes())]);
    assert_eq!(reports(&archive).len(), 2);
}

#[test]
fn a_message_in_an_mbox_has_a_number() {
    let message = format!("Subject: x\n\n{}\n", one());
    let mailbox = format!(
        "From a@b Mon\n{message}\nFrom b@c Tue\nSubject: y\n\n>From me\n\n\
        From c@d Wed\n{message}"
    );
    let found = read_with(&reading(), mailbox.as_bytes());
    let numbers: Vec<_> = found
        .iter()
        .map(|(place, found)| (place.message.unwrap(), matches!(found, Found::Report(_))))
        .collect();
    assert_eq!(numbers, [(1, true), (2, false), (3, true)]);
}

/// An archive of years is one file; who packs to do harm gains nothing by it.
#[test]
fn an_mbox_expands_by_what_it_has_and_a_bomb_in_it_does_not() {
    let octets = one();
    let limits = Limits {
        expanded: 2 * octets.len() as u64,
        ..Limits::default()
    };
    let reading = Reading {
        limits,
        ..reading()
    };
    let mail = |packed: &[u8]| {
        let text = base64(packed);
        format!(
            "From a\nContent-Type: application/gzip\nContent-Transfer-Encoding: base64\n\n{text}\n\n"
        )
    };
    let read = |mailbox: &[u8]| -> Vec<bool> {
        let found = read_with(&reading, mailbox);
        found
            .iter()
            .map(|(_, found)| matches!(found, Found::Report(_)))
            .collect()
    };
    let many = mail(&gzip(octets.as_bytes())).repeat(50);
    assert_eq!(read(many.as_bytes()), [true; 50]);
    // Packed as a whole it is one thing that expands.
    assert!(read(&gzip(many.as_bytes())).contains(&false));
    // Each of these expands to a hundred times as much as the mbox has.
    let blanks = " ".repeat(1 << 20) + "</feedback>";
    let bomb = octets.replace("</feedback>", &blanks);
    let limits = Limits {
        expanded: 3 << 20,
        ..limits
    };
    let reading = Reading {
        limits,
        ..reading.clone()
    };
    let bombs = mail(&gzip(bomb.as_bytes())).repeat(20);
    let found = read_with(&reading, bombs.as_bytes());
    let is_read = |(_, found): &&(_, Found)| matches!(found, Found::Report(_));
    let number = found.iter().filter(is_read).count();
    assert!((2..6).contains(&number), "{number}");
}

#[test]
fn damage_is_told_apart() {
    let octets = one();
    let packed = gzip(octets.as_bytes());
    assert_eq!(reasons(&packed[..packed.len() - 20]), [Reason::Gzip]);
    let mut checksum = packed.clone();
    let at = checksum.len() - 6;
    checksum[at] ^= 1;
    assert_eq!(reasons(&checksum), [Reason::Gzip]);
    let archive = zip(&[("a", octets.as_bytes())]);
    assert_eq!(reasons(&archive[..archive.len() - 10]), [Reason::Zip]);
    let failure = "Content-Type: multipart/report; report-type=feedback-report; boundary=x\n\n\
        --x\n\nhello\n--x\nContent-Type: message/feedback-report\n\nFeedback-Type: auth-failure\n";
    assert_eq!(reasons(failure.as_bytes()), [Reason::FailureReport]);
}

#[test]
fn limits_have_names() {
    let octets = one();
    let packed = gzip(octets.as_bytes());
    let with = |limits: Limits, octets: &[u8]| {
        let reading = Reading {
            limits,
            ..reading()
        };
        let [(_, Found::Refused(refusal))] = &*read_with(&reading, octets) else {
            panic!("not refused")
        };
        refusal.reason
    };
    let limits = Limits::default();
    let three_deep = gzip(&gzip(&packed));
    assert_eq!(reports(&three_deep).len(), 1);
    assert_eq!(reasons(&gzip(&three_deep)), [Reason::LimitNesting]);
    let expanded = Limits {
        expanded: 300,
        ..limits
    };
    assert_eq!(with(expanded, &packed), Reason::LimitExpanded);
    let message = Limits {
        message: 300,
        ..limits
    };
    let as_message = format!("Subject: x\n\n{octets}");
    assert_eq!(with(message, as_message.as_bytes()), Reason::LimitMessage);
    let records = Limits {
        records: 1,
        ..limits
    };
    let two = document(&record("192.0.2.1", "1").repeat(2));
    assert_eq!(with(records, two.as_bytes()), Reason::LimitRecords);
    let entries = Limits {
        entries: 1,
        ..limits
    };
    let archive = zip(&[("a", octets.as_bytes()), ("b", octets.as_bytes())]);
    assert_eq!(with(entries, &archive), Reason::LimitEntries);
    let many = format!("<a>{}</a>", "<feedback/>".repeat(5_000));
    let found = reasons(many.as_bytes());
    assert_eq!(
        (found.len(), found.last()),
        (1_001, Some(&Reason::LimitReports))
    );
    let names = octets.replace(
        "<record>",
        &format!("{}<record>", format!("<{}>", "n".repeat(300_000)).repeat(4)),
    );
    assert_eq!(reasons(names.as_bytes()), [Reason::LimitLevels]);
    let tag = octets.replace(">17<", &format!("><{}><", "r".repeat(500_000)));
    assert_eq!(report(tag.as_bytes()).report_id.len(), 1_024);
    let long = octets.replace(">17<", &format!(">{}<", "x".repeat(2 << 20)));
    assert_eq!(reasons(long.as_bytes()), [Reason::LimitValue]);
    let deep = octets.replace("<record>", &format!("{}<record>", "<a>".repeat(2_000)));
    assert_eq!(reasons(deep.as_bytes()), [Reason::LimitLevels]);
    let comment = octets.replace(
        "<record>",
        &format!("<!--{}--><record>", "x".repeat(3 << 20)),
    );
    assert_eq!(reports(comment.as_bytes()).len(), 1);
    let parts = format!(
        "Content-Type: multipart/mixed; boundary=x\n\n{}--x--",
        "--x\n\nhello\n".repeat(2_000)
    );
    assert_eq!(reasons(parts.as_bytes()), [Reason::LimitParts]);
    let fields = format!("{}\n{octets}", "X: y\n".repeat(2_000));
    assert_eq!(reasons(fields.as_bytes()), [Reason::LimitHeader]);
}

/// Each of these is small, and would be opened without end.
#[test]
fn messages_within_messages_have_an_end() {
    let mailbox: Vec<u8> = (0..300)
        .flat_map(|depth| [vec![b'>'; depth], b"From x\nA: b\n\n".to_vec()].concat())
        .collect();
    assert!(reasons(&mailbox).contains(&Reason::LimitNesting));
    let head = "Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\n";
    let mut quoted = format!("Subject: x\n\n{}", one());
    for _ in 0..3 {
        quoted = format!("{head}{}", quoted.replace('=', "=3D").replace(':', "=3A"));
    }
    assert_eq!(reports(quoted.as_bytes()).len(), 1);
    for _ in 0..2 {
        quoted = format!("{head}{}", quoted.replace('=', "=3D").replace(':', "=3A"));
    }
    assert_eq!(reasons(quoted.as_bytes()), [Reason::LimitNesting]);
}

#[test]
fn the_topmost_verdict_of_the_receiving_mta_decides() {
    let reading = Reading {
        authserv_id: Some("mx.relay.nl".to_owned()),
        ..reading()
    };
    let octets = one();
    let said = |header: &str| {
        let message = format!("{header}From: <x@Google.com>\nSubject: x\n\n{octets}");
        let [(place, Found::Report(_))] = &*read_with(&reading, message.as_bytes()) else {
            panic!()
        };
        (place.authenticated, place.author.clone())
    };
    let pass = "Authentication-Results: mx.relay.nl;\n dmarc=pass header.from=google.com\n";
    let fail = "Authentication-Results: mx.relay.nl; dmarc=fail\n";
    let strange = "Authentication-Results: mx.other.nl; dmarc=pass\n";
    let google = Some("google.com".to_owned());
    assert_eq!(said(pass), (Some(true), google.clone()));
    assert_eq!(
        said(&format!("{strange}{pass}{fail}")),
        (Some(true), google)
    );
    assert_eq!(said(&format!("{fail}{pass}")), (Some(false), None));
    assert_eq!(said(strange), (Some(false), None));
    assert_eq!(said(""), (Some(false), None));
    let [(place, _)] = &*read_with(&reading, octets.as_bytes()) else {
        panic!()
    };
    assert_eq!(place.authenticated, None);
}

proptest! {
    /// Whatever the octets are, the reading ends and says something.
    #[test]
    fn nothing_is_passed_over_in_silence(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(!read_with(&reading(), &octets).is_empty());
    }

    /// A report that is damaged in one place is read, or refused with a reason.
    #[test]
    fn a_damaged_report_harms_nothing(at in 0_usize..900, octet in any::<u8>(), pack in any::<bool>()) {
        let mut octets = one().into_bytes();
        if pack {
            octets = gzip(&octets);
        }
        let at = at % octets.len();
        octets[at] = octet;
        prop_assert!(!read_with(&reading(), &octets).is_empty());
    }
}
