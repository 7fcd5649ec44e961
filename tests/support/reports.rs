//! A DMARC report, and something that is none, for tests of what is told of them.

use std::fs;
use std::path::Path;

use super::keeper::command;

/// Has `zegel` with its configuration in this folder read a report about `een.example` of
/// yesterday, and refuse something else.
pub fn ingest(folder: &Path) {
    let yesterday = (jiff::Timestamp::now().as_second() / 86_400 - 1) * 86_400;
    let report = format!(
        "<feedback><report_metadata><org_name>receiver.example</org_name><report_id>1</report_id>\
         <date_range><begin>{yesterday}</begin><end>{}</end></date_range></report_metadata>\
         <policy_published><domain>een.example</domain><p>none</p></policy_published>\
         <record><row><source_ip>192.0.2.7</source_ip><count>1234</count><policy_evaluated>\
         <disposition>none</disposition><dkim>fail</dkim><spf>fail</spf></policy_evaluated></row>\
         <identifiers><header_from>een.example</header_from></identifiers><auth_results>\
         <dkim><domain>mailing.example</domain><selector>m</selector><result>pass</result></dkim>\
         </auth_results></record></feedback>",
        yesterday + 86_399
    );
    let files = [("report.xml", report.as_str()), ("other.xml", "no report")];
    let mut arguments = vec!["report".to_owned(), "ingest".to_owned()];
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).expect("a file");
        arguments.push(path.display().to_string());
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = command(folder, &arguments);
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(
        told.contains("1 stored") && told.contains("refused: 1"),
        "{done:?}"
    );
}

/// Has it read a report of yesterday, about one message with an aligned signature of this selector
/// that passes. Gives the day.
pub fn passing_yesterday(folder: &Path, domain: &str, selector: &str) -> String {
    let yesterday = (jiff::Timestamp::now().as_second() / 86_400 - 1) * 86_400;
    let report = format!(
        "<feedback><report_metadata><org_name>receiver.example</org_name><report_id>{selector}\
         </report_id><date_range><begin>{yesterday}</begin><end>{}</end></date_range>\
         </report_metadata><policy_published><domain>{domain}</domain><p>none</p>\
         </policy_published><record><row><source_ip>192.0.2.8</source_ip><count>1</count>\
         <policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf>\
         </policy_evaluated></row><identifiers><header_from>{domain}</header_from></identifiers>\
         <auth_results><dkim><domain>{domain}</domain><selector>{selector}</selector>\
         <result>pass</result></dkim></auth_results></record></feedback>",
        yesterday + 86_399
    );
    let path = folder.join("passing.xml");
    fs::write(&path, report).expect("a file");
    let done = command(folder, &["report", "ingest", &path.display().to_string()]);
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(told.contains("1 stored"), "{done:?}");
    let day = jiff::Timestamp::from_second(yesterday).expect("a day");
    day.strftime("%Y-%m-%d").to_string()
}

/// Has it read a report of yesterday about 40 messages that a service of another domain signed: 25
/// of them are aligned, since they pass SPF of `een.example`.
pub fn partly_aligned_yesterday(folder: &Path) {
    let yesterday = (jiff::Timestamp::now().as_second() / 86_400 - 1) * 86_400;
    let row = |count: u32, spf: &str, checked: &str| {
        format!(
            "<record><row><source_ip>192.0.2.9</source_ip><count>{count}</count><policy_evaluated>\
             <disposition>none</disposition><dkim>fail</dkim><spf>{spf}</spf></policy_evaluated>\
             </row><identifiers><header_from>een.example</header_from></identifiers><auth_results>\
             <dkim><domain>mailing.example</domain><selector>m</selector><result>pass</result>\
             </dkim><spf><domain>{checked}</domain><result>pass</result></spf></auth_results>\
             </record>"
        )
    };
    let report = format!(
        "<feedback><report_metadata><org_name>receiver.example</org_name><report_id>partly\
         </report_id><date_range><begin>{yesterday}</begin><end>{}</end></date_range>\
         </report_metadata><policy_published><domain>een.example</domain><p>none</p>\
         </policy_published>{}{}</feedback>",
        yesterday + 86_399,
        row(25, "pass", "een.example"),
        row(15, "fail", "mailing.example"),
    );
    let path = folder.join("partly.xml");
    fs::write(&path, report).expect("a file");
    let done = command(folder, &["report", "ingest", &path.display().to_string()]);
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(told.contains("1 stored"), "{done:?}");
}

/// What receivers report of one day: a record of the policy, and rows.
pub struct Reported<'a> {
    /// The domain.
    pub domain: &'a str,
    /// The domain of From: this one, or one below.
    pub from: &'a str,
    /// The tags of the policy as XML, such as `<p>none</p>`.
    pub policy: &'a str,
    /// For each row: the address, the selector of the domain that signed, how many messages, and
    /// whether they pass.
    pub rows: &'a [(&'a str, &'a str, u64, bool)],
}

/// Has `zegel` read reports of three receivers for each of the last days, yesterday the last.
pub fn ingest_days(folder: &Path, days: std::ops::RangeInclusive<i64>, told: &Reported<'_>) {
    ingest_days_then(folder, days, told, 0);
}

/// The same, so many days ago.
pub fn ingest_days_then(
    folder: &Path,
    days: std::ops::RangeInclusive<i64>,
    told: &Reported<'_>,
    then: i64,
) {
    let today = jiff::Timestamp::now().as_second() / 86_400;
    let Reported {
        domain,
        from,
        policy,
        rows,
    } = told;
    let rows: Vec<String> = rows
        .iter()
        .map(|(address, selector, messages, passes)| {
            let result = if *passes { "pass" } else { "fail" };
            format!(
                "<record><row><source_ip>{address}</source_ip><count>{messages}</count>\
                 <policy_evaluated><disposition>none</disposition><dkim>{result}</dkim>\
                 <spf>fail</spf></policy_evaluated></row><identifiers><header_from>{from}\
                 </header_from></identifiers><auth_results><dkim><domain>{domain}</domain>\
                 <selector>{selector}</selector><result>{result}</result></dkim></auth_results>\
                 </record>"
            )
        })
        .collect();
    let rows = rows.concat();
    let add = |sum: u32, octet: u8| sum.wrapping_mul(31).wrapping_add(octet.into());
    // Other rows are another report.
    let sum = rows.bytes().fold(0, add);
    let reports = folder.join("days");
    // Those of before were read.
    let _ = fs::remove_dir_all(&reports);
    fs::create_dir(&reports).expect("a folder");
    for ago in days {
        for receiver in ["een.test", "twee.test", "drie.test"] {
            let begin = (today - ago) * 86_400;
            let text = format!(
                "<feedback><report_metadata><org_name>{receiver}</org_name><report_id>{ago}-{}\
                 </report_id><date_range><begin>{begin}</begin><end>{}</end></date_range>\
                 </report_metadata><policy_published><domain>{domain}</domain>{policy}\
                 </policy_published>{rows}</feedback>",
                sum,
                begin + 86_399
            );
            let name = format!("{receiver}-{ago}.xml");
            fs::write(reports.join(name), text).expect("a file");
        }
    }
    let reports = reports.display().to_string();
    let as_of = jiff::Timestamp::from_second((today - then) * 86_400).expect("a time");
    let as_of = ["--as-of".to_owned(), as_of.to_string()];
    let mut arguments = vec!["report", "ingest"];
    // Without it, it is now.
    arguments.extend(as_of.iter().filter(|_| then > 0).map(String::as_str));
    arguments.push(&reports);
    let done = command(folder, &arguments);
    assert!(done.status.success(), "{done:?}");
}
