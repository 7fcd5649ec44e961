//! The letter as a document, before it is known whether it becomes text, Markdown or HTML.

use std::cmp::Reverse;

use jiff::{ToSpan, civil::Date};

use super::{
    About, Letter,
    catalogue::Catalogue,
    mail::{Kind, Mail, Sender},
    tasks::{Record, Task, What, When, tasks},
};
use crate::{
    evidence::streams::OfDay,
    ladder::{Action, Rung, facts::sum, holds::HoldCode},
    paper::{Block, Inline, Inlines, fill, plain, splice, words},
    sending::date,
};

/// So many domains that never send have a row of their own.
const MOST_PARKED: usize = 10;
/// And so many of which nothing is reported are named.
const MOST_NAMED: usize = 20;

pub(super) fn write(letter: &Letter<'_>, catalogue: &'static Catalogue) -> Vec<Block> {
    let mut writer = Writer {
        letter,
        catalogue,
        blocks: Vec::new(),
    };
    writer.top();
    writer.tasks();
    let sending = letter.domains.iter().filter(|about| !about.parked);
    for about in sending {
        writer.domain(about);
    }
    writer.parked();
    writer.blocks
}

struct Writer<'a> {
    letter: &'a Letter<'a>,
    catalogue: &'static Catalogue,
    blocks: Vec<Block>,
}

impl Writer<'_> {
    fn top(&mut self) {
        let (letter, catalogue) = (self.letter, self.catalogue);
        let month = catalogue.month(letter.month.first());
        let today = catalogue.date(letter.date);
        let values = [("name", letter.name), ("month", &month)];
        self.blocks
            .push(Block::Title(fill(catalogue.title, &values)));
        let mut facts = vec![(words(catalogue.written), words(&*today))];
        let more = [
            (catalogue.sender, letter.sender),
            (catalogue.questions, letter.questions),
        ];
        for (label, value) in more {
            facts.extend(value.map(|value| (words(label), words(value))));
        }
        self.blocks.push(Block::Facts(facts));
        // Of the last days before it was written nothing is reported yet.
        let introduction = if letter.date > letter.month.last() {
            fill(catalogue.introduction, &[("month", &month)])
        } else {
            let values = [
                ("month", catalogue.month_name(letter.month.first())),
                ("date", &today),
            ];
            fill(catalogue.introduction_part, &values)
        };
        self.sentences([introduction, words(catalogue.reading)]);
    }

    /// A paragraph.
    fn sentences(&mut self, sentences: impl IntoIterator<Item = Inlines>) {
        let paragraph = joined(sentences.into_iter().collect(), " ", " ");
        if !paragraph.is_empty() {
            self.blocks.push(Block::Paragraph(paragraph));
        }
    }

    fn tasks(&mut self) {
        let catalogue = self.catalogue;
        self.blocks.push(Block::Section(words(catalogue.asked)));
        let tasks = tasks(&self.letter.domains, catalogue);
        if tasks.is_empty() {
            self.blocks
                .push(Block::Paragraph(words(catalogue.nothing_asked)));
        }
        let mut points = Vec::new();
        for task in &tasks {
            let sentence = self.task(task);
            if task.record.is_none() && task.when != When::Now {
                points.push(sentence);
                continue;
            }
            self.points(&mut points);
            self.blocks.push(if task.when == When::Now {
                Block::Urgent(sentence)
            } else {
                Block::Paragraph(sentence)
            });
            if let Some(record) = &task.record {
                self.record(record);
            }
        }
        self.points(&mut points);
    }

    fn points(&mut self, points: &mut Vec<Inlines>) {
        if !points.is_empty() {
            self.blocks.push(Block::List(std::mem::take(points)));
        }
    }

    fn record(&mut self, record: &Record) {
        let catalogue = self.catalogue;
        let sentence = if record.names.len() == 1 {
            catalogue.record
        } else {
            catalogue.records
        };
        let names = record.names.iter();
        let names = names.map(|name| vec![Inline::Code(name.clone())]);
        let names = joined(names.collect(), ", ", ", ");
        self.blocks.push(Block::Copy(
            splice(sentence, &[], &[("names", &names)]),
            vec![record.value.clone()],
        ));
    }

    /// By when, and what.
    fn task(&self, task: &Task) -> Inlines {
        let catalogue = self.catalogue;
        let when = match task.when {
            When::Now => words(catalogue.now),
            When::Within(days) => {
                let date = self.letter.date.checked_add(days.days());
                let date = catalogue.date(date.unwrap_or(Date::MAX));
                fill(catalogue.by, &[("date", &date)])
            }
            When::BeforeReject => words(catalogue.before_reject),
            When::After => words(catalogue.after),
            When::Ours => words(catalogue.for_us),
        };
        let mut sentence = vec![Inline::Strong(format!("{}:", plain(&when)))];
        sentence.extend(words(" "));
        sentence.extend(self.what(task));
        sentence
    }

    fn what(&self, task: &Task) -> Inlines {
        let catalogue = self.catalogue;
        let is_ours = task.when == When::Ours;
        let chosen = |ours: &'static str, theirs: &'static str| if is_ours { ours } else { theirs };
        let sentence = match task.what {
            What::StepBack => catalogue.step_back,
            What::Stranger => catalogue.stranger,
            What::ParkedPasses => catalogue.parked_passes,
            What::First => catalogue.first,
            What::Broken => catalogue.broken,
            What::Next(_) => catalogue.next,
            What::Same => catalogue.same,
            What::Park => catalogue.park,
            What::Who => catalogue.who,
            What::List => catalogue.people_write,
            What::WhoSends => catalogue.who_sends,
            What::Elsewhere => catalogue.elsewhere,
            What::Failing => chosen(catalogue.failing_ours, catalogue.failing),
            What::Below => chosen(catalogue.below_ours, catalogue.below),
            What::SpfOnly => chosen(catalogue.spf_only_ours, catalogue.spf_only),
            What::Whole => catalogue.whole,
            What::More(_) => catalogue.more,
        };
        let (number, effect, count) = match task.what {
            What::Next(rung) => (step(rung), catalogue.rung(rung), String::new()),
            What::More(count) => (String::new(), "", count.to_string()),
            _ => (String::new(), "", String::new()),
        };
        let messages = catalogue.messages(task.messages);
        let senders = task.senders.iter().map(|(name, messages)| {
            let mut sender = name.clone();
            sender.extend(words(format!(" ({})", catalogue.messages(*messages))));
            sender
        });
        let senders = self.all(senders.collect());
        let domains = task.domains.iter();
        let domains = domains.map(|domain| vec![Inline::Code(domain.clone())]);
        let domains = self.all(domains.collect());
        let (of, selector) = &task.of;
        let values = [
            ("messages", messages.as_str()),
            ("step", &number),
            ("effect", effect),
            ("count", &count),
            ("domain", of),
            ("owner", of),
            ("selector", selector),
        ];
        splice(
            sentence,
            &values,
            &[("domains", &domains), ("senders", &senders)],
        )
    }

    fn domain(&mut self, about: &About<'_>) {
        let (letter, catalogue) = (self.letter, self.catalogue);
        let sending = letter.domains.iter().filter(|one| !one.parked);
        let is_told = |domain| {
            sending
                .clone()
                .any(|one| one.domain == domain && !one.is_below())
        };
        if about.is_below() && is_told(about.owner) {
            return;
        }
        let heading = words(about.domain.as_str());
        self.blocks.push(Block::Section(heading));
        if about.is_below() {
            let owner = [("owner", about.owner.as_str())];
            self.sentences([fill(catalogue.above_not_ours, &owner)]);
            return;
        }
        let with: Vec<String> = sending
            .clone()
            .filter(|one| one.is_below() && one.owner == about.domain)
            .map(|one| one.domain.to_string())
            .collect();
        let mut sentences = self.standing(about);
        if !with.is_empty() {
            let with = self.some(&with);
            sentences.push(splice(catalogue.also, &[], &[("domains", &with)]));
        }
        self.sentences(sentences);
        let mail = Mail::new(about.facts, letter.month, catalogue);
        if !mail.is_reported {
            let month = catalogue.month(letter.month.first());
            self.sentences([fill(catalogue.no_reports, &[("month", &month)])]);
            return;
        }
        self.senders(&mail);
        let mut sentences = self.stopped(&mail);
        sentences.push(self.changed(&mail));
        self.sentences(sentences);
    }

    /// How far it is, and what comes next.
    fn standing(&self, about: &About<'_>) -> Vec<Inlines> {
        let (catalogue, standing) = (self.catalogue, about.standing);
        let lacks = |code| standing.holds.iter().any(|hold| hold.code == code);
        if lacks(HoldCode::UnknownRecord) {
            return vec![words(catalogue.step_unknown)];
        }
        let Some(rung) = standing.step else {
            return vec![words(catalogue.step_none)];
        };
        let mut place = fill(catalogue.at_step, &[("step", &step(rung))]);
        if let Some(since) = standing.since {
            let since = catalogue.date(date(since));
            place.extend(fill(catalogue.since, &[("date", &since)]));
        }
        place.extend(words("."));
        let mut sentences = vec![place, words(catalogue.rung(rung))];
        let advice = &standing.advice;
        match advice.action {
            Action::StepBack | Action::Publish => return sentences,
            Action::Done => {
                if rung == Rung::Reject {
                    sentences.push(words(catalogue.arrived));
                }
                return sentences;
            }
            Action::Ask | Action::Fix | Action::Wait => {}
        }
        let is_asked = advice.action != Action::Wait;
        let is_reported = !lacks(HoldCode::NoRecentReports);
        if is_reported && advice.days > 0 {
            let days = i32::from(advice.days).days();
            let date = self.letter.date.checked_add(days).unwrap_or(Date::MAX);
            let date = catalogue.date(date);
            let sentence = if is_asked {
                catalogue.waits_for_you_not_before
            } else {
                catalogue.not_before
            };
            sentences.push(fill(sentence, &[("date", &date)]));
        } else if is_asked {
            sentences.push(words(catalogue.waits_for_you));
        }
        if !is_reported {
            sentences.push(words(catalogue.waits_for_reports));
        }
        sentences
    }

    fn senders(&mut self, mail: &Mail) {
        let catalogue = self.catalogue;
        let mut rows: Vec<Vec<Inlines>> = (mail.senders.iter())
            .map(|sender| self.row(name(sender, catalogue), sender.now, sender.before))
            .collect();
        let (count, now, before) = mail.others;
        if count > 0 {
            let count = count.to_string();
            let name = fill(catalogue.other_senders, &[("count", &count)]);
            rows.push(self.row(name, now, before));
        }
        let (now, before) = mail.forwarded;
        if now.messages > 0 {
            rows.push(self.row(words(catalogue.forwarded), now, before));
        }
        let month = self.letter.month;
        if rows.is_empty() {
            let month = catalogue.month(month.first());
            self.sentences([fill(catalogue.no_mail, &[("month", &month)])]);
            return;
        }
        let heads = vec![
            words(catalogue.column_sender),
            words(catalogue.messages_in),
            words(catalogue.recognised),
            self.column_before(),
        ];
        self.blocks.push(Block::Table(heads, rows));
    }

    fn column_before(&self) -> Inlines {
        let month = self.letter.month.previous().first();
        let month = self.catalogue.month_name(month);
        fill(self.catalogue.column_before, &[("month", month)])
    }

    fn row(&self, name: Inlines, now: OfDay, before: OfDay) -> Vec<Inlines> {
        let catalogue = self.catalogue;
        let share = catalogue.share(now.aligned, now.messages);
        vec![
            name,
            words(catalogue.number(now.messages)),
            words(share.unwrap_or_default()),
            words(catalogue.number(before.messages)),
        ]
    }

    /// What only pretended, and what became of it.
    fn stopped(&self, mail: &Mail) -> Vec<Inlines> {
        let catalogue = self.catalogue;
        let (abuse, own) = (mail.abuse.0, mail.own.0);
        let counted = |sentence: &str, of: OfDay| {
            let (rejected, quarantined) = (
                catalogue.number(of.rejected),
                catalogue.number(of.quarantined),
            );
            let messages = catalogue.messages(of.messages);
            let values = [
                ("messages", messages.as_str()),
                ("rejected", &rejected),
                ("quarantined", &quarantined),
            ];
            fill(sentence, &values)
        };
        let mut sentences = Vec::new();
        if abuse.messages == 0 {
            sentences.push(words(catalogue.nothing_false));
        } else {
            let stopped = abuse.rejected.saturating_add(abuse.quarantined);
            let rest = abuse.messages.saturating_sub(stopped);
            sentences.push(if stopped == 0 {
                counted(catalogue.stopped_nothing, abuse)
            } else {
                counted(catalogue.stopped, abuse)
            });
            if stopped > 0 && rest > 0 {
                let rest = catalogue.number(rest);
                sentences.push(fill(catalogue.stopped_rest, &[("rest", &rest)]));
            }
        }
        if own.rejected > 0 || own.quarantined > 0 {
            sentences.push(counted(catalogue.own_stopped, own));
        }
        sentences
    }

    fn changed(&self, mail: &Mail) -> Inlines {
        let catalogue = self.catalogue;
        let month = catalogue.month(self.letter.month.previous().first());
        if mail.is_first {
            return words(catalogue.first_month);
        }
        if !mail.was_reported {
            return fill(catalogue.not_compared, &[("month", &month)]);
        }
        let mut changes = Vec::new();
        let share = |of: OfDay| catalogue.share(of.aligned, of.messages);
        if let (Some(now), Some(then)) = (share(mail.own.0), share(mail.own.1)) {
            changes.push(fill(
                catalogue.changed_share,
                &[("now", &now), ("then", &then)],
            ));
        }
        if let (Some(now), Some(then)) = mail.rungs
            && now != then
        {
            let (now, then) = (step(now), step(then));
            let values = [("now", now.as_str()), ("then", &then)];
            changes.push(fill(catalogue.changed_step, &values));
        }
        let (new, more) = &mail.new;
        changes.push(if new.is_empty() {
            words(catalogue.nothing_new)
        } else if *more == 0 {
            let senders = self.all(new.clone());
            splice(catalogue.changed_new, &[], &[("senders", &senders)])
        } else {
            let senders = joined(new.clone(), ", ", ", ");
            let count = [("count", more.to_string())];
            let count = count
                .each_ref()
                .map(|(name, count)| (*name, count.as_str()));
            splice(catalogue.changed_new_more, &count, &[("senders", &senders)])
        });
        let mut sentence = fill(catalogue.compared, &[("month", &month)]);
        sentence.extend(words(" "));
        sentence.extend(joined(changes, "; ", "; "));
        sentence.extend(words("."));
        sentence
    }

    fn parked(&mut self) {
        let (letter, catalogue) = (self.letter, self.catalogue);
        let parked: Vec<&About<'_>> = letter.domains.iter().filter(|one| one.parked).collect();
        if parked.is_empty() {
            return;
        }
        self.blocks.push(Block::Section(words(catalogue.parked)));
        let (mut seen, mut quiet, mut unseen) = (Vec::new(), Vec::new(), Vec::new());
        for about in &parked {
            let (now, before) = Mail::new(about.facts, letter.month, catalogue).all();
            if now.messages > 0 || before.messages > 0 {
                seen.push((about.domain.as_str(), now, before));
            } else if about.standing.advice.action == Action::Done {
                quiet.push(about.domain.to_string());
            } else {
                unseen.push(about.domain.to_string());
            }
        }
        self.parked_rows(seen);
        let mut sentences = Vec::new();
        for (names, sentence) in [
            (quiet, catalogue.parked_none),
            (unseen, catalogue.parked_no_reports),
        ] {
            if !names.is_empty() {
                let names = self.some(&names);
                sentences.push(splice(sentence, &[], &[("domains", &names)]));
            }
        }
        for about in &parked {
            if let Some(below) = about.waits_for {
                let domain = [Inline::Code(about.domain.to_string())];
                let below = [("below", below.as_str())];
                sentences.push(splice(
                    catalogue.parked_waits,
                    &below,
                    &[("domains", &domain)],
                ));
            }
        }
        self.sentences(sentences);
    }

    fn parked_rows(&mut self, mut seen: Vec<(&str, OfDay, OfDay)>) {
        let catalogue = self.catalogue;
        if seen.is_empty() {
            return;
        }
        self.sentences([words(catalogue.parked_what)]);
        seen.sort_by_key(|(_, now, before)| Reverse((now.messages, before.messages)));
        let row = |name: Inlines, now: OfDay, before: OfDay| {
            let numbers = [now.messages, now.rejected, now.quarantined, before.messages];
            let numbers = numbers.map(|number| words(catalogue.number(number)));
            std::iter::once(name).chain(numbers).collect::<Vec<_>>()
        };
        let rest = seen.split_off(seen.len().min(MOST_PARKED));
        let mut rows: Vec<Vec<Inlines>> = (seen.into_iter())
            .map(|(name, now, before)| row(words(name), now, before))
            .collect();
        if !rest.is_empty() {
            let count = rest.len().to_string();
            let name = fill(catalogue.other_domains, &[("count", &count)]);
            let now = sum(rest.iter().map(|(_, now, _)| now));
            rows.push(row(name, now, sum(rest.iter().map(|(.., before)| before))));
        }
        let heads = vec![
            words(catalogue.column_domain),
            words(catalogue.column_false),
            words(catalogue.column_rejected),
            words(catalogue.column_quarantined),
            self.column_before(),
        ];
        self.blocks.push(Block::Table(heads, rows));
    }

    /// `a, b en c`.
    fn all(&self, items: Vec<Inlines>) -> Inlines {
        joined(items, ", ", &format!(" {} ", self.catalogue.and))
    }

    /// The first of these names, and how many more there are.
    fn some(&self, names: &[String]) -> Inlines {
        let shown = names.iter().take(MOST_NAMED);
        let mut items: Vec<Inlines> = shown.map(|name| vec![Inline::Code(name.clone())]).collect();
        if names.len() > MOST_NAMED {
            let count = (names.len() - MOST_NAMED).to_string();
            items.push(fill(self.catalogue.other_domains, &[("count", &count)]));
        }
        self.all(items)
    }
}

/// The number of a rung, from 1 to 5.
fn step(rung: Rung) -> String {
    let place = Rung::ALL.iter().position(|one| *one == rung);
    (place.unwrap_or_default() + 1).to_string()
}

fn name(sender: &Sender, catalogue: &Catalogue) -> Inlines {
    let mut name = sender.name.clone();
    if sender.kind == Kind::Unknown {
        name.extend(words(" "));
        name.push(Inline::Strong(catalogue.unknown_sender.to_owned()));
    }
    name
}

fn joined(items: Vec<Inlines>, between: &str, last: &str) -> Inlines {
    let count = items.len();
    let mut all = Inlines::new();
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            let is_last = place + 1 == count;
            all.extend(words(if is_last { last } else { between }));
        }
        all.extend(item);
    }
    all
}
