//! `lapsed` forgets customers on time.
//!
//! The map, in the order data flows. Imports run one way, top to bottom of this list only upwards
//! (`tests/architecture.rs` holds it):
//!
//! | room | what belongs there | what it may touch |
//! | --- | --- | --- |
//! | [`retention`] | deciding: calendar, policies, gate, commands | nothing: no clock, no I/O, no log |
//! | [`wire`] | bytes ↔ types | `retention` |
//! | [`config`] | YAML → a configuration that cannot be wrong | `retention`, `wire` |
//! | [`ingest`] | records → signals and progress | the above; its worker `kafka` |
//! | [`track`] | signals → state and commands; a shard is a pure state machine | the above; its worker `kafka` |
//! | [`kafka`] | moves bytes; knows no retention | rdkafka |
//! | [`simulated`] | an in-memory log that drives the real ingest and shards | `ingest`, `track` |
//! | [`http`] | the API and the status page | `track`, and what is above it |
//! | [`telemetry`] | metrics, logs | |
//! | [`cli`] | one file a subcommand | everything |
//! | [`plant`] | mistakes that tests plant to prove that they would be found; nothing of it is in the product | nothing |
//! | [`prefetch`] | tells the processor what is read next | nothing |

pub mod cli;
pub mod config;
pub mod http;
pub mod ingest;
pub mod kafka;
pub mod plant;
pub mod prefetch;
pub mod retention;
pub mod simulated;
pub mod telemetry;
pub mod track;
pub mod wire;
