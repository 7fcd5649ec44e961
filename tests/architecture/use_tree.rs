//! `use` with its groups, and the names that a file gives itself.

use std::collections::BTreeSet;

use proc_macro2::{Group, TokenTree};

use super::source::{is_punct, is_word};

/// One name that `use` brings in.
pub(crate) struct Leaf {
    /// From 1.
    pub(crate) line: usize,
    /// The whole path; a glob ends in `*`, a leading `::` is part of the first segment.
    pub(crate) segments: Vec<String>,
    /// What it is called here.
    pub(crate) local: String,
}

/// All leaves of what stands between `use` and the semicolon.
pub(crate) fn leaves(tree: &[TokenTree]) -> Vec<Leaf> {
    let mut found = Vec::new();
    grow(tree, &[], &mut found);
    found
}

fn grow(tree: &[TokenTree], prefix: &[String], found: &mut Vec<Leaf>) {
    let mut segments = prefix.to_vec();
    let mut local = None;
    let mut at = 0;
    if is_punct(tree.first(), ':') && prefix.is_empty() {
        segments.push("::".to_owned());
    }
    while let Some(token) = tree.get(at) {
        match token {
            TokenTree::Ident(word) if word == "as" => {
                local = tree.get(at + 1).map(ToString::to_string);
                break;
            }
            TokenTree::Ident(word) if word == "self" && !segments.is_empty() => {}
            TokenTree::Ident(word) => add(&mut segments, word.to_string()),
            TokenTree::Group(group) => {
                for branch in branches(group) {
                    grow(&branch, &segments, found);
                }
                return;
            }
            _ if is_punct(Some(token), '*') => add(&mut segments, "*".to_owned()),
            _ => {}
        }
        at += 1;
    }
    let (Some(first), Some(last)) = (tree.first(), segments.last().cloned()) else {
        return;
    };
    let line = first.span().start().line;
    let local = local.unwrap_or(last);
    found.push(Leaf {
        line,
        segments,
        local,
    });
}

fn add(segments: &mut Vec<String>, word: String) {
    match segments.as_mut_slice() {
        [only] if only == "::" => only.push_str(&word),
        _ => segments.push(word),
    }
}

/// What the commas of a group part.
fn branches(group: &Group) -> Vec<Vec<TokenTree>> {
    let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
    tokens
        .split(|token| is_punct(Some(token), ','))
        .filter(|branch| !branch.is_empty())
        .map(<[TokenTree]>::to_vec)
        .collect()
}

/// A path may begin with `::` behind these: they are no part of it.
const BEFORE_A_PATH: &[&str] = &[
    "as", "break", "dyn", "else", "for", "if", "impl", "in", "match", "move", "mut", "return",
    "unsafe", "where", "while",
];

/// The path `a::b::c` that begins with the first token, and how many tokens it has.
pub(crate) fn simple_path(tokens: &[TokenTree]) -> (Vec<String>, usize) {
    let mut segments = Vec::new();
    let mut at = 0;
    while let Some(TokenTree::Ident(word)) = tokens.get(at) {
        segments.push(word.to_string());
        at += 1;
        if BEFORE_A_PATH.iter().any(|keyword| word == keyword) {
            break;
        }
        let colons = is_punct(tokens.get(at), ':') && is_punct(tokens.get(at + 1), ':');
        if !colons || !matches!(tokens.get(at + 2), Some(TokenTree::Ident(_))) {
            break;
        }
        at += 2;
    }
    (segments, at.max(1))
}

/// The names of modules that the tokens declare, and of what they import under its own or
/// another name: a path that begins so does not begin with a crate.
pub(crate) fn local_names(tokens: &[TokenTree], found: &mut BTreeSet<String>) {
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => {
                let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                local_names(&inner, found);
            }
            _ if is_word(token, "mod") => {
                found.extend(tokens.get(at + 1).map(ToString::to_string));
            }
            _ if is_word(token, "use") => {
                let rest = &tokens[at + 1..];
                let end = rest.iter().position(|token| is_punct(Some(token), ';'));
                let imported = leaves(&rest[..end.unwrap_or(rest.len())]).into_iter();
                // `use hyper;` and `use hyper::{self}` leave the crate what it is.
                let imported = imported.filter(|leaf| leaf.segments != [leaf.local.clone()]);
                found.extend(imported.map(|leaf| leaf.local));
            }
            _ => {}
        }
    }
}
