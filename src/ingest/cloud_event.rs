//! CloudEvents 1.0 of the Kafka protocol binding: a record → the event's structured form, in which
//! pointers read in either mode.

use crate::config::{Pointer, Step};
use crate::ingest::extract::RecordView;
use crate::ingest::json::{Document, Field, Plan, Value};
use crate::ingest::reason::Reason;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];
const CONTENT_TYPE: &str = "datacontenttype";
const DATA: &str = "data";
const DATA_BASE64: &str = "data_base64";

/// What is read of an event.
pub struct CloudEventPlan {
    /// Attributes that a header tells in binary mode: its name, and where the attribute stands.
    headers: Vec<(String, Field)>,
    required: [Field; REQUIRED.len()],
    content_type: Field,
    data: Field,
    data_base64: Field,
    /// A pointer reads the event's data.
    reads_data: bool,
}

impl CloudEventPlan {
    /// Once all that is asked for is in the plan.
    pub fn new(plan: &mut Plan) -> CloudEventPlan {
        let asked: Vec<String> = plan.members().map(str::to_owned).collect();
        let attribute = |plan: &mut Plan, name: &str| plan.add(&Pointer(vec![Step::Member(name.to_owned())]));
        let required = REQUIRED.map(|name| attribute(plan, name));
        let is_header = |name: &&String| ![CONTENT_TYPE, DATA, DATA_BASE64].contains(&name.as_str());
        let optional = asked.iter().filter(is_header).filter(|name| !REQUIRED.contains(&name.as_str()));
        let names: Vec<&str> = REQUIRED.into_iter().chain(optional.map(String::as_str)).collect();
        CloudEventPlan {
            headers: names.into_iter().map(|name| (format!("ce_{name}"), attribute(plan, name))).collect(),
            required,
            content_type: attribute(plan, CONTENT_TYPE),
            data: attribute(plan, DATA),
            data_base64: attribute(plan, DATA_BASE64),
            reads_data: asked.iter().any(|name| name == DATA),
        }
    }

    /// Reads an event; `false`: it is a tombstone.
    ///
    /// # Errors
    /// What is no CloudEvent, or one that can't be read.
    pub fn read(
        &self,
        plan: &mut Plan,
        record: RecordView<'_>,
        document: &mut Document,
        scratch: &mut Vec<u8>,
    ) -> Result<bool, Reason> {
        let content_type = record.headers.last_ignoring_case("content-type").flatten().unwrap_or_default();
        let content_type = String::from_utf8_lossy(content_type);
        match mode(&content_type) {
            Mode::Batched => Err(Reason::CloudEventBatch),
            Mode::Structured => {
                let Some(payload) = record.payload else { return Ok(false) };
                document.read(plan, payload)?;
                self.check(document)?;
                self.unfold_data(plan, document, scratch)?;
                Ok(true)
            }
            Mode::Binary => self.read_binary(plan, record, &content_type, document),
        }
    }

    fn read_binary(
        &self,
        plan: &mut Plan,
        record: RecordView<'_>,
        content_type: &str,
        document: &mut Document,
    ) -> Result<bool, Reason> {
        document.clear(plan);
        for (header, field) in &self.headers {
            if let Some(Some(value)) = record.headers.last(header) {
                document.put_text(*field, std::str::from_utf8(value).map_err(|_| Reason::CloudEventHeader)?);
            }
        }
        if self.required.iter().all(|field| document.first(*field).is_none()) {
            return if record.payload.is_none() { Ok(false) } else { Err(Reason::NoCloudEvent) };
        }
        self.check(document)?;
        if !content_type.is_empty() {
            document.put_text(self.content_type, content_type);
        }
        // An event without data has no value; that it has attributes tells it from a tombstone.
        let data = record.payload.filter(|payload| !payload.is_empty());
        match data {
            Some(data) if is_json(content_type) => document.read_member(plan, DATA, data)?,
            Some(_) if self.reads_data => return Err(Reason::DataNotJson),
            _ => {}
        }
        Ok(true)
    }

    fn check(&self, document: &Document) -> Result<(), Reason> {
        let text = |field: Field| match document.first(field) {
            Some(Value::Text(text)) if !text.is_empty() => Some(text),
            _ => None,
        };
        let [version, ..] = self.required.map(text);
        if self.required.iter().any(|field| text(*field).is_none()) {
            return Err(Reason::CloudEventIncomplete);
        }
        if version == Some("1.0") { Ok(()) } else { Err(Reason::CloudEventVersion) }
    }

    /// JSON in `data_base64` is read as `data`.
    fn unfold_data(&self, plan: &mut Plan, document: &mut Document, scratch: &mut Vec<u8>) -> Result<(), Reason> {
        let present = |field: Field| document.first(field).filter(|value| *value != Value::Null);
        let (data, encoded) = (present(self.data), present(self.data_base64));
        let is_json = match present(self.content_type) {
            Some(Value::Text(content_type)) => is_json(content_type),
            _ => true,
        };
        if !is_json {
            let is_read = self.reads_data && (data.is_some() || encoded.is_some());
            return if is_read { Err(Reason::DataNotJson) } else { Ok(()) };
        }
        match (data, encoded) {
            (_, None) => Ok(()),
            (None, Some(Value::Text(encoded))) => {
                scratch.clear();
                STANDARD.decode_vec(encoded, scratch).map_err(|_| Reason::CloudEventData)?;
                Ok(document.read_member(plan, DATA, scratch)?)
            }
            (_, Some(_)) => Err(Reason::CloudEventData),
        }
    }
}

enum Mode {
    Structured,
    Batched,
    Binary,
}

fn mode(content_type: &str) -> Mode {
    let media_type = media_type(content_type);
    match media_type.strip_prefix("application/cloudevents") {
        Some(rest) if rest.starts_with("-batch") => Mode::Batched,
        Some(_) => Mode::Structured,
        None => Mode::Binary,
    }
}

/// Without parameters, in lower case.
fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Data whose type isn't told is JSON.
fn is_json(content_type: &str) -> bool {
    let media_type = media_type(content_type);
    matches!(media_type.as_str(), "" | "application/json" | "text/json") || media_type.ends_with("+json")
}
