//! Lines for the zone files of the organisation: the records as they must be, and in
//! comments what is to be done. Names are absolute; a line belongs to the zone that is named
//! above it.

use super::{
    catalogue::{Catalogue, Inline, fill, plain},
    document::task_line,
    pack::{DomainPack, DomainTasks, KeyPack, Pack, Task},
    record::ResourceRecord,
};

pub(super) fn render(pack: &Pack, catalogue: &Catalogue) -> String {
    let mut zone = Zone(String::new());
    zone.comment(&fill(catalogue.title, &[("name", &pack.name)]));
    zone.comment(&[Inline::Text(catalogue.date(pack.date))]);
    for domain in &pack.domains {
        zone.domain(domain, pack, catalogue);
    }
    zone.0
}

struct Zone(String);

impl Zone {
    fn comment(&mut self, inlines: &[Inline]) {
        self.0.push_str(&["; ", &plain(inlines), "\n"].concat());
    }

    fn record(&mut self, record: &ResourceRecord) {
        self.0.push_str(&record.to_string());
        self.0.push('\n');
    }

    fn domain(&mut self, domain: &DomainPack, pack: &Pack, catalogue: &Catalogue) {
        let name = domain.domain.as_str();
        self.0.push('\n');
        match &domain.tasks {
            DomainTasks::Sending { keys, coming } => {
                self.comment(&fill(catalogue.domain, &[("domain", name)]));
                if keys.is_empty() && coming.is_empty() {
                    self.comment(&fill(catalogue.no_keys, &[]));
                }
                for key in keys {
                    self.key(key, pack, catalogue);
                }
                if !coming.is_empty() {
                    self.comment(&fill(catalogue.coming, &[("domain", name)]));
                }
                for record in coming {
                    self.record(record);
                }
            }
            DomainTasks::Parked {
                records,
                wildcards,
                remove,
            } => {
                self.comment(&fill(catalogue.parked_domain, &[("domain", name)]));
                for record in records {
                    self.record(record);
                }
                self.comment(&fill(catalogue.parked_remove, &[("domain", name)]));
                for name in remove {
                    self.comment(&[Inline::Text(format!("  {name}."))]);
                }
                self.comment(&fill(catalogue.parked_wildcards, &[]));
                for record in wildcards {
                    self.0.push_str("; ");
                    self.record(record);
                }
            }
        }
    }

    fn key(&mut self, key: &KeyPack, pack: &Pack, catalogue: &Catalogue) {
        self.comment(&task_line(key, catalogue));
        if pack.delegation.is_some() && key.task == Task::Keep {
            self.comment(&fill(catalogue.delegated_keep, &[]));
        }
        if let Some(record) = &key.record {
            self.record(record);
        }
    }
}
