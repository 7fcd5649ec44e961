//! What is said to a customer who leaves.

use super::Writer;
use crate::{
    handover::{Farewell, Pack},
    paper::{Block, Inlines, fill},
};

impl Writer<'_> {
    /// A section, if a domain leaves: domains that leave in the same way have one list.
    pub(super) fn leaving(&mut self) {
        let farewells = farewells(self.pack);
        if farewells.is_empty() {
            return;
        }
        let catalogue = self.catalogue;
        self.section(catalogue.leaving, &[]);
        for (farewell, domains) in farewells {
            let date = catalogue.date(farewell.signs_until);
            let values = [("domains", domains.as_str()), ("date", date.as_str())];
            let sentence = if farewell.ended {
                catalogue.leaving_left
            } else {
                catalogue.leaving_until
            };
            self.paragraph(sentence, &values);
            let steps = self.farewell_steps(farewell);
            if !steps.is_empty() {
                self.blocks.push(Block::List(steps));
            }
        }
        if let Some(questions) = &self.pack.questions {
            self.paragraph(catalogue.leaving_ask, &[("contact", questions)]);
        }
    }

    fn farewell_steps(&self, farewell: &Farewell) -> Vec<Inlines> {
        let catalogue = self.catalogue;
        let date = catalogue.date(farewell.signs_until);
        let keep = farewell.keep_until.map(|keep| catalogue.date(keep));
        let mut steps = Vec::new();
        if !farewell.ended {
            steps.push(fill(catalogue.leaving_leave, &[("date", &date)]));
        }
        if let Some(keep) = &keep {
            steps.push(fill(catalogue.leaving_keep, &[("date", keep)]));
            steps.push(fill(catalogue.leaving_empty, &[]));
        }
        if let Some(part) = &farewell.spf_remove {
            let values = [("part", part.as_str()), ("date", date.as_str())];
            steps.push(fill(catalogue.leaving_spf, &values));
        }
        if let Some(part) = &farewell.dmarc_remove {
            let values = [("part", part.as_str()), ("date", date.as_str())];
            steps.push(fill(catalogue.leaving_dmarc, &values));
        }
        steps
    }
}

/// Each with its domains, in the order of the pack.
fn farewells(pack: &Pack) -> Vec<(&Farewell, String)> {
    let mut found: Vec<(&Farewell, String)> = Vec::new();
    for domain in &pack.domains {
        let Some(farewell) = &domain.farewell else {
            continue;
        };
        let name = domain.domain.as_str();
        match found.iter_mut().find(|(known, _)| *known == farewell) {
            Some((_, names)) => {
                names.push_str(", ");
                names.push_str(name);
            }
            None => found.push((farewell, name.to_owned())),
        }
    }
    found
}
