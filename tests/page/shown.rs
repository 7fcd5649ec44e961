//! The pages in a real browser: nothing is complained of, nothing sticks out, and all of it
//! can be heard.
//!
//! With `ZEGEL_PICTURES=FOLDER` the pictures are kept there.

use std::path::PathBuf;

use serde_json::Value;

use super::browser::Browser;
use super::support::zegel::Zegel;
use super::world::{self, await_counts, send};

/// From the narrowest telephone to a desk.
const WIDTHS: [u32; 5] = [320, 480, 768, 1024, 1440];
const PAGES: [(&str, &str); 6] = [
    ("all", "/"),
    ("found", "/?q=an&sort=-name"),
    ("none", "/?q=nothing-of-the-kind"),
    ("one", "/org/amstel"),
    ("long", "/org/zeer-lange-naam-van-een-organisatie-hier"),
    ("missing-key", "/org/dijk"),
];

fn signer() -> Zegel {
    let mut zegel = world::signer();
    world::count_days(&zegel, "dijk");
    zegel.launch();
    for (id, domain, number, counts) in [
        ("amstel", "amstel.example", 2, (2, 0)),
        ("dijk", "dijk.example", 1, (0, 1)),
        ("erfgoed", "erfgoed.example", 1, (1, 0)),
    ] {
        send(&zegel, domain, number);
        await_counts(&zegel, id, counts);
    }
    zegel
}

/// Where the pictures go: away with the test unless they are asked for.
struct Pictures {
    folder: PathBuf,
    _temporary: tempfile::TempDir,
}

impl Pictures {
    fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a folder");
        let asked_for = std::env::var_os("ZEGEL_PICTURES").map(PathBuf::from);
        Self {
            folder: asked_for.unwrap_or_else(|| temporary.path().to_owned()),
            _temporary: temporary,
        }
    }
}

fn open(browser: &mut Browser, zegel: &Zegel, path: &str) {
    browser.open(&format!("http://{}{path}", zegel.http_address()));
    let complaints = browser.complaints();
    assert!(complaints.is_empty(), "{path}: {complaints:#?}");
}

#[test]
fn nothing_sticks_out_and_nothing_is_complained_of() {
    let zegel = signer();
    let mut browser = Browser::start();
    let pictures = Pictures::new();
    for (name, path) in PAGES {
        for width in WIDTHS {
            browser.resize(width, 900);
            open(&mut browser, &zegel, path);
            // With everything unfolded.
            let unfold = "document.querySelectorAll('details').forEach(one => one.open = true)";
            browser.evaluate(unfold);
            let room = browser.evaluate("document.documentElement.clientWidth");
            let taken = browser.evaluate("document.documentElement.scrollWidth");
            assert_eq!(room, Value::from(width), "{path}");
            assert_eq!(
                taken,
                room,
                "{path} at {width}: {}",
                sticking_out(&mut browser)
            );
            for scheme in ["light", "dark"] {
                browser.prefer(scheme);
                let file = pictures.folder.join(format!("{name}-{width}-{scheme}.png"));
                browser.picture(&file);
                assert!(std::fs::metadata(&file).expect("a picture").len() > 1000);
            }
        }
    }
}

/// What is wider than the window, for the message.
fn sticking_out(browser: &mut Browser) -> Value {
    browser.evaluate(
        "[...document.querySelectorAll('body *')].filter(one => \
         one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)\
         .slice(0, 9).map(one => one.outerHTML.slice(0, 120)).join('\\n')",
    )
}

/// The picture of the README, which `docs/pictures/make` makes with this.
#[test]
fn the_picture_of_the_readme_names_no_place_of_this_host() {
    let mut zegel = world::usual_signer();
    zegel.launch();
    for (id, number, counts) in [
        ("linde", 46, (46, 0)),
        ("aa", 21, (21, 0)),
        ("noord", 12, (12, 0)),
        ("west", 3, (0, 3)),
        ("kade", 9, (9, 0)),
    ] {
        send(&zegel, &format!("{id}.example"), number);
        await_counts(&zegel, id, counts);
    }
    let mut browser = Browser::start();
    browser.prefer("light");
    browser.resize(1200, 800);
    open(&mut browser, &zegel, "/");
    let text = browser.evaluate("document.body.innerText");
    let text = text.as_str().expect("a text");
    for place in [zegel.path("").display().to_string(), "/tmp/".to_owned()] {
        assert!(!text.contains(&place), "{place} in {text}");
    }
    assert!(text.contains("Provincie Noord") && text.contains("Fails to verify"));
    let first = browser.evaluate("document.querySelector('tbody th a').textContent");
    assert_eq!(first, Value::from("Provincie Noord"));
    let pictures = Pictures::new();
    let file = pictures.folder.join("status-page.png");
    browser.picture(&file);
    assert!(std::fs::metadata(&file).expect("a picture").len() > 1000);
}

/// On a telephone more than four organisations are on a screen, and what is left out is not lost.
#[test]
fn a_telephone_shows_several_organisations_at_once() {
    let mut zegel = world::usual_signer();
    zegel.launch();
    let mut browser = Browser::start();
    browser.resize(360, 800);
    open(&mut browser, &zegel, "/");
    let pictures = Pictures::new();
    browser.picture(&pictures.folder.join("telephone.png"));
    let heights = "[...document.querySelectorAll('tbody tr')].map(one => one.offsetHeight)";
    let heights = browser.evaluate(heights);
    let heights: Vec<u64> = heights
        .as_array()
        .expect("rows")
        .iter()
        .filter_map(Value::as_u64)
        .collect();
    assert_eq!(heights.len(), 6);
    assert!(heights.iter().sum::<u64>() <= 800, "{heights:?}");
}

#[test]
fn the_plot_says_how_much_its_highest_bar_is() {
    let zegel = signer();
    let mut browser = Browser::start();
    browser.resize(1440, 900);
    open(&mut browser, &zegel, "/org/amstel");
    let scale = browser.evaluate("document.querySelector('.day .scale').textContent");
    assert_eq!(scale, Value::from("2 an hour"));
    open(&mut browser, &zegel, "/?q=amstel");
    let scale = browser.evaluate("document.querySelector('td.plot .scale').textContent");
    assert_eq!(scale, Value::from("up to 2 an hour"));
}

#[test]
fn dark_and_light_differ_and_can_be_read() {
    let zegel = signer();
    let mut browser = Browser::start();
    browser.resize(1440, 900);
    let mut papers = Vec::new();
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        open(&mut browser, &zegel, "/org/amstel");
        papers.push(browser.evaluate("getComputedStyle(document.body).backgroundColor"));
        for path in ["/", "/org/amstel", "/org/dijk"] {
            open(&mut browser, &zegel, path);
            // WCAG 2.2 §1.4.3: 4.5 to 1 for every text.
            let faint = browser.evaluate(CONTRAST);
            assert_eq!(faint, Value::from(""), "{path} {scheme}");
        }
    }
    assert_ne!(papers[0], papers[1]);
}

/// The texts whose contrast to what is behind them is less than 4.5.
const CONTRAST: &str = r"(() => {
  const parse = text => text.match(/[\d.]+/g).map(Number);
  const channel = value => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const paper = one => {
    for (; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const one of document.querySelectorAll('body *')) {
    if (![...one.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
    const [ink, back] = [light(parse(getComputedStyle(one).color)), light(paper(one))];
    const contrast = (Math.max(ink, back) + 0.05) / (Math.min(ink, back) + 0.05);
    if (contrast < 4.5) faint.push(contrast.toFixed(2) + ' ' + one.outerHTML.slice(0, 90));
  }
  return faint.join('\n');
})()";

#[test]
fn a_screen_reader_hears_it_in_its_order() {
    let zegel = signer();
    let mut browser = Browser::start();
    for width in [320, 1440] {
        browser.resize(width, 900);
        open(&mut browser, &zegel, "/");
        let spoken = browser.spoken();
        let place = |role: &str, name: &str| {
            let found = spoken
                .iter()
                .position(|(one, text)| one == role && text.contains(name));
            found.unwrap_or_else(|| panic!("no {role} {name:?} at {width}: {spoken:?}"))
        };
        let order = [
            place("link", "To the content"),
            place("banner", ""),
            place("main", ""),
            place("heading", "7 organisations"),
            place("navigation", "By level"),
            place("search", ""),
            place("searchbox", "Name, id or domain"),
            place("button", "Search"),
            place("table", "Organisations"),
            place("rowheader", "Bouw- en Woningtoezicht"),
            place("contentinfo", ""),
        ];
        assert!(order.is_sorted(), "{width}: {order:?} in {spoken:?}");
        for (role, name) in [
            ("columnheader", "Organisation"),
            ("columnheader", "Not signed"),
            ("cell", "puts it back now"),
        ] {
            place(role, name);
        }
        // A telephone has no room for the plots of the list.
        if width > 640 {
            place("image", "2 signed and 0 not signed in the last 24 hours");
        }
        let lone = "document.querySelectorAll('h1').length === 1 && \
                    document.documentElement.lang === 'en' && \
                    [...document.querySelectorAll('th')].every(one => one.scope)";
        for (_, path) in PAGES {
            open(&mut browser, &zegel, path);
            assert_eq!(browser.evaluate(lone), Value::from(true), "{path}");
        }
    }
}

#[test]
fn a_search_works_without_scripts_and_a_value_is_copied_whole() {
    let zegel = signer();
    let mut browser = Browser::start();
    let disabled = serde_json::json!({ "value": true });
    browser.call("Emulation.setScriptExecutionDisabled", &disabled);
    open(&mut browser, &zegel, "/?sort=-name");
    let enabled = serde_json::json!({ "value": false });
    browser.call("Emulation.setScriptExecutionDisabled", &enabled);
    browser.submit(
        "document.querySelector('#q').value = 'CUL'; \
                    document.querySelector('form button').click()",
    );
    assert!(browser.complaints().is_empty());
    let address = browser.evaluate("location.pathname + location.search");
    assert_eq!(address, Value::from("/?q=CUL&sort=-name"));
    let rows = browser.evaluate("document.querySelectorAll('tbody tr').length");
    assert_eq!(rows, Value::from(1));
    browser.submit("document.querySelector('tbody a').click()");
    let heading = browser.evaluate("document.querySelector('h1').textContent");
    assert_eq!(heading, Value::from("Café Cultuur"));
    // One click selects the whole value.
    let value = browser.evaluate("document.querySelector('.value').textContent");
    let place = "(() => { const box = document.querySelector('.value'); box.scrollIntoView();
                 const place = box.getBoundingClientRect(); return [place.x + 9, place.y + 9]; })()";
    let place = browser.evaluate(place);
    browser.click(&place);
    let selected = browser.evaluate("getSelection().toString()");
    assert_eq!(selected, value);
    assert!(
        value
            .as_str()
            .is_some_and(|value| value.starts_with("v=DKIM1; k=ed25519; p="))
    );
}

#[test]
fn paper_gets_all_of_it() {
    let zegel = signer();
    let mut browser = Browser::start();
    let pictures = Pictures::new();
    for (name, path) in PAGES {
        open(&mut browser, &zegel, path);
        let file = pictures.folder.join(format!("{name}.pdf"));
        browser.print(&file);
        let paper = std::fs::read(&file).expect("a file");
        assert!(paper.starts_with(b"%PDF-") && paper.len() > 5000, "{path}");
    }
    // On paper there is nothing to click.
    let dark = serde_json::json!({ "name": "prefers-color-scheme", "value": "dark" });
    let media = serde_json::json!({ "media": "print", "features": [dark] });
    browser.call("Emulation.setEmulatedMedia", &media);
    // A4 between its margins, in pixels of CSS.
    browser.resize(688, 1000);
    for (name, path) in PAGES {
        open(&mut browser, &zegel, path);
        browser.picture(&pictures.folder.join(format!("{name}-print.png")));
        let taken = browser.evaluate("document.documentElement.scrollWidth");
        assert_eq!(
            taken,
            Value::from(688),
            "{path}: {}",
            sticking_out(&mut browser)
        );
    }
    open(&mut browser, &zegel, "/");
    let hidden = "getComputedStyle(document.querySelector('.search')).display";
    assert_eq!(browser.evaluate(hidden), Value::from("none"));
    // It is white, also for those who like it dark.
    assert_eq!(browser.evaluate(CONTRAST), Value::from(""));
    let headings = "getComputedStyle(document.querySelector('thead')).display";
    assert_eq!(
        browser.evaluate(headings),
        Value::from("table-header-group")
    );
}
