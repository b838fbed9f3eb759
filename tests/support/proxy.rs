//! A proxy in front of brokers that knows which API a request is for, and can delay it, lose it or its answer,
//! break the connection, or refuse it as a broker would.
//!
//! Brokers advertise the proxy's addresses on the listener behind it, so that whoever begins there stays
//! there. What it must understand of requests and answers it keeps at versions that it knows, by what it lets
//! the brokers say of theirs.

use super::broker::Broker;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

pub const PRODUCE: i16 = 0;
pub const FETCH: i16 = 1;
pub const LIST_OFFSETS: i16 = 2;
pub const OFFSET_FETCH: i16 = 9;
pub const HEARTBEAT: i16 = 12;
const API_VERSIONS: i16 = 18;
pub const ADD_PARTITIONS_TO_TXN: i16 = 24;
pub const ADD_OFFSETS_TO_TXN: i16 = 25;
/// Commit or abort.
pub const END_TXN: i16 = 26;
pub const TXN_OFFSET_COMMIT: i16 = 28;

/// The newest versions whose requests can be refused here. From the third respectively sixth on the last two
/// are written in the flexible format; nothing below them knows of fencing and of pending transactions.
const VERSIONS_MAX: [(i16, i16); 8] = [
    (PRODUCE, 7),
    (FETCH, 11),
    (LIST_OFFSETS, 5),
    (HEARTBEAT, 3),
    (ADD_PARTITIONS_TO_TXN, 2),
    (END_TXN, 2),
    (TXN_OFFSET_COMMIT, 3),
    (OFFSET_FETCH, 7),
];

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The broker never gets it.
    LoseRequest,
    /// The broker does it, and the client never hears.
    LoseAnswer,
    /// The broker gets it so much later, and with it what comes behind it on the connection.
    Delay(Duration),
    /// The connection breaks; the broker never gets it.
    Reset,
    /// The broker never gets it; the client is told this error for all of it.
    Error(i16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Next,
    Always,
}

#[derive(Default)]
struct Plan {
    armed: Mutex<HashMap<i16, (Fault, Reach)>>,
    struck: Mutex<Vec<(i16, Fault)>>,
    stop: AtomicBool,
}

pub struct Proxy {
    /// Where it listens for each broker, as a list of bootstrap servers.
    pub address: String,
    plan: Arc<Plan>,
    listening: Vec<JoinHandle<()>>,
}

impl Proxy {
    /// Begins to listen where the broker's second listener says that it does.
    pub fn start(broker: &Broker) -> Proxy {
        Proxy::before(&[(&broker.proxy, &broker.behind_proxy)])
    }

    /// In front of several brokers: where each one says that it listens, and where it does.
    pub fn before(brokers: &[(&str, &str)]) -> Proxy {
        let plan = Arc::new(Plan::default());
        let mut listening = Vec::new();
        for (listen, upstream) in brokers {
            let listener = TcpListener::bind(listen).unwrap();
            let (upstream, shared) = ((*upstream).to_owned(), plan.clone());
            listening.push(std::thread::spawn(move || {
                for client in listener.incoming() {
                    if shared.stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let (Ok(client), Ok(server)) = (client, TcpStream::connect(&upstream)) else { continue };
                    relay(client, server, &shared);
                }
            }));
        }
        let addresses: Vec<&str> = brokers.iter().map(|(listen, _)| *listen).collect();
        Proxy { address: addresses.join(","), plan, listening }
    }

    /// The next request of this API meets a fault.
    pub fn arm(&self, api: i16, fault: Fault) {
        self.plan.armed.lock().unwrap().insert(api, (fault, Reach::Next));
    }

    /// Every request of this API meets a fault, until [`Proxy::disarm`].
    pub fn keep(&self, api: i16, fault: Fault) {
        self.plan.armed.lock().unwrap().insert(api, (fault, Reach::Always));
    }

    pub fn disarm(&self) {
        self.plan.armed.lock().unwrap().clear();
    }

    /// How often a fault struck.
    pub fn struck(&self) -> usize {
        self.plan.struck.lock().unwrap().len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.plan.stop.store(true, Ordering::Relaxed);
        // Wakes the threads that accept.
        self.address.split(',').for_each(|address| _ = TcpStream::connect(address));
        self.listening.drain(..).for_each(|thread| _ = thread.join());
    }
}

impl Plan {
    fn meets(&self, api: i16) -> Option<Fault> {
        let mut armed = self.armed.lock().unwrap();
        let (fault, reach) = *armed.get(&api)?;
        if reach == Reach::Next {
            armed.remove(&api);
        }
        self.struck.lock().unwrap().push((api, fault));
        Some(fault)
    }
}

/// What the two directions of a connection know of each other, by correlation id.
#[derive(Default)]
struct Pending {
    lost: Vec<i32>,
    /// Answers in which the brokers tell their versions, and in which version they do.
    versions: HashMap<i32, i16>,
}

/// Frames of one connection, either way.
fn relay(client: TcpStream, server: TcpStream, plan: &Arc<Plan>) {
    let pending = Arc::new(Mutex::new(Pending::default()));
    let to_client = Arc::new(Mutex::new(client.try_clone().unwrap()));
    let (mut requests, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (plan, asked, refusals) = (plan.clone(), pending.clone(), to_client.clone());
    std::thread::spawn(move || {
        while let Some(frame) = read_frame(&mut requests) {
            let Some(request) = Request::read(&frame) else { break };
            if request.api == API_VERSIONS {
                asked.lock().unwrap().versions.insert(request.correlation, request.version);
            }
            match plan.meets(request.api) {
                Some(Fault::LoseRequest) => continue,
                Some(Fault::LoseAnswer) => asked.lock().unwrap().lost.push(request.correlation),
                Some(Fault::Delay(time)) => std::thread::sleep(time),
                Some(Fault::Reset) => break,
                Some(Fault::Error(code)) => {
                    let answer = request.refused(code).expect("a request that can't be refused");
                    if write_frame(&mut refusals.lock().unwrap(), &answer).is_err() {
                        break;
                    }
                    continue;
                }
                None => {}
            }
            if write_frame(&mut to_server, &frame).is_err() {
                break;
            }
        }
        let _ = to_server.shutdown(Shutdown::Both);
        let _ = requests.shutdown(Shutdown::Both);
    });
    let mut answers = server;
    std::thread::spawn(move || {
        while let Some(mut frame) = read_frame(&mut answers) {
            let correlation = i32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
            let (lost, version) = {
                let mut pending = pending.lock().unwrap();
                (pending.lost.contains(&correlation), pending.versions.remove(&correlation))
            };
            if lost {
                continue;
            }
            if let Some(version) = version {
                lower_versions(&mut frame, version);
            }
            if write_frame(&mut to_client.lock().unwrap(), &frame).is_err() {
                break;
            }
        }
        let _ = to_client.lock().unwrap().shutdown(Shutdown::Both);
    });
}

/// Has a broker know no newer version of an API than can be refused here.
fn lower_versions(frame: &mut [u8], version: i16) {
    let mut cursor = Cursor { bytes: frame, at: 4 };
    if cursor.i16() != 0 {
        return;
    }
    let count = if version >= 3 { cursor.varint() - 1 } else { cursor.i32() as usize };
    let mut newest = Vec::new();
    for _ in 0..count {
        let (api, _) = (cursor.i16(), cursor.i16());
        newest.push((cursor.at, api, cursor.i16()));
        if version >= 3 {
            cursor.tags();
        }
    }
    for (at, api, told) in newest {
        if let Some((_, known)) = VERSIONS_MAX.iter().find(|(known, _)| *known == api) {
            frame[at..at + 2].copy_from_slice(&told.min(*known).to_be_bytes());
        }
    }
}

struct Request<'f> {
    api: i16,
    version: i16,
    correlation: i32,
    body: Cursor<'f>,
}

impl<'f> Request<'f> {
    fn read(frame: &'f [u8]) -> Option<Request<'f>> {
        let mut cursor = Cursor { bytes: frame, at: 0 };
        let (api, version, correlation) = (cursor.i16(), cursor.i16(), cursor.i32());
        let client = cursor.i16();
        cursor.at += usize::try_from(client).unwrap_or(0);
        (cursor.at <= frame.len()).then_some(Request { api, version, correlation, body: cursor })
    }

    /// The answer that says an error of everything the request names.
    fn refused(mut self, error: i16) -> Option<Vec<u8>> {
        let mut answer = Answer(self.correlation.to_be_bytes().to_vec());
        match self.api {
            HEARTBEAT | END_TXN => {
                if self.version >= 1 || self.api == END_TXN {
                    answer.i32(0);
                }
                answer.i16(error);
            }
            PRODUCE => {
                self.body.text();
                self.body.at += 2 + 4;
                answer.topics(
                    &self.body.topics(|body| {
                        let partition = body.i32();
                        body.at += usize::try_from(body.i32()).unwrap_or(0);
                        partition
                    }),
                    |answer| {
                        answer.i16(error);
                        [-1, -1, -1].into_iter().for_each(|unknown| answer.i64(unknown));
                    },
                );
                answer.i32(0);
            }
            FETCH => {
                self.body.at += 4 * 4 + 1 + 4 + 4;
                answer.i32(0);
                answer.i16(0);
                answer.i32(0);
                let topics = self.body.topics(|body| {
                    let partition = body.i32();
                    body.at += 4 + 8 + 8 + 4;
                    partition
                });
                answer.topics(&topics, |answer| {
                    answer.i16(error);
                    [-1, -1, -1].into_iter().for_each(|unknown| answer.i64(unknown));
                    // No aborted transactions, no preferred replica, no bytes of records.
                    [-1, -1, 0].into_iter().for_each(|none| answer.i32(none));
                });
            }
            LIST_OFFSETS => {
                self.body.at += 4 + 1;
                answer.i32(0);
                let topics = self.body.topics(|body| {
                    let partition = body.i32();
                    body.at += 4 + 8;
                    partition
                });
                answer.topics(&topics, |answer| {
                    answer.i16(error);
                    [-1, -1].into_iter().for_each(|unknown| answer.i64(unknown));
                    answer.i32(-1);
                });
            }
            ADD_PARTITIONS_TO_TXN => {
                self.body.text();
                self.body.at += 8 + 2;
                answer.i32(0);
                answer.topics(&self.body.topics(Cursor::i32), |answer| answer.i16(error));
            }
            TXN_OFFSET_COMMIT => {
                self.body.tags();
                [(), ()].into_iter().for_each(|()| self.body.compact_text());
                self.body.at += 8 + 2 + 4;
                [(), ()].into_iter().for_each(|()| self.body.compact_text());
                answer.0.push(0);
                answer.i32(0);
                let count = self.body.varint();
                answer.varint(count);
                for _ in 1..count {
                    let begin = self.body.at;
                    self.body.compact_text();
                    answer.0.extend_from_slice(&self.body.bytes[begin..self.body.at]);
                    let partitions = self.body.varint();
                    answer.varint(partitions);
                    for _ in 1..partitions {
                        answer.i32(self.body.i32());
                        answer.i16(error);
                        answer.0.push(0);
                        self.body.at += 8 + 4;
                        self.body.compact_text();
                        self.body.tags();
                    }
                    self.body.tags();
                    answer.0.push(0);
                }
                answer.0.push(0);
            }
            // The error of the whole; no topics.
            OFFSET_FETCH if self.version >= 6 => {
                answer.0.push(0);
                answer.i32(0);
                answer.varint(1);
                answer.i16(error);
                answer.0.push(0);
            }
            _ => return None,
        }
        Some(answer.0)
    }
}

/// Reads the protocol's types.
struct Cursor<'f> {
    bytes: &'f [u8],
    at: usize,
}

impl Cursor<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let found = self.bytes[self.at..self.at + N].try_into().unwrap();
        self.at += N;
        found
    }

    fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.array())
    }

    fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.array())
    }

    fn varint(&mut self) -> usize {
        let (mut number, mut shift) = (0, 0);
        loop {
            let [byte] = self.array();
            number |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return number;
            }
        }
    }

    /// Skips a text that may be null.
    fn text(&mut self) -> String {
        let length = usize::try_from(self.i16()).unwrap_or(0);
        self.at += length;
        String::from_utf8_lossy(&self.bytes[self.at - length..self.at]).into_owned()
    }

    fn compact_text(&mut self) {
        self.at += self.varint().saturating_sub(1);
    }

    fn tags(&mut self) {
        for _ in 0..self.varint() {
            self.varint();
            self.at += self.varint();
        }
    }

    /// Topics with what `partition` reads of each of their partitions: its number, and past the rest.
    fn topics(&mut self, mut partition: impl FnMut(&mut Self) -> i32) -> Vec<(String, Vec<i32>)> {
        let count = self.i32();
        let topic = |cursor: &mut Self, partition: &mut dyn FnMut(&mut Self) -> i32| {
            let name = cursor.text();
            let count = cursor.i32();
            (name, (0..count).map(|_| partition(cursor)).collect())
        };
        (0..count).map(|_| topic(self, &mut partition)).collect()
    }
}

/// Writes the protocol's types.
struct Answer(Vec<u8>);

impl Answer {
    fn i16(&mut self, number: i16) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn i32(&mut self, number: i32) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn i64(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn varint(&mut self, mut number: usize) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// Topics with their partitions, and behind each what `partition` writes.
    fn topics(&mut self, topics: &[(String, Vec<i32>)], mut partition: impl FnMut(&mut Self)) {
        self.i32(i32::try_from(topics.len()).unwrap());
        for (name, partitions) in topics {
            self.i16(i16::try_from(name.len()).unwrap());
            self.0.extend_from_slice(name.as_bytes());
            self.i32(i32::try_from(partitions.len()).unwrap());
            for number in partitions {
                self.i32(*number);
                partition(self);
            }
        }
    }
}

fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut size = [0; 4];
    stream.read_exact(&mut size).ok()?;
    let mut frame = vec![0; usize::try_from(i32::from_be_bytes(size)).ok()?];
    stream.read_exact(&mut frame).ok()?;
    (frame.len() >= 8).then_some(frame)
}

fn write_frame(stream: &mut TcpStream, frame: &[u8]) -> std::io::Result<()> {
    stream.write_all(&i32::try_from(frame.len()).unwrap().to_be_bytes())?;
    stream.write_all(frame)
}
