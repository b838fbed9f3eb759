//! Grants and takes away rights. rdkafka has no call for it, so this speaks the two requests itself.

use std::io::{Read, Write};
use std::net::TcpStream;

/// One operation on one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    /// As Strimzi writes it: `topic`, `group`, `transactionalId`.
    pub resource: String,
    pub name: String,
    pub is_prefix: bool,
    /// As Strimzi writes it: `Read`.
    pub operation: String,
}

/// Grants all of them to a user.
pub fn grant(broker: &str, user: &str, acls: &[Acl]) {
    change(broker, CREATE, user, acls);
}

/// Takes them away again.
pub fn revoke(broker: &str, user: &str, acls: &[Acl]) {
    change(broker, DELETE, user, acls);
}

const CREATE: i16 = 30;
const DELETE: i16 = 31;
/// The oldest version that brokers still speak, without tagged fields.
const VERSION: i16 = 1;
const ALLOW: u8 = 3;

fn change(broker: &str, request: i16, user: &str, acls: &[Acl]) {
    let mut bytes = Vec::new();
    for number in [request, VERSION, 0, 0] {
        bytes.extend(number.to_be_bytes());
    }
    text(&mut bytes, "test");
    bytes.extend(i32::try_from(acls.len()).unwrap().to_be_bytes());
    for acl in acls {
        bytes.push(match acl.resource.as_str() {
            "topic" => 2,
            "group" => 3,
            "transactionalId" => 5,
            other => panic!("no resource {other}"),
        });
        text(&mut bytes, &acl.name);
        bytes.push(if acl.is_prefix { 4 } else { 3 });
        text(&mut bytes, &format!("User:{user}"));
        text(&mut bytes, "*");
        bytes.push(match acl.operation.as_str() {
            "Read" => 3,
            "Write" => 4,
            "Delete" => 6,
            "DescribeConfigs" => 10,
            other => panic!("no operation {other}"),
        });
        bytes.push(ALLOW);
    }
    let mut stream = TcpStream::connect(broker).unwrap();
    stream.write_all(&i32::try_from(bytes.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(&bytes).unwrap();
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut answer).unwrap();
    // Correlation, throttle time, how many, and the first one's error; they fail together.
    let count = i32::from_be_bytes(answer[8..12].try_into().unwrap());
    let error = i16::from_be_bytes(answer[12..14].try_into().unwrap());
    assert_eq!((usize::try_from(count).unwrap(), error), (acls.len(), 0), "{acls:?}");
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend(i16::try_from(text.len()).unwrap().to_be_bytes());
    bytes.extend(text.as_bytes());
}
