//! The rows of a sheet as entries; every mistake in it with its line.

use std::{collections::HashMap, fs, path::Path, str::FromStr};

use super::{Mistake, entry::Entry};
use crate::{
    cli::{
        context::nearest,
        failure::Failure,
        sheet::{Row, Sheet},
    },
    keys::Way,
    names::{DomainName, OrganisationId},
};

/// The most octets that are read: 100,000 organisations fit.
const LONGEST: u64 = 64 * 1024 * 1024;

const COLUMNS: [&str; 7] = [
    "id",
    "name",
    "domains",
    "parked",
    "contact",
    "sender_login",
    "delegation",
];
const REQUIRED: [&str; 4] = ["id", "name", "domains", "contact"];

/// The good rows, and what is wrong with the others.
pub(super) fn read(path: &Path) -> Result<(Vec<Entry>, Vec<Mistake>), Failure> {
    let failed = |why: String| Failure::Usage(format!("{}: {why}", path.display()));
    let metadata = fs::metadata(path).map_err(|error| failed(error.to_string()))?;
    if metadata.len() > LONGEST {
        let most = LONGEST / 1024 / 1024;
        return Err(failed(format!("it has more than {most} MiB")));
    }
    let octets = fs::read(path).map_err(|error| failed(error.to_string()))?;
    let sheet = match Sheet::read(&octets) {
        Ok(sheet) => sheet,
        Err(unreadable) => return Ok((Vec::new(), vec![at(unreadable.line, unreadable.why)])),
    };
    let mut mistakes = check_columns(&sheet.columns);
    if !mistakes.is_empty() {
        return Ok((Vec::new(), mistakes));
    }
    let mut entries = Vec::with_capacity(sheet.rows.len());
    for row in &sheet.rows {
        let mut reading = Reading {
            columns: &sheet.columns,
            row,
            mistakes: Vec::new(),
        };
        let entry = reading.entry();
        mistakes.extend(reading.mistakes);
        entries.extend(entry);
    }
    if sheet.rows.is_empty() {
        mistakes.push(at(1, "it has no row below the names of the columns"));
    }
    let entries = without_doubles(entries, &mut mistakes);
    Ok((entries, mistakes))
}

fn at(line: u64, text: impl Into<String>) -> Mistake {
    Mistake {
        line: Some(line),
        text: text.into(),
    }
}

fn check_columns(columns: &[String]) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for (place, column) in columns.iter().enumerate() {
        if !column.is_empty() && columns[..place].contains(column) {
            mistakes.push(at(1, format!("the column {column} is there twice")));
        }
        // A spreadsheet may write columns without a name, which have no cells either.
        if !column.is_empty() && !COLUMNS.contains(&column.as_str()) {
            let advice = nearest(column, COLUMNS.into_iter());
            let advice = advice.unwrap_or_else(|| format!("there are {}", COLUMNS.join(", ")));
            mistakes.push(at(1, format!("there is no column {column}; {advice}")));
        }
    }
    for column in REQUIRED {
        if !columns.iter().any(|one| one == column) {
            let text = format!("the column {column} is missing; the first row names the columns");
            mistakes.push(at(1, text));
        }
    }
    mistakes
}

/// One row, while it is read.
struct Reading<'a> {
    columns: &'a [String],
    row: &'a Row,
    mistakes: Vec<Mistake>,
}

impl Reading<'_> {
    fn entry(&mut self) -> Option<Entry> {
        let cells = self.row.cells.iter().enumerate();
        let nameless = |place: usize| self.columns.get(place).is_none_or(String::is_empty);
        if let Some((_, cell)) = cells
            .clone()
            .find(|(place, cell)| !cell.is_empty() && nameless(*place))
        {
            let text = format!(
                "{cell:?} is in no column: a cell with a comma or semicolon in it needs quotes"
            );
            self.say(text);
        }
        let id = self.parsed::<OrganisationId>("id", &self.cell("id"));
        let name = self.filled("name");
        let domains = self.domains("domains");
        let parked = self.domains("parked");
        let contact = self.filled("contact");
        let delegation = self.delegation();
        let entry = Entry {
            line: Some(self.row.line),
            id: id?,
            name: name?,
            domains,
            parked,
            contact: Some(contact?),
            logins: several(&self.cell("sender_login"))
                .map(str::to_owned)
                .collect(),
            delegation,
            language: None,
        };
        self.mistakes.is_empty().then_some(entry)
    }

    fn say(&mut self, text: String) {
        self.mistakes.push(at(self.row.line, text));
    }

    fn cell(&self, column: &str) -> String {
        let place = self.columns.iter().position(|one| one == column);
        let cell = place.and_then(|place| self.row.cells.get(place));
        cell.cloned().unwrap_or_default()
    }

    fn filled(&mut self, column: &str) -> Option<String> {
        let cell = self.cell(column);
        if cell.is_empty() {
            self.say(format!("{column}: it is empty"));
            return None;
        }
        Some(cell)
    }

    fn domains(&mut self, column: &str) -> Vec<DomainName> {
        let cell = self.cell(column);
        several(&cell)
            .filter_map(|text| self.parsed(column, text))
            .collect()
    }

    /// None if the cell is empty.
    fn delegation(&mut self) -> Option<Way> {
        let cell = self.cell("delegation");
        let way = Way::named(&cell);
        if way.is_none() && !cell.is_empty() {
            let ways = Way::ALL.map(Way::as_str).join(" or ");
            self.say(format!(
                "delegation: {cell:?}: write {ways}, or leave it empty"
            ));
        }
        way
    }

    fn parsed<T: FromStr<Err: std::fmt::Display>>(
        &mut self,
        column: &str,
        text: &str,
    ) -> Option<T> {
        text.parse()
            .map_err(|error| self.say(format!("{column}: {text:?}: {error}")))
            .ok()
    }
}

/// The values in one cell.
fn several(cell: &str) -> impl Iterator<Item = &str> {
    let values = cell.split(|letter: char| letter.is_whitespace() || ";,".contains(letter));
    values.filter(|value| !value.is_empty())
}

/// Without rows that have the id or a domain of an earlier one.
fn without_doubles(entries: Vec<Entry>, mistakes: &mut Vec<Mistake>) -> Vec<Entry> {
    let mut ids: HashMap<OrganisationId, Option<u64>> = HashMap::new();
    let mut owners: HashMap<DomainName, Option<u64>> = HashMap::new();
    let mut good = Vec::with_capacity(entries.len());
    for entry in entries {
        let mut found = Vec::new();
        let line_of = |line: &Option<u64>| line.unwrap_or_default();
        if let Some(line) = ids.get(&entry.id) {
            found.push(format!("id: it is in line {} too", line_of(line)));
        }
        for domain in entry.domains.iter().chain(&entry.parked) {
            // Twice in one row is a mistake of the file that it would make.
            if let Some(line) = owners.get(domain) {
                let line = line_of(line);
                found.push(format!("{domain} is in line {line} too"));
            }
        }
        if found.is_empty() {
            ids.insert(entry.id.clone(), entry.line);
            let domains = entry.domains.iter().chain(&entry.parked).cloned();
            owners.extend(domains.map(|domain| (domain, entry.line)));
            good.push(entry);
        } else {
            mistakes.extend(found.into_iter().map(|text| entry.mistake(&text)));
        }
    }
    good
}
