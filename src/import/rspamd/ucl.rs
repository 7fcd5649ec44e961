//! The part of UCL, the language of rspamd's configuration, that such files are written in:
//! objects, lists, texts, comments, and `.include`. What is not of that part is an error with
//! its line.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::import::finding::Place;

/// Objects in objects, files in files.
const DEPTH: usize = 16;

/// Something after a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Value {
    /// A text, a number or a switch, as it is written.
    Text(String),
    List(Vec<Value>),
    Object(Object),
}

/// Keys and values in their order; a key may come several times, and the last one counts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Object {
    pub(super) items: Vec<Item>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Item {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) place: Place,
}

impl Object {
    pub(super) fn get(&self, key: &str) -> Option<&Item> {
        self.items.iter().rev().find(|item| item.key == key)
    }
}

/// What cannot be read, and where.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) place: Place,
    pub(super) text: String,
}

/// Gives the text of a file that is included; nothing if it may be missing and is.
pub(super) type Include<'a> = dyn Fn(&Path) -> Result<Option<String>, String> + 'a;

/// Reads a file, and those that it includes.
pub(super) fn parse(
    file: &Path,
    text: &str,
    folder: &Path,
    include: &Include<'_>,
) -> Result<Object, Fault> {
    let mut object = Object::default();
    let mut reader = Reader {
        rest: text,
        line: 1,
        file: Arc::new(file.to_owned()),
        folder,
        include,
    };
    reader.object(&mut object, None, DEPTH)?;
    Ok(object)
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    file: Arc<PathBuf>,
    /// What `$LOCAL_CONFDIR` stands for.
    folder: &'a Path,
    include: &'a Include<'a>,
}

impl Reader<'_> {
    fn place(&self) -> Place {
        Place {
            file: Arc::clone(&self.file),
            line: self.line,
        }
    }

    fn fault<T>(&self, text: impl Into<String>) -> Result<T, Fault> {
        Err(Fault {
            place: self.place(),
            text: text.into(),
        })
    }

    fn advance(&mut self, octets: usize) {
        let (passed, rest) = self.rest.split_at(octets);
        self.line += passed.matches('\n').count();
        self.rest = rest;
    }

    /// Passes over white space and comments.
    fn blanks(&mut self) -> Result<(), Fault> {
        loop {
            let blanks = self.rest.len() - self.rest.trim_start().len();
            self.advance(blanks);
            if self.rest.starts_with('#') {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.advance(end);
            } else if self.rest.starts_with("/*") {
                let Some(end) = self.rest.find("*/") else {
                    return self.fault("a comment does not end");
                };
                self.advance(end + 2);
            } else {
                return Ok(());
            }
        }
    }

    /// Reads keys and values up to `}` or the end of the file.
    fn object(
        &mut self,
        object: &mut Object,
        end: Option<char>,
        depth: usize,
    ) -> Result<(), Fault> {
        if depth == 0 {
            return self.fault("there are too many levels");
        }
        loop {
            self.blanks()?;
            match (self.rest.chars().next(), end) {
                (None, None) => return Ok(()),
                (None, Some(end)) => return self.fault(format!("{end} is missing")),
                (Some(next), Some(end)) if next == end => {
                    self.advance(1);
                    return Ok(());
                }
                (Some(';' | ','), _) => self.advance(1),
                // The whole file may be in braces.
                (Some('{'), None) => {
                    self.advance(1);
                    self.object(object, Some('}'), depth - 1)?;
                }
                (Some('.'), _) => self.directive(object, depth)?,
                _ => self.item(object, depth)?,
            }
        }
    }

    fn item(&mut self, object: &mut Object, depth: usize) -> Result<(), Fault> {
        let place = self.place();
        let key = self.word(&[' ', '\t', '\r', '\n', '=', ':', '{', '[', ';', '}'])?;
        if key.is_empty() {
            return self.fault("here a key should be");
        }
        self.blanks()?;
        if self.rest.starts_with(['=', ':']) {
            self.advance(1);
            self.blanks()?;
        }
        let value = self.value(depth - 1)?;
        // `domain "voorbeeld.nl" { ... }` is an object in an object.
        self.spaces();
        let value = match value {
            Value::Text(name) if self.rest.starts_with('{') => {
                let inner = self.value(depth - 1)?;
                let item = Item {
                    key: name,
                    value: inner,
                    place: place.clone(),
                };
                Value::Object(Object { items: vec![item] })
            }
            value => value,
        };
        object.items.push(Item { key, value, place });
        Ok(())
    }

    /// Passes over blanks in the line.
    fn spaces(&mut self) {
        let end = self.rest.trim_start_matches([' ', '\t']);
        self.advance(self.rest.len() - end.len());
    }

    fn value(&mut self, depth: usize) -> Result<Value, Fault> {
        if depth == 0 {
            return self.fault("there are too many levels");
        }
        if self.rest.starts_with('{') {
            self.advance(1);
            let mut object = Object::default();
            self.object(&mut object, Some('}'), depth)?;
            return Ok(Value::Object(object));
        }
        if self.rest.starts_with('[') {
            self.advance(1);
            return self.list(depth).map(Value::List);
        }
        if let Some(text) = self.lines_to_terminator()? {
            return Ok(Value::Text(text));
        }
        let text = self.word(&['\n', ';', ',', '}', ']', '{', '#'])?;
        Ok(Value::Text(text.trim_end().to_owned()))
    }

    /// `<<EOD`, lines, and `EOD` alone at the beginning of a line: the lines. Nothing when no
    /// such text begins here.
    fn lines_to_terminator(&mut self) -> Result<Option<String>, Fault> {
        let Some(rest) = self.rest.strip_prefix("<<") else {
            return Ok(None);
        };
        // As in libucl, only such letters, and then a line break.
        let letters = rest.len()
            - rest
                .trim_start_matches(|one: char| one.is_ascii_uppercase())
                .len();
        let (terminator, text) = rest.split_at(letters);
        let Some(text) = text.strip_prefix("\r\n").or(text.strip_prefix('\n')) else {
            return Ok(None);
        };
        if terminator.is_empty() {
            return Ok(None);
        }
        let mut end = 0;
        // The first line is never the last word, as in libucl.
        for line in text.split_inclusive('\n') {
            let behind = line.strip_prefix(terminator).filter(|_| end > 0);
            let is_last = behind.is_some_and(|behind| behind.starts_with(['\r', '\n', ';', ',']));
            if is_last {
                let lines = text[..end].trim_end_matches(['\r', '\n']).to_owned();
                let before = self.rest.len() - text.len();
                self.advance(before + end + terminator.len());
                return Ok(Some(lines));
            }
            end += line.len();
        }
        self.fault(format!("the text behind <<{terminator} does not end"))
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Value>, Fault> {
        let mut values = Vec::new();
        loop {
            self.blanks()?;
            match self.rest.chars().next() {
                None | Some('}') => return self.fault("] is missing"),
                Some(']') => {
                    self.advance(1);
                    return Ok(values);
                }
                Some(',' | ';') => self.advance(1),
                Some(_) => values.push(self.value(depth - 1)?),
            }
        }
    }

    /// A text in quotes, or up to one of these.
    fn word(&mut self, ends: &[char]) -> Result<String, Fault> {
        let Some(quote) = self
            .rest
            .chars()
            .next()
            .filter(|next| "\"'".contains(*next))
        else {
            let end = self.rest.find(ends).unwrap_or(self.rest.len());
            let text = self.rest[..end].to_owned();
            self.advance(end);
            return Ok(text);
        };
        let mut text = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((at, character)) = characters.next() {
            match character {
                _ if character == quote => {
                    self.advance(at + 1);
                    return Ok(text);
                }
                '\\' => match characters.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, escaped)) => text.push(escaped),
                    None => break,
                },
                _ => text.push(character),
            }
        }
        self.fault("a text in quotes does not end")
    }

    /// `.include(try=true) "path"`, and its kin.
    fn directive(&mut self, object: &mut Object, depth: usize) -> Result<(), Fault> {
        let name = self.word(&[' ', '\t', '\n', '(', '"'])?;
        self.spaces();
        let mut may_be_missing = false;
        if self.rest.starts_with('(') {
            let Some(end) = self.rest.find(')') else {
                return self.fault(") is missing");
            };
            let options = self.rest[..end].replace(' ', "");
            may_be_missing = options.contains("try=true");
            self.advance(end + 1);
            self.spaces();
        }
        let argument = self.word(&['\n', ';'])?;
        if name != ".include" {
            return self.fault(format!("{name} is not read here"));
        }
        let path = PathBuf::from(with_folder(argument.trim(), self.folder));
        match (self.include)(&path) {
            Ok(None) if may_be_missing => Ok(()),
            Ok(None) => self.fault(format!("{} is not there", path.display())),
            Err(error) => self.fault(format!("{}: {error}", path.display())),
            Ok(Some(text)) => Reader {
                rest: &text,
                line: 1,
                file: Arc::new(path),
                folder: self.folder,
                include: self.include,
            }
            .object(object, None, depth - 1),
        }
    }
}

/// A path in which rspamd's variables for its own folder are filled in.
pub(super) fn with_folder(text: &str, folder: &Path) -> String {
    let folder = folder.to_string_lossy();
    ["${LOCAL_CONFDIR}", "$LOCAL_CONFDIR", "$CONFDIR"]
        .iter()
        .fold(text.to_owned(), |text, variable| {
            text.replace(variable, &folder)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Object, Fault> {
        let include = |path: &Path| {
            Ok(match path.to_str() {
                Some("/etc/rspamd/local.d/x.conf") => Some("a = two;\n".to_owned()),
                Some("/loop.conf") => Some(".include \"/loop.conf\"\n".to_owned()),
                _ => None,
            })
        };
        parse(
            Path::new("t.conf"),
            text,
            Path::new("/etc/rspamd"),
            &include,
        )
    }

    fn text(object: &Object, key: &str) -> String {
        match &object.get(key).unwrap().value {
            Value::Text(text) => text.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_forms_that_such_files_are_written_in() {
        let object = read(
            "# c\n a = one; b \"two; 2\"\nc: three # end\n/* x\ny */ d = [ \"x\", y ; z]\n\
             e { f = 'it\\'s'; }\ng \"h.nl\" { i = j }\nk = true\n",
        )
        .unwrap();
        assert_eq!(text(&object, "a"), "one");
        assert_eq!(text(&object, "b"), "two; 2");
        assert_eq!(text(&object, "c"), "three");
        let d = ["x", "y", "z"].map(|text| Value::Text(text.to_owned()));
        assert_eq!(object.get("d").unwrap().value, Value::List(d.to_vec()));
        assert_eq!(object.get("d").unwrap().place.line, 5);
        let Value::Object(e) = &object.get("e").unwrap().value else {
            panic!()
        };
        assert_eq!(text(e, "f"), "it's");
        let Value::Object(g) = &object.get("g").unwrap().value else {
            panic!()
        };
        let Value::Object(h) = &g.get("h.nl").unwrap().value else {
            panic!()
        };
        assert_eq!(text(h, "i"), "j");
        assert_eq!(text(&object, "k"), "true");
    }

    #[test]
    fn a_text_of_several_lines_ends_with_its_word() {
        let object = read(
            "a = <<EOD\n# no comment\n}\n EOD\nEODS\nEOD\nb = 1;\nc = <<LUA\r\nreturn\r\nLUA;\n\
             d = <<X\n\nX\ne = [<<Y\nin a list\nY, two];\nf = <<lower;\n",
        )
        .unwrap();
        assert_eq!(text(&object, "a"), "# no comment\n}\n EOD\nEODS");
        assert_eq!(text(&object, "b"), "1");
        assert_eq!(object.get("b").unwrap().place.line, 7);
        assert_eq!(text(&object, "c"), "return");
        assert_eq!(text(&object, "d"), "");
        let e = ["in a list", "two"].map(|text| Value::Text(text.to_owned()));
        assert_eq!(object.get("e").unwrap().value, Value::List(e.to_vec()));
        assert_eq!(text(&object, "f"), "<<lower");
    }

    #[test]
    fn what_is_included_counts_as_if_it_stood_there() {
        let object = read(
            "a = one;\n.include(try=true; priority=1) \"$LOCAL_CONFDIR/local.d/x.conf\"\n\
             .include(try=true) \"/nowhere\"\n",
        )
        .unwrap();
        assert_eq!(text(&object, "a"), "two");
        assert!(read(".include \"/nowhere\"\n").is_err());
        assert!(read(".include \"/loop.conf\"\n").is_err());
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for text in [
            "a {",
            "a = [",
            "a = \"x",
            "/* x",
            "}",
            ".lua \"x\"\n",
            "a = <<EOD\nx\nEODS\n",
            "a = <<EOD\nx\nEOD",
            "a = <<EOD\nEOD\n",
            "a = <<EOD\nx\n EOD\n",
            "a = { b = 1",
            "a = { b = [ }",
            &"a {".repeat(1000),
            &format!("a = {}", "[".repeat(1000)),
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
