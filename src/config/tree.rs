//! YAML as a tree that remembers where everything stood.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Where something stands in a file; lines and columns from 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: Arc<str>,
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Node {
    pub place: Place,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
    /// Something wrong that has been told already; whoever reads it says nothing.
    Broken,
}

#[derive(Clone)]
pub struct Scalar {
    pub text: String,
    /// Not quoted, so that it may be a number, a boolean or null.
    pub plain: bool,
    /// What the file says, where `text` was found in the environment or a file. Messages show this:
    /// `text` may be a secret.
    pub reference: Option<String>,
}

impl Scalar {
    /// What may be shown of it.
    pub fn shown(&self) -> &str {
        self.reference.as_deref().unwrap_or(&self.text)
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.shown())
    }
}

#[derive(Clone, Debug)]
pub struct Key {
    pub place: Place,
    pub name: String,
}

impl Node {
    pub fn is_null(&self) -> bool {
        let is_null =
            |scalar: &Scalar| scalar.plain && matches!(scalar.text.as_str(), "" | "~" | "null" | "Null" | "NULL");
        matches!(&self.value, Value::Scalar(scalar) if scalar.reference.is_none() && is_null(scalar))
    }

    /// What the value is, for a sentence.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            _ if self.is_null() => "nothing",
            Value::Scalar(_) | Value::Broken => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// The entries of a map; of anything else none.
    pub fn entries(&self) -> &[(Key, Node)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The elements of a list; of anything else none.
    pub fn elements(&self) -> &[Node] {
        match &self.value {
            Value::List(elements) => elements,
            _ => &[],
        }
    }

    pub fn member(&self, name: &str) -> Option<&Node> {
        self.entries().iter().find(|(key, _)| key.name == name).map(|(_, node)| node)
    }

    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if !self.is_null() => Some(&scalar.text),
            _ => None,
        }
    }
}

/// Something wrong with a file, or with all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeError {
    pub place: Place,
    pub message: String,
}

/// What a file holds. `root` is `None` where so much is wrong that reading on would only mislead.
#[derive(Debug)]
pub struct Parsed {
    pub root: Option<Node>,
    pub errors: Vec<TreeError>,
}

/// A file may nest this deep and hold this many values, aliases unfolded.
const DEPTH_MAX: usize = 64;
const NODES_MAX: usize = 20_000;

/// Reads one YAML document. Wrong are: malformed YAML, more than one document, a key twice, a key that
/// isn't text, an alias to nothing, and more than a configuration can sensibly hold.
pub fn parse(file: &str, text: &str) -> Parsed {
    let file: Arc<str> = file.into();
    let mut builder = Builder::new(file.clone());
    // Event by event: the parser's own loader recurses, and a hostile file is deep.
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => builder.on_event(event, span),
            Err(error) => {
                let mark = error.marker();
                let place = Place { file, line: mark.line(), column: mark.col() + 1 };
                builder.fail(place, &format!("this is not YAML: {}", error.info()));
                break;
            }
        }
        if builder.failed {
            break;
        }
    }
    builder.finish()
}

struct Builder {
    file: Arc<str>,
    open: Vec<Open>,
    roots: Vec<Node>,
    anchors: HashMap<usize, (Node, usize)>,
    errors: Vec<TreeError>,
    /// Values so far, aliases unfolded.
    nodes: usize,
    failed: bool,
}

struct Open {
    node: Node,
    anchor: usize,
    key: Option<Key>,
    nodes_before: usize,
}

impl Builder {
    fn new(file: Arc<str>) -> Builder {
        Builder {
            file,
            open: Vec::new(),
            roots: Vec::new(),
            anchors: HashMap::new(),
            errors: Vec::new(),
            nodes: 0,
            failed: false,
        }
    }

    fn finish(mut self) -> Parsed {
        if self.failed {
            return Parsed { root: None, errors: self.errors };
        }
        if let Some(second) = self.roots.get(1) {
            let place = second.place.clone();
            self.error(place, "a second document begins here; one file holds one");
        }
        let start = Place { file: self.file.clone(), line: 1, column: 1 };
        let root = self.roots.into_iter().next().filter(|root| !root.is_null());
        let root = root.unwrap_or(Node { place: start, value: Value::Map(Vec::new()) });
        Parsed { root: Some(root), errors: self.errors }
    }

    fn place(&self, span: Span) -> Place {
        Place { file: self.file.clone(), line: span.start.line(), column: span.start.col() + 1 }
    }

    fn error(&mut self, place: Place, message: &str) {
        // A hostile file can be wrong a million times.
        if self.errors.len() < 100 {
            self.errors.push(TreeError { place, message: message.to_owned() });
        }
    }

    fn fail(&mut self, place: Place, message: &str) {
        self.error(place, message);
        self.failed = true;
    }

    fn on_event(&mut self, event: Event<'_>, span: Span) {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let value = Value::Scalar(Scalar { text: text.into_owned(), plain, reference: None });
                let node = Node { place: self.place(span), value };
                if self.count(1, &node.place) {
                    self.add(node, anchor, 1);
                }
            }
            Event::SequenceStart(anchor, _) => self.begin(span, Value::List(Vec::new()), anchor),
            Event::MappingStart(anchor, _) => self.begin(span, Value::Map(Vec::new()), anchor),
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    self.add(open.node, open.anchor, self.nodes - open.nodes_before);
                }
            }
            Event::Alias(anchor) => self.alias(span, anchor),
            _ => {}
        }
    }

    fn begin(&mut self, span: Span, value: Value, anchor: usize) {
        let node = Node { place: self.place(span), value };
        if self.open.len() == DEPTH_MAX {
            return self.fail(node.place, &format!("this is nested more than {DEPTH_MAX} deep"));
        }
        let nodes_before = self.nodes;
        if self.count(1, &node.place) {
            self.open.push(Open { node, anchor, key: None, nodes_before });
        }
    }

    fn alias(&mut self, span: Span, anchor: usize) {
        let place = self.place(span);
        match self.anchors.get(&anchor).cloned() {
            // Inside the value it stands for, or for one that came out wrong.
            None => self.fail(place, "this alias refers to nothing that is complete before it"),
            Some((node, size)) => {
                if self.count(size, &place) {
                    self.add(node, 0, size);
                }
            }
        }
    }

    fn count(&mut self, nodes: usize, place: &Place) -> bool {
        self.nodes += nodes;
        if self.nodes > NODES_MAX {
            self.fail(place.clone(), &format!("this makes more than {NODES_MAX} values, aliases unfolded"));
        }
        !self.failed
    }

    fn add(&mut self, node: Node, anchor: usize, size: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(open) = self.open.last_mut() else { return self.roots.push(node) };
        match (&mut open.node.value, open.key.take()) {
            (Value::List(list), _) => list.push(node),
            (Value::Map(map), Some(key)) => {
                if let Some((first, _)) = map.iter().find(|(other, _)| other.name == key.name) {
                    let message = format!("'{}' is set twice here, first in line {}", key.name, first.place.line);
                    self.error(key.place, &message);
                } else {
                    map.push((key, node));
                }
            }
            (Value::Map(_), None) => match node.value {
                Value::Scalar(scalar) => open.key = Some(Key { place: node.place, name: scalar.text }),
                _ => self.fail(node.place, "a list or map is used as a key here; keys are text"),
            },
            (Value::Scalar(_) | Value::Broken, _) => {}
        }
    }
}
