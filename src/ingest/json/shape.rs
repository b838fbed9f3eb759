//! Documents of one producer look alike: the same names in the same order, and between them the values. Whoever
//! has read one knows where to look in the next.
//!
//! A shape is what is left of a document that [`super::plain`] has read when its texts, numbers and words are taken
//! out. A document with the same bytes around values of its own is read by comparing those bytes: which
//! name is asked for, and that none stands twice, was answered when the shape was learnt. (The idea is that of Mison,
//! Li et al., VLDB 2017: to guess from what was read before where a field stands, and to check the guess.)

use super::{Document, Field, Found, Kind, Path, plain};

/// How many shapes of one plan are known.
const SHAPES_MAX: usize = 8;
/// Longer ones are not learnt: in values, and in bytes around them.
const PARTS_MAX: usize = 256;
const AROUND_MAX: usize = 8 << 10;
/// After so many documents it is decided whether most had a shape that was known,
const TRIED: u32 = 128;
/// and if not, so many are read without one: to learn a shape costs something.
const PAUSE: u32 = 16 << 10;

/// The shapes of the documents that were read with one plan.
#[derive(Clone, Debug, Default)]
pub(super) struct Shapes {
    known: Vec<Shape>,
    /// The one that fitted or was learnt last.
    latest: usize,
    tried: u32,
    fitted: u32,
    pause: u32,
}

/// What a document looks like without its values.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    /// Of the plan: where reading begins.
    node: Option<usize>,
    parts: Vec<Part>,
    /// The bytes before the first value, between the first and the second, and so on; then those after the last.
    around: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Part {
    what: What,
    /// `None`: nobody asks for it.
    field: Option<Field>,
    path: Path,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// A value of any kind after so many bytes of [`Shape::around`].
    Scalar(usize),
    /// What has just ended was asked for.
    Array,
    Object,
}

/// A shape while its document is read.
#[derive(Clone, Debug, Default)]
pub(super) struct Sketch {
    shape: Shape,
    /// Where the value before ended.
    since: usize,
}

impl Sketch {
    pub(super) fn begin(&mut self, node: Option<usize>) {
        self.since = 0;
        self.shape.node = node;
        self.shape.parts.clear();
        self.shape.around.clear();
    }

    /// Notes the text, number or word at `from..to`, with its quotes.
    pub(super) fn scalar(&mut self, bytes: &[u8], (from, to): (usize, usize), field: Option<Field>, path: Path) {
        self.shape.around.extend_from_slice(&bytes[self.since..from]);
        self.shape.parts.push(Part { what: What::Scalar(from - self.since), field, path });
        self.since = to;
    }

    /// Notes that an array or an object that is asked for has ended.
    pub(super) fn ended(&mut self, kind: Kind, field: Field, path: Path) {
        let what = if matches!(kind, Kind::Array) { What::Array } else { What::Object };
        self.shape.parts.push(Part { what, field: Some(field), path });
    }

    fn end(&mut self, bytes: &[u8]) {
        self.shape.around.extend_from_slice(&bytes[self.since..]);
    }
}

impl Shapes {
    /// Whether it is worth while to look for a known shape now.
    pub(super) fn are_useful(&mut self) -> bool {
        self.pause = self.pause.saturating_sub(1);
        self.pause == 0
    }

    /// Reads a document that has no escapes and no control characters and whose quotes are known; `false`: it has none of
    /// the shapes that are, and what was found until then stays in the document.
    pub(super) fn read(&mut self, node: Option<usize>, bytes: &[u8], document: &mut Document) -> bool {
        let latest = self.latest;
        let others = (0..self.known.len()).filter(|place| *place != latest);
        let mut places = (latest..self.known.len()).take(1).chain(others);
        let found = places.find(|place| {
            let shape = &self.known[*place];
            if shape.node == node && shape.read(bytes, document).is_some() {
                return true;
            }
            document.roll_back();
            false
        });
        self.latest = found.unwrap_or(latest);
        self.count(found.is_some());
        found.is_some()
    }

    fn count(&mut self, fitted: bool) {
        self.tried += 1;
        self.fitted += u32::from(fitted);
        if self.tried == TRIED {
            if self.fitted < TRIED / 2 {
                self.pause = PAUSE;
            }
            (self.tried, self.fitted) = (0, 0);
        }
    }

    /// Learns the shape of a document that was read.
    pub(super) fn learn(&mut self, bytes: &[u8], sketch: &mut Sketch) {
        sketch.end(bytes);
        if sketch.shape.parts.len() > PARTS_MAX || sketch.shape.around.len() > AROUND_MAX {
            return;
        }
        self.latest = if self.known.len() < SHAPES_MAX { self.known.len() } else { (self.latest + 1) % SHAPES_MAX };
        match self.known.get_mut(self.latest) {
            // What was there is the next sketch's room.
            Some(known) => std::mem::swap(known, &mut sketch.shape),
            None => self.known.push(sketch.shape.clone()),
        }
    }
}

#[cfg(test)]
impl Shapes {
    /// How many documents had a known shape, of those that are counted now.
    pub(super) fn fitted(&self) -> u32 {
        self.fitted
    }
}

impl Shape {
    fn read(&self, bytes: &[u8], document: &mut Document) -> Option<()> {
        let (mut at, mut around) = (0, self.around.as_slice());
        for part in &self.parts {
            let kind = match part.what {
                What::Array => Kind::Array,
                What::Object => Kind::Object,
                What::Scalar(before) => {
                    let expected = around.split_off(..before)?;
                    let from = at + before;
                    if !is_same(bytes.get(at..from)?, expected) {
                        return None;
                    }
                    let is_asked = part.field.is_some();
                    let kind;
                    (kind, at) = match *bytes.get(from)? {
                        b'"' => {
                            let to = plain::quote_from(&document.quotes, from + 1)?;
                            let range = if is_asked { document.keep_bytes(&bytes[from + 1..to])? } else { 0..0 };
                            (Kind::Text(range.start, range.end), to + 1)
                        }
                        b't' | b'f' | b'n' => plain::word(bytes, from)?,
                        _ => {
                            let to = plain::number(bytes, from)?;
                            let range = if is_asked { document.keep_bytes(&bytes[from..to])? } else { 0..0 };
                            (Kind::Number(range.start, range.end), to)
                        }
                    };
                    kind
                }
            };
            if let Some(field) = part.field {
                document.push(field, Found { path: part.path, kind });
            }
        }
        (bytes.get(at..)? == around).then_some(())
    }
}

/// Whether two pieces of the same length are equal. They are short: to call memcmp takes longer than to compare.
#[inline(always)]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    if let (Some(end), Some(other_end)) = (one.last_chunk::<8>(), other.last_chunk::<8>()) {
        let (one, other) = (one.as_chunks::<8>().0, other.as_chunks::<8>().0);
        return end == other_end && one.iter().zip(other).all(|(one, other)| one == other);
    }
    match (one.first_chunk::<4>(), other.first_chunk::<4>(), one.last_chunk::<4>(), other.last_chunk::<4>()) {
        (Some(begin), Some(other_begin), Some(end), Some(other_end)) => begin == other_begin && end == other_end,
        _ => one.iter().zip(other).all(|(one, other)| one == other),
    }
}
