//! The fields that the names in `h=` stand for (RFC 6376 §5.4.2), in the time of a sort
//! however many fields and names there are: both come from strangers.

use std::cmp::Ordering;

use super::{Canonicalisation, Field, HeaderSection};

/// Hands out the fields of each name from the bottom up, each field once.
pub(super) struct FieldPicker<'a> {
    /// Those of one name together, from top to bottom.
    entries: Vec<Entry<'a>>,
}

struct Entry<'a> {
    order: Order<'a>,
    field: Field<'a>,
    /// At the first one of a name: how many of them are not yet handed out.
    left: usize,
}

impl<'a> FieldPicker<'a> {
    /// A picker of all fields.
    pub(super) fn new(header: &'a HeaderSection) -> Self {
        Self::of(header.fields().map(Entry::new).collect())
    }

    /// A picker of all fields but `own`, the signature that is verified: it is never among
    /// the fields that it signs (RFC 6376 §3.7), even if it names DKIM-Signature.
    pub(super) fn without(header: &'a HeaderSection, own: Field<'_>) -> Self {
        let place = header.fields().position(|field| field == own);
        let mut entries: Vec<_> = header.fields().map(Entry::new).collect();
        place.map(|place| entries.remove(place));
        Self::of(entries)
    }

    fn of(mut entries: Vec<Entry<'a>>) -> Self {
        // Stable, so that fields of one name stay in their order.
        entries.sort_by(|one, other| one.order.cmp(&other.order));
        for same in entries.chunk_by_mut(|one, other| one.order == other.order) {
            same[0].left = same.len();
        }
        Self { entries }
    }

    /// The lowest field of this name that was not handed out yet.
    fn next(&mut self, name: &str) -> Option<Field<'a>> {
        let order = Order::new(name.as_bytes());
        let start = self.entries.partition_point(|entry| entry.order < order);
        let first = self.entries.get_mut(start)?;
        if first.order != order {
            return None;
        }
        first.left = first.left.checked_sub(1)?;
        let place = start + first.left;
        Some(self.entries[place].field)
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

impl HeaderSection {
    /// Appends the canonical form of the fields that `names` stands for, each with its CRLF.
    ///
    /// A name that is listed several times stands for several fields of that name, the
    /// lowest first; where there is none left it stands for nothing (RFC 6376 §5.4.2).
    pub fn canonical_fields<'n>(
        &self,
        names: impl IntoIterator<Item = &'n str>,
        canonicalisation: Canonicalisation,
        output: &mut Vec<u8>,
    ) {
        FieldPicker::new(self).canonical_fields(names, canonicalisation, output);
    }
}

impl<'a> Entry<'a> {
    fn new(field: Field<'a>) -> Self {
        Self {
            order: Order::new(field.bare_name()),
            field,
            left: 0,
        }
    }
}

/// An order of names in which case does not matter. The length and the first octets tell
/// most names apart without a look at the rest.
struct Order<'a> {
    octets: usize,
    first: [u8; FIRST],
    rest: &'a [u8],
}

const FIRST: usize = 8;

impl<'a> Order<'a> {
    fn new(name: &'a [u8]) -> Self {
        let (start, rest) = name.split_at(name.len().min(FIRST));
        let mut first = [0; FIRST];
        first[..start.len()].copy_from_slice(start);
        first.make_ascii_lowercase();
        Self {
            octets: name.len(),
            first,
            rest,
        }
    }
}

impl Ord for Order<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |order: &Self| (order.octets, u64::from_be_bytes(order.first));
        let lower = |order: &Self| order.rest.iter().map(u8::to_ascii_lowercase);
        key(self)
            .cmp(&key(other))
            .then_with(|| lower(self).cmp(lower(other)))
    }
}

impl PartialOrd for Order<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Order<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Order<'_> {}

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
