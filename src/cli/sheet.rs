//! Sheets: CSV (RFC 4180) as spreadsheets write it, and for them to read.

use csv::{ReaderBuilder, Terminator, Trim, WriterBuilder};

/// What a spreadsheet writes in front of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A sheet whose first row names its columns.
#[derive(Debug)]
pub(super) struct Sheet {
    /// In lower case.
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Row>,
}

/// One that is not empty.
#[derive(Debug)]
pub(super) struct Row {
    /// Where it begins, counted from 1.
    pub(super) line: u64,
    /// Without blanks around them.
    pub(super) cells: Vec<String>,
}

/// Why a sheet can't be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) line: u64,
    pub(super) why: String,
}

impl Sheet {
    /// Reads UTF-8 with commas or semicolons between the cells; the first row tells which.
    pub(super) fn read(octets: &[u8]) -> Result<Self, Unreadable> {
        let octets = octets.strip_prefix(BYTE_ORDER_MARK).unwrap_or(octets);
        let text = std::str::from_utf8(octets).map_err(|error| {
            let before = &octets[..error.valid_up_to()];
            let lines = before.split(|octet| *octet == b'\n').count();
            Unreadable {
                line: u64::try_from(lines).unwrap_or(1),
                why: "it is not UTF-8: have the spreadsheet save it as \"CSV UTF-8\"".to_owned(),
            }
        })?;
        let first = text.lines().find(|line| !line.trim().is_empty());
        let first = first.ok_or_else(|| Unreadable {
            line: 1,
            why: "it is empty: its first row names the columns".to_owned(),
        })?;
        let delimiter = if first.contains(';') { b';' } else { b',' };
        let mut reader = ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .trim(Trim::All)
            .from_reader(text.as_bytes());
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| Unreadable {
                line: error.position().map_or(1, csv::Position::line),
                why: error.to_string(),
            })?;
            let line = record.position().map_or(1, |position| {
                line_of(text, position.byte(), position.line())
            });
            let cells: Vec<String> = record.iter().map(str::to_owned).collect();
            if cells.iter().any(|cell| !cell.is_empty()) {
                rows.push(Row { line, cells });
            }
        }
        let mut rows = rows.into_iter();
        let columns = rows.next().map(|row| row.cells).unwrap_or_default();
        Ok(Self {
            columns: columns.iter().map(|name| name.to_lowercase()).collect(),
            rows: rows.collect(),
        })
    }
}

/// The line in which a row begins: empty lines before it count as part of it.
fn line_of(text: &str, octet: u64, line: u64) -> u64 {
    let start = usize::try_from(octet).unwrap_or(usize::MAX);
    let rest = text.as_bytes().get(start..).unwrap_or_default();
    let empty = rest.iter().take_while(|octet| b"\r\n".contains(octet));
    let breaks = empty.filter(|octet| **octet == b'\n').count();
    line + u64::try_from(breaks).unwrap_or(0)
}

/// Writes a sheet that a spreadsheet may open: what would be a formula there is a text.
pub(super) fn write<const COLUMNS: usize>(
    columns: [&str; COLUMNS],
    rows: impl Iterator<Item = [String; COLUMNS]>,
) -> Vec<u8> {
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .from_writer(Vec::new());
    // Writing to memory can't fail.
    let _ = writer.write_record(columns);
    for row in rows {
        let _ = writer.write_record(row.map(|cell| harmless(&cell)));
    }
    writer.into_inner().unwrap_or_default()
}

fn harmless(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{cell}")
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<(u64, Vec<String>)> {
        let sheet = Sheet::read(text.as_bytes()).unwrap();
        let rows = sheet.rows.into_iter();
        rows.map(|row| (row.line, row.cells)).collect()
    }

    #[test]
    fn commas_and_semicolons_are_told_apart_by_the_first_row() {
        for text in [
            "ID,Name\na,\"x; y\"\n",
            "\u{feff}ID;Name\r\na;\"x; y\"\r\n",
            "\n\nid ; name\na ; \"x; y\" \n",
        ] {
            let sheet = Sheet::read(text.as_bytes()).unwrap();
            assert_eq!(sheet.columns, ["id", "name"], "{text}");
            assert_eq!(sheet.rows[0].cells[0], "a", "{text}");
        }
        assert_eq!(
            rows("id;name\na;\"x; \"\"y\"\"\"\n")[0].1,
            ["a", "x; \"y\""]
        );
    }

    #[test]
    fn each_row_knows_its_line() {
        let text = "id;name\r\n\r\na;\"b\r\nc\"\r\n;\r\n\r\n\r\nd;e\r\n";
        let read = rows(text);
        assert_eq!(read[0], (3, vec!["a".into(), "b\r\nc".into()]));
        assert_eq!(read[1].0, 8);
        assert_eq!(read.len(), 2);
    }

    #[test]
    fn what_is_not_text_is_refused_with_its_line() {
        let refused = Sheet::read(b"id;name\na;caf\xe9\n").unwrap_err();
        assert_eq!(refused.line, 2);
        assert!(refused.why.contains("CSV UTF-8"));
        assert!(Sheet::read(b"\xef\xbb\xbf\r\n").is_err());
    }

    #[test]
    fn nothing_that_is_written_is_a_formula() {
        let cells = ["=1+1", "+31", "-1", "@x", "a=b"].map(str::to_owned);
        let text = write(["a", "b", "c", "d", "e"], [cells].into_iter());
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text, "a,b,c,d,e\r\n'=1+1,'+31,'-1,'@x,a=b\r\n");
    }
}
