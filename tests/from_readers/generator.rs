//! From fields made of pieces that parsers stumble over, the same ones each time.

/// A generator of numbers (SplitMix64): always the same ones for a seed.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("it is below a usize")
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<'a>(&mut self, pieces: &[&'a [u8]]) -> &'a [u8] {
        pieces[self.below(pieces.len())]
    }

    /// One of the `usual` pieces mostly, and one of the `odd` ones now and then.
    fn mostly<'a>(&mut self, usual: &[&'a [u8]], odd: &[&'a [u8]]) -> &'a [u8] {
        if self.one_in(4) {
            self.pick(odd)
        } else {
            self.pick(usual)
        }
    }
}

/// The domains that are ours. `b.example` is a neighbour's.
pub(crate) const OURS: [&str; 3] = [
    "a.example",
    "xn--bcher-kva.example",
    "xn--strae-oqa.example",
];

const GAPS: &[&[u8]] = &[b"", b" ", b" ", b"\t", b"\r\n ", b"  "];

const NAMES: &[&[u8]] = &[
    b"",
    b"",
    b"Anna",
    b"Anna van der Berg",
    b"A. Berg",
    b"\"Berg, A.\"",
    b"\"Anna\"",
    b"'Anna'",
    b"=?utf-8?Q?Zo=C3=AB?=",
    b"Zo\xc3\xab",
    b"\"Zo\xc3\xab\"",
    b"\"v@b.example\"",
    b"\"u@a.example\"",
    b"u@a.example",
    b"b.example",
    b"Anna \"v@b.example\"",
    b"\"Anna (v@b.example)\"",
];

const ODD_NAMES: &[&[u8]] = &[
    b".",
    b". .",
    b".Anna",
    b"Anna.",
    b"[Anna]",
    b"[Anna] Berg",
    b"[b.example]",
    b"[v@b.example]",
    b"Anna [x",
    b"x] Anna",
    b"\"[Anna]\"",
    b"v@b.example",
    b"<v@b.example>",
    b"\"<v@b.example>\"",
    b"\"<v@b.example>,\"",
    b"\"x\\\\\"",
    b"\"x\\\"\"",
    b"\"\\\"<v@b.example>\\\"\"",
    b"\"x\\y\"",
    b"\"\"",
    b"\"v@b.example",
    b"Anna \\\"",
    b"Anna\\",
    b"Berg, Anna",
    b"Anna;",
    b"Anna:",
    b"@",
    b"@b.example",
    b"'v@b.example'",
    b"u@a.example u@a.example",
    b"\"u@a.example\" Anna",
    b"Anna u@a.example",
    b"=?utf-8?B?PHZAYi5leGFtcGxlPg==?=",
    b"=?utf-8?Q?v=40b.example?=",
    b"=?utf-8?Q?v@b.example?=",
    b"=?utf-8?Q?a,b?=",
    b"\"=?utf-8?Q?v@b.example?=\"",
    b"Zo\xeb",
    b"\"Zo\xeb\"",
    b"\"Zo\xeb, v@b.example\"",
    b"\x8ak\xf3da",
    b"\"\x8ak\xf3da\"",
    b"\xae\xa1\xa4\xe5",
    b"\"\xa4@\xa4\xe5\"",
    b"\xa4@\xa4\xe5",
    b"\"\xb3\\\xa5\\\"",
    b"\"\xb3\\\xa4\xe5\"",
    b"\"\xb3\\\" <v@b.example>\"",
    b"\xb3\\\xa4\xe5",
    b"\"\xa5[\xa5]\"",
    b"\"\x85\"",
    b"\xff\xfe",
    b"A/B & C!",
    b"a\"b\"c",
    b"\"a\" \"b\"",
    b"via b.example",
    b"\"a\r\n b\"",
];

const COMMENTS: &[&[u8]] = &[
    b"",
    b"",
    b"",
    b"",
    b"",
    b"",
    b"(c)",
    b"(v@b.example)",
    b"(u@a.example)",
    b"(Zo\xc3\xab)",
    b"(Zo\xeb)",
];

const ODD_COMMENTS: &[&[u8]] = &[
    b"(<v@b.example>)",
    b"((c) d)",
    b"(c (v@b.example))",
    b"(\\))",
    b"(\\()",
    b"(\\\\)",
    b"(,)",
    b"(v@b.example,)",
    b"(,v@b.example)",
    b"(\")",
    b"(\"v@b.example\")",
    b"()",
    b"(c) (d)",
    b"(c)(v@b.example)",
    b"(;)",
    b"(:)",
    b"(c",
    b"c)",
    b"(\xb3\\)",
    b"(\xa4@)",
    b"(=?utf-8?Q?v=40b.example?=)",
    b"(<)",
    b"(>)",
    b"(v@b.example\\)",
];

const LOCAL_PARTS: &[&[u8]] = &[
    b"u",
    b"u.v",
    b"u",
    b"u+tag",
    b"first.last",
    b"\"u\"",
    b"\"u v\"",
];

const ODD_LOCAL_PARTS: &[&[u8]] = &[
    b"\"v@b.example\"",
    b"\"<v@b.example>\"",
    b"\"v@b.example \"",
    b"\"v@b.example,\"",
    b"\"<\"",
    b"\">\"",
    b"\",\"",
    b"\"u,v\"",
    b"\"u<v\"",
    b"\"u>v\"",
    b"\";\"",
    b"\"u:v\"",
    b"\"(v@b.example)\"",
    b"\"u(v\"",
    b"\"u)v\"",
    b"\"u[v\"",
    b"\"u\\\\\"",
    b"\"u\\\"v\"",
    b"\"u\\@b.example\"",
    b"\"\"",
    b"\" \"",
    b"\"u\".v",
    b"u.\"v\"",
    b"\"u\"\"v\"",
    b"\"u\" v",
    b"u..v",
    b".u",
    b"u.",
    b"u . v",
    b"u v",
    b"u(c)",
    b"u (v@b.example)",
    b"u(c).v",
    b"=?utf-8?Q?u?=",
    b"=?utf-8?B?dkBiLmV4YW1wbGU=?=",
    b"v@b.example",
    b"v%b.example",
    b"b.example!v",
    b"zo\xc3\xab",
    b"zo\xeb",
    b"\"zo\xeb\"",
    b"u\\",
    b"mailto:u",
    b"[u]",
    b"",
    b"u\xb3\\",
    b"\"\xb3\\\"",
    b"\"\xb3\\\"\"",
    b"SRS0=h=t=b.example=v",
];

const DOMAINS: &[&[u8]] = &[
    b"a.example",
    b"a.example",
    b"A.Example",
    b"a.example",
    b"xn--bcher-kva.example",
    b"b\xc3\xbccher.example",
];

const ODD_DOMAINS: &[&[u8]] = &[
    b"stra\xc3\x9fe.example",
    b"xn--strae-oqa.example",
    b"a .example",
    b"a. example",
    b"a . example",
    b"a(c).example",
    b"a.(c)example",
    b"a.(v@b.example)example",
    b"(c)a.example",
    b"(v@b.example)a.example",
    b" a.example",
    b"a.\r\n example",
    b"\r\n a.example",
    b"a.example.",
    b"a..example",
    b".a.example",
    b"a.example(v@b.example)",
    b"a.example (c)",
    b"a.example(.b.example)",
    b"a.example\\",
    b"[192.0.2.1]",
    b"[a.example]",
    b"a_b.example",
    b"a.example,b.example",
    b"a.example@b.example",
    b"\"a.example\"",
    b"B\xc3\x9cCHER.example",
    b"b\xfccher.example",
    b"bu\xcc\x88cher.example",
    b"a\xe3\x80\x82example",
    b"b\xe2\x80\x8d.example",
    b"\xcf\x82.example",
    b"a.example\xb3",
    b"a.example\x00.b.example",
    b"a.example b.example",
    b"a.example>b.example",
    b"a.example:25",
    b"",
];

const SPECIALS: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"(",
    b")",
    b"<",
    b">",
    b"@",
    b",",
    b";",
    b":",
    b".",
    b"[",
    b"]",
    b" ",
    b"\r\n ",
    b"\xb3",
    b"'",
    b"v@b.example",
    b"\"v@b.example\"",
    b"(v@b.example)",
    b"<v@b.example>",
    b"=?",
    b"\xc3\xab",
    b"\t",
];

/// The next From field.
pub(crate) fn value(numbers: &mut Numbers) -> Vec<u8> {
    let mut value = mailbox(numbers);
    if numbers.one_in(8) {
        value = around(numbers, &value);
    }
    if numbers.one_in(4) {
        for _ in 0..=numbers.below(2) {
            mutate(numbers, &mut value);
        }
    }
    value
}

fn mailbox(numbers: &mut Numbers) -> Vec<u8> {
    let gap = |numbers: &mut Numbers| {
        [numbers.pick(GAPS), numbers.mostly(COMMENTS, ODD_COMMENTS)].concat()
    };
    let address = [
        numbers.mostly(LOCAL_PARTS, ODD_LOCAL_PARTS),
        b"@",
        numbers.mostly(DOMAINS, ODD_DOMAINS),
    ]
    .concat();
    let first = gap(numbers);
    let last = gap(numbers);
    if numbers.one_in(4) {
        return [
            &first[..],
            numbers.pick(GAPS),
            &address,
            numbers.pick(GAPS),
            &last,
        ]
        .concat();
    }
    let inner = match numbers.below(12) {
        0 => [&b" "[..], &address, b" "].concat(),
        1 => [&b"@b.example:"[..], &address].concat(),
        2 => [
            numbers.mostly(COMMENTS, ODD_COMMENTS),
            &address,
            numbers.mostly(COMMENTS, ODD_COMMENTS),
        ]
        .concat(),
        _ => address,
    };
    let name = numbers.mostly(NAMES, ODD_NAMES);
    let middle = gap(numbers);
    [
        &first[..],
        name,
        &middle,
        numbers.pick(GAPS),
        b"<",
        &inner,
        b">",
        &last,
    ]
    .concat()
}

/// A list, a group, or something else that is not the mailbox alone.
fn around(numbers: &mut Numbers, value: &[u8]) -> Vec<u8> {
    let (before, after): (&[u8], &[u8]) = match numbers.below(16) {
        0 => (b"", b","),
        1 => (b"", b" , "),
        2 => (b",", b""),
        3 => (b", ", b","),
        4 => (b"", b", v@b.example"),
        5 => (b"v@b.example, ", b""),
        6 => (b"g: ", b";"),
        7 => (b"v@b.example: ", b";"),
        8 => (b"", b";"),
        9 => (b"", b" <v@b.example>"),
        10 => (b"<v@b.example> ", b""),
        11 => (b"(c), ", b""),
        12 => (b"", b", (v@b.example)"),
        13 => (b"", b", w@a.example"),
        14 => (b"", b" Anna"),
        _ => (b"<", b">"),
    };
    [before, value, after].concat()
}

fn mutate(numbers: &mut Numbers, value: &mut Vec<u8>) {
    let at = numbers.below(value.len() + 1);
    match numbers.below(3) {
        0 if at < value.len() => {
            value.remove(at);
        }
        1 if at < value.len() => {
            let other = numbers.below(value.len());
            value.swap(at, other);
        }
        _ => {
            let piece = numbers.pick(SPECIALS);
            value.splice(at..at, piece.iter().copied());
        }
    }
}
