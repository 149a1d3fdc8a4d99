//! Stands in for `libz-ng-sys`, which compiles zlib-ng with cmake.
//!
//! pingora-core asks flate2 for zlib-ng. Tollgate never compresses through it, and cmake is not part
//! of a Rust toolchain, so this crate answers with zlib-rs, which has the same C interface and is
//! plain Rust. The one difference: zlib-rs writes the allocator callbacks of `z_stream` as `Option`s
//! of function pointers (same layout), so the stream type is declared here and pointers are cast.
//! It can be removed when pingora-core lets its users choose the flate2 backend.
#![no_std]
#![allow(non_camel_case_types, non_snake_case, clippy::missing_safety_doc)]

use core::ffi::{c_char, c_int, c_uint, c_ulong, c_void};

pub use libz_rs_sys::*;

/// zlib's allocation callback: opaque, item count, item size in bytes.
pub type alloc_func = extern "C" fn(*mut c_void, c_uint, c_uint) -> *mut c_void;
/// zlib's release callback: opaque, address.
pub type free_func = extern "C" fn(*mut c_void, *mut c_void);

/// zlib's stream state, laid out as `zlib.h` has it.
#[repr(C)]
pub struct z_stream {
    pub next_in: *mut u8,
    pub avail_in: c_uint,
    pub total_in: c_ulong,
    pub next_out: *mut u8,
    pub avail_out: c_uint,
    pub total_out: c_ulong,
    pub msg: *mut c_char,
    pub state: *mut internal_state,
    pub zalloc: alloc_func,
    pub zfree: free_func,
    pub opaque: *mut c_void,
    pub data_type: c_int,
    pub adler: c_ulong,
    pub reserved: c_ulong,
}

const _: () = assert!(size_of::<z_stream>() == size_of::<libz_rs_sys::z_stream>());

macro_rules! forward {
    ($($name:ident($($arg:ident: $kind:ty),*);)*) => {$(
        pub unsafe fn $name(stream: *mut z_stream, $($arg: $kind),*) -> c_int {
            unsafe { libz_rs_sys::$name(stream.cast(), $($arg),*) }
        }
    )*};
}

forward! {
    deflate(flush: c_int);
    deflateEnd();
    deflateReset();
    deflateParams(level: c_int, strategy: c_int);
    deflateSetDictionary(dictionary: *const u8, length: c_uint);
    deflateInit2_(level: c_int, method: c_int, window_bits: c_int, mem_level: c_int,
                  strategy: c_int, version: *const c_char, stream_size: c_int);
    inflate(flush: c_int);
    inflateEnd();
    inflateReset();
    inflateReset2(window_bits: c_int);
    inflateSetDictionary(dictionary: *const u8, length: c_uint);
    inflateInit2_(window_bits: c_int, version: *const c_char, stream_size: c_int);
}
