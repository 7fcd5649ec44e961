//! The zone lines in real servers: three checkers read them, NSD serves them, and what it
//! answers is the key.

use std::{fs, path::Path, process::Command};

use zegel::{
    dkim::PublicKey,
    handover::{Data, DomainTasks, Format, ResourceRecord, operator_zone},
    keys::Task,
    words::Language,
};

use crate::{
    fixture::{Fixture, ZONES},
    support::{
        port::Port,
        process::{GUARD, Supervised, read_lossy},
    },
};

const OPERATOR: &str = "dkim.relay.example";

/// A zone file around lines of ours: what the zone itself needs, and a note that the server
/// takes them in, as an operator would.
fn zone_file(folder: &Path, zone: &str, lines: &str) {
    fs::write(folder.join(format!("{zone}.include")), lines).unwrap();
    let include = folder.join(format!("{zone}.include"));
    let text = format!(
        "$TTL 300\n@ IN SOA ns.invalid. admin.invalid. 1 3600 600 86400 60\n@ IN NS ns.invalid.\n\
         $INCLUDE {}\n",
        include.display()
    );
    fs::write(folder.join(format!("{zone}.zone")), text).unwrap();
}

/// The lines of the domains that are in a zone.
fn lines_of(fixture: &Fixture, zone: &str, delegation: Option<&str>) -> String {
    let all = fixture
        .organisation
        .domains
        .iter()
        .chain(&fixture.organisation.parked);
    let inside = all.filter(|domain| {
        let domain = domain.as_str();
        domain == zone || domain.ends_with(&format!(".{zone}"))
    });
    let packs = inside.map(|domain| fixture.domain_pack(domain, delegation));
    packs
        .map(|pack| pack.render(Format::Zone, Language::Dutch))
        .collect()
}

fn write_zones(fixture: &Fixture, folder: &Path, delegation: Option<&str>) {
    for zone in ZONES {
        zone_file(folder, zone, &lines_of(fixture, zone, delegation));
    }
    let operator = OPERATOR.parse().unwrap();
    let lines = operator_zone(&operator, &[fixture.handover()]).unwrap();
    zone_file(folder, OPERATOR, &lines);
}

/// Runs a checker, and fails with what it says.
fn assert_accepted(program: &str, arguments: &[&str], folder: &Path) {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}: run tests/install-packages as root"));
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    for word in ["out-of-zone", "ignor", "warning", "CNAME and"] {
        assert!(!said.contains(word), "{program} {arguments:?}: {said}");
    }
}

#[test]
fn bind_nsd_and_knot_accept_the_zones() {
    let fixture = Fixture::new();
    for delegation in [None, Some(OPERATOR)] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        write_zones(&fixture, folder, delegation);
        for zone in ZONES.into_iter().chain([OPERATOR]) {
            let file = format!("{zone}.zone");
            // BIND says of every zone whose name server it cannot find that this is so.
            let bind = ["-i", "none", "-k", "fail", zone, &file];
            assert_accepted("named-checkzone", &bind, folder);
            assert_accepted("nsd-checkzone", &[zone, &file], folder);
            assert_accepted("kzonecheck", &["-o", zone, &file], folder);
        }
    }
}

/// An NSD on a loopback port with the zones of a folder.
struct Nsd {
    _process: Supervised,
    port: Port,
}

impl Nsd {
    fn start(folder: &Path) -> Self {
        let port = Port::free();
        let mut text = format!(
            "server:\n ip-address: 127.0.0.1\n port: {}\n username: \"\"\n zonesdir: \"{folder}\"\n \
             database: \"\"\n pidfile: \"\"\n xfrdfile: \"{folder}/xfrd\"\n zonelistfile: \"{folder}/list\"\n \
             server-count: 1\n\
             remote-control:\n control-enable: no\n",
            port.number(),
            folder = folder.display()
        );
        for zone in ZONES.into_iter().chain([OPERATOR]) {
            text.push_str(&["zone:\n name: ", zone, "\n zonefile: ", zone, ".zone\n"].concat());
        }
        let configuration = folder.join("nsd.conf");
        fs::write(&configuration, text).unwrap();
        let mut command = Command::new("bash");
        command
            .arg("-c")
            .arg(format!(r#"{GUARD} guard 'kill "$daemon"' nsd -d -c "$0""#))
            .arg(&configuration);
        let log = folder.join("nsd.log");
        let mut process = Supervised::start("nsd", command, &log);
        process.wait_for_port(port.number(), || read_lossy(&log));
        Self {
            _process: process,
            port,
        }
    }

    /// The values in the answer, in presentation format, one a line.
    fn ask(&self, name: &str, kind: &str) -> Vec<String> {
        let port = self.port.number().to_string();
        let arguments = [
            "@127.0.0.1",
            "-p",
            &port,
            "+short",
            "+norecurse",
            kind,
            name,
        ];
        let output = Command::new("dig")
            .args(arguments)
            .output()
            .unwrap_or_else(|error| panic!("dig: {error}: run tests/install-packages as root"));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn assert_answers(&self, record: &ResourceRecord) {
        let kind = record.data.record_type();
        let answer = self.ask(&record.name, kind);
        let values = answer.iter().map(|value| match record.data {
            Data::Text(_) => joined(value),
            _ => value.clone(),
        });
        assert!(
            values.clone().any(|v| v == record.data.value()),
            "{record}: {answer:?}"
        );
        if let Data::Text(text) = &record.data {
            assert_eq!(values.count(), 1, "{record}");
            let strings = answer[0].matches('"').count() / 2;
            assert_eq!(strings, text.len().div_ceil(255), "{record}");
        }
    }
}

/// The strings of a TXT as `dig` prints it, joined.
fn joined(value: &str) -> String {
    value.trim_matches('"').replace("\" \"", "")
}

#[test]
fn what_a_server_answers_is_the_key() {
    let fixture = Fixture::new();
    let folder = tempfile::tempdir().unwrap();
    write_zones(&fixture, folder.path(), None);
    let nsd = Nsd::start(folder.path());
    let mut keys = 0;
    for domain in fixture.pack(None).domains {
        match domain.tasks {
            DomainTasks::Sending { keys: packs, .. } => {
                for pack in packs {
                    let Some(record) = &pack.record else {
                        assert!(nsd.ask(&pack.name, "TXT").is_empty());
                        continue;
                    };
                    nsd.assert_answers(record);
                    let answer = joined(&nsd.ask(&pack.name, "TXT")[0]);
                    if pack.task == Task::Empty {
                        assert!(answer.ends_with("p="));
                    } else {
                        let key = PublicKey::from_record(&answer).unwrap();
                        assert_eq!(key.fingerprint(), pack.fingerprint);
                        keys += 1;
                    }
                }
            }
            DomainTasks::Parked { records, .. } => {
                for record in &records {
                    nsd.assert_answers(record);
                }
            }
        }
    }
    assert_eq!(keys, 6);
}

#[test]
fn the_name_of_a_key_leads_to_the_zone_of_the_operator() {
    let fixture = Fixture::new();
    let folder = tempfile::tempdir().unwrap();
    write_zones(&fixture, folder.path(), Some(OPERATOR));
    let nsd = Nsd::start(folder.path());
    let pack = fixture.pack(Some(OPERATOR));
    let mut aliases = 0;
    for domain in &pack.domains {
        let DomainTasks::Sending { keys, .. } = &domain.tasks else {
            continue;
        };
        for key in keys.iter().filter(|key| key.record.is_some()) {
            nsd.assert_answers(key.record.as_ref().unwrap());
            let target = &nsd.ask(&key.name, "CNAME")[0];
            let answer = joined(&nsd.ask(target, "TXT")[0]);
            let public_key = PublicKey::from_record(&answer).unwrap();
            assert_eq!(public_key.fingerprint(), key.fingerprint);
            aliases += 1;
        }
    }
    assert_eq!(aliases, 3);
}
