//! The hazards of a body, looked for on all of it at once.

use zegel::dkim::{Hazard, Hazards};

/// What [`zegel::dkim::BodyInspector`] must find, however the body is cut.
#[expect(clippy::naive_bytecount, reason = "naive is what it is for")]
pub fn of_body(body: &[u8], declared_eight_bit: bool) -> Hazards {
    let mut hazards = Hazards::default();
    if body.contains(&0) {
        hazards.add(Hazard::ControlCharacter);
    }
    if !body.is_ascii() && !declared_eight_bit {
        hazards.add(Hazard::UndeclaredEightBit);
    }
    let returns = body.iter().filter(|&&octet| octet == b'\r').count();
    let feeds = body.iter().filter(|&&octet| octet == b'\n').count();
    let both = body.windows(2).filter(|pair| pair == b"\r\n").count();
    if returns != both || feeds != both {
        hazards.add(Hazard::BareCrLf);
    }
    for line in body.split_inclusive(|&octet| octet == b'\n') {
        // 998, and two more for the line end (RFC 5322 §2.1.1).
        let longest = if line.ends_with(b"\n") { 1000 } else { 998 };
        if line.len() > longest {
            hazards.add(Hazard::LongLine);
        }
    }
    hazards
}
