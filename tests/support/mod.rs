//! What the tests on Apache Kafka share.

#![allow(dead_code, reason = "each test binary uses its part")]

pub mod acls;
pub mod broker;
pub mod proxy;
pub mod secured;
pub mod service;
