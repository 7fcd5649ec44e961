//! The `[database]` table: the PostgreSQL that several relays share.

use std::{
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use humantime::format_duration;

use super::{
    problem::Fault,
    section::{Section, duration, quoted, text, word},
};

const BOUNDS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_mins(10);
/// Of the name of a relay, in characters.
const NAME: usize = 100;
/// Where the kernel has the name of the host.
const HOST: &str = "/proc/sys/kernel/hostname";

/// The `[database]` table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DatabaseSettings {
    /// Where it is, as PostgreSQL writes it: `postgresql://USER@HOST,HOST/NAME`.
    pub url: String,
    /// Where the password is, if it takes one.
    pub password_file: Option<PathBuf>,
    /// How the way to it is protected.
    pub tls: Tls,
    /// Whose certificates are believed; without it those that the system believes.
    pub ca_file: Option<PathBuf>,
    /// What this relay is called; without it the name of the host.
    pub relay: Option<String>,
    /// How often it is looked at.
    pub poll_every: Duration,
}

impl DatabaseSettings {
    /// What this relay is called. Reads the name of the host where none is configured.
    pub fn relay_name(&self) -> String {
        let host = || {
            let name = fs::read_to_string(HOST).unwrap_or_default();
            let name = name.trim();
            relay(name).unwrap_or_else(|_| "unnamed".to_owned())
        };
        self.relay.clone().unwrap_or_else(host)
    }
}

/// How the way to a database is protected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tls {
    /// TLS, and the certificate is that of the host.
    Verify,
    /// Nothing: for a Unix socket or this host alone.
    Off,
}

impl Tls {
    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Off => "off",
        }
    }
}

/// None without the table.
pub(super) fn read(mut section: Section<'_>, folder: &Path) -> Option<DatabaseSettings> {
    let place = |node: &_| text(node).map(|text| folder.join(text));
    let url = if section.is_empty() {
        None
    } else {
        let example = "url = \"postgresql://zegel@db1.example/zegel\"";
        section.required("url", example, |node| url(text(node)?))
    };
    let settings = DatabaseSettings {
        url: url.unwrap_or_default(),
        password_file: section.read("password_file", place),
        tls: section.read_or("tls", Tls::Verify, |node| {
            word(node, &[("verify", Tls::Verify), ("off", Tls::Off)])
        }),
        ca_file: section.read("ca_file", place),
        relay: section.read("relay", |node| relay(text(node)?)),
        poll_every: section.read_or("poll_every", Duration::from_secs(5), |node| {
            duration(node, &BOUNDS)
        }),
    };
    section.finish();
    (!settings.url.is_empty()).then_some(settings)
}

/// The table in one line, for the list of changes.
pub(super) fn described(settings: Option<&DatabaseSettings>) -> String {
    let Some(settings) = settings else {
        return "none".to_owned();
    };
    let DatabaseSettings {
        url,
        password_file,
        tls,
        ca_file,
        relay,
        poll_every,
    } = settings;
    let path = |path: &Option<PathBuf>| match path {
        Some(path) => path.display().to_string(),
        None => "none".to_owned(),
    };
    format!(
        "{} (password_file {}, tls {}, ca_file {}, relay {}, poll_every {})",
        without_password(url),
        path(password_file),
        tls.as_str(),
        path(ca_file),
        relay.as_deref().unwrap_or("by its host"),
        format_duration(*poll_every)
    )
}

/// Someone may have written the password into it all the same.
fn without_password(url: &str) -> String {
    let Some((before, place)) = url.rsplit_once('@') else {
        return url.to_owned();
    };
    match before.split_once("://") {
        Some((scheme, user)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{place}")
        }
        None => url.to_owned(),
    }
}

fn url(url: &str) -> Result<String, Fault> {
    let schemes = ["postgresql://", "postgres://"];
    if !schemes.iter().any(|scheme| url.starts_with(scheme)) {
        return Err(Fault::new(
            "this is no address of a PostgreSQL",
            "write postgresql://USER@HOST/NAME",
        ));
    }
    if without_password(url) != url || url.contains("password=") {
        return Err(Fault::new(
            "there is a password in it",
            "write it into a file of its own, and name that as password_file",
        ));
    }
    Ok(url.to_owned())
}

fn relay(name: &str) -> Result<String, Fault> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    if !name.is_empty() && name.len() <= NAME && name.chars().all(is_good) {
        return Ok(name.to_owned());
    }
    Err(Fault::new(
        format!("{} is no name of a relay", quoted(name)),
        "write up to 100 letters, digits, dots, hyphens and underscores, such as relay1",
    ))
}
