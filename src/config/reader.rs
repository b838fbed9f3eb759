//! Reads a tree's values and remembers what is wrong with them, so that all errors are told at once.

use super::tree::{Key, Node, Place, Value};
use crate::retention::calendar::{Period, Seconds};
use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// Something wrong, or worth a second look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `None`: of the whole configuration, not of one place.
    pub place: Option<Place>,
    /// The key it concerns, from the top: `sources.web.max_silence`.
    pub path: String,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        // A file can hold anything, and this goes to terminals.
        let printable = |text: &str| text.replace(char::is_control, "\u{fffd}");
        if !self.path.is_empty() {
            write!(f, "{} ", printable(&self.path))?;
        }
        f.write_str(&printable(&self.message))
    }
}

/// Collects problems.
#[derive(Clone, Default)]
pub struct Problems {
    pub errors: Rc<RefCell<Vec<Problem>>>,
    pub warnings: Rc<RefCell<Vec<Problem>>>,
}

impl Problems {
    pub fn error(&self, place: &Place, path: &str, message: impl Into<String>) {
        let problem = Problem { place: Some(place.clone()), path: path.to_owned(), message: message.into() };
        self.errors.borrow_mut().push(problem);
    }

    pub fn warning(&self, place: &Place, path: &str, message: impl Into<String>) {
        let problem = Problem { place: Some(place.clone()), path: path.to_owned(), message: message.into() };
        self.warnings.borrow_mut().push(problem);
    }
}

/// A value and the path to it.
#[derive(Clone)]
pub struct At<'n> {
    pub node: &'n Node,
    pub path: String,
    pub problems: Problems,
}

impl<'n> At<'n> {
    pub fn error(&self, message: impl Into<String>) {
        self.problems.error(&self.node.place, &self.path, message);
    }

    pub fn warning(&self, message: impl Into<String>) {
        self.problems.warning(&self.node.place, &self.path, message);
    }

    fn child(&self, name: &str, node: &'n Node) -> At<'n> {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        At { node, path, problems: self.problems.clone() }
    }

    fn is_not(&self, what: &str) {
        if !matches!(self.node.value, Value::Broken) {
            self.error(format!("must be {what}, and is {}", self.node.kind()));
        }
    }

    /// The value as messages may show it: a reference for what was found elsewhere, and not too long.
    pub fn shown(&self) -> Cow<'n, str> {
        let Value::Scalar(scalar) = &self.node.value else { return self.node.kind().into() };
        match scalar.shown().char_indices().nth(SHOWN_MAX) {
            Some((end, _)) => format!("{}…", &scalar.shown()[..end]).into(),
            None => scalar.shown().into(),
        }
    }

    pub fn map(&self) -> Option<MapReader<'n>> {
        match &self.node.value {
            Value::Map(entries) => {
                Some(MapReader { at: self.clone(), entries, known: Vec::new(), unsupported: Vec::new() })
            }
            _ => {
                self.is_not("a map");
                None
            }
        }
    }

    /// The entries of a map whose keys are names of the user's choice; `what` it should be.
    pub fn named(&self, what: &str) -> Vec<(&'n Key, At<'n>)> {
        match &self.node.value {
            Value::Map(entries) => entries.iter().map(|(key, node)| (key, self.child(&key.name, node))).collect(),
            _ => {
                self.is_not(what);
                Vec::new()
            }
        }
    }

    /// The elements of a list that holds at least one; `what` they are.
    pub fn list(&self, what: &str) -> Vec<At<'n>> {
        match &self.node.value {
            Value::List(list) if !list.is_empty() => self.elements(list),
            Value::List(_) => {
                self.error(format!("is empty, and must name at least one {what}"));
                Vec::new()
            }
            _ => {
                self.is_not(&format!("a list, each element a {what}"));
                Vec::new()
            }
        }
    }

    /// A list, or one value that stands for a list of one.
    pub fn list_or_one(&self, what: &str) -> Vec<At<'n>> {
        match &self.node.value {
            Value::List(_) => self.list(what),
            _ => vec![self.clone()],
        }
    }

    fn elements(&self, list: &'n [Node]) -> Vec<At<'n>> {
        let element =
            |(place, node)| At { node, path: format!("{}[{place}]", self.path), problems: self.problems.clone() };
        list.iter().enumerate().map(element).collect()
    }

    /// The elements of a list about which everything has been said that is wrong with it.
    pub fn elements_if_any(&self) -> Vec<At<'n>> {
        self.elements(self.node.elements())
    }

    pub fn text(&self) -> Option<&'n str> {
        let text = self.node.as_text();
        if text.is_none() {
            self.is_not("text");
        }
        text
    }

    pub fn boolean(&self) -> Option<bool> {
        match self.node.as_text() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) => {
                self.error(format!("is '{}', and must be true or false", self.shown()));
                None
            }
            None => {
                self.is_not("true or false");
                None
            }
        }
    }

    pub fn whole_number(&self, from: u32, to: u32) -> Option<u32> {
        let text = self.text()?;
        let number = text.parse().ok().filter(|number| (from..=to).contains(number));
        if number.is_none() {
            self.error(format!("is '{}', and must be a whole number from {from} to {to}", self.shown()));
        }
        number
    }

    pub fn period(&self) -> Option<Period> {
        let period = Period::parse(self.text()?);
        period.map_err(|error| self.error(format!("is '{}', which {error}", self.shown()))).ok()
    }

    pub fn duration(&self) -> Option<Seconds> {
        let duration = Seconds::parse(self.text()?);
        duration.map_err(|error| self.error(format!("is '{}', which {error}", self.shown()))).ok()
    }

    /// One of several words.
    pub fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            let near = suggestion(text, names.iter().copied());
            self.error(format!("is '{}', and must be one of {}{near}", self.shown(), names.join(", ")));
        }
        found.map(|(_, value)| *value)
    }

    /// A name of the user's choice: of a source, a target, a policy, a kind, a category.
    pub fn name(&self) -> Option<String> {
        let text = self.text()?;
        if is_name(text) {
            return Some(text.to_owned());
        }
        self.error(format!("is '{}', and {NAME_RULE}", self.shown()));
        None
    }
}

/// Characters of a value that a message shows.
const SHOWN_MAX: usize = 80;

const NAME_RULE: &str = "a name is 1 to 100 letters, digits, '.', '_' or '-', and begins with a letter or digit";

pub fn is_name(text: &str) -> bool {
    let legal = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.starts_with(char::is_alphanumeric) && text.chars().count() <= 100 && text.chars().all(legal)
}

/// A key that is a name of the user's choice.
pub fn key_is_name(key: &Key, at: &At<'_>) -> bool {
    if !is_name(&key.name) {
        at.problems.error(&key.place, &at.path, format!("is no usable name; {NAME_RULE}"));
    }
    is_name(&key.name)
}

/// A map being read key by key; what nobody asks for is unknown.
pub struct MapReader<'n> {
    at: At<'n>,
    entries: &'n [(Key, Node)],
    known: Vec<&'static str>,
    unsupported: Vec<&'static str>,
}

impl<'n> MapReader<'n> {
    pub fn get(&mut self, name: &'static str) -> Option<At<'n>> {
        self.known.push(name);
        let (_, node) = self.entries.iter().find(|(key, _)| key.name == name)?;
        Some(self.at.child(name, node))
    }

    /// A key that must be there; `what` it is.
    pub fn need(&mut self, name: &'static str, what: &str) -> Option<At<'n>> {
        let found = self.get(name);
        if found.is_none() {
            self.at.error(format!("needs '{name}': {what}"));
        }
        found
    }

    /// What `read` makes of an optional key; `default` where it isn't there, `None` where it is wrong.
    pub fn optional<T>(&mut self, name: &'static str, default: T, read: impl FnOnce(At<'n>) -> Option<T>) -> Option<T> {
        match self.get(name) {
            Some(at) => read(at),
            None => Some(default),
        }
    }

    /// Keys of the design whose behaviour does not exist yet: refused by name.
    pub fn not_supported_yet(&mut self, names: &[&'static str]) {
        self.unsupported.extend_from_slice(names);
    }

    /// Every key that nobody asked for is an error.
    pub fn finish(self) {
        for (key, node) in self.entries {
            let at = self.at.child(&key.name, node);
            if self.unsupported.iter().any(|name| *name == key.name) {
                at.problems.error(&key.place, &at.path, "is not supported yet by this version; remove it");
            } else if key.name == "<<" {
                at.problems.error(&key.place, &at.path, "is a merge key of YAML 1.1; write the keys out");
            } else if !self.known.iter().any(|known| *known == key.name) {
                let near = suggestion(&key.name, self.known.iter().chain(&self.unsupported).copied());
                let keys = if near.is_empty() { format!("; known here: {}", self.known.join(", ")) } else { near };
                at.problems.error(&key.place, &at.path, format!("is not a known key{keys}"));
            }
        }
    }
}

/// `; did you mean 'login'?`, or nothing where no name is near.
pub fn suggestion<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> String {
    let nearest = names.map(|name| (distance(text, name), name)).min();
    match nearest {
        Some((distance, name)) if distance <= name.chars().count().max(3) / 3 => format!("; did you mean '{name}'?"),
        _ => String::new(),
    }
}

/// Letters to insert, delete, replace or swap with their neighbour (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let [a, b] = [a, b].map(|text| text.chars().take(64).collect::<Vec<char>>());
    let (mut before, mut row) = (Vec::new(), (0..=b.len()).collect::<Vec<usize>>());
    for i in 0..a.len() {
        let mut next = vec![i + 1];
        for j in 0..b.len() {
            let mut least = (row[j] + usize::from(a[i] != b[j])).min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("topic", "topic", 0),
            ("tpoic", "topic", 1),
            ("topics", "topic", 1),
            ("kitten", "sitting", 3),
            ("é", "e", 1),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (expected, expected), "{a} {b}");
        }
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        let names = || ["topics", "time", "time_zone"].into_iter();
        assert_eq!(suggestion("tmie", names()), "; did you mean 'time'?");
        assert_eq!(suggestion("time_zome", names()), "; did you mean 'time_zone'?");
        assert_eq!(suggestion("colour", names()), "");
    }
}
