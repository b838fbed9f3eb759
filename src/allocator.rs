//! The allocator of the service and of its benchmarks: jemalloc. librdkafka's threads allocate what ours give back;
//! glibc's allocator has them wait for one another.

#![allow(unsafe_code, reason = "jemalloc is told by a symbol of this name")]

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// jemalloc reads it as it begins; `MALLOC_CONF` in the environment goes over it. What isn't used any more goes back
/// to the system after a second, by a thread of jemalloc's: left to itself that takes ten, or until somebody allocates,
/// and a pod's limit counts it until then.
#[unsafe(export_name = "malloc_conf")]
static MALLOC_CONF: &[u8; 60] = b"background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0\0";
