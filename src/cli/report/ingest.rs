//! `zegel report ingest`: files, folders, mailboxes or one message into the store.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{self, Cursor, Read},
    net::IpAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::Args;
use jiff::Timestamp;

use super::{
    found::{Document, FileFound, RefusalFound, ReportFound, Totals},
    maildir::{Emptying, Maildir},
    refused::{self, Again, Refused},
    state_advice,
    walk::walk,
};
use crate::{
    cli::{
        context::Context,
        day::Day,
        failure::Failure,
        output::{printable, warn},
        status::Status,
    },
    config::{Loaded, ReportSettings},
    evidence::{Incoming, Rollup, Store, StoreError, Taken, rollup::DAY},
    report::{Found, Limits, Place, Reading, Reason, Refusal, Report},
};

/// Reports between two commits.
const BATCH: u32 = 500;
/// And the longest time between them.
const LONGEST: Duration = Duration::from_secs(2);

#[derive(Args, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub(in crate::cli) struct IngestArguments {
    /// Files, folders, Maildirs or mboxes; - is standard input
    #[arg(value_name = "PATH", required_unless_present_any = ["deliver", "maildir"])]
    paths: Vec<PathBuf>,

    /// Read one message from standard input, for an MTA: 0 when it is stored or put aside, 75
    /// when it has to come again
    #[arg(long, conflicts_with = "paths")]
    deliver: bool,

    /// Empty the Maildir of reports.maildir: each file goes when what it brings is kept or put
    /// aside; 75 when that cannot be written
    #[arg(long, conflicts_with_all = ["paths", "deliver"])]
    maildir: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// With --json, the messages of each address too
    #[arg(long, requires = "json")]
    sources: bool,

    /// Take reports about domains that no organisation has, too
    #[arg(long)]
    any_domain: bool,

    /// Read, say what would become of it, and keep nothing
    #[arg(long, conflicts_with = "deliver")]
    dry_run: bool,

    /// The day that counts as today, such as 2026-11-29
    #[arg(long, value_name = "DATE")]
    as_of: Option<Day>,
}

pub(super) fn run(arguments: &IngestArguments, context: &mut Context) -> Result<Status, Failure> {
    let ingest = || context.load().and_then(|loaded| ingest(arguments, &loaded));
    let ingested = if arguments.deliver {
        // An MTA takes every other status than 75 for a bounce.
        let fault = || Failure::Other("a fault of Zegel, told above".to_owned());
        catch_unwind(AssertUnwindSafe(ingest)).unwrap_or_else(|_| Err(fault()))
    } else {
        ingest()
    };
    let (document, left) = match ingested {
        Ok(done) => done,
        // The MTA keeps the message, whatever is wrong here, and tries again.
        Err(failure) if arguments.deliver => return Ok(later(failure)),
        // The Maildir keeps what came.
        Err(failure @ Failure::Other(_)) if arguments.maildir => return Ok(later(failure)),
        Err(failure) => return Err(failure),
    };
    let refused = document.totals.refused();
    if arguments.json {
        context.output.json(&document);
    } else {
        let is_quiet = arguments.deliver || (arguments.maildir && document.totals.is_empty());
        if !is_quiet {
            context.output.line(document.totals.words());
        }
    }
    let is_put_aside = arguments.deliver || arguments.maildir;
    Ok(Status::of_check(!left && (is_put_aside || !refused)))
}

fn later(failure: Failure) -> Status {
    warn(failure);
    Status::Later
}

/// What was found, and whether something is left in the Maildir that cannot be read or deleted.
fn ingest(arguments: &IngestArguments, loaded: &Loaded) -> Result<(Document, bool), Failure> {
    let mut ingest = Ingest::new(arguments, loaded)?;
    let settings = &loaded.settings.reports;
    if !arguments.dry_run {
        // First of all: it may make the room that is needed.
        let forgotten = ingest.refused.forget(settings.keep_refused);
        forgotten.map_err(|error| state_failure(&settings.state, &error))?;
    }
    if arguments.deliver {
        ingest.standard_input()?;
    }
    ingest.maildir()?;
    for path in &arguments.paths {
        ingest.path(path)?;
    }
    if !arguments.dry_run {
        ingest.end(settings).map_err(|error| state_advice(&error))?;
    }
    let left = ingest.maildir.as_ref().is_some_and(Emptying::is_left);
    Ok((ingest.document, left))
}

fn maildir(settings: &ReportSettings) -> Result<Maildir, Failure> {
    let path = settings.maildir.as_deref().ok_or_else(|| {
        Failure::Usage(
            "no Maildir is set: write its path as maildir under [reports] in zegel.toml".to_owned(),
        )
    })?;
    Maildir::open(path)
}

fn state_failure(state: &Path, error: &io::Error) -> Failure {
    Failure::Other(format!(
        "{}: {error}; see whether there is room, and whether this user may write there",
        state.display()
    ))
}

fn reading(settings: &ReportSettings, now: i64) -> Reading {
    let limits = settings.limits;
    Reading {
        limits: Limits {
            message: limits.message as u64,
            expanded: limits.expanded as u64,
            records: limits.records as u64,
            entries: limits.entries as u64,
            nesting: u32::try_from(limits.nesting).unwrap_or(u32::MAX),
        },
        now,
        authserv_id: settings.authserv_id.clone(),
    }
}

/// Every domain of every organisation.
fn ours(loaded: &Loaded) -> HashSet<Box<str>> {
    let organisations = loaded.organisations.iter();
    organisations
        .flat_map(|one| one.domains.iter().chain(&one.parked).chain(&one.incoming))
        .map(|domain| domain.as_str().into())
        .collect()
}

/// What the document tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Listing {
    /// Nothing of each file: there is no document.
    Totals,
    Files,
    /// Also the messages of each address.
    Sources,
}

struct Ingest {
    reading: Reading,
    ours: HashSet<Box<str>>,
    relays: Vec<IpAddr>,
    any_domain: bool,
    listing: Listing,
    /// In days since 1970.
    today: i32,
    /// In seconds.
    keep: i64,
    store: Store,
    dry_run: bool,
    /// Reports since the last commit, and when they began; none if no transaction is open.
    uncommitted: u32,
    begun: Option<Instant>,
    refused: Refused,
    /// None if it is not what was asked for.
    maildir: Option<Emptying>,
    document: Document,
}

impl Ingest {
    fn new(arguments: &IngestArguments, loaded: &Loaded) -> Result<Self, Failure> {
        let settings = &loaded.settings.reports;
        let now = arguments
            .as_of
            .map_or_else(Timestamp::now, Day::ends)
            .as_second();
        let maildir = arguments.maildir.then(|| maildir(settings)).transpose()?;
        let store = if arguments.dry_run {
            Store::trial(&settings.state)
        } else {
            Store::open(&settings.state)
        };
        Ok(Self {
            reading: reading(settings, now),
            ours: ours(loaded),
            relays: loaded.settings.keeper.relay_addresses.clone(),
            any_domain: arguments.any_domain,
            listing: match (arguments.json, arguments.sources) {
                (false, _) => Listing::Totals,
                (true, false) => Listing::Files,
                (true, true) => Listing::Sources,
            },
            today: i32::try_from(now.div_euclid(DAY)).unwrap_or(i32::MAX),
            keep: i64::try_from(settings.keep.as_secs()).unwrap_or(i64::MAX),
            store: store.map_err(|error| state_advice(&error))?,
            dry_run: arguments.dry_run,
            uncommitted: 0,
            begun: None,
            refused: Refused::new(&settings.state),
            maildir: maildir.map(Emptying::new),
            document: Document {
                version: 1,
                files: Vec::new(),
                totals: Totals::default(),
            },
        })
    }

    /// Commits, and then forgets what is old. What is not forgotten today is tomorrow: no report
    /// waits for it.
    fn end(&mut self, settings: &ReportSettings) -> Result<(), StoreError> {
        self.begin()?;
        self.document.totals.count(&mut self.store)?;
        self.commit()?;
        let today = self.today;
        let before = |kept: Duration| {
            let days = i32::try_from(kept.as_secs() / DAY.unsigned_abs()).unwrap_or(i32::MAX);
            today.saturating_sub(days)
        };
        let (addresses, all) = (before(settings.keep_addresses), before(settings.keep));
        if let Err(error) = self.store.forget_old(today, addresses, all) {
            warn(format_args!("what is old can't be forgotten: {error}"));
        }
        Ok(())
    }

    /// After each file: nobody who writes waits for long, and what is read goes.
    fn breathe(&mut self) -> Result<(), Failure> {
        if self.dry_run {
            return Ok(());
        }
        match (self.begun, &mut self.maildir) {
            (Some(begun), _) if begun.elapsed() > LONGEST => {
                self.commit().map_err(|error| state_advice(&error))
            }
            (None, Some(maildir)) => {
                maildir.empty();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What was added is on the disk; what brought it can go.
    fn commit(&mut self) -> Result<(), StoreError> {
        self.store.commit()?;
        self.uncommitted = 0;
        self.begun = None;
        if let Some(maildir) = &mut self.maildir {
            maildir.empty();
        }
        Ok(())
    }

    fn maildir(&mut self) -> Result<(), Failure> {
        let Some(maildir) = self.maildir.as_ref().map(Emptying::maildir) else {
            return Ok(());
        };
        for file in maildir.files()? {
            let reading = AssertUnwindSafe(|| self.message(&maildir, &file));
            let is_read = catch_unwind(reading).unwrap_or_else(|_| {
                // Those behind it do not wait for what is wrong with this one.
                let line = format!("{}: a fault of Zegel; it stays", file.display());
                warn(printable(&line));
                self.store.abort();
                self.begun = None;
                if let Some(maildir) = &mut self.maildir {
                    maildir.keep_what_is_read();
                }
                Ok(Some(false))
            })?;
            if let (Some(maildir), Some(is_read)) = (&mut self.maildir, is_read) {
                maildir.add(file, is_read);
            }
            self.breathe()?;
        }
        Ok(())
    }

    /// Reads one message of it; none if it has gone, or is no regular file any more.
    fn message(&mut self, maildir: &Maildir, file: &Path) -> Result<Option<bool>, Failure> {
        let open = || maildir.read(file);
        match open() {
            Ok(Some(mut source)) => {
                let again = || {
                    let file = open().ok().flatten();
                    file.map(|file| Box::new(file) as Box<dyn Read>)
                };
                let path = file.display().to_string();
                self.read(&path, &mut source, &again).map(Some)
            }
            Ok(None) => Ok(None),
            Err(error) => {
                self.unreadable(file, &error);
                Ok(Some(false))
            }
        }
    }

    fn path(&mut self, path: &Path) -> Result<(), Failure> {
        if path == Path::new("-") {
            return self.standard_input();
        }
        let mut result = Ok(());
        walk(path, &mut |walked| {
            if result.is_err() {
                return;
            }
            result = match walked {
                Ok(file) => self.file(&file),
                Err((path, error)) => {
                    self.unreadable(&path, &error);
                    Ok(())
                }
            };
        });
        result
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        let mut file = FileFound::new(path.display().to_string());
        let refusal = Refusal::new(Reason::Unreadable, error.to_string());
        file.refusals.push(RefusalFound::new(None, refusal));
        self.tell(file);
    }

    /// Counts it. Of many thousand files nothing is held that only the document has.
    fn tell(&mut self, file: FileFound) {
        self.document.totals.add(&file);
        if self.listing != Listing::Totals {
            self.document.files.push(file);
            return;
        }
        for refusal in &file.refusals {
            let line = format!("{}: {}", file.path, refusal.words());
            warn(printable(&line));
        }
    }

    fn file(&mut self, path: &Path) -> Result<(), Failure> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) => {
                self.unreadable(path, &error);
                return Ok(());
            }
        };
        let again = || {
            File::open(path)
                .ok()
                .map(|file| Box::new(file) as Box<dyn Read>)
        };
        self.read(&path.display().to_string(), &mut file, &again)?;
        self.breathe()
    }

    /// One message or file, which has to be held: it cannot be read a second time.
    fn standard_input(&mut self) -> Result<(), Failure> {
        let mut octets = Vec::new();
        let limit = self.reading.limits.message + 1;
        if let Err(error) = io::stdin().lock().take(limit).read_to_end(&mut octets) {
            return Err(Failure::Other(format!("standard input: {error}")));
        }
        let again = || Some(Box::new(Cursor::new(&octets)) as Box<dyn Read + '_>);
        self.read("-", &mut Cursor::new(&octets), &again)?;
        Ok(())
    }

    /// Reads what is there, keeps the reports, and puts aside what is refused. Says whether it
    /// could be read to its end.
    fn read(
        &mut self,
        path: &str,
        source: &mut dyn Read,
        again: Again<'_>,
    ) -> Result<bool, Failure> {
        let mut files: Vec<(Option<u64>, FileFound)> = Vec::new();
        let mut places: HashMap<Option<u64>, usize> = HashMap::new();
        let mut result = Ok(());
        let reading = self.reading.clone();
        reading.read(source, &mut |place, found| {
            if result.is_err() {
                return;
            }
            let at = *places.entry(place.message).or_insert_with(|| {
                let name = match place.message {
                    Some(number) => format!("{path}#{number}"),
                    None => path.to_owned(),
                };
                files.push((place.message, FileFound::new(name)));
                files.len() - 1
            });
            match found {
                Found::Refused(refusal) => {
                    let refusal = RefusalFound::new(place.entry.clone(), refusal);
                    files[at].1.refusals.push(refusal);
                }
                Found::Report(report) => match self.keep(place, &report) {
                    Ok(found) => files[at].1.reports.push(found),
                    Err(error) => result = Err(state_advice(&error)),
                },
            }
        });
        result?;
        if !self.dry_run {
            self.put_aside(path, &files, again)?;
        }
        let mut refusals = files.iter().flat_map(|(_, file)| &file.refusals);
        let is_read = !refusals.any(RefusalFound::is_unreadable);
        for (_, file) in files {
            self.tell(file);
        }
        Ok(is_read)
    }

    /// Keeps what was refused of one file: a copy and the reasons. Of an mbox with several
    /// messages, the reasons.
    fn put_aside(
        &mut self,
        path: &str,
        files: &[(Option<u64>, FileFound)],
        again: Again<'_>,
    ) -> Result<(), Failure> {
        let refusals = files.iter().flat_map(|(_, file)| &file.refusals);
        let refusals: Vec<RefusalFound> = refusals.cloned().collect();
        let is_failure = refusals.iter().any(|refusal| !refusal.may_be_kept());
        if refusals.is_empty() || (is_failure && files.len() == 1) {
            return Ok(());
        }
        // One message alone is a mailbox too, if an MTA put a `From ` line in front of it.
        let is_mailbox = files.iter().any(|(message, _)| *message > Some(1)) || files.len() > 1;
        let may_be_failure = || again().is_none_or(refused::speaks_of_failure);
        let content = (!is_mailbox && !may_be_failure()).then_some(again);
        self.refused
            .keep(path, content, &refusals)
            .map_err(|error| {
                Failure::Other(format!(
                    "what is refused cannot be put aside: {error}; see [reports] state"
                ))
            })
    }

    fn keep(&mut self, place: &Place, report: &Report) -> Result<ReportFound, StoreError> {
        self.begin()?;
        let taken = self.take(place, report)?;
        let found = ReportFound::new(
            report,
            taken,
            place.authenticated,
            self.listing == Listing::Sources,
        );
        self.uncommitted += 1;
        let is_long = self.begun.is_some_and(|begun| begun.elapsed() > LONGEST);
        if (self.uncommitted >= BATCH || is_long) && !self.dry_run {
            self.commit()?;
        }
        Ok(found)
    }

    /// Begins a transaction, if none is open: others write too, while this one reads.
    fn begin(&mut self) -> Result<(), StoreError> {
        if self.begun.is_none() {
            self.store.begin()?;
            self.begun = Some(Instant::now());
        }
        Ok(())
    }

    fn take(&mut self, place: &Place, report: &Report) -> Result<Taken, StoreError> {
        let whole = self.any_domain || self.is_ours(&report.policy.domain);
        let senders: Vec<bool> = if whole {
            Vec::new()
        } else {
            let words = report.rows.words.in_order();
            words.into_iter().map(|word| self.is_ours(word)).collect()
        };
        let kept = |from: u32| whole || senders.get(from as usize).is_some_and(|ours| *ours);
        if !report.rows.rows.iter().any(|row| kept(row.from)) {
            return Ok(Taken::NotOurs);
        }
        let now = i64::from(self.today) * DAY;
        if report.end < now.saturating_sub(self.keep) {
            return Ok(Taken::TooOld);
        }
        let rollup = Rollup::new(
            report,
            |row| kept(row.from),
            |address| self.relays.contains(&address),
        );
        let author = place
            .author
            .as_deref()
            .filter(|_| place.authenticated == Some(true));
        self.store.add(Incoming {
            reporter: author.unwrap_or(&report.org_name),
            report,
            rollup: &rollup,
            authenticated: place.authenticated,
            today: self.today,
        })
    }

    /// Whether a domain is one of ours, or below one.
    fn is_ours(&self, domain: &str) -> bool {
        let mut rest = domain;
        loop {
            if self.ours.contains(rest) {
                return true;
            }
            match rest.split_once('.') {
                Some((_, parent)) => rest = parent,
                None => return false,
            }
        }
    }
}
