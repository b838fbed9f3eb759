//! Tells the processor what is read next. To wait for memory takes as long as to read a third of a record, and many such
//! waits can be under way at once.

#![allow(unsafe_code, reason = "the processor's own call takes any address, and so is unsafe")]

/// What a processor fetches at a time, in bytes.
pub const LINE_BYTES: usize = 64;

/// Has the processor fetch the line that this begins in. It changes nothing but when it is there; on processors for
/// which we don't know how, nothing at all.
#[inline]
pub fn prefetch<T>(what: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every processor of this kind can, and an address can't be wrong.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(what).cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = what;
}
