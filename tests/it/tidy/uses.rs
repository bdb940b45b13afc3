//! What a file uses, by where it is defined: each `use` tree and each path of its code, resolved through
//! `super`, renames and the re-exports of the crate's root. Tests are left out. Of what a macro is given only
//! paths that begin with `crate` or `std` are seen.

use std::collections::{HashMap, HashSet};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// Names of the crate's root, and the paths that they stand for.
pub(super) type Root = HashMap<String, Vec<String>>;

/// What a room may use.
pub(super) struct Rule<'a> {
    /// Beginnings of paths: `std::fmt`, `crate::core`.
    pub(super) may: &'a [&'a str],
    /// Of these, what it may not use all the same.
    pub(super) but_not: &'a [&'a str],
}

impl Rule<'_> {
    fn allows(&self, path: &[String]) -> bool {
        let begins = |with: &&str| {
            let with: Vec<&str> = with.split("::").collect();
            path.len() >= with.len() && path.iter().zip(&with).all(|(a, b)| a == b)
        };
        self.may.iter().any(begins) && !self.but_not.iter().any(begins)
    }
}

struct Uses<'a> {
    /// The module that is looked at.
    module: Vec<String>,
    /// The modules that are declared in it.
    children: Vec<String>,
    /// The names that the file brings in from elsewhere.
    known: HashSet<String>,
    root: &'a Root,
    found: Vec<Vec<String>>,
}

/// The paths that a file uses, as far as they lead out of what it declares itself: from `crate`, or from the
/// name of another crate.
pub(super) fn uses(text: &str, module: &[&str], root: &Root) -> Vec<Vec<String>> {
    let file = syn::parse_file(text).unwrap();
    let mut uses = Uses {
        module: module.iter().map(ToString::to_string).collect(),
        children: children(&file.items),
        known: brought_in(&file),
        root,
        found: Vec::new(),
    };
    uses.visit_file(&file);
    uses.found
}

/// What a file uses and may not, as text.
pub(super) fn offences(text: &str, module: &[&str], root: &Root, rule: &Rule<'_>) -> Vec<String> {
    let found = uses(text, module, root).into_iter();
    let mut offences: Vec<_> = found
        .filter(|path| !rule.allows(path))
        .map(|path| path.join("::"))
        .collect();
    offences.sort_unstable();
    offences.dedup();
    offences
}

/// The names that a crate's root re-exports.
pub(super) fn root(text: &str) -> Root {
    let file = syn::parse_file(text).unwrap();
    let none = Root::new();
    let resolve = Uses {
        module: Vec::new(),
        children: children(&file.items),
        known: HashSet::new(),
        root: &none,
        found: Vec::new(),
    };
    let mut names = Root::new();
    for item in &file.items {
        if let Item::Use(item) = item {
            for (name, path) in leaves(&item.tree) {
                names.extend(resolve.resolve(&path).map(|path| (name, path)));
            }
        }
    }
    names
}

fn children(items: &[Item]) -> Vec<String> {
    let modules = items.iter().filter_map(|item| match item {
        Item::Mod(module) => Some(module.ident.to_string()),
        _ => None,
    });
    modules.collect()
}

/// All names that a file brings in, wherever in it.
fn brought_in(file: &syn::File) -> HashSet<String> {
    struct Names(HashSet<String>);
    impl<'ast> Visit<'ast> for Names {
        fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
            let leaves = leaves(&item.tree).into_iter();
            // `use tokio;` makes no other thing of the name.
            self.0
                .extend(leaves.filter_map(|(name, path)| (path.len() > 1).then_some(name)));
        }
    }
    let mut names = Names(HashSet::new());
    names.visit_file(file);
    names.0
}

/// The names that a tree brings in, each with its whole path. A glob has the path that it opens.
fn leaves(tree: &UseTree) -> Vec<(String, Vec<String>)> {
    let below = |ident: String, tree| {
        let leaves = leaves(tree).into_iter();
        leaves
            .map(|(mut name, mut path)| {
                if name == "self" {
                    name.clone_from(&ident);
                }
                path.insert(0, ident.clone());
                (name, path)
            })
            .collect()
    };
    match tree {
        UseTree::Path(path) => below(path.ident.to_string(), &path.tree),
        UseTree::Name(name) if name.ident == "self" => vec![("self".into(), Vec::new())],
        UseTree::Name(name) => vec![(name.ident.to_string(), vec![name.ident.to_string()])],
        UseTree::Rename(rename) if rename.ident == "self" => {
            vec![(rename.rename.to_string(), Vec::new())]
        }
        UseTree::Rename(rename) => {
            vec![(rename.rename.to_string(), vec![rename.ident.to_string()])]
        }
        UseTree::Glob(_) => vec![("*".into(), Vec::new())],
        UseTree::Group(group) => group.items.iter().flat_map(leaves).collect(),
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|of| of.is_ident("test"))
    })
}

impl Uses<'_> {
    /// The path from its crate on; `None` of a name that is declared or brought in here.
    fn resolve(&self, path: &[String]) -> Option<Vec<String>> {
        let first = path.first()?.as_str();
        let mut inner = match first {
            "crate" => Vec::new(),
            "self" | "super" => self.module.clone(),
            _ if self.children.iter().any(|child| child == first) => self.module.clone(),
            _ if self.known.contains(first) || is_of_the_language(first) => return None,
            _ => return Some(path.to_vec()),
        };
        let supers = path.iter().take_while(|name| *name == "super").count();
        inner.truncate(inner.len().saturating_sub(supers));
        let rest = path
            .iter()
            .skip_while(|name| matches!(name.as_str(), "crate" | "self" | "super"));
        inner.extend(rest.cloned());
        // Of a re-export of the root, what it stands for.
        let defined = inner.first().and_then(|name| self.root.get(name));
        if let Some(defined) = defined {
            let mut whole = defined.clone();
            whole.extend(inner.drain(1..));
            return Some(whole);
        }
        inner.insert(0, "crate".into());
        Some(inner)
    }

    fn note(&mut self, path: &[String]) {
        self.found.extend(self.resolve(path));
    }
}

/// A type: one of the language, or one that is declared or brought in here, as all with capitals are.
fn is_of_the_language(name: &str) -> bool {
    const TYPES: [&str; 17] = [
        "bool", "char", "str", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "u8",
        "u16", "u32", "u64", "u128", "usize",
    ];
    TYPES.contains(&name) || name.starts_with(char::is_uppercase)
}

impl<'ast> Visit<'ast> for Uses<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let Some((_, items)) = &item.content else {
            return;
        };
        let outer = std::mem::replace(&mut self.children, children(items));
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
        self.children = outer;
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        for (_, path) in leaves(&item.tree) {
            self.note(&path);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let names = path.segments.iter().map(|part| part.ident.to_string());
            self.note(&names.collect::<Vec<_>>());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        let text = item.tokens.to_string().replace(" :: ", "::");
        let is_of_a_path = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | ':');
        for word in text.split(|letter| !is_of_a_path(letter)) {
            if word.starts_with("crate::") || word.starts_with("std::") {
                self.note(&word.split("::").map(str::to_owned).collect::<Vec<_>>());
            }
        }
        visit::visit_macro(self, item);
    }

    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}

const RULE: Rule<'_> = Rule {
    may: &[
        "crate::core",
        "crate::clock",
        "crate::error",
        "std::fmt",
        "std::time::Duration",
    ],
    but_not: &["crate::clock::Manual"],
};

fn refused(line: &str) -> Vec<String> {
    let root = root(
        "mod clock; mod error; mod http; mod manager;\n\
         pub use error::Error;\npub use manager::{Manager, awaited::Pending as Asked};\n\
         pub use jobkeep_redb::RedbStore;",
    );
    offences(line, &["core", "engine"], &root, &RULE)
}

#[test]
fn what_leads_up_is_found_however_it_is_written() {
    for (line, path) in [
        ("use crate::Manager;", "crate::manager::Manager"),
        ("use crate::Manager as M;", "crate::manager::Manager"),
        ("use crate::Asked;", "crate::manager::awaited::Pending"),
        (
            "use crate::{Error, runtime::Shared};",
            "crate::runtime::Shared",
        ),
        (
            "use super::super::runtime::Shared;",
            "crate::runtime::Shared",
        ),
        (
            "use super::{super::runtime::{Shared, start}};",
            "crate::runtime::Shared",
        ),
        ("use crate::http::Client;", "crate::http::Client"),
        ("use crate::*;", "crate"),
        ("use super::super::*;", "crate"),
        ("use crate::RedbStore;", "jobkeep_redb::RedbStore"),
        ("use crate::clock::Manual;", "crate::clock::Manual"),
        ("use std::{fs, io};", "std::fs"),
        ("use std::{fmt, io::{self, Read}};", "std::io"),
        ("use std::time::{Duration, Instant};", "std::time::Instant"),
        ("use std::time::*;", "std::time"),
        ("fn f() { use std::fs::read; }", "std::fs::read"),
        ("fn f() { std::fs::read(1); }", "std::fs::read"),
        ("fn f(of: &crate::Manager) {}", "crate::manager::Manager"),
        ("impl crate::Manager { }", "crate::manager::Manager"),
        ("use tokio;", "tokio"),
        ("fn f() { tokio::spawn(1); }", "tokio::spawn"),
        (
            "fn f() { g!(1, std::thread::park()); }",
            "std::thread::park",
        ),
        (
            "mod inner { use super::super::super::runtime::Shared; }",
            "crate::runtime::Shared",
        ),
    ] {
        assert!(
            refused(line).contains(&path.into()),
            "{line}: {:?}",
            refused(line)
        );
    }
}

#[test]
fn what_a_room_may_use_is_no_offence() {
    for line in [
        "use crate::Error;",
        "use crate::{Error, clock::{Clock, Now}};",
        "use super::{engine::Engine, state};",
        "use std::fmt::{self, Debug}; fn f() -> fmt::Result { u64::from(1); }",
        "use std::time::Duration as Span;",
        "enum State { Ready } fn f() { State::Ready; }",
        "mod inner { use super::super::state::go; use self::x::Y; }",
        "#[cfg(test)] mod tests { use crate::Manager; fn f() { std::fs::read(1); } }",
    ] {
        assert_eq!(refused(line), [""; 0], "{line}");
    }
}
