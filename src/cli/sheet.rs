//! Rows for a spreadsheet.

use super::failure::Failure;

/// CSV as RFC 4180 has it, with the headings in the first line.
pub(super) fn csv<const COLUMNS: usize>(
    headings: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> Result<Vec<u8>, Failure> {
    let failed = |error: csv::Error| Failure::Other(format!("no CSV can be made: {error}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(headings).map_err(failed)?;
    for row in rows {
        writer.write_record(row).map_err(failed)?;
    }
    writer
        .into_inner()
        .map_err(|error| failed(error.into_error().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_have_to_be() {
        let rows = [["1, 2".to_owned(), "a \"b\"".to_owned()]];
        let text = csv(["a", "b"], rows).unwrap();
        assert_eq!(text, b"a,b\n\"1, 2\",\"a \"\"b\"\"\"\n");
    }
}
