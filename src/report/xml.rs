//! An aggregate report as a stream of XML events (RFC 9990 Appendix A, RFC 7489 Appendix C).
//!
//! Nothing holds the document: an element is known by its place, its name is only kept to see
//! where it ends. Senders write XML that is not well-formed; what is put right here is what can
//! cost no record.

use std::io::BufRead;

use memchr::memrchr;
use quick_xml::{Error, Reader, events::Event};

use super::{
    feedback::{Building, Element},
    refusal::{Limits, Reason, Refusal, reason_of},
    row::{Mended, Report},
    text::{Shared, Text},
};

/// Elements within elements. A report has six.
const LEVELS: usize = 1_000;
/// Octets of the names of all open elements.
const NAMES: usize = 1 << 20;
/// What is kept of one value, in octets; the longest that matters is a domain.
const VALUE: usize = 1_024;

/// What the reader of one document needs besides the document.
pub(super) struct Terms<'a> {
    pub(super) limits: &'a Limits,
    /// The moment that counts as now, in seconds since 1970.
    pub(super) now: i64,
}

/// Reads one document, and hands on each report in it, or why it is not taken.
///
/// # Errors
///
/// When the document cannot be read to its end; what was handed on before is whole.
pub(super) fn read(
    source: impl BufRead,
    terms: &Terms<'_>,
    sink: &mut dyn FnMut(Result<Report, Refusal>),
) -> Result<(), Refusal> {
    let mut document = Document {
        terms,
        open: Vec::new(),
        names: String::new(),
        value: String::new(),
        building: Building::default(),
        found: 0,
        last: None,
    };
    let refusal = |reason| terms.limits.refusal(reason);
    let read = document.read(source, sink);
    let within_another = document
        .open
        .iter()
        .any(|open| open.element == Element::Feedback);
    if read.is_err()
        && within_another
        && let Some(last) = document.last.take()
    {
        // It is another report that is damaged.
        sink(last);
    }
    read.map_err(|reason| match reason {
        // A text for people that begins with a tag, such as HTML.
        Reason::Xml | Reason::EndsEarly if document.found == 0 => refusal(Reason::NotAReport),
        reason => refusal(reason),
    })?;
    let Some(last) = document.last else {
        return Err(refusal(Reason::NotAReport));
    };
    sink(last);
    Ok(())
}

/// An element that has begun.
struct Open {
    element: Element,
    /// Where its name begins in `names`.
    name: usize,
}

struct Document<'a> {
    terms: &'a Terms<'a>,
    open: Vec<Open>,
    /// The names of the open elements, one after the other.
    names: String,
    /// The text of the innermost value.
    value: String,
    building: Building,
    /// Reports that have begun.
    found: u64,
    /// The last report that has ended: what comes behind it may still say that it is damaged.
    last: Option<Result<Report, Refusal>>,
}

impl Document<'_> {
    fn read(
        &mut self,
        source: impl BufRead,
        sink: &mut dyn FnMut(Result<Report, Refusal>),
    ) -> Result<(), Reason> {
        let shared = Shared::default();
        let text = Text::new(source, &shared).map_err(|error| reason_of(&error, Reason::Xml))?;
        let mut reader = Reader::from_reader(text);
        let config = reader.config_mut();
        config.check_end_names = false;
        config.allow_unmatched_ends = true;
        config.allow_dangling_amp = true;
        config.trim_markup_names_in_closing_tags = true;
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            shared.next_event();
            let event = reader
                .read_event_into(&mut buffer)
                .map_err(|error| reason_for(&error))?;
            if shared.replaced() {
                self.building.mended(Mended::Encoding);
            }
            match event {
                Event::Start(start) => self.start(start.name().as_ref(), start.attributes_raw())?,
                Event::Empty(start) => {
                    self.start(start.name().as_ref(), start.attributes_raw())?;
                    self.end(start.name().as_ref(), sink)?;
                }
                Event::End(end) => self.end(end.name().as_ref(), sink)?,
                Event::Text(text) => self.text(&text),
                Event::CData(text) => self.append(&text),
                Event::GeneralRef(reference) => self.reference(&reference),
                Event::DocType(_) => return Err(Reason::Dtd),
                Event::Eof => return self.finish(),
                Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
            }
        }
    }

    fn start(&mut self, name: &str, attributes: &str) -> Result<(), Reason> {
        if self.open.len() >= LEVELS || self.names.len() + name.len() > NAMES {
            return Err(Reason::LimitLevels);
        }
        let parent = self
            .open
            .last()
            .map_or(Element::Outside, |open| open.element);
        let element = parent.child(local(name));
        if element == Element::Feedback {
            self.found += 1;
            self.building = Building::begin(attributes);
        }
        if element.is_value() {
            self.value.clear();
        }
        self.building.start(element);
        self.open.push(Open {
            element,
            name: self.names.len(),
        });
        self.names.push_str(name);
        Ok(())
    }

    /// Ends the innermost element of this name.
    fn end(
        &mut self,
        name: &str,
        sink: &mut dyn FnMut(Result<Report, Refusal>),
    ) -> Result<(), Reason> {
        let Some(place) = self.place_of(name) else {
            return Err(Reason::Xml);
        };
        if place + 1 < self.open.len() {
            self.close_above(place)?;
        }
        let Some(ended) = self.open.pop() else {
            return Err(Reason::Xml);
        };
        self.names.truncate(ended.name);
        self.close(ended.element, sink)
    }

    fn close(
        &mut self,
        element: Element,
        sink: &mut dyn FnMut(Result<Report, Refusal>),
    ) -> Result<(), Reason> {
        if element.is_value() {
            self.building.value(element, self.value.trim())?;
            self.value.clear();
        } else if element == Element::Record {
            self.building.record(self.terms.limits)?;
        } else if element == Element::Feedback {
            let building = std::mem::take(&mut self.building);
            let report = building
                .finish(self.terms.now)
                .map_err(|reason| self.terms.limits.refusal(reason));
            if let Some(earlier) = self.last.replace(report) {
                sink(earlier);
            }
        } else {
            self.building.end(element);
        }
        Ok(())
    }

    /// The innermost open element of this name.
    fn place_of(&self, name: &str) -> Option<usize> {
        let mut end = self.names.len();
        for (place, open) in self.open.iter().enumerate().rev() {
            if self.names.get(open.name..end) == Some(name) {
                return Some(place);
            }
            end = open.name;
        }
        None
    }

    /// Closes the elements within this one, which never ended, if no record can be in them.
    fn close_above(&mut self, place: usize) -> Result<(), Reason> {
        let (Some(matched), Some(first)) = (self.open.get(place), self.open.get(place + 1)) else {
            return Err(Reason::Xml);
        };
        let within_value = matched.element.is_value();
        let within_foreign = matched.element == Element::Foreign;
        let wrappers = matched.element == Element::Wrapper
            && self.open[place..]
                .iter()
                .all(|open| open.element == Element::Wrapper);
        if within_value {
            // `<email><a@b></email>`: the tag is the value.
            let end = self
                .open
                .get(place + 2)
                .map_or(self.names.len(), |open| open.name);
            if self.value.trim().is_empty() {
                let tag = &self.names[first.name..end];
                self.value
                    .push_str(&tag[..tag.floor_char_boundary(VALUE.min(tag.len()))]);
            }
            self.building.mended(Mended::Tag);
        } else if within_foreign {
            self.building.mended(Mended::Tag);
        } else if wrappers {
            if let Some(Ok(report)) = &mut self.last {
                report.note(Mended::Wrapper);
            }
        } else {
            return Err(Reason::Xml);
        }
        self.names.truncate(first.name);
        self.open.truncate(place + 1);
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if !self.takes_text() {
            return;
        }
        if text.contains('&') {
            self.building.mended(Mended::Ampersand);
        }
        self.append(text);
    }

    fn reference(&mut self, reference: &quick_xml::events::BytesRef<'_>) {
        if !self.takes_text() {
            return;
        }
        let named = match &**reference {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "apos" => Some('\''),
            "quot" => Some('"'),
            _ => reference.resolve_char_ref().ok().flatten(),
        };
        if let Some(character) = named {
            self.append(character.encode_utf8(&mut [0; 4]));
        } else {
            // Nothing is ever looked up: it stays as it is written.
            self.building.mended(Mended::Entity);
            self.append("&");
            self.append(reference);
            self.append(";");
        }
    }

    fn takes_text(&self) -> bool {
        self.open.last().is_some_and(|open| open.element.is_value())
    }

    fn append(&mut self, text: &str) {
        if !self.takes_text() {
            return;
        }
        let room = VALUE.saturating_sub(self.value.len());
        let end = text.floor_char_boundary(room.min(text.len()));
        self.value.push_str(&text[..end]);
    }

    /// At the end of the document only wrappers may be open.
    fn finish(&mut self) -> Result<(), Reason> {
        let wrappers = self
            .open
            .iter()
            .all(|open| open.element == Element::Wrapper);
        if wrappers && (self.found > 0 || self.open.is_empty()) {
            if let (false, Some(Ok(report))) = (self.open.is_empty(), &mut self.last) {
                report.note(Mended::Wrapper);
            }
            return Ok(());
        }
        Err(if self.found == 0 {
            Reason::NotAReport
        } else {
            Reason::EndsEarly
        })
    }
}

/// A name without its namespace.
fn local(name: &str) -> &str {
    memrchr(b':', name.as_bytes())
        .and_then(|colon| name.get(colon + 1..))
        .unwrap_or(name)
}

fn reason_for(error: &Error) -> Reason {
    match error {
        Error::Io(error) => reason_of(error, Reason::Xml),
        // Every one of them says that the end came first.
        Error::Syntax(_) => Reason::EndsEarly,
        _ => Reason::Xml,
    }
}
