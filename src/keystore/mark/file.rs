//! The file of the mark: read from where it was read last, and appended to.

use std::{
    ffi::OsString,
    fs::{File, Metadata},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    Line, Mark,
    about::{About, Size, lines_about},
};
use crate::keystore::{
    audit::is_cut_off,
    files::Folder,
    problem::{FileError, FileProblem},
};

const NAME: &str = "mark.jsonl";
/// So many octets at the end of what was read tell whether the file is still the same: the last
/// lines, with the generation.
const COMPARED: usize = 512;
/// A mark that can't be written is made anew out of all keyrings, which takes long.
const TRY_AGAIN_AFTER: Duration = Duration::from_mins(1);

/// Where the mark is. Keeps what was read of it.
#[derive(Debug)]
pub(in crate::keystore) struct MarkFile {
    path: PathBuf,
    read: Mutex<Reading>,
    /// What was last said of a mark that can't be read or written.
    complaint: Arc<Mutex<Option<Complaint>>>,
}

/// What was read, and how much of it is to be read.
#[derive(Debug, Default)]
struct Reading {
    extent: Extent,
    known: Option<ReadMark>,
}

#[derive(Debug, Default)]
enum Extent {
    #[default]
    Whole,
    /// What a command is about; whatever it asks, it gets no more.
    Only(About),
    /// What a writer has asked for so far. It gets more when it asks for more.
    Asked(About),
}

impl Extent {
    fn about(&self) -> Option<&About> {
        match self {
            Self::Whole => None,
            Self::Only(about) | Self::Asked(about) => Some(about),
        }
    }
}

#[derive(Debug)]
struct Complaint {
    text: String,
    since: Instant,
}

#[derive(Debug)]
struct ReadMark {
    mark: Arc<Mark>,
    inode: u64,
    /// When the file was last changed: seconds, and nanoseconds.
    changed: (i64, i64),
    /// So many octets were read: whole lines.
    octets: u64,
    /// The last of them.
    end: Vec<u8>,
    /// How many lines there are, with those that were left out.
    size: Size,
}

impl ReadMark {
    fn nothing(metadata: &Metadata) -> Self {
        Self {
            mark: Arc::default(),
            inode: metadata.ino(),
            changed: (0, 0),
            octets: 0,
            end: Vec::new(),
            size: Size::default(),
        }
    }

    /// Takes in what comes next in the file.
    fn take(&mut self, text: &[u8], about: Option<&About>) {
        // What comes after the last end of a line is not whole yet.
        let whole = text.iter().rposition(|octet| *octet == b'\n');
        let whole = whole.map_or(0, |place| place + 1);
        let text = &text[..whole];
        if about.is_some() {
            self.size += Size::of(text);
        }
        let part = about.filter(|_| self.octets == 0);
        let part = part.map(|about| lines_about(text, about));
        let mark = Arc::make_mut(&mut self.mark);
        mark.read(part.as_deref().unwrap_or(text));
        self.octets += u64::try_from(whole).unwrap_or_default();
        let tail = text.len().saturating_sub(COMPARED);
        self.end.extend_from_slice(&text[tail..]);
        self.end.drain(..self.end.len().saturating_sub(COMPARED));
    }

    /// Whether the file is what it was, and perhaps longer. Another one in its place may have the
    /// same inode.
    fn is_of(&self, file: &File, metadata: &Metadata) -> io::Result<bool> {
        let is_same_age = self.changed == changed(metadata) || self.octets < metadata.len();
        if self.inode != metadata.ino() || self.octets > metadata.len() || !is_same_age {
            return Ok(false);
        }
        let mut end = vec![0; self.end.len()];
        let length = u64::try_from(end.len()).unwrap_or_default();
        file.read_exact_at(&mut end, self.octets.saturating_sub(length))?;
        Ok(end == self.end)
    }
}

fn changed(metadata: &Metadata) -> (i64, i64) {
    (metadata.ctime(), metadata.ctime_nsec())
}

impl MarkFile {
    /// In this folder.
    pub(in crate::keystore) fn new(path: PathBuf) -> Self {
        Self {
            path,
            read: Mutex::default(),
            complaint: Arc::default(),
        }
    }

    /// In the same place, and read only as far as it is about this.
    pub(in crate::keystore) fn about(&self, about: About) -> Self {
        self.read_as(Extent::Only(about))
    }

    /// In the same place, for a writer that is likely to ask about this alone. What else it asks
    /// for is read when it does.
    pub(in crate::keystore) fn likely_about(&self, about: About) -> Self {
        self.read_as(Extent::Asked(about))
    }

    /// In the same place, and read as a whole.
    pub(in crate::keystore) fn whole(&self) -> Self {
        self.read_as(Extent::Whole)
    }

    fn read_as(&self, extent: Extent) -> Self {
        let reading = Reading {
            extent,
            known: None,
        };
        Self {
            path: self.path.clone(),
            read: Mutex::new(reading),
            complaint: Arc::clone(&self.complaint),
        }
    }

    /// Whether something of it is left out.
    pub(in crate::keystore) fn is_part(&self) -> bool {
        lock(&self.read).extent.about().is_some()
    }

    /// Where it is unless the settings say otherwise: beside the keystore, never in it.
    pub(in crate::keystore) fn beside(keystore: &Path) -> Self {
        let mut name = OsString::from(keystore);
        name.push(".mark");
        Self::new(name.into())
    }

    pub(in crate::keystore) fn folder(&self) -> &Path {
        &self.path
    }

    pub(in crate::keystore) fn path(&self) -> PathBuf {
        self.path.join(NAME)
    }

    /// The mark as it is now; none if there is none. For a writer all of it, whatever it has asked
    /// for before.
    pub(in crate::keystore) fn read(&self) -> Result<Option<Arc<Mark>>, FileError> {
        let mut reading = lock(&self.read);
        if matches!(reading.extent, Extent::Asked(_)) {
            *reading = Reading::default();
        }
        self.read_on(&mut reading)
    }

    /// The mark as far as it is about this, and perhaps more of it.
    pub(in crate::keystore) fn read_about(
        &self,
        asked: &About,
    ) -> Result<Option<Arc<Mark>>, FileError> {
        let mut reading = lock(&self.read);
        if let Extent::Only(about) | Extent::Asked(about) = &mut reading.extent
            && about.add(asked)
        {
            reading.known = None;
        }
        self.read_on(&mut reading)
    }

    /// What the mark says of the keystore as a whole, and perhaps more of it.
    pub(in crate::keystore) fn read_head(&self) -> Result<Option<Arc<Mark>>, FileError> {
        self.read_about(&About::default())
    }

    /// Whether the file may be longer than it has to be. Only an exact count can tell, for which
    /// all of it has to be read.
    pub(super) fn may_be_lengthy(&self) -> bool {
        let reading = lock(&self.read);
        let known = reading.known.as_ref();
        reading.extent.about().is_none() || known.is_some_and(|known| known.size.may_be_lengthy())
    }

    fn read_on(&self, reading: &mut Reading) -> Result<Option<Arc<Mark>>, FileError> {
        let opened = match Folder::open_safely(&self.path) {
            Ok(folder) => folder.open_log(NAME)?,
            Err(error) if matches!(error.problem, FileProblem::Missing) => None,
            Err(error) => return Err(error),
        };
        let Some((mut file, metadata)) = opened else {
            reading.known = None;
            return Ok(None);
        };
        let failed = |error| FileError::io(&self.path(), error);
        let known = match reading.known.take() {
            Some(known) if known.is_of(&file, &metadata).map_err(failed)? => Some(known),
            _ => None,
        };
        let mut known = known.unwrap_or_else(|| ReadMark::nothing(&metadata));
        known.changed = changed(&metadata);
        if known.octets < metadata.len() {
            let length = usize::try_from(metadata.len() - known.octets).unwrap_or_default();
            let mut text = Vec::new();
            // Only a help: what does not fit fails below, or not at all.
            let _ = text.try_reserve_exact(length);
            file.seek(SeekFrom::Start(known.octets)).map_err(failed)?;
            file.take(metadata.len() - known.octets)
                .read_to_end(&mut text)
                .map_err(failed)?;
            known.take(&text, reading.extent.about());
        }
        let mark = Arc::clone(&known.mark);
        reading.known = Some(known);
        // A file in which nothing is whole is none.
        Ok((mark.lines > 0).then_some(mark))
    }

    /// Appends lines, for the owner of the keystore. Only under its lock.
    pub(super) fn append(&self, keystore: &Folder, lines: &[Line]) -> Result<(), FileError> {
        let folder = Folder::open_or_made(&self.path, keystore)?;
        let mut file = folder.log_file(NAME)?;
        let failed = |error| FileError::io(&self.path(), error);
        let mut text = Vec::new();
        if is_cut_off(&mut file).map_err(failed)? {
            text.push(b'\n');
        }
        text.extend(written(lines).map_err(failed)?);
        file.write_all(&text).map_err(failed)?;
        file.sync_data().map_err(failed)
    }

    /// Writes all of it anew. Only under the lock of the keystore.
    pub(super) fn replace(&self, keystore: &Folder, mark: &Mark) -> Result<(), FileError> {
        let folder = Folder::open_or_made(&self.path, keystore)?;
        let failed = |error| FileError::io(&self.path(), error);
        let text = written(&mark.lines()).map_err(failed)?;
        folder.prepare(NAME, &text)?.rename()?;
        folder.sync()
    }

    /// Says once that the mark can't be read or written.
    pub(super) fn complain(&self, error: &FileError) {
        let text = format!(
            "{error}; without the mark nobody notices when an older keystore is put back \
             ([keystore] mark)"
        );
        let mut complaint = lock(&self.complaint);
        if complaint.as_ref().is_none_or(|known| known.text != text) {
            tracing::warn!("{text}");
        }
        *complaint = Some(Complaint {
            text,
            since: Instant::now(),
        });
    }

    /// What was last said of a mark that can't be read or written.
    pub(in crate::keystore) fn complaint(&self) -> Option<String> {
        let complaint = lock(&self.complaint);
        complaint.as_ref().map(|complaint| complaint.text.clone())
    }

    /// Whether it could not be written just now, so that trying again is no use.
    pub(super) fn has_failed(&self) -> bool {
        let complaint = lock(&self.complaint);
        complaint
            .as_ref()
            .is_some_and(|complaint| complaint.since.elapsed() < TRY_AGAIN_AFTER)
    }
}

fn written(lines: &[Line]) -> io::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(lines.len() * 200);
    for line in lines {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    Ok(text)
}

/// What a mutex here guards is whole even after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
