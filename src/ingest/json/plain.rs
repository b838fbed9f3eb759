//! Documents as most are written, read in two passes over their bytes: the first finds all quotes, many bytes
//! at a time, the second goes from one to the next, or knows already what stands around them ([`super::shape`]).
//!
//! It reads what is beyond doubt and leaves the rest to `serde_json`, which has the last word on what JSON
//! is: whatever is refused here, for whichever reason, is read again there. So this needs not be
//! complete, only right in what it accepts: escapes where somebody asks for the text, exponents, minus
//! zero, deep nesting, large objects, and everything that is no JSON go the other way.

use super::{Document, Field, Found, Kind, NUMBER, Path, Plan};
use wide::u8x16;

/// Deeper documents are left to `serde_json`, which refuses those of 128.
const DEPTH_MAX: u8 = 64;
/// Objects with more members are, too: it compares names in a set.
const MEMBERS_MAX: usize = 128;

/// Reads `bytes` as far as `node` of the plan is about them; `false`: somebody else must. What was found
/// until then stays in the document.
pub(super) fn read(plan: &mut Plan, node: Option<usize>, bytes: &[u8], document: &mut Document) -> bool {
    let look = look(bytes, &mut document.quotes);
    if !look.is_ascii && std::str::from_utf8(bytes).is_err() {
        return false;
    }
    let by_shape = look.is_simple && plan.shapes.are_useful();
    if by_shape && plan.shapes.read(node, bytes, document) {
        return true;
    }
    document.members.clear();
    document.sketch.begin(node);
    let quotes = Quotes { word: 0, left: document.quotes[0] };
    let mut reader = Reader { plan, bytes, at: 0, is_simple: look.is_simple, is_learning: by_shape, quotes, document };
    let place = Place { path: Path::default(), each: 0, depth: 0 };
    let is_read = reader.value(node, &place).is_some() && reader.next().is_none();
    if is_read && by_shape {
        plan.shapes.learn(bytes, &mut document.sketch);
    }
    is_read
}

/// What a first look at a document shows.
struct Look {
    is_ascii: bool,
    /// It has no backslash and no control character: each quote begins or ends a text.
    is_simple: bool,
}

/// Finds the quotes: a bit for each byte, so that at least one word comes out.
fn look(bytes: &[u8], quotes: &mut Vec<u64>) -> Look {
    quotes.clear();
    let (mut all, mut least, mut backslashes) = (u8x16::ZERO, u8x16::MAX, u8x16::ZERO);
    let mut see = |block: &[u8; 64]| {
        let mut word = 0;
        for (place, chunk) in block.as_chunks::<16>().0.iter().enumerate() {
            let chunk = u8x16::new(*chunk);
            all |= chunk;
            least = least.min(chunk);
            backslashes |= chunk.simd_eq(u8x16::splat(b'\\'));
            word |= u64::from(chunk.simd_eq(u8x16::splat(b'"')).to_bitmask()) << (16 * place);
        }
        quotes.push(word);
    };
    let (blocks, rest) = bytes.as_chunks::<64>();
    blocks.iter().for_each(&mut see);
    let mut last = [b' '; 64];
    last[..rest.len()].copy_from_slice(rest);
    see(&last);
    let is_simple = backslashes.to_bitmask() == 0 && least.to_array().iter().all(|byte| *byte >= 0x20);
    Look { is_ascii: all.to_bitmask() == 0, is_simple }
}

struct Reader<'r> {
    plan: &'r Plan,
    bytes: &'r [u8],
    at: usize,
    /// See [`Look`]; then texts are found by their quotes.
    is_simple: bool,
    /// What the document looks like is noted.
    is_learning: bool,
    quotes: Quotes,
    document: &'r mut Document,
}

/// The quotes that were not passed yet.
struct Quotes {
    word: usize,
    /// Of that word.
    left: u64,
}

/// Where in arrays a value stands.
struct Place {
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

/// The name of a member that was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    head: u64,
    from: usize,
    to: usize,
}

/// A name's first bytes: most names differ there, and one comparison tells. Names of the same length that are
/// no longer than this, and have the same head, are equal.
pub(super) const HEAD: usize = 8;

/// The first bytes from `from`, and zeros from `to` on.
#[inline(always)]
pub(super) fn head(bytes: &[u8], from: usize, to: usize) -> u64 {
    let length = to - from;
    match bytes.get(from..).and_then(<[u8]>::first_chunk::<HEAD>) {
        Some(head) if length >= HEAD => u64::from_le_bytes(*head),
        Some(head) => u64::from_le_bytes(*head) & ((1 << (8 * length)) - 1),
        None => {
            let mut head = [0; HEAD];
            let length = length.min(HEAD);
            head[..length].copy_from_slice(&bytes[from..from + length]);
            u64::from_le_bytes(head)
        }
    }
}

/// `None` is always the same: not read here.
impl Reader<'_> {
    /// The next byte that is no white space; it is not passed.
    #[inline(always)]
    fn next(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    #[inline(always)]
    fn value(&mut self, node: Option<usize>, place: &Place) -> Option<()> {
        let field = match node {
            Some(node) => self.plan.nodes[node].field,
            None => None,
        };
        let first = self.next()?;
        let from = self.at;
        let kind = match first {
            b'"' => {
                let text = self.string()?;
                if field.is_none() {
                    Kind::Text(0, 0)
                } else if text.is_escaped {
                    return None;
                } else {
                    let range = self.document.keep_bytes(&self.bytes[text.from..text.to])?;
                    Kind::Text(range.start, range.end)
                }
            }
            b'{' => self.object(node, place)?,
            b'[' => self.array(node, place)?,
            b't' | b'f' | b'n' => {
                let kind;
                (kind, self.at) = word(self.bytes, from)?;
                kind
            }
            _ => {
                self.at = number(self.bytes, from)?;
                if field.is_none() {
                    Kind::Number(0, 0)
                } else {
                    let range = self.document.keep_bytes(&self.bytes[from..self.at])?;
                    Kind::Number(range.start, range.end)
                }
            }
        };
        if self.is_learning {
            self.learn(from, kind, field, place);
        }
        if let Some(field) = field {
            self.document.push(field, Found { path: place.path, kind });
        }
        Some(())
    }

    #[cold]
    fn learn(&mut self, from: usize, kind: Kind, field: Option<Field>, place: &Place) {
        let sketch = &mut self.document.sketch;
        match (kind, field) {
            (Kind::Array | Kind::Object, None) => {}
            (Kind::Array | Kind::Object, Some(field)) => sketch.ended(kind, field, place.path),
            _ => sketch.scalar(self.bytes, (from, self.at), field, place.path),
        }
    }

    /// A text, which begins here. In a simple document each quote is passed here, so the next two are its own.
    #[inline(always)]
    fn string(&mut self) -> Option<Text> {
        if !self.is_simple {
            return self.any_string();
        }
        let from = self.quote()? + 1;
        let to = self.quote()?;
        self.at = to + 1;
        Some(Text { from, to, is_escaped: false })
    }

    /// Where the next quote stands; it is passed.
    #[inline(always)]
    fn quote(&mut self) -> Option<usize> {
        while self.quotes.left == 0 {
            self.quotes.word += 1;
            self.quotes.left = *self.document.quotes.get(self.quotes.word)?;
        }
        let at = self.quotes.word * 64 + self.quotes.left.trailing_zeros() as usize;
        self.quotes.left &= self.quotes.left - 1;
        Some(at)
    }

    /// A text in a document that has escapes, or is written in lines.
    #[inline(never)]
    fn any_string(&mut self) -> Option<Text> {
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

    fn array(&mut self, node: Option<usize>, place: &Place) -> Option<Kind> {
        let mut inside = Place { depth: deeper(place)?, ..*place };
        self.at += 1;
        if self.next()? == b']' {
            self.at += 1;
            return Some(Kind::Array);
        }
        let (each, has_members) = match node.map(|node| &self.plan.nodes[node]) {
            Some(node) => (node.each, !node.members.is_empty()),
            None => (None, false),
        };
        inside.each += usize::from(each.is_some());
        for element in 0_u32.. {
            let mut child = None;
            if let Some(each) = each {
                if let Some(step) = inside.path.get_mut(place.each) {
                    *step = element;
                }
                child = Some(each);
            } else if has_members {
                child = self.plan.member(node, &element.to_string());
            }
            self.value(child, &inside)?;
            match self.next()? {
                b',' => self.at += 1,
                b']' => break,
                _ => return None,
            }
        }
        self.at += 1;
        Some(Kind::Array)
    }

    fn object(&mut self, node: Option<usize>, place: &Place) -> Option<Kind> {
        let inside = Place { depth: deeper(place)?, ..*place };
        self.at += 1;
        if self.next()? == b'}' {
            self.at += 1;
            return Some(Kind::Object);
        }
        let first = self.document.members.len();
        let mut seen = 0_u64;
        loop {
            if self.next()? != b'"' {
                return None;
            }
            let text = self.string()?;
            let name = Member { head: head(self.bytes, text.from, text.to), from: text.from, to: text.to };
            if text.is_escaped || !self.is_new(name, first, &mut seen) {
                return None;
            }
            if self.next()? != b':' {
                return None;
            }
            self.at += 1;
            let child = match node {
                Some(node) => self.plan.member_by_head(node, name.head, &self.bytes[name.from..name.to]),
                None => None,
            };
            self.value(child, &inside)?;
            match self.next()? {
                b',' => self.at += 1,
                b'}' => break,
                _ => return None,
            }
        }
        self.at += 1;
        self.document.members.truncate(first);
        Some(Kind::Object)
    }

    /// Whether a name is none of those of its object, which begin at `first`; then it is remembered. `seen`
    /// has a bit for each that is there, and names share them.
    #[inline(always)]
    fn is_new(&mut self, name: Member, first: usize, seen: &mut u64) -> bool {
        let length = name.to - name.from;
        let mixed = (name.head ^ length as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let bit = 1_u64 << (mixed >> 58);
        if *seen & bit != 0 {
            let bytes = &self.bytes[name.from..name.to];
            let is_same = |other: &Member| {
                let is_similar = other.head == name.head && other.to - other.from == length;
                is_similar && (length <= HEAD || self.bytes[other.from..other.to] == *bytes)
            };
            if self.document.members[first..].iter().any(is_same) {
                return false;
            }
        }
        *seen |= bit;
        self.document.members.push(name);
        // What serde_json calls a number of its own must not be taken for one.
        self.document.members.len() - first <= MEMBERS_MAX
            && (length != NUMBER.len() || self.bytes[name.from..name.to] != *NUMBER.as_bytes())
    }
}

/// Where the number that begins at `from` ends. It is told as it is written, which is how `serde_json` tells it, too.
#[inline(always)]
pub(super) fn number(bytes: &[u8], from: usize) -> Option<usize> {
    let is_negative = bytes[from] == b'-';
    let whole = from + usize::from(is_negative);
    let mut at = digits(bytes, whole)?;
    let begins_with_zero = bytes[whole] == b'0';
    if begins_with_zero && at > whole + 1 {
        return None;
    }
    match bytes.get(at) {
        Some(b'.') => {
            at = digits(bytes, at + 1)?;
            if matches!(bytes.get(at), Some(b'e' | b'E')) {
                return None;
            }
        }
        Some(b'e' | b'E') => return None,
        // Minus zero: it is told as 0.
        _ if is_negative && begins_with_zero => return None,
        _ => {}
    }
    Some(at)
}

/// Where the digits end that begin at `from`; there is at least one.
#[inline(always)]
fn digits(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    (at > from).then_some(at)
}

/// The word at `from`, and where it ends.
pub(super) fn word(bytes: &[u8], from: usize) -> Option<(Kind, usize)> {
    let bytes = &bytes[from..];
    if bytes.starts_with(b"true") {
        return Some((Kind::Bool(true), from + 4));
    }
    if bytes.starts_with(b"false") {
        return Some((Kind::Bool(false), from + 5));
    }
    bytes.starts_with(b"null").then_some((Kind::Null, from + 4))
}

/// Where the first quote from `at` on stands.
#[inline(always)]
pub(super) fn quote_from(quotes: &[u64], at: usize) -> Option<usize> {
    let mut word = at / 64;
    let mut left = *quotes.get(word)? & (u64::MAX << (at % 64));
    while left == 0 {
        word += 1;
        left = *quotes.get(word)?;
    }
    Some(word * 64 + left.trailing_zeros() as usize)
}

fn deeper(place: &Place) -> Option<u8> {
    (place.depth < DEPTH_MAX).then_some(place.depth + 1)
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
