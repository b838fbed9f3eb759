//! Documents as most are written, read in one pass over their bytes.
//!
//! It reads what is beyond doubt and leaves the rest to `serde_json`, which has the last word on what JSON
//! is: whatever is refused here, for whichever reason, is read again there. So this needs not be
//! complete, only right in what it accepts: escapes where somebody asks for the text, exponents, minus
//! zero, deep nesting, large objects, and everything that is no JSON go the other way.

use super::{Document, Found, Kind, NUMBER, Path, Plan};

/// Deeper documents are left to `serde_json`, which refuses those of 128.
const DEPTH_MAX: u8 = 64;
/// Objects with more members are, too: it compares names in a set.
const MEMBERS_MAX: usize = 128;

/// Reads `bytes` as far as `node` of the plan is about them; `false`: somebody else must. What was found
/// until then stays in the document.
pub(super) fn read(plan: &Plan, node: Option<usize>, bytes: &[u8], document: &mut Document) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    document.places.clear();
    let mut reader = Reader { plan, text, bytes, at: 0, document };
    let here = Here { node, path: Path::default(), each: 0, depth: 0 };
    reader.value(here).is_some() && reader.next().is_none()
}

struct Reader<'r> {
    plan: &'r Plan,
    text: &'r str,
    bytes: &'r [u8],
    at: usize,
    document: &'r mut Document,
}

/// Where in the plan and in arrays a value stands.
#[derive(Clone, Copy)]
struct Here {
    node: Option<usize>,
    path: Path,
    /// How many arrays were stepped through with `*`.
    each: usize,
    depth: u8,
}

/// A text between its quotes.
#[derive(Clone, Copy)]
struct Text {
    from: usize,
    to: usize,
    is_escaped: bool,
}

/// `None` is always the same: not read here.
impl Reader<'_> {
    /// The next byte that is no white space; it is not passed.
    fn next(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    fn value(&mut self, here: Here) -> Option<()> {
        let field = here.node.and_then(|node| self.plan.nodes[node].field);
        let kind = match self.next()? {
            b'"' => {
                let text = self.string()?;
                if field.is_none() {
                    return Some(());
                }
                if text.is_escaped {
                    return None;
                }
                let range = self.document.keep(&self.text[text.from..text.to]);
                Kind::Text(range.start, range.end)
            }
            b'{' => self.object(here)?,
            b'[' => self.array(here)?,
            b't' => self.word(b"true", Kind::Bool(true))?,
            b'f' => self.word(b"false", Kind::Bool(false))?,
            b'n' => self.word(b"null", Kind::Null)?,
            _ => {
                let (from, to) = self.number()?;
                if field.is_none() {
                    return Some(());
                }
                let range = self.document.keep(&self.text[from..to]);
                Kind::Number(range.start, range.end)
            }
        };
        if let Some(field) = field {
            self.document.push(field, Found { path: here.path, kind });
        }
        Some(())
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Option<Kind> {
        let is_there = self.bytes[self.at..].starts_with(word);
        self.at += word.len();
        is_there.then_some(kind)
    }

    /// As it is written, which is how `serde_json` tells it, too.
    fn number(&mut self) -> Option<(usize, usize)> {
        let from = self.at;
        let is_negative = self.bytes[from] == b'-';
        self.at += usize::from(is_negative);
        let whole = self.digits()?;
        let begins_with_zero = self.bytes[self.at - whole] == b'0';
        if begins_with_zero && whole > 1 {
            return None;
        }
        match self.bytes.get(self.at) {
            Some(b'.') => {
                self.at += 1;
                self.digits()?;
                if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
                    return None;
                }
            }
            Some(b'e' | b'E') => return None,
            // Minus zero: it is told as 0.
            _ if is_negative && begins_with_zero => return None,
            _ => {}
        }
        Some((from, self.at))
    }

    /// How many there are, at least one.
    fn digits(&mut self) -> Option<usize> {
        let from = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        (self.at > from).then(|| self.at - from)
    }

    fn string(&mut self) -> Option<Text> {
        let from = self.at + 1;
        let mut is_escaped = false;
        self.at = stop(self.bytes, from);
        loop {
            match *self.bytes.get(self.at)? {
                b'"' => {
                    let to = self.at;
                    self.at += 1;
                    return Some(Text { from, to, is_escaped });
                }
                b'\\' => {
                    is_escaped = true;
                    self.escape()?;
                    self.at = stop(self.bytes, self.at);
                }
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        match *self.bytes.get(self.at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
            b'u' => {
                let digits = self.bytes.get(self.at + 2..self.at + 6)?;
                // Halves of a pair: whether they belong together is not for here.
                let is_half = matches!(digits, [b'd' | b'D', b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F', ..]);
                if is_half || !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                self.at += 6;
            }
            _ => return None,
        }
        Some(())
    }

    fn array(&mut self, here: Here) -> Option<Kind> {
        let depth = deeper(here)?;
        self.at += 1;
        if self.next()? == b']' {
            self.at += 1;
            return Some(Kind::Array);
        }
        let (each, has_members) = match here.node.map(|node| &self.plan.nodes[node]) {
            Some(node) => (node.each, !node.members.is_empty()),
            None => (None, false),
        };
        for place in 0_u32.. {
            let mut element = Here { node: None, depth, ..here };
            if let Some(each) = each {
                if let Some(step) = element.path.get_mut(element.each) {
                    *step = place;
                }
                element.each += 1;
                element.node = Some(each);
            } else if has_members {
                element.node = self.plan.member(here.node, &place.to_string());
            }
            self.value(element)?;
            match self.next()? {
                b',' => self.at += 1,
                b']' => break,
                _ => return None,
            }
        }
        self.at += 1;
        Some(Kind::Array)
    }

    fn object(&mut self, here: Here) -> Option<Kind> {
        let depth = deeper(here)?;
        self.at += 1;
        if self.next()? == b'}' {
            self.at += 1;
            return Some(Kind::Object);
        }
        let first = self.document.places.len();
        let mut seen = 0_u64;
        loop {
            if self.next()? != b'"' {
                return None;
            }
            let name = self.string()?;
            if name.is_escaped || !self.is_new(name, first, &mut seen) {
                return None;
            }
            if self.next()? != b':' {
                return None;
            }
            self.at += 1;
            let node = here.node.and_then(|node| self.plan.member(Some(node), &self.text[name.from..name.to]));
            self.value(Here { node, depth, ..here })?;
            match self.next()? {
                b',' => self.at += 1,
                b'}' => break,
                _ => return None,
            }
        }
        self.at += 1;
        self.document.places.truncate(first);
        Some(Kind::Object)
    }

    /// Whether a name is none of those of its object, which begin at `first`; then it is remembered. `seen`
    /// has a bit for each that is there, and names share them.
    fn is_new(&mut self, name: Text, first: usize, seen: &mut u64) -> bool {
        let bytes = &self.bytes[name.from..name.to];
        let mixed = match bytes {
            [] => 0,
            [first, .., last] => usize::from(*first) * 5 + usize::from(*last) * 11 + bytes.len() * 3,
            [only] => usize::from(*only),
        };
        let bit = 1_u64 << (mixed % 64);
        if *seen & bit != 0 {
            let is_same = |&(from, to): &(usize, usize)| &self.bytes[from..to] == bytes;
            if self.document.places[first..].iter().any(is_same) {
                return false;
            }
        }
        *seen |= bit;
        self.document.places.push((name.from, name.to));
        // What serde_json calls a number of its own must not be taken for one.
        self.document.places.len() - first <= MEMBERS_MAX && bytes != NUMBER.as_bytes()
    }
}

fn deeper(here: Here) -> Option<u8> {
    (here.depth < DEPTH_MAX).then_some(here.depth + 1)
}

/// The place of the first byte from `at` that ends or interrupts a text: a quote, a backslash, a control
/// character; or the end.
fn stop(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    // In each byte: is it less than that? Right up to the first that is, which is what counts.
    let less = |word: u64, than: u8| word.wrapping_sub(ONES * u64::from(than)) & !word & HIGH;
    while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*word);
        let quotes = less(word ^ (ONES * u64::from(b'"')), 1);
        let backslashes = less(word ^ (ONES * u64::from(b'\\')), 1);
        let stops = quotes | backslashes | less(word, 0x20);
        if stops != 0 {
            return at + (stops.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let is_stop = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(is_stop).unwrap_or(rest.len())
}
