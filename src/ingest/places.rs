//! Where in a document a rule's fields stand: which elements of its arrays belong together.

use crate::config::{CustomerFrom, Pointer, Step, leading_field};
use crate::ingest::json::{Document, EACH_MAX, Field, Path, Plan, Value};

/// Where a rule is applied: for one customer, and one element of the array that its fields step through.
#[derive(Clone, Copy)]
pub struct Spot {
    /// In the arrays of the customer's pointer.
    pub person: Path,
    /// In those of the leading field; `None`: there is no such array where it should be.
    pub element: Option<Path>,
}

/// A field that a rule reads.
#[derive(Clone, Copy)]
pub struct Place {
    field: Field,
    /// How many arrays it steps through.
    arrays: usize,
    /// They are those of the leading field, not the customer's.
    is_of_element: bool,
}

impl Place {
    /// The field's value there; `None`: absent.
    pub fn value<'d>(&self, document: &'d Document, spot: Spot) -> Option<Value<'d>> {
        let path = if self.is_of_element { spot.element? } else { spot.person };
        document.within(self.field, path, self.arrays).next().map(|(_, value)| value)
    }
}

/// What places a rule's fields.
pub struct Placing<'p> {
    plan: &'p mut Plan,
    customer: &'p CustomerFrom,
}

impl<'p> Placing<'p> {
    pub fn new(plan: &'p mut Plan, customer: &'p CustomerFrom) -> Placing<'p> {
        Placing { plan, customer }
    }

    pub fn place(&mut self, pointer: &Pointer) -> Place {
        let is_of_element = leading_field(&[pointer], self.customer).is_some();
        Place { field: self.plan.add(pointer), arrays: arrays(pointer), is_of_element }
    }

    /// The array whose elements each are a signal; `None`: the fields stand in no other than the customer's.
    pub fn elements(&mut self, fields: &[&Pointer]) -> Option<Elements> {
        let leading = leading_field(fields, self.customer)?;
        let shared = match self.customer {
            CustomerFrom::Value(customer) => customer.arrays_shared(leading),
            CustomerFrom::Key | CustomerFrom::KeyPointer(_) | CustomerFrom::Header(_) => 0,
        };
        let through = |nth: usize| leading.through_array(nth).map(<[Step]>::to_vec);
        let last = through(leading.arrays().checked_sub(1)?)?;
        let mut first = through(shared)?;
        first.pop();
        let (elements, array) = (self.plan.add(&Pointer(last)), self.plan.add(&Pointer(first)));
        Some(Elements { elements, array, shared: shared.min(EACH_MAX) })
    }
}

fn arrays(pointer: &Pointer) -> usize {
    pointer.arrays().min(EACH_MAX)
}

/// The elements of the array that a rule's leading field steps through.
#[derive(Clone, Copy)]
pub struct Elements {
    /// One value an element.
    elements: Field,
    /// The array itself, the first that isn't the customer's.
    array: Field,
    /// How many arrays the leading field shares with the customer's pointer.
    shared: usize,
}

impl Elements {
    /// Each element for a customer. Where there is no array, nor null instead of one, the fields are absent
    /// once: a renamed one looks like that.
    pub fn spots<'d>(&self, document: &'d Document, person: Path) -> impl Iterator<Item = Spot> + use<'d> {
        let is_missing = || {
            let array = document.within(self.array, person, self.shared).next();
            !matches!(array, Some((_, Value::Array | Value::Null)))
        };
        let missing = is_missing().then_some(Spot { person, element: None });
        let elements = document.within(self.elements, person, self.shared);
        elements.map(move |(path, _)| Spot { person, element: Some(path) }).chain(missing)
    }
}
