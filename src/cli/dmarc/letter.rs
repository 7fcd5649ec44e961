//! `zegel dmarc letter`

use clap::Args;

use super::{
    status::{Basis, ask, prove},
    told::Subject,
};
use crate::{
    cli::{
        context::{Context, organisation},
        failure::Failure,
        status::Status,
    },
    letter::{About, Format, Letter, Month},
    sending::date,
    words::Language,
};

#[derive(Args, Debug)]
pub(in crate::cli) struct LetterArguments {
    /// The id of the organisation
    #[arg(value_name = "ORG")]
    organisation: String,

    /// The month that it is about, such as 2026-10 [default: the last one that is over]
    #[arg(long, value_name = "MONTH")]
    month: Option<Month>,

    /// The language of the reader [default: that of its file]
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    lang: Option<Language>,

    /// What it is for: a page to print, a mail, a ticket
    #[arg(long, value_enum, default_value_t = Format::Html, value_name = "FORMAT")]
    format: Format,

    #[command(flatten)]
    basis: Basis,
}

pub(super) fn run(arguments: &LetterArguments, context: &mut Context) -> Result<Status, Failure> {
    let basis = &arguments.basis;
    let today = basis.today();
    let month = arguments
        .month
        .unwrap_or_else(|| Month::before(date(today)));
    if month.days().from > today {
        return Err(Failure::Usage(
            "--month: it has not begun yet: write one that has".to_owned(),
        ));
    }
    // Whose a domain is, the others tell as well.
    let loaded = context.load()?;
    let organisation = organisation(&loaded, &arguments.organisation)?;
    let asked = ask(&loaded, &[organisation], basis)?;
    let proved = prove(&loaded, &asked, today)?;
    let stands: Vec<Subject<'_>> = (asked.iter())
        .map(|one| one.stand(&loaded, &proved))
        .collect();
    let handover = &loaded.settings.handover;
    let letter = Letter {
        name: &organisation.name,
        sender: handover.sender.as_deref(),
        questions: handover.contact.as_deref(),
        date: date(today),
        month,
        domains: stands.iter().map(about).collect(),
    };
    let language = arguments.lang.unwrap_or(organisation.language);
    let text = letter.render(arguments.format, language);
    context.output.octets(text.as_bytes());
    Ok(Status::Good)
}

fn about<'a>(stands: &'a Subject<'_>) -> About<'a> {
    About {
        domain: stands.domain,
        parked: stands.parked,
        owner: stands.owner,
        waits_for: stands.waits_for,
        is_broken: stands.is_broken,
        facts: &stands.climb.facts,
        standing: &stands.standing,
    }
}
