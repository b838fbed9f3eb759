//! Why a record can't be understood.

use crate::ingest::json::JsonError;
use crate::wire::time::TimeError;

/// Why a record was rejected; the metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Reason {
    #[error("the payload is larger than 8 MiB")]
    TooLarge,
    #[error("the payload is not JSON in UTF-8")]
    NotJson,
    #[error("the payload is nested too deeply")]
    TooDeep,
    #[error("an object in the payload has a member twice")]
    DuplicateMember,
    #[error("the key is not JSON in UTF-8")]
    KeyNotJson,
    #[error("there is no field where the customer should be")]
    NoCustomer,
    #[error("the customer is neither text nor an integer")]
    CustomerType,
    #[error("the customer is empty")]
    CustomerEmpty,
    #[error("the customer's id is longer than 1,024 bytes")]
    CustomerTooLong,
    #[error("the customer's id is not UTF-8 or contains a null character")]
    CustomerBytes,
    #[error("there is no field where the time should be, or it is null")]
    NoTime,
    #[error("the time is no RFC 3339 time, date or Unix time")]
    TimeMalformed,
    #[error("the time lies before 1973")]
    TimeBefore1973,
    #[error("the time lies after 2100")]
    TimeAfter2100,
    #[error("the record has no timestamp, or one before 1973")]
    RecordTimestamp,
    #[error("the record is stamped more than five minutes ahead of the clock")]
    RecordAhead,
    #[error("the record could not be decoded before it got here")]
    Undecoded,
    #[error("a consent is neither true nor false nor null")]
    ConsentType,
    #[error("there is no field where the hold's id should be, or it is null")]
    NoHoldId,
    #[error("the hold's id is neither text nor an integer")]
    HoldIdType,
    #[error("the hold's id is empty, or longer than 1,024 bytes")]
    HoldIdLength,
    #[error("an attribute is an array or an object")]
    AttributeType,
    #[error("an attribute is longer than 1,024 bytes")]
    AttributeTooLong,
    #[error("the record tells more than 100,000 things")]
    TooManySignals,
    #[error("it is no CloudEvent: neither its content-type says so, nor has it headers that begin with ce_")]
    NoCloudEvent,
    #[error("it is a batch of CloudEvents, which Kafka's binding doesn't know")]
    CloudEventBatch,
    #[error("the CloudEvent lacks specversion, id, source or type")]
    CloudEventIncomplete,
    #[error("the CloudEvent's specversion is not 1.0")]
    CloudEventVersion,
    #[error("a header that begins with ce_ is not UTF-8")]
    CloudEventHeader,
    #[error("the CloudEvent has data and data_base64, or a data_base64 that is not Base64")]
    CloudEventData,
    #[error("the CloudEvent's data is not JSON, and is read in")]
    DataNotJson,
    #[error("it is no acknowledgement")]
    NoAcknowledgement,
}

impl Reason {
    /// The metric's label.
    pub fn name(self) -> &'static str {
        match self {
            Reason::TooLarge => "too_large",
            Reason::NotJson => "not_json",
            Reason::TooDeep => "too_deep",
            Reason::DuplicateMember => "duplicate_member",
            Reason::KeyNotJson => "key_not_json",
            Reason::NoCustomer => "no_customer",
            Reason::CustomerType => "customer_type",
            Reason::CustomerEmpty => "customer_empty",
            Reason::CustomerTooLong => "customer_too_long",
            Reason::CustomerBytes => "customer_bytes",
            Reason::NoTime => "no_time",
            Reason::TimeMalformed => "time_malformed",
            Reason::TimeBefore1973 => "time_before_1973",
            Reason::TimeAfter2100 => "time_after_2100",
            Reason::RecordTimestamp => "record_timestamp",
            Reason::RecordAhead => "record_ahead",
            Reason::Undecoded => "undecoded",
            Reason::ConsentType => "consent_type",
            Reason::NoHoldId => "no_hold_id",
            Reason::HoldIdType => "hold_id_type",
            Reason::HoldIdLength => "hold_id_length",
            Reason::AttributeType => "attribute_type",
            Reason::AttributeTooLong => "attribute_too_long",
            Reason::TooManySignals => "too_many_signals",
            Reason::NoCloudEvent => "no_cloud_event",
            Reason::CloudEventBatch => "cloud_event_batch",
            Reason::CloudEventIncomplete => "cloud_event_incomplete",
            Reason::CloudEventVersion => "cloud_event_version",
            Reason::CloudEventHeader => "cloud_event_header",
            Reason::CloudEventData => "cloud_event_data",
            Reason::DataNotJson => "data_not_json",
            Reason::NoAcknowledgement => "no_acknowledgement",
        }
    }
}

/// A payload that is no document.
impl From<JsonError> for Reason {
    fn from(error: JsonError) -> Reason {
        match error {
            JsonError::Malformed => Reason::NotJson,
            JsonError::TooDeep => Reason::TooDeep,
            JsonError::DuplicateMember => Reason::DuplicateMember,
        }
    }
}

impl From<TimeError> for Reason {
    fn from(error: TimeError) -> Reason {
        match error {
            TimeError::Malformed => Reason::TimeMalformed,
            TimeError::BeforeFirst => Reason::TimeBefore1973,
            TimeError::AfterLast => Reason::TimeAfter2100,
        }
    }
}
