//! The named fields of a JSON document, in one pass and without a tree.

mod plain;

use crate::config::{Pointer, Step};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
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
        Plan { nodes: vec![Node::default()], fields: 0 }
    }

    /// Names of the members of the document itself that are read, or read in.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.nodes[0].members.iter().map(|(name, _)| name.as_str())
    }

    /// Reads this pointer, too. One that is there already keeps its place.
    pub fn add(&mut self, pointer: &Pointer) -> Field {
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
    pub fn read(&mut self, plan: &Plan, bytes: &[u8]) -> Result<(), JsonError> {
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
    pub fn read_member(&mut self, plan: &Plan, name: &str, bytes: &[u8]) -> Result<(), JsonError> {
        self.walk(plan, plan.member(Some(0), name), bytes)
    }

    fn walk(&mut self, plan: &Plan, node: Option<usize>, bytes: &[u8]) -> Result<(), JsonError> {
        self.before.clear();
        self.before.extend(self.found.iter().map(Vec::len));
        if plain::read(plan, node, bytes, self) {
            return Ok(());
        }
        self.found.iter_mut().zip(&self.before).for_each(|(found, before)| found.truncate(*before));
        self.walk_any(plan, node, bytes)
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pointer(text: &str) -> Pointer {
        let step = |step: &str| if step == "*" { Step::Each } else { Step::Member(step.to_owned()) };
        Pointer(text.split('/').skip(1).map(step).collect())
    }

    fn read(fields: &[&str], json: &str) -> Result<Vec<String>, JsonError> {
        let mut plan = Plan::new();
        let fields: Vec<Field> = fields.iter().map(|text| plan.add(&pointer(text))).collect();
        let mut document = Document::default();
        document.read(&plan, json.as_bytes())?;
        let all = |field: &Field| {
            let values = document.all(*field).map(|(path, value)| format!("{:?} {value:?}", &path[..2]));
            values.collect::<Vec<_>>().join("; ")
        };
        Ok(fields.iter().map(all).collect())
    }

    #[test]
    fn named_fields_are_found() {
        let json =
            r#"{"a": {"b": 12345678901234567890123, "c": "x\u00e9", "d": [1.50, {"e": true}]}, "n": null, "b": 1}"#;
        let found = read(&["/a/b", "/a/c", "/a/d/0", "/a/d/1/e", "/n", "/missing", "/a"], json).unwrap();
        let expected = [
            "[0, 0] Number(\"12345678901234567890123\")",
            "[0, 0] Text(\"xé\")",
            "[0, 0] Number(\"1.50\")",
            "[0, 0] Bool(true)",
            "[0, 0] Null",
            "",
            "[0, 0] Object",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn each_element_has_its_path() {
        let json = r#"{"p": [{"ids": [1, 2]}, {"ids": []}, {"ids": [3]}, {}]}"#;
        let found = read(&["/p/*/ids/*", "/p/*"], json).unwrap();
        assert_eq!(found[0], "[0, 0] Number(\"1\"); [0, 1] Number(\"2\"); [2, 0] Number(\"3\")");
        assert_eq!(found[1], "[0, 0] Object; [1, 0] Object; [2, 0] Object; [3, 0] Object");
    }

    #[test]
    fn what_is_no_document_is_refused() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        let many: String = (0..40).map(|n| format!("\"k{n}\": 1, ")).collect();
        let table = [
            ("", JsonError::Malformed),
            ("nul", JsonError::Malformed),
            ("{} {}", JsonError::Malformed),
            ("{\"a\": \"\0\"}", JsonError::Malformed),
            ("{\"a\": \"\\ud800\"}", JsonError::Malformed),
            (deep.as_str(), JsonError::TooDeep),
            (r#"{"a": 1, "a": 1}"#, JsonError::DuplicateMember),
            (r#"{"x": {"a": 1, "b": {"a": 1}, "a": 1}}"#, JsonError::DuplicateMember),
            (&format!("{{{many}\"k7\": 1}}"), JsonError::DuplicateMember),
            (&format!("{{{many}\"z\": 1, \"z\": 1}}"), JsonError::DuplicateMember),
        ];
        for (json, error) in table {
            assert_eq!(read(&["/a"], json), Err(error), "{json}");
        }
        assert!(read(&["/a"], &format!("[{{{many}\"z\": 1}}, {{\"k1\": 1}}]")).is_ok());
        let mut document = Document::default();
        assert_eq!(document.read(&Plan::new(), b"{\"a\": \"\xff\"}"), Err(JsonError::Malformed));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, json in "[\\[\\]{}\",:a0-9 .eE*-]{0,60}") {
            let mut plan = Plan::new();
            plan.add(&pointer("/a/*/0"));
            let mut document = Document::default();
            let _ = document.read(&plan, &bytes);
            // Whatever serde_json's own tree accepts, this accepts, but for members that stand twice.
            let outcome = document.read(&plan, json.as_bytes());
            let tree = serde_json::from_slice::<serde_json::Value>(json.as_bytes());
            proptest::prop_assert!(outcome.is_ok() == tree.is_ok() || outcome == Err(JsonError::DuplicateMember));
        }
    }

    /// What stands in each field, or why it can't be told; by the quick way alone, or by the other.
    fn found_by(is_plain: bool, fields: &[&str], json: &[u8]) -> Option<Result<Vec<String>, JsonError>> {
        let mut plan = Plan::new();
        let fields: Vec<Field> = fields.iter().map(|text| plan.add(&pointer(text))).collect();
        let mut document = Document::default();
        document.clear(&plan);
        if is_plain && !plain::read(&plan, Some(0), json, &mut document) {
            return None;
        }
        if !is_plain && let Err(error) = document.walk_any(&plan, Some(0), json) {
            return Some(Err(error));
        }
        let all = |field: &Field| format!("{:?}", document.all(*field).collect::<Vec<_>>());
        Some(Ok(fields.iter().map(all).collect()))
    }

    const FIELDS: &[&str] =
        &["/a", "/b", "/a/b", "/a/*", "/a/*/b", "/a/*/b/*", "/b/0", "/b/1/a", "/c/*/*/*/*/*", "", "/é", "/a b"];

    #[test]
    fn most_documents_are_plain() {
        let table = [
            r#"{"event":"login","user":"4711","at":1772000000000,"page":"/a\"b\u00e9","n":-1.5,"ok":true}"#,
            r#" { "op" : "u" , "after" : { "a" : null , "b" : [ ] , "c" : { } } , "ts_ms" : 0 } "#,
            "[[1, 2.50], {\"a\": \"\"}]",
            "\"é\"",
        ];
        for json in table {
            assert!(matches!(found_by(true, FIELDS, json.as_bytes()), Some(Ok(_))), "{json}");
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_serde_json() {
        let many: String = (0..200).map(|n| format!("\"k{n}\": 1, ")).collect();
        let table = [
            r#"{"a": 1e5}"#,
            r#"{"x": -0}"#,
            r#"{"a": 01}"#,
            r#"{"a": 1.}"#,
            r#"{"a": "\n"}"#,
            r#"{"x": "\ud83d\ude00"}"#,
            r#"{"\u0061": 1}"#,
            r#"{"a": 1, "a": 1}"#,
            r#"{"$serde_json::private::Number": "1"}"#,
            r#"{"a": 1,}"#,
            r#"{} {}"#,
            "{\"a\": \"\u{1}\"}",
            "",
            &("[".repeat(70) + &"]".repeat(70)),
            &format!("{{{many}\"z\": 1}}"),
        ];
        for json in table {
            assert_eq!(found_by(true, FIELDS, json.as_bytes()), None, "{json}");
        }
        assert_eq!(found_by(true, FIELDS, b"{\"x\": \"\xff\"}"), None);
    }

    fn names() -> impl Strategy<Value = String> {
        prop_oneof![
            8 => "[abc]",
            1 => Just("a b".to_owned()),
            1 => Just("é".to_owned()),
            1 => Just("\\u0061".to_owned()),
            1 => Just("$serde_json::private::Number".to_owned()),
            3 => "[a-z_]{0,12}"
        ]
    }

    /// Mostly JSON, as text: written by hand, as it were, with all that is rare.
    fn json() -> impl Strategy<Value = String> {
        let numbers = prop_oneof![
            "-?(0|[1-9][0-9]{0,25})",
            "-?(0|[1-9][0-9]{0,4})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?",
            any::<i64>().prop_map(|n| n.to_string()),
            Just("18446744073709551615".to_owned()),
            Just("18446744073709551616".to_owned()),
            Just("-9223372036854775808".to_owned()),
            "0[0-9]|[0-9]\\.|-|\\+1|\\.5"
        ];
        let escapes =
            "([a-zé😀 ]|\\\\[\"\\\\/bfnrtx]|\\\\u[0-9a-fA-Fd]{4}|\\\\u[dD][89aA][0-9]{2}\\\\u[dD][c-f][0-9]{2}){0,24}";
        let texts = prop_oneof!["[ -!#-\\[\\]-~é😀]{0,40}", escapes].prop_map(|text| format!("\"{text}\""));
        let words = prop::sample::select(vec!["true", "false", "null", "nul", "True"]);
        let leaf = prop_oneof![3 => numbers, 3 => texts, 2 => words.prop_map(str::to_owned)];
        let gaps = || prop_oneof![6 => Just(""), 1 => Just(" "), 1 => Just("\n\t\r ")];
        leaf.prop_recursive(5, 40, 6, move |inner| {
            let element =
                (gaps(), inner.clone(), gaps()).prop_map(|(before, value, after)| format!("{before}{value}{after}"));
            let member = (gaps(), names(), gaps(), element.clone())
                .prop_map(|(before, name, after, value)| format!("{before}\"{name}\"{after}:{value}"));
            prop_oneof![
                prop::collection::vec(element, 0..5).prop_map(|all| format!("[{}]", all.join(","))),
                prop::collection::vec(member, 0..6).prop_map(|all| format!("{{{}}}", all.join(",")))
            ]
        })
    }

    proptest! {
        /// Both ways to read say the same of whatever is plain.
        #[test]
        fn plain_documents_are_read_as_serde_json_reads_them(
            json in json(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 0..3)
        ) {
            let mut bytes = json.into_bytes();
            for (place, byte, what) in changes {
                let place = place.index(bytes.len() + 1);
                match what {
                    0 => bytes.truncate(place),
                    1 => bytes.insert(place, byte),
                    2 => bytes.insert(place, b"\"\\{}[]:,0-9eE. \n"[usize::from(byte) % 16]),
                    _ => _ = bytes.get_mut(place).map(|at| *at = byte),
                }
            }
            if let Some(plain) = found_by(true, FIELDS, &bytes) {
                prop_assert_eq!(Some(plain), found_by(false, FIELDS, &bytes));
            }
        }
    }
}
