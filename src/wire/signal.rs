//! What ingest tells track about one customer. The record's key is the customer's id; the value is a
//! version byte and the signal.

use crate::retention::activity::KindTag;
use crate::retention::calendar::Timestamp;
use crate::retention::customer::Acknowledgement;

#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// The customer was seen doing this; at day resolution `at` is the local day's last second.
    Activity {
        kind: KindTag,
        at: Timestamp,
    },
    Acknowledgement(Acknowledgement),
}
