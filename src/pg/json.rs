//! `jsonb` arguments as text.

use std::ffi::CStr;

use pgrx::direct_function_call;
use pgrx::pg_sys::{self, Datum};

/// The text of a `jsonb` value. Its memory is the server's, and is given back with it.
pub struct JsonText {
    text: &'static CStr,
}

impl JsonText {
    /// The text of an argument that is declared `jsonb`.
    pub fn of(jsonb: Datum) -> Self {
        // SAFETY: jsonb_out() takes a jsonb, also compressed or stored aside, and gives a C string
        // of its own in memory that outlives this value.
        let text = unsafe { direct_function_call::<&CStr>(pg_sys::jsonb_out, &[Some(jsonb)]) };
        Self {
            text: text.expect("jsonb_out() gives a text"),
        }
    }

    pub fn as_str(&self) -> &str {
        self.text
            .to_str()
            .expect("jsonb_out() gives UTF-8, as the database has it")
    }
}

impl Drop for JsonText {
    fn drop(&mut self) {
        // SAFETY: the text was allocated by jsonb_out() for this value alone.
        unsafe { pg_sys::pfree(self.text.as_ptr().cast_mut().cast()) };
    }
}
