//! The pages of section 1 and the completions, out of the definition of the command line.

use std::{io, path::Path};

use clap::Command;
use clap_complete::{Shell, generate_to};
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use super::{Edition, MANUAL, Page};

const FILES: [(&str, &str); 4] = [
    (
        "/etc/zegel/zegel.toml",
        "The configuration, see zegel.toml(5).",
    ),
    (
        "/etc/zegel/orgs.d/*.toml",
        "The organisations, see zegel-org(5).",
    ),
    (
        "/var/lib/zegel/keys",
        "The keystore: the private keys, what is known of their records, and audit.log.",
    ),
    (
        "/usr/share/doc/zegel/examples",
        "Settings for Postfix, Sendmail, Prometheus and Grafana, and drop-ins for systemd.",
    ),
];

/// The page of the program and one for each command, at any depth.
pub(crate) fn pages(command: &Command, edition: &Edition) -> io::Result<Vec<Page>> {
    let mut command = command.clone();
    command.build();
    let mut pages = Vec::new();
    collect(&command, None, edition, &mut pages)?;
    Ok(pages)
}

fn collect(
    command: &Command,
    parent: Option<&str>,
    edition: &Edition,
    pages: &mut Vec<Page>,
) -> io::Result<()> {
    let visible = |command: &&Command| !command.is_hide_set();
    let name = page_name(command);
    pages.push(page(command, parent, edition)?);
    for below in command.get_subcommands().filter(visible) {
        collect(below, Some(&name), edition, pages)?;
    }
    Ok(())
}

fn page_name(command: &Command) -> String {
    let name = command.get_display_name();
    name.unwrap_or_else(|| command.get_name()).to_owned()
}

fn page(command: &Command, parent: Option<&str>, edition: &Edition) -> io::Result<Page> {
    let man = Man::new(command.clone())
        .title(page_name(command).to_uppercase())
        .date(&edition.date)
        .source(&edition.source)
        .manual(MANUAL);
    let mut text = Vec::new();
    man.render(&mut text)?;
    let mut text = String::from_utf8(text).map_err(io::Error::other)?;
    // It is what `after_help` of the program holds.
    text = text.replace(".SH EXTRA\nExit status: ", ".SH \"EXIT STATUS\"\n");
    let mut end = Roff::new();
    if parent.is_none() {
        end.control("SH", ["FILES"]);
        for (file, what) in FILES {
            end.control("TP", []).text([bold(file)]).text([roman(what)]);
        }
    }
    end.control("SH", ["SEE ALSO"]);
    let mut related: Vec<String> = parent.iter().map(|name| format!("{name}(1)")).collect();
    let below = command
        .get_subcommands()
        .filter(|below| !below.is_hide_set());
    related.extend(below.map(|below| format!("{}(1)", page_name(below))));
    related.extend(["zegel.toml(5)".to_owned(), "zegel-org(5)".to_owned()]);
    end.text([roman(related.join(", "))]);
    text.push_str(&end.to_roff());
    let file = man.get_filename();
    Ok(Page { file, text })
}

/// `zegel.bash`, `_zegel` and `zegel.fish`.
pub(crate) fn completions(command: &Command, folder: &Path) -> io::Result<()> {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut command.clone(), "zegel", folder)?;
    }
    Ok(())
}
