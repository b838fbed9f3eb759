//! `forget`: when our own record of a customer goes.

use super::{Context, stage};
use crate::config::reader::At;
use crate::retention::policy::Forget;

pub(super) fn forget(at: &At<'_>, context: &Context) -> Option<Forget> {
    let mut map = at.map()?;
    let default = Forget::default();
    let after = map.optional("after", default.after, |at| stage::period(&at, context));
    let suppress_for = map.optional("suppress_for", default.suppress_for, |at| stage::period(&at, context));
    map.finish();
    Some(Forget { after: after?, suppress_for: suppress_for? })
}
