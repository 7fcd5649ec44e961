//! The texts of the records: what each is, and its strings.

/// Tags beside the key, each with a `p=` that is right.
const TAGS: [&str; 88] = [
    // k=
    "k=RSA",
    "k= rsa ",
    "k =rsa",
    "k=",
    "k=rsa-sha256",
    "k=ed25519",
    "k=r sa",
    "k=rsa; k=rsa",
    "K=rsa",
    "k=rsa; K=ed25519",
    // h=
    "h=",
    "h=sha1",
    "h=sha256",
    "h=sha256:sha1",
    "h=sha1:sha256",
    "h=sha1 : sha256",
    "h=sha256 :sha1",
    "h=sha1: sha256",
    "h=sha256: sha1",
    "h= sha256 ",
    "h=SHA256",
    "h=rsa-sha256",
    "h=sha256:sha512",
    "h=*",
    "h=sha256:",
    "H=sha1",
    // s=
    "s=",
    "s=email",
    "s=*",
    "s=tlsrpt",
    "s=EMAIL",
    "s=email:tlsrpt",
    "s=tlsrpt:email",
    "s=*:email",
    "s=tlsrpt : email",
    "s= email ",
    "s=tlsrpt:*",
    "s=x:email",
    "S=tlsrpt",
    // t=
    "t=",
    "t=y",
    "t=s",
    "t=y:s",
    "t=s : y",
    "t=Y",
    "t=x",
    "t=y:y:x",
    "t=:",
    // g=, of RFC 4871
    "g=",
    "g=*",
    "g= * ",
    "g=post",
    "g=po*",
    "G=post",
    // n=
    "n=",
    "n=a note, with more",
    "n=a=b",
    "n=a:b",
    "n=ë",
    "n=\u{1}",
    "n=\u{7f}",
    "n=\"note\"",
    "n=\"note",
    "n=it's",
    "n=(note)",
    "n=(note",
    "n=a\\b",
    "n=a=3Bb",
    "n=see p=",
    "n=a <b>",
    "n=1; n=2",
    "n==?utf-8?q?a?=",
    // Others
    "x=1",
    "zz_top=a",
    "x-y=1",
    "a1=1",
    "1a=1",
    "__proto__=1",
    "constructor=1",
    "a=rsa-sha256",
    "d=example.org",
    "b=AAAA; bh=BBBB",
    "l=0; c=y; q=x; z=k; i=1",
    "P=",
    "V=DKIM2",
    "word",
    "",
    " ",
];

/// Records of an RSA key; `p` is its SubjectPublicKeyInfo in base64.
pub(crate) fn rsa(p: &str) -> Vec<(String, Vec<String>)> {
    let mut texts = vec![(
        "as Zegel writes it".to_owned(),
        format!("v=DKIM1; k=rsa; p={p}"),
    )];
    texts.extend(TAGS.map(|tag| (label(tag), format!("v=DKIM1; {tag}; p={p}"))));
    texts.extend(whole(p));
    texts.extend(values(p));
    for octets in [1024, 1025, 2000] {
        let bare = format!("v=DKIM1; n=; p={p}").len();
        let note = "x".repeat(octets - bare);
        let text = format!("v=DKIM1; n={note}; p={p}");
        texts.push((format!("{octets} octets, a long `n=`"), text));
    }
    let mut shapes: Vec<_> = texts
        .into_iter()
        .map(|(what, text)| (what, vec![text]))
        .collect();
    let text = format!("v=DKIM1; k=rsa; p={p}");
    for (what, length) in [
        ("strings of 255", 255),
        ("strings of 100", 100),
        ("strings of one octet", 1),
        ("a tag in two strings", 7),
    ] {
        let strings = text
            .as_bytes()
            .chunks(length)
            .map(|part| String::from_utf8_lossy(part).into());
        shapes.push((what.to_owned(), strings.collect()));
    }
    let empty = ["", &text[..20], "", &text[20..], ""].map(str::to_owned);
    shapes.push(("empty strings between".to_owned(), empty.into()));
    shapes
}

/// The order and the separators of the tags.
fn whole(p: &str) -> Vec<(String, String)> {
    [
        "v=DKIM1;k=rsa;p=KEY",
        "k=rsa; p=KEY",
        "p=KEY",
        "p=KEY; k=rsa",
        "k=rsa; v=DKIM1; p=KEY",
        "k=rsa; p=KEY; v=DKIM1",
        "v=dkim1; p=KEY",
        "v= DKIM1 ; p=KEY",
        "v =DKIM1; p=KEY",
        "V=DKIM1; p=KEY",
        "v=DKIM2; p=KEY",
        "v=1; p=KEY",
        "v=; p=KEY",
        "v=DKI M1; p=KEY",
        "v=DKIM1; v=DKIM1; p=KEY",
        "v=DKIM1; p=KEY;",
        "v=DKIM1; p=KEY; ",
        "v=DKIM1; p=KEY;;",
        "v=DKIM1; p=KEY; ;",
        ";v=DKIM1; p=KEY",
        "v=DKIM1; p=KEY; word",
        "v=DKIM1; p=KEY; n=last",
        "v=DKIM1; P=KEY",
        "v=DKIM1; p=KEY; P=",
        "v=DKIM1; p=KEY; p=KEY",
        "v=DKIM1; p=; p=KEY",
        "v=DKIM1; p=KEY; p=",
        "v=DKIM1, k=rsa, p=KEY",
        " v=DKIM1; p=KEY",
        "\tv=DKIM1; p=KEY",
        "v=DKIM1; p=KEY ",
        "v=DKIM1; p=KEY\n",
        "v=DKIM1;\r\n\tp=KEY",
        "v=DKIM1;\np=KEY",
        "v=DKIM1;\tp=KEY",
        "v=DKIM1;\u{c}p=KEY",
        "v=DKIM1;\u{a0}p=KEY",
        "\u{feff}v=DKIM1; p=KEY",
        "v=DKIM1; p =KEY",
        "v=DKIM1; p= KEY",
        "\"v=DKIM1; p=KEY\"",
        "v=DKIM1; p=\"KEY\"",
        "v=DKIM1; p=KEY\"",
        "v=DKIM1\\; k=rsa\\; p=KEY",
        "v=DKIM1; p=KEY\\;",
        "v=DKIM1; p=KEY=",
        "v=DKIM1; p=KEYx",
        "v=DKIM1; p=KEY.",
        "v=DKIM1; p=KEY&nbsp;",
        "v=DKIM1; p=KEY, x",
        "v=DKIM1; p=-----BEGIN PUBLIC KEY-----KEY-----END PUBLIC KEY-----",
    ]
    .map(|form| (format!("`{}`", visible(form)), form.replace("KEY", p)))
    .into()
}

/// The base64 of the key, not as it was given.
fn values(p: &str) -> Vec<(String, String)> {
    let mut texts: Vec<(String, String)> = [
        " ", "\t", "\n", "\r", "\r\n\t", "\n ", "\u{b}", "\u{c}", "\u{a0}", "\u{200b}", "\\",
        "\" \"", "*", "=",
    ]
    .map(|between| {
        let value = format!("{}{between}{}", &p[..48], &p[48..]);
        (format!("`{}` within `p=`", visible(between)), value)
    })
    .into();
    let chunks: Vec<&str> = (0..p.len())
        .step_by(64)
        .map(|at| &p[at..p.len().min(at + 64)])
        .collect();
    texts.push((
        "lines of 64 in `p=`, a blank between".to_owned(),
        chunks.join(" "),
    ));
    texts.push(("`p=` in the URL-safe alphabet".to_owned(), url_safe(p)));
    texts.push(("`p=` cut in the middle".to_owned(), p[..200].to_owned()));
    texts.push((
        "`p=` without its last character".to_owned(),
        p[..p.len() - 1].to_owned(),
    ));
    let with_value = |(what, value)| (what, format!("v=DKIM1; k=rsa; p={value}"));
    texts.into_iter().map(with_value).collect()
}

/// Records of an Ed25519 key; `p` is its 32 octets in base64, `spki` its SubjectPublicKeyInfo.
pub(crate) fn ed25519(p: &str, spki: &str) -> Vec<(String, String)> {
    let mut texts: Vec<(String, String)> = [
        "v=DKIM1; k=ed25519; p=KEY",
        "v=DKIM1; k=Ed25519; p=KEY",
        "v=DKIM1; k=ED25519; p=KEY",
        "v=DKIM1; p=KEY",
        "v=DKIM1; k=rsa; p=KEY",
        "v=DKIM1; k= ed25519 ; p=KEY",
        "v=DKIM1; k=eddsa; p=KEY",
        "k=ed25519; p=KEY",
        "p=KEY; k=ed25519",
        "v=DKIM1; k=ed25519; h=sha256; p=KEY",
        "v=DKIM1; k=ed25519; s=email; p=KEY",
        "v=DKIM1; k=ed25519; t=s; p=KEY",
        "v=DKIM1; k=ed25519; g=*; p=KEY",
        "v=DKIM1; k=ed25519; p=KEY;",
    ]
    .map(|form| (format!("`{form}`"), form.replace("KEY", p)))
    .into();
    "as Zegel writes it".clone_into(&mut texts[0].0);
    let unpadded = p.trim_end_matches('=').to_owned();
    assert_ne!(unpadded, p, "32 octets take a sign of padding");
    for (what, value) in [
        ("`p=` without padding", unpadded),
        ("`p=` a SubjectPublicKeyInfo", spki.to_owned()),
        ("a blank within `p=`", format!("{} {}", &p[..9], &p[9..])),
        ("`p=` in the URL-safe alphabet", url_safe(p)),
    ] {
        texts.push((what.to_owned(), format!("v=DKIM1; k=ed25519; p={value}")));
    }
    texts
}

fn url_safe(base64: &str) -> String {
    let text = base64.replace('+', "-").replace('/', "_");
    assert_ne!(text, base64, "a key with neither + nor /");
    text
}

fn label(tag: &str) -> String {
    match tag {
        "" => "an empty tag".to_owned(),
        " " => "a tag of a blank".to_owned(),
        _ => format!("`{}`", visible(tag)),
    }
}

fn visible(text: &str) -> String {
    let seen = text.chars().map(|character| match character {
        ' '..='~' | 'ë' => character.to_string(),
        other => other.escape_default().to_string(),
    });
    seen.collect()
}
