//! How the octets of the fuzzer become arguments: cheap, and the same for every mutation.

/// Takes one octet, nothing is zero.
pub fn octet(input: &mut &[u8]) -> u8 {
    let Some((&first, rest)) = input.split_first() else {
        return 0;
    };
    *input = rest;
    first
}

/// Cuts `whole` into chunks of the lengths in `lengths`, over and over; all of it at once
/// where there are none, or none but zeroes.
pub fn chunks<'a>(whole: &'a [u8], lengths: &[u8]) -> Vec<&'a [u8]> {
    if lengths.iter().all(|&length| length == 0) {
        return vec![whole];
    }
    let mut chunks = Vec::new();
    let mut rest = whole;
    for &length in lengths.iter().cycle() {
        let (chunk, behind) = rest.split_at(rest.len().min(length.into()));
        chunks.push(chunk);
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    chunks
}
