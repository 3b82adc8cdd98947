//! Which file uses which, and the circles in that: `a` uses `b`, which uses `c`, which uses `a`. Whoever wants to
//! understand, move or test one of these needs all of them.
//!
//! Read from the text of the sources: `use` and written-out paths, followed through re-exports to the file that
//! has the thing. Code for tests does not count, and neither do a module and what lies within it: they are one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::iter::Peekable;
use std::path::{Path, PathBuf};

/// Names from the crate's root on.
type Names = Vec<String>;

/// `from` uses something of `to`; where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrow {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) line: usize,
}

/// A path that occurs in a file.
#[derive(Debug)]
struct Use {
    /// The module it stands in.
    module: Names,
    path: Names,
    /// What it is called there, if it is a `use`.
    name: Option<String>,
    line: usize,
}

#[derive(Debug)]
struct File {
    name: String,
    module: Names,
    uses: Vec<Use>,
}

/// The files of one crate.
#[derive(Debug, Default)]
struct Crate {
    files: Vec<File>,
    /// Where each module is; several may be in one file.
    modules: BTreeMap<Names, usize>,
}

/// A word, or one sign; `::` is one. With its line.
type Token = (String, usize);

/// Splits code; leaves out comments and what stands in quotes.
fn tokens(text: &str) -> Vec<Token> {
    let (mut found, mut line) = (Vec::new(), 1);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(len) = quoted(rest) {
            len
        } else if word > 0 {
            found.push((rest[..word].to_owned(), line));
            word
        } else {
            let len = if rest.starts_with("::") { 2 } else { first.len_utf8() };
            if !first.is_whitespace() {
                found.push((rest[..len].to_owned(), line));
            }
            len
        };
        line += rest[..len].matches('\n').count();
        rest = &rest[len..];
    }
    found
}

/// How long the text or character is with which `rest` begins, if it does.
fn quoted(rest: &str) -> Option<usize> {
    let raw = rest.strip_prefix('b').unwrap_or(rest);
    if let Some(after) = raw.strip_prefix('r') {
        let signs = after.len() - after.trim_start_matches('#').len();
        if after[signs..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(signs));
            let from = rest.len() - after.len() + signs + 1;
            return Some(rest[from..].find(&end).map_or(rest.len(), |at| from + at + end.len()));
        }
    }
    let from = rest.len() - raw.len();
    let quote = raw.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut inside = raw.char_indices().skip(1);
    if quote == '\'' {
        // A lifetime is a word without a second quote.
        let second = raw.chars().nth(1)?;
        if second != '\\' && raw.chars().nth(2) != Some('\'') {
            return Some(from + 1);
        }
    }
    while let Some((at, c)) = inside.next() {
        match c {
            '\\' => _ = inside.next(),
            c if c == quote => return Some(from + at + 1),
            _ => {}
        }
    }
    Some(rest.len())
}

/// Reads one file's tokens.
struct Reader<'a, I: Iterator<Item = &'a Token>> {
    tokens: Peekable<I>,
    uses: Vec<Use>,
    /// Modules that stand in files of their own.
    children: Vec<Names>,
    /// Modules in this file: with the depth of braces at which each ends.
    open: Vec<(Names, usize)>,
    inline: Vec<Names>,
    depth: usize,
}

impl<'a, I: Iterator<Item = &'a Token>> Reader<'a, I> {
    fn next(&mut self) -> Option<(&'a str, usize)> {
        self.tokens.next().map(|(text, line)| (text.as_str(), *line))
    }

    fn is_next(&mut self, sign: &str) -> bool {
        self.tokens.next_if(|(text, _)| text == sign).is_some()
    }

    fn module(&self) -> Names {
        self.open.last().map(|(names, _)| names.clone()).unwrap_or_default()
    }

    fn read(&mut self) {
        while let Some((text, line)) = self.next() {
            match text {
                "#" => self.attribute(),
                // `impl Trait + use<'a>` brings nothing in.
                "use" if !self.is_next("<") => self.tree(Vec::new(), line),
                "mod" => self.child(),
                "{" => self.depth += 1,
                "}" => {
                    self.depth -= 1;
                    self.open.pop_if(|(_, depth)| *depth > self.depth);
                }
                "crate" | "super" | "self" => self.path(text, line),
                _ => {}
            }
        }
    }

    /// A path that is written out. One that ends at once is no path of a thing (`self.x`, `pub(crate)`).
    fn path(&mut self, first: &str, line: usize) {
        let mut path = vec![first.to_owned()];
        while self.is_next("::") {
            match self.tokens.next_if(|(text, _)| is_word(text)) {
                Some((word, _)) => path.push(word.clone()),
                None => break,
            }
        }
        if path.len() > 1 {
            self.uses.push(Use { module: self.module(), path, name: None, line });
        }
    }

    fn child(&mut self) {
        let Some((name, _)) = self.next() else { return };
        let mut names = self.module();
        names.push(name.to_owned());
        if self.is_next("{") {
            self.depth += 1;
            self.inline.push(names.clone());
            self.open.push((names, self.depth));
        } else {
            self.children.push(names);
        }
    }

    /// What is behind `use`, or between the commas of a group.
    fn tree(&mut self, mut path: Names, line: usize) {
        let mut name = None;
        while let Some((text, _)) = self.next() {
            match text {
                "::" => {}
                "{" => {
                    while self.tokens.peek().is_some() && !self.is_next("}") {
                        self.tree(path.clone(), line);
                    }
                    self.is_next(",");
                    return;
                }
                "as" => name = self.next().map(|(name, _)| name.to_owned()),
                "," | ";" => break,
                "*" => {}
                word => path.push(word.to_owned()),
            }
            if self.tokens.peek().is_some_and(|(text, _)| text == "}") {
                break;
            }
        }
        // `a::b::self` is `a::b`.
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let name = name.or_else(|| path.last().cloned());
        self.uses.push(Use { module: self.module(), path, name, line });
    }

    /// Passes over an attribute, and if it says `cfg(test)`, over what it belongs to.
    fn attribute(&mut self) {
        self.is_next("!");
        if !self.is_next("[") {
            return;
        }
        let (mut words, mut depth) = (Vec::new(), 1);
        while let Some((text, _)) = self.next() {
            match text {
                "[" => depth += 1,
                "]" => depth -= 1,
                word => words.push(word),
            }
            if depth == 0 {
                break;
            }
        }
        if words.first() == Some(&"cfg") && words.contains(&"test") && !words.contains(&"not") {
            self.skip();
        }
    }

    /// To the end of a thing: its `;`, `,` or last brace.
    fn skip(&mut self) {
        let mut depth = 0;
        while let Some((text, _)) = self.tokens.next_if(|(text, _)| depth > 0 || text != "}") {
            match text.as_str() {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" => depth -= 1,
                "}" => {
                    depth -= 1;
                    if depth == 0 {
                        return;
                    }
                }
                "," | ";" if depth == 0 => return,
                _ => {}
            }
        }
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

impl Crate {
    /// Reads a file and those of its modules. `dir` is where these are.
    fn read(&mut self, root: &Path, path: &Path, dir: PathBuf, module: Names) {
        let text = fs::read_to_string(path).unwrap();
        let tokens = tokens(&text);
        let mut reader = Reader {
            tokens: tokens.iter().peekable(),
            uses: Vec::new(),
            children: Vec::new(),
            open: vec![(module.clone(), 0)],
            inline: Vec::new(),
            depth: 0,
        };
        reader.read();
        let Reader { uses, children, inline, depth, .. } = reader;
        assert_eq!(depth, 0, "{}: its braces were not understood", path.display());
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let own = [module.clone()].into_iter().chain(inline);
        self.modules.extend(own.map(|names| (names, self.files.len())));
        self.files.push(File { name, module: module.clone(), uses });
        for child in children {
            let inside = child[module.len()..].iter().fold(dir.clone(), |dir, name| dir.join(name));
            let files = [inside.with_extension("rs"), inside.join("mod.rs")];
            let file = files.iter().find(|file| file.exists());
            let file = file.unwrap_or_else(|| panic!("{}: where is {child:?}?", path.display()));
            self.read(root, file, inside, child);
        }
    }

    /// The path from the root on; `None` if it leads out of the crate.
    fn absolute(&self, used: &Use) -> Option<Names> {
        let ups = used.path.iter().take_while(|word| *word == "super").count();
        let up = used.module.len().checked_sub(ups)?;
        let (base, rest) = match used.path.first()?.as_str() {
            "crate" => (&[][..], &used.path[1..]),
            "self" => (&used.module[..], &used.path[1..]),
            "super" => (&used.module[..up], &used.path[ups..]),
            first => {
                let child = [&used.module[..], &[first.to_owned()]].concat();
                self.modules.contains_key(&child).then_some((&used.module[..], &used.path[..]))?
            }
        };
        Some([base, rest].concat())
    }

    /// The file that has what an absolute path names, through re-exports.
    fn owner(&self, path: &[String], passed: &mut BTreeSet<Names>) -> Option<usize> {
        if !passed.insert(path.to_vec()) {
            return None;
        }
        let (module, at) = (0..=path.len())
            .rev()
            .find_map(|len| self.modules.get(&path[..len]).map(|at| (&path[..len], *at)))?;
        let Some((first, rest)) = path[module.len()..].split_first() else { return Some(at) };
        let named = self.files[at]
            .uses
            .iter()
            .find(|used| used.module == module && used.name.as_ref() == Some(first));
        let through = named.and_then(|used| self.absolute(used));
        let through = through.and_then(|names| self.owner(&[&names[..], rest].concat(), passed));
        Some(through.unwrap_or(at))
    }

    fn arrows(&self) -> Vec<Arrow> {
        let mut arrows = Vec::new();
        for from in &self.files {
            for used in &from.uses {
                let Some(names) = self.absolute(used) else { continue };
                let Some(to) = self.owner(&names, &mut BTreeSet::new()) else { continue };
                let to = &self.files[to];
                if !from.module.starts_with(&to.module) && !to.module.starts_with(&from.module) {
                    let (from, to) = (from.name.clone(), to.name.clone());
                    arrows.push(Arrow { from, to, line: used.line });
                }
            }
        }
        arrows
    }
}

/// All arrows between the files of a crate; `src` is where it begins, and names are as from `root`.
pub(crate) fn arrows(root: &Path, src: &str) -> Vec<Arrow> {
    let dir = root.join(src);
    let mut read = Crate::default();
    read.read(root, &dir.join("lib.rs"), dir, Names::new());
    read.arrows()
}

/// What can be reached from `from`.
fn reached<'a>(from: &'a str, next: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let (mut found, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(at) = open.pop() {
        for to in next.get(at).into_iter().flatten() {
            if found.insert(*to) {
                open.push(to);
            }
        }
    }
    found
}

/// Files each of which reaches all others of its circle, by name.
pub(crate) fn circles(arrows: &[Arrow]) -> Vec<BTreeSet<String>> {
    let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for arrow in arrows {
        next.entry(&arrow.from).or_default().insert(&arrow.to);
    }
    let all: BTreeMap<&str, _> = next.keys().map(|from| (*from, reached(from, &next))).collect();
    let mut found: Vec<BTreeSet<String>> = Vec::new();
    for (from, there) in &all {
        let back = |to: &&&str| all.get(**to).is_some_and(|there| there.contains(from));
        let circle: BTreeSet<String> = there.iter().filter(back).map(|to| (*to).into()).collect();
        if circle.len() > 1 && !found.contains(&circle) {
            found.push(circle);
        }
    }
    found
}
