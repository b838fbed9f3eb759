//! Where in a document a rule's fields stand: which elements of its arrays belong together.

use crate::config::{CustomerFrom, Pointer, leading_field};
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
        Some(Elements::new(self.plan, leading, shared))
    }
}

fn arrays(pointer: &Pointer) -> usize {
    pointer.arrays().min(EACH_MAX)
}

/// The elements of the arrays that a pointer steps through, one inside the other.
pub struct Elements {
    /// How many of the pointer's arrays are left out: those of somebody else.
    shared: usize,
    /// Those that are not, from the outermost: the array, and its elements, one value each.
    levels: Vec<(Field, Field)>,
}

impl Elements {
    pub fn new(plan: &mut Plan, pointer: &Pointer, shared: usize) -> Elements {
        let mut levels = Vec::new();
        for nth in shared..arrays(pointer) {
            let Some(through) = pointer.through_array(nth) else { break };
            let array = &through[..through.len() - 1];
            levels.push((plan.add(&Pointer(array.to_vec())), plan.add(&Pointer(through.to_vec()))));
        }
        Elements { shared, levels }
    }

    /// Each innermost element, where the outer arrays are those of `outer`.
    pub fn all<'d>(&self, document: &'d Document, outer: Path) -> impl Iterator<Item = Path> + use<'d> {
        let innermost = self.levels.last().map(|(_, elements)| document.within(*elements, outer, self.shared));
        innermost.into_iter().flatten().map(|(path, _)| path)
    }

    /// How many there are, with those that they stand in.
    pub fn count(&self, document: &Document, outer: Path) -> usize {
        self.levels.iter().map(|(_, elements)| document.count_within(*elements, outer, self.shared)).sum()
    }

    /// Whether something else stands where an array should, or nothing: a renamed field looks like that.
    /// Null has no elements, and is not missing.
    pub fn are_missing(&self, document: &Document, outer: Path) -> bool {
        let is_array = |array: Field, path: Path, arrays: usize| {
            matches!(document.within(array, path, arrays).next(), Some((_, Value::Array | Value::Null)))
        };
        let Some((first, _)) = self.levels.first() else { return false };
        let inner = self.levels.windows(2).enumerate().any(|(depth, pair)| {
            let [(_, elements), (array, _)] = [pair[0], pair[1]];
            let mut around = document.within(elements, outer, self.shared);
            around.any(|(path, _)| !is_array(array, path, self.shared + depth + 1))
        });
        inner || !is_array(*first, outer, self.shared)
    }

    /// Where a rule is applied for a customer: at each element, and once where they are missing, so that its
    /// fields are absent.
    pub fn spots<'d>(&self, document: &'d Document, person: Path) -> impl Iterator<Item = Spot> + use<'d> {
        let missing = self.are_missing(document, person).then_some(Spot { person, element: None });
        self.all(document, person).map(move |path| Spot { person, element: Some(path) }).chain(missing)
    }
}
