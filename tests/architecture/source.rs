//! Reads a crate as the compiler finds it, from its roots through `mod`, and gives the paths
//! that its files name outside their tests.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use super::use_tree;

/// The library and the program.
pub(crate) struct Crate {
    /// Without the files that belong to tests alone.
    pub(crate) files: Vec<File>,
    /// The files that belong to tests alone, with their number of lines.
    pub(crate) tests: Vec<(String, usize)>,
    /// What could not be read, in words.
    pub(crate) problems: Vec<String>,
}

/// One file of source.
pub(crate) struct File {
    /// Such as `src/dkim/body.rs`.
    pub(crate) name: String,
    /// Such as `["dkim", "body"]`; empty for `src/lib.rs`, `["main"]` for `src/main.rs`.
    pub(crate) module: Vec<String>,
    /// What it names, in the order of the text.
    pub(crate) paths: Vec<NamedPath>,
    /// Paths to other modules of the crate, also those that begin with a name of this file.
    pub(crate) links: Vec<Link>,
    /// Those outside tests that have a body.
    pub(crate) functions: Vec<Function>,
    /// Every module that stands in this file: its own and the inline ones.
    pub(crate) modules: Vec<Vec<String>>,
    /// With what stands under `#[cfg(test)]`.
    pub(crate) lines: usize,
}

/// A function with a body.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// Where `fn` stands, from 1.
    pub(crate) line: usize,
    /// From `fn` to the closing brace.
    pub(crate) lines: usize,
}

/// A path below `crate`.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) line: usize,
    /// Without `crate`.
    pub(crate) segments: Vec<String>,
    /// The module in which it stands.
    pub(crate) within: Vec<String>,
    /// What an import is called here.
    pub(crate) local: Option<String>,
    /// Whether it only hands a name on: a `pub use` of what this file does not use itself.
    pub(crate) handed_on: bool,
}

/// A path in the text.
#[derive(Debug)]
pub(crate) struct NamedPath {
    /// From 1.
    pub(crate) line: usize,
    /// From the crate root if it begins with `crate`, else from the name of another crate.
    /// A glob ends in `*`.
    pub(crate) segments: Vec<String>,
    /// Whether it is brought in by `use`.
    pub(crate) imported: bool,
}

impl NamedPath {
    /// Whether it is called `now`, as every clock is: `Timestamp::now`, `Instant::now`.
    pub(crate) fn asks_clock(&self) -> bool {
        self.segments.last().is_some_and(|last| last == "now")
    }
}

/// A file that `mod` leads to.
struct Visit {
    name: String,
    module: Vec<String>,
    test: bool,
}

impl Crate {
    /// Reads the sources, by their path below the package.
    pub(crate) fn read(sources: &BTreeMap<String, String>) -> Self {
        let mut found = Self {
            files: Vec::new(),
            tests: Vec::new(),
            problems: Vec::new(),
        };
        let mut reached = BTreeSet::new();
        let mut open: Vec<Visit> = [("src/lib.rs", vec![]), ("src/main.rs", vec!["main".into()])]
            .into_iter()
            .filter(|(name, _)| sources.contains_key(*name))
            .map(|(name, module)| Visit {
                name: name.into(),
                module,
                test: false,
            })
            .collect();
        while let Some(visit) = open.pop() {
            reached.insert(visit.name.clone());
            match Reader::read(&visit, sources) {
                Ok(reader) => {
                    open.extend(reader.children);
                    found.problems.extend(reader.problems);
                    if visit.test {
                        found.tests.push((visit.name, reader.file.lines));
                    } else {
                        found.files.push(reader.file);
                    }
                }
                Err(problem) => found.problems.push(problem),
            }
        }
        let lost = sources.keys().filter(|name| !reached.contains(*name));
        found
            .problems
            .extend(lost.map(|name| format!("{name}:1: no `mod` leads to this file")));
        found.files.sort_by(|one, other| one.name.cmp(&other.name));
        found
    }
}

/// Walks through one file.
struct Reader<'a> {
    sources: &'a BTreeMap<String, String>,
    file: File,
    /// Where it stands: the module of the file and the inline modules around.
    module: Vec<String>,
    test: bool,
    /// Every word outside `use`.
    words: BTreeSet<String>,
    children: Vec<Visit>,
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    fn read(visit: &Visit, sources: &'a BTreeMap<String, String>) -> Result<Self, String> {
        let text = &sources[&visit.name];
        let tokens: TokenStream = text
            .parse()
            .map_err(|error| format!("{}:1: not Rust: {error}", visit.name))?;
        let mut reader = Self {
            sources,
            file: File {
                name: visit.name.clone(),
                module: visit.module.clone(),
                paths: Vec::new(),
                links: Vec::new(),
                functions: Vec::new(),
                modules: vec![visit.module.clone()],
                lines: text.lines().count(),
            },
            module: visit.module.clone(),
            test: visit.test,
            words: BTreeSet::new(),
            children: Vec::new(),
            problems: Vec::new(),
        };
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut declared = BTreeSet::new();
        use_tree::local_names(&tokens, &mut declared);
        reader.walk(&tokens);
        reader.finish_links();
        // A module or an import of that name hides the crate; a clock is a clock by any name.
        let paths = &mut reader.file.paths;
        paths.retain(|path| !declared.contains(&path.segments[0]) || path.asks_clock());
        for path in &mut reader.file.paths {
            if path.segments[0].starts_with("::") {
                path.segments[0].drain(..2);
            }
        }
        Ok(reader)
    }

    fn walk(&mut self, tokens: &[TokenTree]) {
        let mut at = 0;
        let mut file_of_module = None;
        while at < tokens.len() {
            if let Some(attribute) = attribute(&tokens[at..]) {
                if is_cfg_test(attribute) {
                    at = self.leave_out(tokens, at, file_of_module.take());
                    continue;
                }
                file_of_module = path_attribute(attribute).or(file_of_module);
            }
            at += match &tokens[at] {
                TokenTree::Ident(word) if word == "mod" => {
                    self.module(&tokens[at..], file_of_module.take())
                }
                TokenTree::Ident(word) if word == "use" && !is_punct(tokens.get(at + 1), '<') => {
                    let public = at
                        .checked_sub(1)
                        .is_some_and(|before| match &tokens[before] {
                            // Of `pub(super) use`.
                            TokenTree::Group(group) => group.delimiter() == Delimiter::Parenthesis,
                            word => is_word(word, "pub"),
                        });
                    self.imports(&tokens[at..], public)
                }
                TokenTree::Ident(word) => {
                    if word == "fn" {
                        self.function(&tokens[at..]);
                    }
                    self.inline_path(tokens, at)
                }
                TokenTree::Group(group) => {
                    let inner = inside(group);
                    // `pub(in …)` names a place, and nothing that is there.
                    if !inner.first().is_some_and(|first| is_word(first, "in")) {
                        self.walk(&inner);
                    }
                    1
                }
                _ => 1,
            };
        }
    }

    /// `mod name;` or `mod name { … }`. Gives the number of tokens that it read.
    fn module(&mut self, tokens: &[TokenTree], path: Option<String>) -> usize {
        let Some(TokenTree::Ident(name)) = tokens.get(1) else {
            return 1;
        };
        let name = name.to_string();
        match tokens.get(2) {
            Some(TokenTree::Punct(end)) if end.as_char() == ';' => {
                let line = tokens[0].span().start().line;
                self.child(&name, path, line);
                3
            }
            Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace => {
                self.module.push(name);
                self.file.modules.push(self.module.clone());
                self.walk(&inside(body));
                self.module.pop();
                3
            }
            _ => 2,
        }
    }

    fn child(&mut self, name: &str, path: Option<String>, line: usize) {
        let own = &self.file.name;
        let folder = own.rsplit_once('/').map_or("", |(folder, _)| folder);
        let root = matches!(own.as_str(), "src/lib.rs" | "src/main.rs");
        let below = if root || own.ends_with("/mod.rs") {
            folder.to_owned()
        } else {
            own.trim_end_matches(".rs").to_owned()
        };
        let inline = self.module[self.file.module.len()..].join("/");
        let below = if inline.is_empty() {
            below
        } else {
            format!("{below}/{inline}")
        };
        let candidates = match path {
            Some(path) => vec![format!("{folder}/{path}")],
            None => vec![
                format!("{below}/{name}.rs"),
                format!("{below}/{name}/mod.rs"),
            ],
        };
        let mut module = self.module.clone();
        module.push(name.to_owned());
        match candidates
            .into_iter()
            .find(|file| self.sources.contains_key(file))
        {
            Some(file) => self.children.push(Visit {
                name: file,
                module,
                test: self.test,
            }),
            None => self
                .problems
                .push(format!("{own}:{line}: no file for `mod {name}`")),
        }
    }

    fn imports(&mut self, tokens: &[TokenTree], public: bool) -> usize {
        let end = tokens.iter().position(|token| is_punct(Some(token), ';'));
        let end = end.unwrap_or(tokens.len());
        for leaf in use_tree::leaves(&tokens[1..end]) {
            self.name(leaf.segments, leaf.line, Some((leaf.local, public)));
        }
        end
    }

    /// Notes the function that begins with this `fn`, if it has a name and a body.
    fn function(&mut self, tokens: &[TokenTree]) {
        let Some(TokenTree::Ident(name)) = tokens.get(1) else {
            return;
        };
        let end = tokens.iter().find(|token| match token {
            TokenTree::Punct(end) => end.as_char() == ';',
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            _ => false,
        });
        if let Some(TokenTree::Group(body)) = end {
            let line = tokens[0].span().start().line;
            self.file.functions.push(Function {
                name: name.to_string(),
                line,
                lines: body.span_close().end().line + 1 - line,
            });
        }
    }

    /// A path of at least two segments in the code. Gives the number of tokens that it read.
    fn inline_path(&mut self, tokens: &[TokenTree], at: usize) -> usize {
        let (mut segments, read) = use_tree::simple_path(&tokens[at..]);
        let before = |back: usize| at.checked_sub(back).and_then(|index| tokens.get(index));
        let after_colons = is_punct(before(1), ':') && is_punct(before(2), ':');
        // `<Type>::name` goes on; a bare `::name`, also behind an arrow, begins at a crate.
        let arrow = is_punct(before(4), '-') || is_punct(before(4), '=');
        let goes_on = after_colons && is_punct(before(3), '>') && !arrow;
        if segments.len() < 2 || goes_on || is_punct(before(1), '.') {
            self.words.extend(segments);
            return read;
        }
        if after_colons {
            segments[0] = format!("::{}", segments[0]);
        }
        let line = tokens[at].span().start().line;
        self.words.extend(segments.iter().cloned());
        self.name(segments, line, None);
        read
    }

    /// Notes a path, with `self` and `super` as they are seen from the root. An import has the
    /// name that it goes by here, and whether it is public.
    fn name(&mut self, mut segments: Vec<String>, line: usize, import: Option<(String, bool)>) {
        let relative = |segment: &&String| matches!(segment.as_str(), "self" | "super");
        let relative = segments.iter().take_while(relative).count();
        if relative > 0 {
            let rest = segments.split_off(relative);
            let ups = segments
                .iter()
                .filter(|segment| *segment == "super")
                .count();
            let known = self.module.len().saturating_sub(ups);
            segments = vec!["crate".to_owned()];
            segments.extend_from_slice(&self.module[..known]);
            segments.extend(rest);
        }
        if segments.is_empty() {
            return;
        }
        let imported = import.is_some();
        let (local, handed_on) = import.unzip();
        self.file.links.push(Link {
            line,
            segments: segments.clone(),
            within: self.module.clone(),
            local,
            handed_on: handed_on.unwrap_or(false),
        });
        self.file.paths.push(NamedPath {
            line,
            segments,
            imported,
        });
    }

    /// Leaves those links that stay in the crate, from its root.
    fn finish_links(&mut self) {
        let mut links = std::mem::take(&mut self.file.links);
        let imports: Vec<Link> = links
            .iter()
            .filter(|link| link.local.is_some())
            .cloned()
            .collect();
        let inline = self.file.modules.iter().cloned();
        let children: BTreeSet<Vec<String>> = inline
            .chain(self.children.iter().map(|child| child.module.clone()))
            .collect();
        for link in &mut links {
            // A name that was imported, or a module below this one, may come first.
            for _ in 0..4 {
                let first = link.segments[0].clone();
                let mut child = link.within.clone();
                child.push(first.clone());
                let import = imports.iter().find(|import| {
                    import.local.as_ref() == Some(&first) && import.segments[0] != first
                });
                let mut start = if children.contains(&child) {
                    child.insert(0, "crate".to_owned());
                    child
                } else if let Some(import) = import {
                    import.segments.clone()
                } else {
                    break;
                };
                start.extend(link.segments.drain(1..));
                link.segments = start;
            }
            let own = link
                .local
                .as_ref()
                .is_some_and(|local| self.words.contains(local));
            link.handed_on &= !own;
        }
        links.retain(|link| link.segments[0] == "crate");
        for link in &mut links {
            link.segments.remove(0);
        }
        self.file.links = links;
    }

    /// Passes over an item under `#[cfg(test)]`; gives where the text goes on.
    fn leave_out(&mut self, tokens: &[TokenTree], from: usize, path: Option<String>) -> usize {
        let mut at = from;
        let mut path = path;
        while let Some(attribute) = attribute(&tokens[at..]) {
            path = path_attribute(attribute).or(path);
            at += 2;
        }
        let end = at + item_length(&tokens[at..]);
        let outside = std::mem::replace(&mut self.test, true);
        let file = &self.file;
        let [paths, links, functions, modules] = [
            file.paths.len(),
            file.links.len(),
            file.functions.len(),
            file.modules.len(),
        ];
        let module = tokens[at..end]
            .iter()
            .position(|token| is_word(token, "mod"));
        if let Some(module) = module {
            self.module(&tokens[at + module..end], path);
        }
        self.file.paths.truncate(paths);
        self.file.links.truncate(links);
        self.file.functions.truncate(functions);
        self.file.modules.truncate(modules);
        self.test = outside;
        end
    }
}

/// The number of tokens of the item that begins here.
fn item_length(tokens: &[TokenTree]) -> usize {
    // Behind `pub` and `pub(crate)`.
    let mut words = tokens
        .iter()
        .skip_while(|token| is_word(token, "pub") || matches!(token, TokenTree::Group(_)));
    let keyword = words.next().map(ToString::to_string);
    let to_semicolon = match keyword.as_deref() {
        Some("use" | "static" | "type" | "let") => true,
        // Else it is a `const fn`.
        Some("const") => words.nth(1).is_some_and(|token| is_punct(Some(token), ':')),
        _ => false,
    };
    let end = tokens.iter().position(|token| match token {
        TokenTree::Punct(end) => end.as_char() == ';',
        TokenTree::Group(group) => !to_semicolon && group.delimiter() == Delimiter::Brace,
        _ => false,
    });
    end.map_or(tokens.len(), |end| end + 1)
}

/// The brackets of `#[…]`, if one begins here.
fn attribute(tokens: &[TokenTree]) -> Option<&Group> {
    if !is_punct(tokens.first(), '#') {
        return None;
    }
    match tokens.get(1) {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket => Some(group),
        _ => None,
    }
}

fn is_cfg_test(attribute: &Group) -> bool {
    let text: String = attribute.stream().to_string().split_whitespace().collect();
    text == "cfg(test)" || text.starts_with("cfg(all(test,")
}

/// The file that `#[path = "…"]` names.
fn path_attribute(attribute: &Group) -> Option<String> {
    let text = attribute.stream().to_string();
    let value = text.strip_prefix("path")?.trim_start().strip_prefix('=')?;
    Some(value.trim().trim_matches('"').to_owned())
}

fn inside(group: &Group) -> Vec<TokenTree> {
    group.stream().into_iter().collect()
}

pub(crate) fn is_punct(token: Option<&TokenTree>, character: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == character)
}

pub(crate) fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == word)
}
