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
    /// `plain`: not quoted, so that it may be a number, a boolean or null.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
pub struct Key {
    pub place: Place,
    pub name: String,
}

impl Node {
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// What the value is, for a sentence.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            _ if self.is_null() => "nothing",
            Value::Scalar { .. } => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// Why a file is no tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeError {
    pub place: Place,
    pub message: String,
}

/// A file may nest this deep and hold this many values, aliases unfolded.
const DEPTH_MAX: usize = 64;
const NODES_MAX: usize = 20_000;

/// Reads one YAML document.
///
/// # Errors
/// Malformed YAML, more than one document, a key twice, a key that isn't text, an alias to nothing, and
/// more than a configuration can sensibly hold.
pub fn parse(file: &str, text: &str) -> Result<Node, Vec<TreeError>> {
    let file: Arc<str> = file.into();
    let mut builder = Builder::new(file.clone());
    // Event by event: the parser's own loader recurses, and a hostile file is deep.
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => builder.on_event(event, span),
            Err(error) => {
                let mark = error.marker();
                let place = Place { file, line: mark.line(), column: mark.col() + 1 };
                return Err(vec![TreeError { place, message: format!("is not YAML: {}", error.info()) }]);
            }
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
    nodes: usize,
}

struct Open {
    node: Node,
    anchor: usize,
    key: Option<Key>,
    first_node: usize,
}

impl Builder {
    fn new(file: Arc<str>) -> Builder {
        Builder { file, open: Vec::new(), roots: Vec::new(), anchors: HashMap::new(), errors: Vec::new(), nodes: 0 }
    }

    fn finish(mut self) -> Result<Node, Vec<TreeError>> {
        let start = Place { file: self.file.clone(), line: 1, column: 1 };
        if let Some(second) = self.roots.get(1) {
            let message = "begins a second document; one file holds one".to_owned();
            self.errors.push(TreeError { place: second.place.clone(), message });
        }
        if !self.errors.is_empty() {
            return Err(self.errors);
        }
        let empty = Node { place: start, value: Value::Map(Vec::new()) };
        Ok(self.roots.into_iter().next().unwrap_or(empty))
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

    fn add(&mut self, node: Node, anchor: usize, size: usize) {
        self.nodes += size;
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(open) = self.open.last_mut() else { return self.roots.push(node) };
        match (&mut open.node.value, open.key.take()) {
            (Value::List(list), _) => list.push(node),
            (Value::Map(map), Some(key)) => {
                if let Some((first, _)) = map.iter().find(|(other, _)| other.name == key.name) {
                    let message = format!("'{}' stands here twice, first in line {}", key.name, first.place.line);
                    self.error(key.place, &message);
                } else {
                    map.push((key, node));
                }
            }
            (Value::Map(_), None) => match node.value {
                Value::Scalar { text, .. } => open.key = Some(Key { place: node.place, name: text }),
                _ => {
                    open.key = Some(Key { place: node.place.clone(), name: String::new() });
                    self.error(node.place, "is used as a key; keys are text");
                }
            },
            (Value::Scalar { .. }, _) => {}
        }
    }

    fn begin(&mut self, span: Span, value: Value, anchor: usize) {
        let place = self.place(span);
        if self.open.len() == DEPTH_MAX {
            self.error(place.clone(), "is nested too deeply");
        }
        let node = Node { place, value };
        self.open.push(Open { node, anchor, key: None, first_node: self.nodes });
    }

    fn end(&mut self) {
        let Some(open) = self.open.pop() else { return };
        if self.open.len() < DEPTH_MAX {
            let size = self.nodes - open.first_node + 1;
            self.nodes = open.first_node;
            self.add(open.node, open.anchor, size);
        }
    }

    fn alias(&mut self, span: Span, anchor: usize) {
        let place = self.place(span);
        match self.anchors.get(&anchor) {
            None => self.error(place, "refers to nothing that stands before it"),
            Some((_, size)) if self.nodes + size > NODES_MAX => self.error(place, "makes the file too large"),
            Some((node, size)) => {
                let (node, size) = (node.clone(), *size);
                self.add(node, 0, size);
            }
        }
    }
}

impl Builder {
    fn on_event(&mut self, event: Event<'_>, span: Span) {
        if self.nodes > NODES_MAX && matches!(event, Event::Scalar(..)) {
            let place = self.place(span);
            return self.error(place, "is more than a configuration can hold");
        }
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let value = Value::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain };
                let node = Node { place: self.place(span), value };
                self.add(node, anchor, 1);
            }
            Event::SequenceStart(anchor, _) => self.begin(span, Value::List(Vec::new()), anchor),
            Event::MappingStart(anchor, _) => self.begin(span, Value::Map(Vec::new()), anchor),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.alias(span, anchor),
            _ => {}
        }
    }
}
