//! The lines of `opendkim.conf`: a name, white space, a value. The last one counts.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::import::{
    files::Files,
    finding::{Code, Finding, Place},
};

/// As in OpenDKIM.
const INCLUDE_DEPTH: usize = 5;
/// OpenDKIM knows no such limit; files that include each other would be read thousands of
/// times within the five levels.
const INCLUDED_FILES: usize = 100;

/// A line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) place: Place,
}

/// All lines, those of included files in the place of the `Include`.
#[derive(Debug)]
pub(super) struct Configuration {
    pub(super) settings: Vec<Setting>,
    base: PathBuf,
    /// How many files have been included.
    included: usize,
}

impl Configuration {
    pub(super) fn read(
        file: &Path,
        files: &dyn Files,
        findings: &mut Vec<Finding>,
    ) -> io::Result<Self> {
        let base = file.parent().unwrap_or(Path::new("/")).to_owned();
        let mut configuration = Self {
            settings: Vec::new(),
            base,
            included: 0,
        };
        configuration.include(file, files, (0, findings))?;
        if let Some(directory) = configuration.get("BaseDirectory") {
            configuration.base = PathBuf::from(&directory.value);
        }
        Ok(configuration)
    }

    fn include(
        &mut self,
        file: &Path,
        files: &dyn Files,
        (depth, findings): (usize, &mut Vec<Finding>),
    ) -> io::Result<()> {
        let text = files.read(file)?;
        let file = Arc::new(file.to_owned());
        for (line, number) in text.split('\n').zip(1..) {
            let line = line.split(['#', '\r']).next().unwrap_or(line).trim();
            let Some(end) = line.find([' ', '\t']) else {
                if !line.is_empty() {
                    let place = Place {
                        file: Arc::clone(&file),
                        line: number,
                    };
                    let found = format!("{line} has no value");
                    findings.push(Finding::at(
                        Code::BadEntry,
                        &place,
                        found,
                        "it was left out",
                    ));
                }
                continue;
            };
            let setting = Setting {
                name: line[..end].to_owned(),
                value: line[end..].trim().to_owned(),
                place: Place {
                    file: Arc::clone(&file),
                    line: number,
                },
            };
            if !setting.name.eq_ignore_ascii_case("Include") {
                self.settings.push(setting);
                continue;
            }
            let included = self.base.join(&setting.value);
            self.included += 1;
            let read = if depth >= INCLUDE_DEPTH {
                Err(io::Error::other("there are more than five levels"))
            } else if self.included > INCLUDED_FILES {
                Err(io::Error::other("there are more than 100 files"))
            } else {
                self.include(&included, files, (depth + 1, findings))
            };
            if let Err(error) = read {
                let found = format!("{} cannot be included: {error}", included.display());
                let done = "what it says is missing here; see that it can be read, and try again";
                let finding = Finding::at(Code::UnreadableFile, &setting.place, found, done);
                findings.push(finding);
            }
        }
        Ok(())
    }

    /// The setting that counts; names are the same in either case.
    pub(super) fn get(&self, name: &str) -> Option<&Setting> {
        let mut settings = self.settings.iter().rev();
        settings.find(|setting| setting.name.eq_ignore_ascii_case(name))
    }

    /// Whether a switch is on. Only the first letter counts.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|setting| setting.value.starts_with(['t', 'T', 'y', 'Y', '1']))
    }

    /// A path of the configuration, from the folder that paths are relative to.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        self.base.join(text)
    }
}
