//! What was approved, and what must never be in it.

use std::fs;

use zegel::{
    handover::{Format, operator_zone},
    words::Language,
};

use crate::fixture::{Fixture, folder};

/// Compares with the file, or writes it.
fn check(name: &str, text: &str) {
    let path = folder().join(name);
    if std::env::var_os("ZEGEL_WRITE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == text,
        "{} is not what is written now; look at the difference with \
         `ZEGEL_WRITE_GOLDEN=1 cargo test --test handover && git diff tests/fixtures`",
        path.display()
    );
}

fn extension(format: Format) -> &'static str {
    match format {
        Format::Text => "txt",
        Format::Zone => "zone",
        Format::Json => "json",
        Format::Html => "html",
        Format::Markdown => "md",
    }
}

#[test]
fn every_format_in_every_language() {
    let fixture = Fixture::new();
    for (name, delegation) in [("pack", None), ("cname", Some("dkim.relay.example"))] {
        let pack = fixture.pack(delegation);
        for format in Format::ALL {
            for language in Language::ALL {
                let extension = extension(format);
                let text = pack.render(format, language);
                match format {
                    Format::Json => check(&format!("{name}.{extension}"), &text),
                    _ => check(&format!("{name}.{language}.{extension}"), &text),
                }
            }
        }
    }
}

#[test]
fn the_zone_of_the_operator() {
    let fixture = Fixture::new();
    let zone = "dkim.relay.example".parse().unwrap();
    let text = operator_zone(&zone, &[fixture.handover()]).unwrap();
    check("operator.zone", &text);
}

#[test]
fn nothing_is_left_to_fill_in_and_nothing_is_secret() {
    let fixture = Fixture::new();
    for delegation in [None, Some("dkim.relay.example")] {
        let pack = fixture.pack(delegation);
        for format in [Format::Text, Format::Zone, Format::Markdown] {
            for language in Language::ALL {
                let text = pack.render(format, language);
                assert!(!text.contains(['{', '}']), "{format} {language}");
                assert!(!text.contains("PRIVATE"), "{format} {language}");
                assert!(text.ends_with('\n') && !text.contains("\n\n\n\n"));
            }
        }
    }
}

#[test]
fn a_name_of_an_organisation_is_no_markup() {
    let mut fixture = Fixture::new();
    fixture.organisation.name = "<script>alert('1')</script>\n\"& {name} `x`".into();
    fixture.organisation.contact = Some("a\r\nvoorbeeld.nl. IN A 192.0.2.1".into());
    let pack = fixture.pack(None);
    let html = pack.render(Format::Html, Language::English);
    assert!(!html.contains("<script"));
    let escaped = "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &quot;&amp; {name} `x`";
    assert!(html.contains(escaped));
    let zone = pack.render(Format::Zone, Language::English);
    assert!(zone.starts_with("; DNS records for the e-mail of <script>"));
    let names = |line: &str| line.starts_with([';', ' ']) || line.contains(" 3600 IN ");
    assert!(
        zone.lines().all(|line| line.is_empty() || names(line)),
        "{zone}"
    );
}

#[test]
fn texts_are_narrow_except_for_what_is_copied() {
    let text = Fixture::new()
        .pack(None)
        .render(Format::Text, Language::Dutch);
    let wide: Vec<&str> = text
        .lines()
        .filter(|line| line.chars().count() > 76 && line.contains(' '))
        .filter(|line| !line.contains("v=DKIM1") && !line.starts_with('"'))
        .filter(|line| !line.starts_with("  ") && !line.contains("dig "))
        .collect();
    assert!(wide.is_empty(), "{wide:#?}");
}
