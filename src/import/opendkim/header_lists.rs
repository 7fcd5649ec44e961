//! `SignHeaders`, `OmitHeaders` and `OversignHeaders`.

use super::configuration::Configuration;
use crate::import::{
    files::Files,
    finding::{Code, Finding},
    headers::HeaderChanges,
    setup::Setup,
};

pub(super) fn read(configuration: &Configuration, files: &dyn Files, setup: &mut Setup) {
    let mut changes = HeaderChanges::default();
    for (header, place) in names("OversignHeaders", configuration, files, setup) {
        changes.oversign(&header, &place, &mut setup.findings);
    }
    for (header, place) in names("SignHeaders", configuration, files, setup) {
        match header.strip_prefix('-') {
            _ if header == "*" => {}
            Some(removed) => changes.omit(removed, &place, &mut setup.findings),
            None => {
                let header = header.strip_prefix('+').unwrap_or(&header);
                changes.sign(header, &place, &mut setup.findings);
            }
        }
    }
    for (header, place) in names("OmitHeaders", configuration, files, setup) {
        let header = header.strip_prefix('+').unwrap_or(&header);
        // What is taken off the list of omissions is not by that asked for.
        if !header.starts_with(['*', '-', '.']) {
            changes.omit(header, &place, &mut setup.findings);
        }
    }
    if let Some(setting) = configuration.get("SignHeaders")
        && !setting.value.contains('*')
    {
        setup.findings.push(Finding::at(
            Code::DroppedOption,
            &setting.place,
            "SignHeaders replaces the list of OpenDKIM",
            "Zegel signs what is in its own list and what is named here",
        ));
    }
    setup.hints.headers = changes.finish();
}

fn names(
    name: &str,
    configuration: &Configuration,
    files: &dyn Files,
    setup: &mut Setup,
) -> Vec<(String, crate::import::Place)> {
    let Some(setting) = configuration.get(name) else {
        return Vec::new();
    };
    let set = super::entries(setting, configuration, files, &mut setup.findings);
    let entries = set.map(|set| set.entries).unwrap_or_default();
    entries
        .into_iter()
        .map(|entry| (entry.key, entry.place))
        .collect()
}
