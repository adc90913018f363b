//! How errors are raised.

use core::ffi::c_void;
use core::ptr;

use pgrx::pg_sys;
use pgrx::pg_sys::panic::{ErrorReport, ErrorReportWithLevel};
use pgrx::prelude::*;

/// Raises an ERROR. `function` goes into its LOCATION.
pub fn raise(
    code: PgSqlErrorCode,
    message: impl Into<String>,
    hint: Option<&str>,
    function: &'static str,
) -> ! {
    let mut report = ErrorReport::new(code, message.into(), function);
    if let Some(hint) = hint {
        report = report.set_hint(hint);
    }
    report.report(PgLogLevel::ERROR);
    unreachable!("an ERROR does not return")
}

/// Raises an error of the server again as it was. Passed on, it would carry a Rust backtrace in its
/// DETAIL wherever the server's environment asks for one.
pub fn raise_again(report: &ErrorReportWithLevel) -> ! {
    let mut again = ErrorReport::new(report.sql_error_code(), report.message().to_owned(), "");
    if let Some(detail) = report.detail() {
        again = again.set_detail(detail);
    }
    if let Some(hint) = report.hint() {
        again = again.set_hint(hint);
    }
    again.report(PgLogLevel::ERROR);
    unreachable!("an ERROR does not return")
}

/// Keeps the text of the statement out of the server's log, and what callers say of it out of the
/// CONTEXT, for the error that is raised next: they hold a secret that the error does not show.
///
/// pgrx has no word for `errhidestmt`, but the server calls context callbacks while it builds the
/// report. This one is static, stands alone on the stack, and is never taken off it: whoever
/// catches the error restores the stack that was there before.
pub fn hide_statement() {
    static mut CALLBACK: pg_sys::ErrorContextCallback = pg_sys::ErrorContextCallback {
        previous: ptr::null_mut(),
        callback: Some(hide),
        arg: ptr::null_mut(),
    };
    // SAFETY: a backend has one thread, and nothing but the server reads the entry.
    unsafe { pg_sys::error_context_stack = &raw mut CALLBACK };
}

#[pg_guard]
extern "C-unwind" fn hide(_argument: *mut c_void) {
    // SAFETY: called by errfinish(), while a report is being built.
    unsafe { pg_sys::errhidestmt(true) };
}
