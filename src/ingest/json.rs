//! The named fields of a JSON document, in one pass and without a tree.

mod plain;
mod shape;

use crate::config::{Pointer, Step};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use shape::{Shapes, Sketch};
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

/// Place of a pointer among those of a [`Plan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Field(u16);

/// Where in the arrays that its pointer steps through a value stood; unused places are 0.
pub type Path = [u32; EACH_MAX];

/// How many arrays a pointer may step through.
pub const EACH_MAX: usize = crate::config::POINTER_EACH_MAX;

/// All pointers that are read from a kind of document, as one tree.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    nodes: Vec<Node>,
    fields: u16,
    /// What documents looked like that were read with it.
    shapes: Shapes,
}

#[derive(Clone, Debug, Default)]
struct Node {
    members: Vec<(String, usize)>,
    /// The same in short; see [`plain::head`].
    heads: Vec<u64>,
    each: Option<usize>,
    field: Option<Field>,
}

impl Plan {
    pub fn new() -> Plan {
        Plan { nodes: vec![Node::default()], ..Plan::default() }
    }

    /// Names of the members of the document itself that are read, or read in.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.nodes[0].members.iter().map(|(name, _)| name.as_str())
    }

    /// Reads this pointer, too. One that is there already keeps its place.
    pub fn add(&mut self, pointer: &Pointer) -> Field {
        // Those that were learnt know nothing of it.
        self.shapes = Shapes::default();
        let mut node = 0;
        for step in &pointer.0 {
            let found = match step {
                Step::Each => self.nodes[node].each,
                Step::Member(name) => {
                    self.nodes[node].members.iter().find(|(member, _)| member == name).map(|(_, child)| *child)
                }
            };
            node = found.unwrap_or_else(|| self.grow(node, step));
        }
        let next = Field(self.fields);
        *self.nodes[node].field.get_or_insert_with(|| {
            self.fields += 1;
            next
        })
    }

    fn grow(&mut self, parent: usize, step: &Step) -> usize {
        let child = self.nodes.len();
        self.nodes.push(Node::default());
        match step {
            Step::Each => self.nodes[parent].each = Some(child),
            Step::Member(name) => {
                let parent = &mut self.nodes[parent];
                parent.members.push((name.clone(), child));
                parent.heads.push(plain::head(name.as_bytes(), 0, name.len()));
            }
        }
        child
    }

    fn member(&self, node: Option<usize>, name: &str) -> Option<usize> {
        self.member_by_head(node?, plain::head(name.as_bytes(), 0, name.len()), name.as_bytes())
    }

    /// The same, where the name's head is known.
    #[inline(always)]
    fn member_by_head(&self, node: usize, head: u64, name: &[u8]) -> Option<usize> {
        let node = &self.nodes[node];
        let mut from = 0;
        while let Some(found) = node.heads[from..].iter().position(|known| *known == head) {
            let (member, child) = &node.members[from + found];
            if member.len() == name.len() && (name.len() <= plain::HEAD || member.as_bytes() == name) {
                return Some(*child);
            }
            from += found + 1;
        }
        None
    }
}

/// A value, as far as anybody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    /// As it is written.
    Number(&'a str),
    Text(&'a str),
    Array,
    Object,
}

impl<'a> Value<'a> {
    /// JSON text for comparing, so that 3 equals "3"; null, arrays and objects have none.
    pub fn as_text(self) -> Option<&'a str> {
        match self {
            Value::Bool(true) => Some("true"),
            Value::Bool(false) => Some("false"),
            Value::Number(text) | Value::Text(text) => Some(text),
            Value::Null | Value::Array | Value::Object => None,
        }
    }
}

impl<'a> Value<'a> {
    /// The digits of a whole number as it is written, without fraction and exponent.
    pub fn as_integer(self) -> Option<&'a str> {
        let Value::Number(text) = self else { return None };
        text.strip_prefix('-').unwrap_or(text).bytes().all(|b| b.is_ascii_digit()).then_some(text)
    }
}

/// Why bytes are no document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    #[error("is not JSON")]
    Malformed,
    #[error("is nested too deeply")]
    TooDeep,
    #[error("has an object with one member twice")]
    DuplicateMember,
}

/// The values found in one document; its buffers are used again for the next.
#[derive(Debug, Default)]
pub struct Document {
    /// By field, each in the order of the document, which is that of paths.
    found: Vec<Vec<Found>>,
    text: String,
    /// Names of the members of the objects being read, one object after the other.
    names: String,
    name_ends: Vec<usize>,
    duplicate: bool,
    /// The same where a document is plain.
    members: Vec<plain::Member>,
    /// And where its quotes stand: a bit for each byte.
    quotes: Vec<u64>,
    /// And what it looks like without its values.
    sketch: Sketch,
    /// How much of each field had been found when a document was begun.
    before: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Found {
    path: Path,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Null,
    Bool(bool),
    Number(usize, usize),
    Text(usize, usize),
    Array,
    Object,
}

impl Document {
    /// Reads `bytes`, forgetting what was read before.
    ///
    /// # Errors
    /// Anything but one whole JSON document in UTF-8 that is at most 127 deep and whose objects have
    /// each member once.
    pub fn read(&mut self, plan: &mut Plan, bytes: &[u8]) -> Result<(), JsonError> {
        self.clear(plan);
        self.walk(plan, Some(0), bytes)
    }

    /// Forgets what was read, so that a document can be put together.
    pub fn clear(&mut self, plan: &Plan) {
        self.found.resize_with(usize::from(plan.fields), Vec::new);
        self.found.iter_mut().for_each(Vec::clear);
        self.text.clear();
    }

    /// Adds a text that stands in no array.
    pub fn put_text(&mut self, field: Field, text: &str) {
        let range = self.keep(text);
        self.push(field, Found { path: Path::default(), kind: Kind::Text(range.start, range.end) });
    }

    /// Adds `bytes` as the document's member of this name.
    ///
    /// # Errors
    /// As [`Document::read`].
    pub fn read_member(&mut self, plan: &mut Plan, name: &str, bytes: &[u8]) -> Result<(), JsonError> {
        let node = plan.member(Some(0), name);
        self.walk(plan, node, bytes)
    }

    fn walk(&mut self, plan: &mut Plan, node: Option<usize>, bytes: &[u8]) -> Result<(), JsonError> {
        self.before.clear();
        self.before.extend(self.found.iter().map(Vec::len));
        if plain::read(plan, node, bytes, self) {
            return Ok(());
        }
        self.roll_back();
        self.walk_any(plan, node, bytes)
    }

    /// Forgets what was found in the document that is being read.
    fn roll_back(&mut self) {
        self.found.iter_mut().zip(&self.before).for_each(|(found, before)| found.truncate(*before));
    }

    /// Reads whatever JSON there is.
    fn walk_any(&mut self, plan: &Plan, node: Option<usize>, bytes: &[u8]) -> Result<(), JsonError> {
        self.names.clear();
        self.name_ends.clear();
        self.duplicate = false;
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let walk = Walk { plan, node, path: [0; EACH_MAX], each: 0, document: self };
        let outcome = walk.deserialize(&mut deserializer).and_then(|()| deserializer.end());
        match outcome {
            Ok(()) => Ok(()),
            Err(_) if self.duplicate => Err(JsonError::DuplicateMember),
            Err(error) if error.to_string().starts_with("recursion limit") => Err(JsonError::TooDeep),
            Err(_) => Err(JsonError::Malformed),
        }
    }

    /// The first value of a field; `None`: absent.
    pub fn first(&self, field: Field) -> Option<Value<'_>> {
        self.all(field).next().map(|(_, value)| value)
    }

    /// The value of a field that has one; `None`: it has none, or several.
    pub fn only(&self, field: Field) -> Option<Value<'_>> {
        let [found] = self.found[usize::from(field.0)].as_slice() else { return None };
        Some(self.value(found.kind))
    }

    /// All values of a field, in the order of the document.
    pub fn all(&self, field: Field) -> impl Iterator<Item = (Path, Value<'_>)> {
        self.found[usize::from(field.0)].iter().map(|found| (found.path, self.value(found.kind)))
    }

    /// The values of a field that stand where `path` does in the first `arrays` arrays.
    pub fn within(&self, field: Field, path: Path, arrays: usize) -> impl Iterator<Item = (Path, Value<'_>)> {
        self.found_within(field, path, arrays).iter().map(|found| (found.path, self.value(found.kind)))
    }

    /// How many those are; to ask costs less than to look at them.
    pub fn count_within(&self, field: Field, path: Path, arrays: usize) -> usize {
        self.found_within(field, path, arrays).len()
    }

    fn found_within(&self, field: Field, path: Path, arrays: usize) -> &[Found] {
        let found = &self.found[usize::from(field.0)];
        let from = found.partition_point(|found| found.path[..arrays] < path[..arrays]);
        let length = found[from..].partition_point(|found| found.path[..arrays] == path[..arrays]);
        &found[from..from + length]
    }

    fn push(&mut self, field: Field, found: Found) {
        self.found[usize::from(field.0)].push(found);
    }

    fn value(&self, kind: Kind) -> Value<'_> {
        match kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => Value::Bool(value),
            Kind::Number(from, to) => Value::Number(&self.text[from..to]),
            Kind::Text(from, to) => Value::Text(&self.text[from..to]),
            Kind::Array => Value::Array,
            Kind::Object => Value::Object,
        }
    }

    /// `None`: they are no text.
    #[inline(always)]
    fn keep_bytes(&mut self, bytes: &[u8]) -> Option<Range<usize>> {
        Some(self.keep(std::str::from_utf8(bytes).ok()?))
    }

    fn keep(&mut self, text: &str) -> Range<usize> {
        let from = self.text.len();
        self.text.push_str(text);
        from..self.text.len()
    }
}

impl Document {
    fn keep_number(&mut self, number: impl fmt::Display) -> Kind {
        use fmt::Write;
        let from = self.text.len();
        // Writing to a String cannot fail.
        let _ = write!(self.text, "{number}");
        Kind::Number(from, self.text.len())
    }
}

/// Up to this many members of an object are compared one by one.
const NAMES_COMPARED_MAX: usize = 32;

/// What `serde_json` calls the only member of a number that fits no 64 bits: it keeps those as they are
/// written.
const NUMBER: &str = "$serde_json::private::Number";

/// Reads one value, and what is asked for in it.
struct Walk<'p, 'd> {
    plan: &'p Plan,
    node: Option<usize>,
    path: Path,
    /// How many arrays were stepped through with `*`.
    each: usize,
    document: &'d mut Document,
}

impl Walk<'_, '_> {
    fn found(self, kind: impl FnOnce(&mut Document) -> Kind) {
        if let Some(field) = self.node.and_then(|node| self.plan.nodes[node].field) {
            let kind = kind(self.document);
            self.document.push(field, Found { path: self.path, kind });
        }
    }

    /// Checks a name against those of the object that began at `first`, and remembers it. A large object
    /// gets a set of its own, so that a hostile one costs no quadratic time.
    fn name_is_new(&mut self, first: usize, many: &mut Option<HashSet<String>>, name: &str) -> bool {
        if let Some(many) = many {
            return many.insert(name.to_owned());
        }
        let ends = &self.document.name_ends;
        let mut from = if first == 0 { 0 } else { ends[first - 1] };
        for &to in &ends[first..] {
            if self.document.names[from..to] == *name {
                return false;
            }
            from = to;
        }
        self.document.names.push_str(name);
        self.document.name_ends.push(self.document.names.len());
        if self.document.name_ends.len() - first == NAMES_COMPARED_MAX {
            *many = Some(self.names_since(first));
        }
        true
    }

    fn names_since(&self, first: usize) -> HashSet<String> {
        let ends = &self.document.name_ends;
        let mut from = if first == 0 { 0 } else { ends[first - 1] };
        let next = |&to: &usize| self.document.names[std::mem::replace(&mut from, to)..to].to_owned();
        ends[first..].iter().map(next).collect()
    }

    fn forget_names(&mut self, first: usize) {
        self.document.name_ends.truncate(first);
        let end = self.document.name_ends.last().copied().unwrap_or(0);
        self.document.names.truncate(end);
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.found(|_| Kind::Null);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.found(|_| Kind::Bool(value));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.found(|document| document.keep_number(value));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.found(|document| document.keep_number(value));
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.found(|document| {
            let range = document.keep(value);
            Kind::Text(range.start, range.end)
        });
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let mut place = 0_u32;
        let each = self.node.and_then(|node| self.plan.nodes[node].each);
        loop {
            let (mut path, mut depth) = (self.path, self.each);
            let node = match each {
                Some(each) => {
                    if let Some(step) = path.get_mut(depth) {
                        *step = place;
                    }
                    depth += 1;
                    Some(each)
                }
                None if self.node.is_some_and(|node| !self.plan.nodes[node].members.is_empty()) => {
                    self.plan.member(self.node, &place.to_string())
                }
                None => None,
            };
            let walk = Walk { plan: self.plan, node, path, each: depth, document: self.document };
            if elements.next_element_seed(walk)?.is_none() {
                break;
            }
            place += 1;
        }
        self.found(|_| Kind::Array);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        let (first, mut many) = (self.document.name_ends.len(), None);
        loop {
            let name = Name { walk: &mut self, first, many: &mut many };
            let node = match members.next_key_seed(name)? {
                None => break,
                Some(NameRead::Number) => {
                    let text: String = members.next_value()?;
                    self.found(|document| {
                        let range = document.keep(&text);
                        Kind::Number(range.start, range.end)
                    });
                    return Ok(());
                }
                Some(NameRead::Duplicate) => {
                    members.next_value::<IgnoredAny>()?;
                    self.document.duplicate = true;
                    return Err(A::Error::custom("duplicate member"));
                }
                Some(NameRead::Member(node)) => node,
            };
            let walk = Walk { plan: self.plan, node, path: self.path, each: self.each, document: self.document };
            members.next_value_seed(walk)?;
        }
        self.forget_names(first);
        self.found(|_| Kind::Object);
        Ok(())
    }
}

enum NameRead {
    Member(Option<usize>),
    Number,
    Duplicate,
}

struct Name<'w, 'p, 'd> {
    walk: &'w mut Walk<'p, 'd>,
    first: usize,
    many: &'w mut Option<HashSet<String>>,
}

impl<'de> DeserializeSeed<'de> for Name<'_, '_, '_> {
    type Value = NameRead;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<NameRead, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name<'_, '_, '_> {
    type Value = NameRead;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<NameRead, E> {
        if name == NUMBER {
            return Ok(NameRead::Number);
        }
        if !self.walk.name_is_new(self.first, self.many, name) {
            return Ok(NameRead::Duplicate);
        }
        Ok(NameRead::Member(self.walk.plan.member(self.walk.node, name)))
    }
}

#[cfg(test)]
mod tests;
