//! The file of an organisation with its lists of domains changed, and all else as it was.

use toml_edit::{Array, DocumentMut, Item, TomlError, Value};

use crate::names::DomainName;

/// The lists that a domain can be in.
pub(super) const DOMAINS: &str = "domains";
pub(super) const PARKED: &str = "parked";
pub(super) const INCOMING: &str = "incoming";

pub(super) struct OrganisationFile(DocumentMut);

impl OrganisationFile {
    pub(super) fn new(text: &str) -> Result<Self, TomlError> {
        text.parse().map(Self)
    }

    pub(super) fn text(&self) -> String {
        self.0.to_string()
    }

    /// Whether it has a domain at all.
    pub(super) fn is_empty(&self) -> bool {
        let lists = [DOMAINS, PARKED, INCOMING].into_iter();
        let mut lists = lists.filter_map(|key| self.0.get(key)?.as_array());
        lists.all(Array::is_empty)
    }

    /// Takes a domain out of a list, however it is written there.
    pub(super) fn remove(&mut self, key: &str, domain: &DomainName) {
        let Some(list) = self.0.get_mut(key).and_then(Item::as_array_mut) else {
            return;
        };
        list.retain(|item| !is(item, domain));
        if list.is_empty() && key != DOMAINS {
            self.0.remove(key);
        }
    }

    /// Adds a domain to a list, unless it is there: on a line of its own if the others are.
    pub(super) fn add(&mut self, key: &str, domain: &DomainName) {
        let item = self.0.entry(key).or_insert_with(|| Array::new().into());
        let Some(list) = item.as_array_mut() else {
            return;
        };
        if list.iter().any(|item| is(item, domain)) {
            return;
        }
        let mut value = Value::from(domain.as_str());
        let before = list
            .iter()
            .last()
            .map(|last| last.decor().prefix().cloned());
        match before.flatten() {
            Some(prefix) => value.decor_mut().set_prefix(prefix),
            None if !list.is_empty() => value.decor_mut().set_prefix(" "),
            None => {}
        }
        list.push_formatted(value);
    }
}

fn is(item: &Value, domain: &DomainName) -> bool {
    let written = item.as_str().and_then(|text| text.parse().ok());
    written.as_ref() == Some(domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(text: &str) -> DomainName {
        text.parse().unwrap()
    }

    #[test]
    fn comments_and_the_order_of_lines_stay() {
        let text = "# ours\nname = \"Een\" # for people\ndomains = [\n    \"een.nl\", # the first\n    \
                    \"CAFÉ.nl\",\n]\n\n[senders]\nauth = [\"a\"]\n";
        let mut file = OrganisationFile::new(text).unwrap();
        file.add(DOMAINS, &domain("twee.nl"));
        file.remove(DOMAINS, &domain("café.nl"));
        file.add(INCOMING, &domain("drie.nl"));
        let written = file.text();
        for kept in ["# ours\n", "# for people", "# the first", "[senders]\nauth"] {
            assert!(written.contains(kept), "{kept}\n{written}");
        }
        let read: toml::Table = written.parse().unwrap();
        assert_eq!(read["domains"].as_array().unwrap().len(), 2, "{written}");
        assert_eq!(read["domains"][1].as_str(), Some("twee.nl"));
        assert_eq!(read["incoming"][0].as_str(), Some("drie.nl"));
        assert!(written.contains("\n    \"twee.nl\""), "{written}");
        // Twice is once, and what is there no more leaves no empty list.
        file.add(INCOMING, &domain("drie.nl"));
        file.remove(INCOMING, &domain("drie.nl"));
        assert!(!file.text().contains("incoming"));
        assert!(!file.is_empty());
        file.remove(DOMAINS, &domain("een.nl"));
        file.remove(DOMAINS, &domain("twee.nl"));
        assert!(file.is_empty(), "{}", file.text());
    }
}
