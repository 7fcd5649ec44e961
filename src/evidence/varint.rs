//! Small numbers in few octets: what a report has added to the store, in case it is replaced.

/// How many numbers make a fact.
const NUMBERS: usize = 5;

/// Writes facts.
#[derive(Default)]
pub(super) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// The numbers of a fact; a negative one counts as 0.
    pub(super) fn fact(&mut self, numbers: &[i64; NUMBERS]) {
        for number in numbers {
            self.number(u64::try_from(*number).unwrap_or_default());
        }
    }

    /// Octets, with their length: at most 16 are written.
    pub(super) fn octets(&mut self, octets: &[u8]) {
        self.number(octets.len().min(16) as u64);
        self.out.extend(octets.iter().take(16));
    }

    /// One number.
    pub(super) fn number(&mut self, mut number: u64) {
        // Seven bits at a time, the lowest first; the eighth says that more come.
        while number >= 0x80 {
            self.out.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.out.push(number.to_le_bytes()[0]);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.out
    }
}

/// Reads them back; what is damaged ends the reading.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(super) fn fact(&mut self) -> Option<[i64; NUMBERS]> {
        let mut numbers = [0; NUMBERS];
        for number in &mut numbers {
            *number = i64::try_from(self.number()?).ok()?;
        }
        Some(numbers)
    }

    pub(super) fn octets(&mut self) -> &'a [u8] {
        let length = self
            .number()
            .map_or(0, |length| usize::try_from(length).unwrap_or(0));
        let (octets, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        octets
    }

    /// One number; none if there is none.
    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (octet, rest) = self.rest.split_first()?;
            self.rest = rest;
            number |= u64::from(octet & 0x7f) << shift;
            if octet & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let facts = [[0, 127, 128, 20_000, i64::MAX], [4, 3, 2, 1, 0]];
        let mut writer = Writer::default();
        for fact in &facts {
            writer.fact(fact);
            writer.octets(&[192, 0, 2, 1]);
        }
        let written = writer.finish();
        let mut reader = Reader::new(&written);
        for fact in &facts {
            assert_eq!(reader.fact().as_ref(), Some(fact));
            assert_eq!(reader.octets(), [192, 0, 2, 1]);
        }
        assert_eq!(reader.fact(), None);
        assert_eq!(Reader::new(&[0x80]).fact(), None);
    }
}
