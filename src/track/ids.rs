//! Customers' ids, side by side: canonical lower-case UUIDs as their 16 bytes, others as text behind
//! their length. Memory grows by chunks and never moves.

use std::hash::BuildHasher;

/// The longest id, in bytes.
pub const ID_BYTES_MAX: usize = 1024;

/// An id as it is compared and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Id<'a> {
    Uuid([u8; 16]),
    Text(&'a [u8]),
}

impl<'a> Id<'a> {
    pub fn new(id: &'a [u8]) -> Id<'a> {
        uuid_bytes(id).map_or(Id::Text(id), Id::Uuid)
    }

    pub fn hash(self, hasher: &impl BuildHasher) -> u64 {
        match self {
            Id::Uuid(bytes) => hasher.hash_one(u128::from_ne_bytes(bytes)),
            Id::Text(text) => hasher.hash_one(text),
        }
    }

    /// Writes the id as it came in.
    pub fn write(self, buffer: &mut Vec<u8>) {
        match self {
            Id::Uuid(bytes) => {
                let mut text = [0; 36];
                uuid::Uuid::from_bytes(bytes).hyphenated().encode_lower(&mut text);
                buffer.extend_from_slice(&text);
            }
            Id::Text(text) => buffer.extend_from_slice(text),
        }
    }
}

/// The 16 bytes of a UUID written as 8-4-4-4-12 lower-case digits, and of nothing else: it must leave as
/// it came in.
fn uuid_bytes(text: &[u8]) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.try_into().ok()?;
    if (text[8], text[13], text[18], text[23]) != (b'-', b'-', b'-', b'-') {
        return None;
    }
    let mut bytes = [0; 16];
    let mut invalid = 0;
    for (byte, at) in bytes.iter_mut().zip([0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34]) {
        let (high, low) = (DIGITS[usize::from(text[at])], DIGITS[usize::from(text[at + 1])]);
        invalid |= high | low;
        *byte = high << 4 | low & 0xf;
    }
    (invalid < 16).then_some(bytes)
}

/// What a byte stands for as a lower-case hexadecimal digit; 0xff: it is none.
const DIGITS: [u8; 256] = {
    let mut digits = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        digits[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    digits
};

/// Where an id is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(pub u32);

impl Place {
    const UUID: u32 = 1 << 31;
    const NONE: u32 = u32::MAX;
}

/// Texts lie in units of four bytes, so that a place reaches over 8 GiB of them.
const UNIT: usize = 4;
const CHUNK_UNITS: usize = 1 << 14;
const CHUNK_UUIDS: usize = 1 << 12;
/// The units of the longest id with its length before it.
const UNITS_MAX: usize = (ID_BYTES_MAX + 2).div_ceil(UNIT);

/// All ids of a table.
#[derive(Debug)]
pub struct Ids {
    texts: Vec<Box<[u8]>>,
    /// Units in use, freed ones included.
    text_units: usize,
    /// By size in units: the first freed place, which holds the next.
    freed_texts: Box<[u32]>,
    uuids: Vec<Box<[[u8; 16]]>>,
    uuid_count: usize,
    freed_uuids: u32,
}

impl Default for Ids {
    fn default() -> Ids {
        Ids {
            texts: Vec::new(),
            text_units: 0,
            freed_texts: vec![Place::NONE; UNITS_MAX + 1].into(),
            uuids: Vec::new(),
            uuid_count: 0,
            freed_uuids: Place::NONE,
        }
    }
}

impl Ids {
    /// # Panics
    /// An id of more than [`ID_BYTES_MAX`] bytes, or more ids than a shard can hold (8 GiB of text).
    pub fn keep(&mut self, id: Id<'_>) -> Place {
        match id {
            Id::Uuid(bytes) => self.keep_uuid(bytes),
            Id::Text(text) => self.keep_text(text),
        }
    }

    pub fn get(&self, place: Place) -> Id<'_> {
        if place.0 & Place::UUID != 0 {
            return Id::Uuid(*self.uuid(place));
        }
        let (chunk, at) = text_position(place);
        let (length, prefix) = read_length(&self.texts[chunk][at..]);
        Id::Text(&self.texts[chunk][at + prefix..at + prefix + length])
    }

    /// Gives a place back, to be used again.
    pub fn free(&mut self, place: Place) {
        if place.0 & Place::UUID != 0 {
            let next = self.freed_uuids;
            self.uuid_mut(place)[..4].copy_from_slice(&next.to_ne_bytes());
            self.freed_uuids = place.0;
        } else {
            let (chunk, at) = text_position(place);
            let (length, prefix) = read_length(&self.texts[chunk][at..]);
            let first = &mut self.freed_texts[(length + prefix).div_ceil(UNIT)];
            self.texts[chunk][at..at + UNIT].copy_from_slice(&first.to_ne_bytes());
            *first = place.0;
        }
    }

    fn keep_uuid(&mut self, bytes: [u8; 16]) -> Place {
        let place = if self.freed_uuids == Place::NONE {
            let place = self.uuid_count;
            if place / CHUNK_UUIDS == self.uuids.len() {
                self.uuids.push(vec![[0; 16]; CHUNK_UUIDS].into());
            }
            self.uuid_count += 1;
            Place(u32::try_from(place).expect("a shard holds fewer than 2^31 customers") | Place::UUID)
        } else {
            let place = Place(self.freed_uuids);
            let [a, b, c, d, ..] = *self.uuid(place);
            self.freed_uuids = u32::from_ne_bytes([a, b, c, d]);
            place
        };
        *self.uuid_mut(place) = bytes;
        place
    }

    fn keep_text(&mut self, text: &[u8]) -> Place {
        assert!(text.len() <= ID_BYTES_MAX, "longer ids are rejected before they get here");
        let units = (text.len() + length_bytes(text.len())).div_ceil(UNIT);
        let place = self.place_for(units);
        let (chunk, at) = text_position(place);
        let bytes = &mut self.texts[chunk][at..];
        let prefix = write_length(text.len(), bytes);
        bytes[prefix..prefix + text.len()].copy_from_slice(text);
        place
    }

    fn place_for(&mut self, units: usize) -> Place {
        let freed = self.freed_texts[units];
        if freed != Place::NONE {
            let (chunk, at) = text_position(Place(freed));
            let next = self.texts[chunk][at..at + UNIT].try_into().expect("a unit is four bytes");
            self.freed_texts[units] = u32::from_ne_bytes(next);
            return Place(freed);
        }
        if CHUNK_UNITS - self.text_units % CHUNK_UNITS < units {
            self.text_units = self.text_units.next_multiple_of(CHUNK_UNITS);
        }
        if self.text_units / CHUNK_UNITS == self.texts.len() {
            self.texts.push(vec![0; CHUNK_UNITS * UNIT].into());
        }
        let place = u32::try_from(self.text_units).ok().filter(|place| place & Place::UUID == 0);
        self.text_units += units;
        Place(place.expect("a shard holds less than 8 GiB of customers' ids"))
    }

    fn uuid(&self, place: Place) -> &[u8; 16] {
        let (chunk, at) = uuid_position(place);
        &self.uuids[chunk][at]
    }

    fn uuid_mut(&mut self, place: Place) -> &mut [u8; 16] {
        let (chunk, at) = uuid_position(place);
        &mut self.uuids[chunk][at]
    }

    pub fn memory_bytes(&self) -> usize {
        self.texts.len() * CHUNK_UNITS * UNIT
            + self.uuids.len() * CHUNK_UUIDS * 16
            + (self.texts.capacity() + self.uuids.capacity()) * size_of::<Box<[u8]>>()
            + self.freed_texts.len() * size_of::<u32>()
    }
}

fn text_position(place: Place) -> (usize, usize) {
    let unit = place.0 as usize;
    (unit / CHUNK_UNITS, unit % CHUNK_UNITS * UNIT)
}

fn uuid_position(place: Place) -> (usize, usize) {
    let at = (place.0 & !Place::UUID) as usize;
    (at / CHUNK_UUIDS, at % CHUNK_UUIDS)
}

fn length_bytes(length: usize) -> usize {
    if length < 0x80 { 1 } else { 2 }
}

fn write_length(length: usize, bytes: &mut [u8]) -> usize {
    if length < 0x80 {
        bytes[0] = length as u8;
        1
    } else {
        bytes[0] = (length & 0x7f) as u8 | 0x80;
        bytes[1] = (length >> 7) as u8;
        2
    }
}

fn read_length(bytes: &[u8]) -> (usize, usize) {
    let first = usize::from(bytes[0]);
    if first < 0x80 { (first, 1) } else { (first & 0x7f | usize::from(bytes[1]) << 7, 2) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_canonical_lower_case_uuids_are_packed() {
        let table = [
            ("f81d4fae-7dec-11d0-a765-00a0c91e6bf6", true),
            ("00000000-0000-0000-0000-000000000000", true),
            ("F81d4fae-7dec-11d0-a765-00a0c91e6bf6", false),
            ("f81d4fae-7dec-11d0-a765-00a0c91e6bfg", false),
            ("f81d4fae+7dec-11d0-a765-00a0c91e6bf6", false),
            ("{81d4fae-7dec-11d0-a765-00a0c91e6bf}", false),
            ("f81d4fae7dec11d0a76500a0c91e6bf6", false),
            ("f81d4fae-7dec-11d0-a765-00a0c91e6bf6 ", false),
            ("4711", false),
        ];
        for (text, packed) in table {
            assert_eq!(matches!(Id::new(text.as_bytes()), Id::Uuid(_)), packed, "{text}");
        }
    }

    fn ids() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            any::<u128>().prop_map(|id| uuid::Uuid::from_u128(id).to_string().into_bytes()),
            prop::collection::vec(any::<u8>(), 1..40),
            (1..=ID_BYTES_MAX).prop_map(|length| vec![7; length]),
        ]
    }

    proptest! {
        #[test]
        fn ids_leave_as_they_came_in(steps in prop::collection::vec((ids(), any::<bool>()), 1..200)) {
            let mut store = Ids::default();
            let mut kept = Vec::new();
            for (id, forget_one) in steps {
                kept.push((store.keep(Id::new(&id)), id));
                if forget_one {
                    let (place, _) = kept.swap_remove(kept.len() / 2);
                    store.free(place);
                }
                for (place, id) in &kept {
                    let mut text = Vec::new();
                    store.get(*place).write(&mut text);
                    prop_assert_eq!(&text, id);
                }
            }
        }
    }

    #[test]
    fn freed_places_are_used_again() {
        let mut store = Ids::default();
        for round in 0..100_000_u32 {
            let (text, uuid) = (format!("customer {round}"), uuid::Uuid::from_u128(u128::from(round)).to_string());
            let places = [store.keep(Id::new(text.as_bytes())), store.keep(Id::new(uuid.as_bytes()))];
            places.into_iter().for_each(|place| store.free(place));
        }
        assert!(store.memory_bytes() < 200_000);
    }
}
