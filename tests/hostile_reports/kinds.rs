//! What the kinds are made of.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use flate2::{Compress, Compression, FlushCompress, write::GzEncoder};

/// Stands in a file that no report may bring in.
pub(crate) const SECRET: &str = "dit-mag-niemand-lezen";

/// How large the large ones are.
pub(crate) struct Sizes {
    /// With the limits of the real thing.
    pub(crate) whole: bool,
    pub(crate) message: usize,
    pub(crate) expanded: usize,
    pub(crate) records: usize,
}

impl Sizes {
    pub(crate) fn new(whole: bool) -> Self {
        Self {
            whole,
            message: if whole { 25 << 20 } else { 2 << 20 },
            expanded: if whole { 256 << 20 } else { 8 << 20 },
            records: if whole { 500_000 } else { 2_000 },
        }
    }

    /// A number of the whole thing, or a hundredth of it.
    pub(crate) fn of(&self, whole: usize) -> usize {
        if self.whole { whole } else { whole / 100 }
    }
}

type Make = Box<dyn Fn(&Path, &Sizes) -> PathBuf + Send + Sync>;

pub(crate) struct Kind {
    pub(crate) name: String,
    /// Every outcome and reason that is to be seen, and no other; - for none.
    pub(crate) expected: &'static str,
    /// Makes it in a folder; gives the path to be read.
    pub(crate) make: Make,
}

/// One that is made in a folder.
pub(crate) fn made(
    name: &str,
    expected: &'static str,
    make: impl Fn(&Path, &Sizes) -> PathBuf + Send + Sync + 'static,
) -> Kind {
    Kind {
        name: name.to_owned(),
        expected,
        make: Box::new(make),
    }
}

/// One that is a file with this in it.
pub(crate) fn file(name: &str, expected: &'static str, octets: impl Into<Vec<u8>>) -> Kind {
    let octets = octets.into();
    made(name, expected, move |folder, _| {
        let path = folder.join("file");
        fs::write(&path, &octets).unwrap();
        path
    })
}

/// One that is a file which takes its time to write.
pub(crate) fn stream(
    name: &str,
    expected: &'static str,
    write: impl Fn(&mut dyn Write, &Sizes) + Send + Sync + 'static,
) -> Kind {
    made(name, expected, move |folder, sizes| {
        let path = folder.join("file");
        let mut out = BufWriter::new(File::create(&path).unwrap());
        write(&mut out, sizes);
        out.flush().unwrap();
        path
    })
}

pub(crate) const RECORD: &str = "<record><row><source_ip>192.0.2.1</source_ip><count>1</count>\
    <policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf>\
    </policy_evaluated></row><identifiers><header_from>voorbeeld.nl</header_from></identifiers>\
    <auth_results><dkim><domain>voorbeeld.nl</domain><selector>s1</selector><result>pass</result>\
    </dkim></auth_results></record>";

/// What is before the records; each time with another report id.
pub(crate) fn head() -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!(
        "<report_metadata><org_name>google.com</org_name><email>a@google.com</email>\
         <report_id>{number}</report_id><date_range><begin>1772150400</begin>\
         <end>1772236799</end></date_range></report_metadata>\
         <policy_published><domain>voorbeeld.nl</domain><p>none</p></policy_published>"
    )
}

/// A report with this among its records.
pub(crate) fn report(inside: &str) -> String {
    format!("<feedback>{}{inside}{RECORD}</feedback>", head())
}

/// A report with one thing in its record replaced.
pub(crate) fn with(what: &str, by: &str) -> String {
    assert!(RECORD.contains(what), "{what}");
    format!(
        "<feedback>{}{}</feedback>",
        head(),
        RECORD.replace(what, by)
    )
}

pub(crate) fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(octets).unwrap();
    out.finish().unwrap()
}

/// A piece of deflated data that other pieces may follow.
pub(crate) fn piece(octets: &[u8]) -> Vec<u8> {
    let mut deflate = Compress::new(Compression::best(), false);
    let mut out = Vec::with_capacity(octets.len() + 1024);
    deflate
        .compress_vec(octets, &mut out, FlushCompress::Full)
        .unwrap();
    out
}

/// A gzip of pieces, each so many times. Its sums at the end are wrong: nobody gets there, or
/// should not take it if he does.
pub(crate) fn pieces(out: &mut dyn Write, parts: &[(&[u8], usize)]) {
    out.write_all(b"\x1f\x8b\x08\0\0\0\0\0\0\xff").unwrap();
    let mut whole = flate2::Crc::new();
    for (octets, times) in parts {
        let one = piece(octets);
        let mut sum = flate2::Crc::new();
        sum.update(octets);
        for _ in 0..*times {
            out.write_all(&one).unwrap();
            whole.combine(&sum);
        }
    }
    out.write_all(b"\x03\0").unwrap();
    out.write_all(&whole.sum().to_le_bytes()).unwrap();
    out.write_all(&whole.amount().to_le_bytes()).unwrap();
}

/// The beginning, so many times the middle, and the end.
pub(crate) fn around(begin: &str, middle: &str, times: usize, end: &str) -> Vec<u8> {
    [begin, &middle.repeat(times), end].concat().into_bytes()
}
