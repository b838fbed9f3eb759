//! A proxy in front of the broker that knows which API a request is for, and can lose a request or its
//! answer.

use super::broker::Broker;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// API key of EndTxn: commit or abort.
pub const END_TXN: i16 = 26;

/// What becomes of the next request of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The broker never gets it.
    LoseRequest,
    /// The broker does it, and the client never hears.
    LoseAnswer,
}

#[derive(Default)]
struct Plan {
    armed: Mutex<HashMap<i16, Fault>>,
    struck: Mutex<Vec<(i16, Fault)>>,
    stop: AtomicBool,
}

pub struct Proxy {
    pub address: String,
    plan: Arc<Plan>,
}

impl Proxy {
    /// Begins to listen where the broker's second listener says that it does.
    pub fn start(broker: &Broker) -> Proxy {
        let listener = TcpListener::bind(&broker.proxy).unwrap();
        let plan = Arc::new(Plan::default());
        let (upstream, shared) = (broker.behind_proxy.clone(), plan.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if shared.stop.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&upstream)) else { continue };
                relay(client, server, &shared);
            }
        });
        Proxy { address: broker.proxy.clone(), plan }
    }

    /// The next request of this API meets a fault.
    pub fn arm(&self, api: i16, fault: Fault) {
        self.plan.armed.lock().unwrap().insert(api, fault);
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
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(&self.address);
    }
}

/// Frames of one connection, either way. Answers are known by their correlation id.
fn relay(client: TcpStream, server: TcpStream, plan: &Arc<Plan>) {
    let lost = Arc::new(Mutex::new(Vec::<i32>::new()));
    let (mut requests, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (requests_plan, requests_lost) = (plan.clone(), lost.clone());
    std::thread::spawn(move || {
        while let Some(frame) = read_frame(&mut requests) {
            let api = i16::from_be_bytes([frame[0], frame[1]]);
            let correlation = i32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]);
            let fault = requests_plan.armed.lock().unwrap().remove(&api);
            if let Some(fault) = fault {
                requests_plan.struck.lock().unwrap().push((api, fault));
            }
            match fault {
                Some(Fault::LoseRequest) => continue,
                Some(Fault::LoseAnswer) => requests_lost.lock().unwrap().push(correlation),
                None => {}
            }
            if write_frame(&mut to_server, &frame).is_err() {
                break;
            }
        }
        let _ = to_server.shutdown(Shutdown::Both);
    });
    let (mut answers, mut to_client) = (server, client);
    std::thread::spawn(move || {
        while let Some(frame) = read_frame(&mut answers) {
            let correlation = i32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
            if lost.lock().unwrap().contains(&correlation) {
                continue;
            }
            if write_frame(&mut to_client, &frame).is_err() {
                break;
            }
        }
        let _ = to_client.shutdown(Shutdown::Both);
    });
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
