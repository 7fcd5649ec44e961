//! The fields that the names in `h=` stand for (RFC 6376 §5.4.2), in the time of a sort
//! however many fields and names there are: both come from strangers.

use std::cmp::Ordering;

use super::{Canonicalisation, Field, HeaderSection};

/// Hands out the fields of each name from the bottom up, each field once.
pub(super) struct FieldPicker<'a> {
    /// Those of one name together, from top to bottom.
    fields: Vec<Field<'a>>,
    /// Where the fields of a name begin in `fields`: how many are not yet handed out.
    left: Vec<usize>,
}

impl<'a> FieldPicker<'a> {
    /// A picker of all fields.
    pub(super) fn new(header: &'a HeaderSection) -> Self {
        Self::of(header.fields().collect())
    }

    /// A picker of all fields but `own`, the signature that is verified: it is never among
    /// the fields that it signs (RFC 6376 §3.7), even if it names DKIM-Signature.
    pub(super) fn without(header: &'a HeaderSection, own: Field<'_>) -> Self {
        let place = header.fields().position(|field| field == own);
        let mut fields: Vec<_> = header.fields().collect();
        place.map(|place| fields.remove(place));
        Self::of(fields)
    }

    fn of(mut fields: Vec<Field<'a>>) -> Self {
        // Stable, so that fields of one name stay in their order.
        fields.sort_by(|one, other| compare(one.bare_name(), other.bare_name()));
        let mut left = vec![0; fields.len()];
        let mut start = 0;
        for same in
            fields.chunk_by(|one, other| compare(one.bare_name(), other.bare_name()).is_eq())
        {
            left[start] = same.len();
            start += same.len();
        }
        Self { fields, left }
    }

    /// The lowest field of this name that was not handed out yet.
    fn next(&mut self, name: &str) -> Option<Field<'a>> {
        let order = |field: &Field<'_>| compare(field.bare_name(), name.as_bytes());
        let start = self.fields.partition_point(|field| order(field).is_lt());
        self.fields
            .get(start)
            .filter(|field| order(field).is_eq())?;
        let left = self.left[start].checked_sub(1)?;
        self.left[start] = left;
        Some(self.fields[start + left])
    }

    /// Appends the canonical form of the fields that `names` stands for, each with its CRLF.
    pub(super) fn canonical_fields<'n>(
        &mut self,
        names: impl IntoIterator<Item = &'n str>,
        canonicalisation: Canonicalisation,
        output: &mut Vec<u8>,
    ) {
        for name in names {
            if let Some(field) = self.next(name) {
                canonicalisation.header_field(field.name, field.value, output);
                output.extend_from_slice(b"\r\n");
            }
        }
    }
}

/// An order of names in which case does not matter.
fn compare(one: &[u8], other: &[u8]) -> Ordering {
    let lower = u8::to_ascii_lowercase;
    one.len()
        .cmp(&other.len())
        .then_with(|| one.iter().map(lower).cmp(other.iter().map(lower)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_that_is_verified_is_left_out_once() {
        let mut header = HeaderSection::default();
        for value in ["own", "own", "other"] {
            header.push(b"Dkim-Signature", value.as_bytes());
        }
        let own = Field {
            name: b"Dkim-Signature",
            value: b"own",
        };
        let mut picker = FieldPicker::without(&header, own);
        let values = std::iter::from_fn(|| picker.next("DKIM-Signature"));
        let values: Vec<_> = values.map(|field| field.value).collect();
        assert_eq!(values, [&b"other"[..], b"own"]);
    }

    /// Minutes, if it took a scan of all fields or of all names for each name.
    #[test]
    fn many_names_and_many_fields_take_no_time() {
        const COUNT: usize = 100_000;
        let names: Vec<String> = (0..COUNT).map(|number| format!("x-{number}")).collect();
        let mut header = HeaderSection::default();
        for name in &names {
            header.push(name.as_bytes(), b"");
            header.push(b"To", b"");
        }
        let listed = names.iter().map(String::as_str);
        let listed = listed.chain(std::iter::repeat_n("to", 2 * COUNT));
        let mut output = Vec::new();
        header.canonical_fields(listed, Canonicalisation::Simple, &mut output);
        assert_eq!(memchr::memchr_iter(b':', &output).count(), 2 * COUNT);
    }
}
