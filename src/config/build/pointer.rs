//! JSON Pointers, and what is read at them or said outright.

use crate::config::reader::At;
use crate::config::{POINTER_EACH_MAX, Pointer, Step, TimeFrom, Told};

/// RFC 6901, with `*` for every element of an array. The text begins with `/`.
pub(super) fn pointer(at: &At<'_>, text: &str) -> Option<Pointer> {
    let mut steps = Vec::new();
    for step in text.split('/').skip(1) {
        if step.replace("~0", "").replace("~1", "").contains('~') {
            at.error(format!("has the pointer '{text}', in which '~' stands neither before 0 nor before 1 (RFC 6901)"));
            return None;
        }
        let member = || Step::Member(step.replace("~1", "/").replace("~0", "~"));
        steps.push(if step == "*" { Step::Each } else { member() });
    }
    let pointer = Pointer(steps);
    if pointer.arrays() > POINTER_EACH_MAX {
        at.error(format!("has the pointer '{text}', which steps through more than {POINTER_EACH_MAX} arrays"));
        return None;
    }
    Some(pointer)
}

pub(super) fn time_from(at: &At<'_>) -> Option<TimeFrom> {
    match at.text()? {
        "record" => Some(TimeFrom::Record),
        text if text.starts_with('/') => pointer(at, text).map(TimeFrom::Value),
        _ => {
            at.error(format!("is '{}', and must be /pointer, or record for the record's own timestamp", at.shown()));
            None
        }
    }
}

/// Where the record says it, if it starts with `/`; else what is said, which `literal` checks.
pub(super) fn told(at: &At<'_>, literal: impl FnOnce(&At<'_>, &str) -> Option<String>) -> Option<Told> {
    match at.text()? {
        text if text.starts_with('/') => pointer(at, text).map(Told::Field),
        text => literal(at, text).map(Told::Literal),
    }
}
