//! Records as `kcat -C -e -J` prints them, one JSON object a line.

use crate::ingest::extract::Headers;
use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// One record, and the line it came from.
#[derive(Clone, Debug)]
pub struct Record {
    /// From 1, over all files in the order given.
    pub line: usize,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds of Unix time.
    pub timestamp_ms: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub payload: Payload,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    Bytes(Vec<u8>),
    /// A tombstone.
    Null,
    /// kcat could not decode it (`payload_error`).
    Undecoded,
}

impl Record {
    pub fn headers(&self) -> &dyn Headers {
        &self.headers
    }
}

#[derive(Deserialize)]
struct Line<'l> {
    topic: String,
    partition: i32,
    offset: i64,
    #[serde(default)]
    tstype: Option<String>,
    #[serde(default)]
    ts: Option<i64>,
    #[serde(borrow, default)]
    headers: Option<&'l RawValue>,
    #[serde(borrow, default)]
    key: Option<&'l RawValue>,
    #[serde(default)]
    key_error: Option<serde_json::Value>,
    #[serde(borrow, default)]
    payload: Option<&'l RawValue>,
    #[serde(default)]
    payload_error: Option<serde_json::Value>,
}

/// Reads files, or standard input where there are none, and hands each record on.
///
/// # Errors
/// A file that can't be read, and a line that isn't kcat's JSON, with its number.
pub fn read(files: &[PathBuf], mut each: impl FnMut(Record)) -> anyhow::Result<()> {
    let mut line = 0;
    if files.is_empty() {
        return read_lines(std::io::stdin().lock(), "standard input", &mut line, &mut each);
    }
    for file in files {
        let name = file.display().to_string();
        if file == Path::new("-") {
            read_lines(std::io::stdin().lock(), "standard input", &mut line, &mut each)?;
            continue;
        }
        let open = std::fs::File::open(file).with_context(|| format!("cannot open {name}"))?;
        read_lines(std::io::BufReader::new(open), &name, &mut line, &mut each)?;
    }
    Ok(())
}

fn read_lines(
    mut input: impl BufRead,
    name: &str,
    overall: &mut usize,
    each: &mut impl FnMut(Record),
) -> anyhow::Result<()> {
    let (mut buffer, mut number) = (Vec::new(), 0);
    loop {
        buffer.clear();
        if input.read_until(b'\n', &mut buffer).with_context(|| format!("cannot read {name}"))? == 0 {
            return Ok(());
        }
        number += 1;
        *overall += 1;
        if buffer.trim_ascii().is_empty() {
            continue;
        }
        each(parse(&buffer, *overall).with_context(|| format!("{name}, line {number}"))?);
    }
}

/// Reads one line; `line` is its number, to be told again.
///
/// # Errors
/// It is not a record as kcat prints it.
pub fn parse(bytes: &[u8], line: usize) -> anyhow::Result<Record> {
    let text = std::str::from_utf8(bytes).context("is not UTF-8; print records with kcat -C -e -J")?;
    let read: Line<'_> =
        serde_json::from_str(text).context("is not a record as `kcat -C -e -J` prints it (a JSON object a line)")?;
    if read.tstype.as_deref().is_some_and(|kind| !matches!(kind, "create" | "logappend" | "unknown")) {
        bail!("has a tstype that kcat doesn't know");
    }
    let undecoded = read.payload_error.as_ref().is_some_and(|error| !error.is_null())
        || read.key_error.as_ref().is_some_and(|error| !error.is_null());
    let payload = match bytes_of(read.payload)? {
        _ if undecoded => Payload::Undecoded,
        Some(bytes) => Payload::Bytes(bytes),
        None => Payload::Null,
    };
    Ok(Record {
        line,
        topic: read.topic,
        partition: read.partition,
        offset: read.offset,
        timestamp_ms: read.ts.filter(|ts| *ts >= 0),
        key: bytes_of(read.key)?,
        payload,
        headers: headers(read.headers)?,
    })
}

/// The bytes of a string, or of any other JSON value as it is written; `None`: null or absent.
fn bytes_of(value: Option<&RawValue>) -> anyhow::Result<Option<Vec<u8>>> {
    let Some(raw) = value.map(RawValue::get) else { return Ok(None) };
    match raw.as_bytes().first() {
        Some(b'"') => Ok(Some(serde_json::from_str::<String>(raw).context("has a string that can't be read")?.into())),
        Some(b'n') => Ok(None),
        _ => Ok(Some(raw.as_bytes().to_vec())),
    }
}

/// kcat prints a flat list of names and values; a map is understood as well.
fn headers(raw: Option<&RawValue>) -> anyhow::Result<Vec<(String, Option<Vec<u8>>)>> {
    let Some(raw) = raw else { return Ok(Vec::new()) };
    if raw.get().starts_with('[') {
        let flat: Vec<Option<&RawValue>> = serde_json::from_str(raw.get()).context("has headers that can't be read")?;
        let pairs = flat.chunks(2).map(|pair| {
            let name = bytes_of(pair[0])?.context("has a header without a name")?;
            let value = bytes_of(pair.get(1).copied().flatten())?;
            Ok((String::from_utf8_lossy(&name).into_owned(), value))
        });
        return pairs.collect();
    }
    if raw.get() == "null" {
        return Ok(Vec::new());
    }
    let map: std::collections::BTreeMap<String, Option<&RawValue>> =
        serde_json::from_str(raw.get()).context("has headers that are neither a list nor a map")?;
    map.into_iter().map(|(name, value)| Ok((name, bytes_of(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> anyhow::Result<Record> {
        parse(line.as_bytes(), 1)
    }

    #[test]
    fn a_line_of_kcat() {
        let record =
            one(r#"{"topic":"web.events","partition":1,"offset":5,"tstype":"create","ts":1709210000123,"broker":1,
                "headers":["a","1","b",null,"a","2"],"key":"k","payload":"{\"user\":1}"}"#)
            .unwrap();
        assert_eq!((record.partition, record.offset, record.timestamp_ms), (1, 5, Some(1_709_210_000_123)));
        assert_eq!(record.payload, Payload::Bytes(br#"{"user":1}"#.to_vec()));
        assert_eq!(record.headers().last("a"), Some(Some(&b"2"[..])));
        assert_eq!(record.headers().last("b"), Some(None));
        assert_eq!(record.headers().last("c"), None);
    }

    #[test]
    fn payloads_embedded_null_and_undecoded() {
        let payload = |text: &str| one(&format!(r#"{{"topic":"t","partition":0,"offset":0,{text}}}"#)).unwrap().payload;
        assert_eq!(payload(r#""payload":{"id":  12345678901234567890123}"#), {
            Payload::Bytes(br#"{"id":  12345678901234567890123}"#.to_vec())
        });
        assert_eq!(payload(r#""payload":null"#), Payload::Null);
        assert_eq!(payload(r#""key":"k""#), Payload::Null);
        assert_eq!(payload(r#""payload":null,"payload_error":"bad avro""#), Payload::Undecoded);
        assert_eq!(payload(r#""payload":"x","headers":{"h":"v"}"#), Payload::Bytes(b"x".to_vec()));
    }

    #[test]
    fn anything_else_is_an_error() {
        for line in ["[]", "{}", "not json", r#"{"topic":1,"partition":0,"offset":0}"#, "null", "{\"topic\":\"t\"}"] {
            assert!(one(line).is_err(), "{line}");
        }
    }
}
