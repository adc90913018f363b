//! The predicates that CHECK constraints call for every row.
//!
//! These are version-1 functions by hand: pgrx would decode the argument, which costs more than the
//! predicate itself. A short or uncompressed value is read where it lies.

use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::varlena;

use crate::{commit_sha, tracked_ref};

/// Declares `$symbol`, a STRICT SQL function `(text) → boolean`, over the bytes of its argument.
macro_rules! text_predicate {
    ($symbol:ident, $finfo:ident, $test:path) => {
        #[doc(hidden)]
        #[unsafe(no_mangle)]
        pub extern "C" fn $finfo() -> &'static pg_sys::Pg_finfo_record {
            const V1: pg_sys::Pg_finfo_record = pg_sys::Pg_finfo_record { api_version: 1 };
            &V1
        }

        /// # Safety
        /// Called by the function manager only, for a STRICT function of one text argument.
        #[unsafe(no_mangle)]
        #[pg_guard]
        pub unsafe extern "C-unwind" fn $symbol(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
            // SAFETY: the function is declared STRICT with one argument, so that it is there and
            // not null, and of type text, so that it points to a varlena.
            let answer = unsafe {
                let argument = (*fcinfo).args.as_slice(1)[0].value;
                with_bytes(argument.cast_mut_ptr(), $test)
            };
            pg_sys::Datum::from(answer)
        }
    };
}

text_predicate!(
    pgwp_is_valid_tracked_ref,
    pg_finfo_pgwp_is_valid_tracked_ref,
    tracked_ref::is_canonical
);
text_predicate!(
    pgwp_is_valid_commit_sha,
    pg_finfo_pgwp_is_valid_commit_sha,
    commit_sha::is_full
);

/// Asks `predicate` about the bytes of a text value, and copies only what is compressed or stored aside.
///
/// # Safety
/// `text` points to a valid varlena.
#[inline]
unsafe fn with_bytes(text: *mut pg_sys::varlena, predicate: impl FnOnce(&[u8]) -> bool) -> bool {
    // SAFETY: by the caller's word the header is valid, and tells which of the forms this is.
    unsafe {
        let stored_plainly = varlena::varatt_is_4b_u(text)
            || (varlena::varatt_is_1b(text) && !varlena::varatt_is_1b_e(text));
        if stored_plainly {
            return predicate(varlena::varlena_to_byte_slice(text));
        }
        let copy = pg_sys::pg_detoast_datum_packed(text);
        let answer = predicate(varlena::varlena_to_byte_slice(copy));
        pg_sys::pfree(copy.cast());
        answer
    }
}
