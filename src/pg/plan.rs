//! Statements that are planned once and kept for the session.
//!
//! They name the extension's schema and types, which DROP and CREATE EXTENSION or ALTER SCHEMA can
//! change while a session lives: a plan is made anew when they are others than it was made for.

use std::cell::RefCell;
use std::ffi::{CStr, CString};
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe};
use std::thread::LocalKey;

use pgrx::pg_sys;
use pgrx::pg_sys::panic::{CaughtError, ErrorReportWithLevel};
use pgrx::prelude::*;

use super::report::raise_again;

/// Stands for the quoted name of the extension's schema in a statement.
const SCHEMA: &str = "@extschema@";

/// The schema in which the extension is installed.
#[derive(Clone, PartialEq, Eq)]
pub struct Schema {
    oid: pg_sys::Oid,
    name: CString,
    /// The table of installs: another one once the extension has been made anew in the schema.
    installs: pg_sys::Oid,
}

impl Schema {
    /// The schema of the function that is being called.
    pub fn of_call(fcinfo: pg_sys::FunctionCallInfo) -> Self {
        // SAFETY: the function manager hands over a valid call with its own lookup data.
        Self::of_function(unsafe { (*(*fcinfo).flinfo).fn_oid })
    }

    /// The schema of a function of the extension.
    pub fn of_function(function: pg_sys::Oid) -> Self {
        // SAFETY: catalog look-ups; the name is a palloc'd C string, or null where the schema has
        // been dropped by another session while this call was starting.
        unsafe {
            let oid = pg_sys::get_func_namespace(function);
            let name = pg_sys::get_namespace_name(oid);
            let name = if name.is_null() {
                c""
            } else {
                CStr::from_ptr(name)
            };
            Self {
                oid,
                name: name.to_owned(),
                installs: pg_sys::get_relname_relid(c"workspace_plugins".as_ptr(), oid),
            }
        }
    }

    /// Whether a table of the extension is there: after a new library has been installed, and until
    /// ALTER EXTENSION UPDATE, the tables of earlier releases are all that there is.
    pub fn has_table(&self, name: &CStr) -> bool {
        // SAFETY: a catalog look-up by a C string.
        unsafe { pg_sys::get_relname_relid(name.as_ptr(), self.oid) != pg_sys::InvalidOid }
    }

    fn quoted(&self) -> String {
        // SAFETY: quote_identifier() takes a C string and gives one.
        let quoted = unsafe { CStr::from_ptr(pg_sys::quote_identifier(self.name.as_ptr())) };
        quoted.to_string_lossy().into_owned()
    }

    fn type_oid(&self, name: &CStr) -> pg_sys::Oid {
        let zero = pg_sys::Datum::from(0);
        let cache = i32::try_from(pg_sys::SysCacheIdentifier::TYPENAMENSP).expect("one of dozens");
        let column = pg_sys::AttrNumber::try_from(pg_sys::Anum_pg_type_oid).expect("a column");
        // SAFETY: a look-up by name and schema in the system cache for just that.
        unsafe {
            pg_sys::GetSysCacheOid(
                cache,
                column,
                pg_sys::Datum::from(name.as_ptr()),
                pg_sys::Datum::from(self.oid),
                zero,
                zero,
            )
        }
    }
}

/// The type of a parameter.
#[derive(Clone, Copy)]
pub enum Type {
    Server(pg_sys::Oid),
    /// A domain of the extension, by name: for values that have passed its CHECK already, so that
    /// the statement does not call it again.
    Domain(&'static CStr),
}

impl Type {
    fn oid(self, schema: &Schema) -> pg_sys::Oid {
        match self {
            Self::Server(oid) => oid,
            Self::Domain(name) => schema.type_oid(name),
        }
    }
}

/// A statement, and its plan once it has been run.
pub struct Statement {
    sql: &'static str,
    types: &'static [Type],
    kept: RefCell<Option<(Schema, pg_sys::SPIPlanPtr)>>,
}

impl Statement {
    /// `sql` names the extension's schema as `@extschema@`; `types` are those of `$1`, `$2`, ….
    pub const fn new(sql: &'static str, types: &'static [Type]) -> Self {
        Self {
            sql,
            types,
            kept: RefCell::new(None),
        }
    }

    fn plan(&self, schema: &Schema) -> pg_sys::SPIPlanPtr {
        let mut kept = self.kept.borrow_mut();
        match kept.take() {
            Some((of, plan)) if of == *schema => {
                *kept = Some((of, plan));
                plan
            }
            stale => {
                if let Some((_, plan)) = stale {
                    // SAFETY: the plan was kept, is not running (the schema has changed since),
                    // and is forgotten here.
                    unsafe { pg_sys::SPI_freeplan(plan) };
                }
                let plan = self.prepare(schema);
                *kept = Some((schema.clone(), plan));
                plan
            }
        }
    }

    fn prepare(&self, schema: &Schema) -> pg_sys::SPIPlanPtr {
        let sql = self.sql.replace(SCHEMA, &schema.quoted());
        let sql = CString::new(sql).expect("neither statement nor schema hold a NUL");
        let mut types: Vec<_> = self.types.iter().map(|kind| kind.oid(schema)).collect();
        let count = i32::try_from(types.len()).expect("a handful of parameters");
        // SAFETY: SPI is connected; the text and the types live until it returns.
        unsafe {
            let plan = pg_sys::SPI_prepare(sql.as_ptr(), count, types.as_mut_ptr());
            assert!(!plan.is_null(), "SPI_prepare gave no plan");
            pg_sys::SPI_keepplan(plan);
            plan
        }
    }
}

/// What a statement answered. Valid until SPI is disconnected.
pub struct Rows {
    pub count: u64,
    table: *mut pg_sys::SPITupleTable,
}

impl Rows {
    /// A column of a row, both counted from 0; nothing for NULL.
    pub fn get(&self, row: usize, column: usize) -> Option<pg_sys::Datum> {
        assert!(
            (row as u64) < self.count && !self.table.is_null(),
            "no such row"
        );
        let attribute = i32::try_from(column).expect("a handful of columns") + 1;
        let mut null = false;
        // SAFETY: the row is there, and SPI_getbinval() checks the attribute's number.
        let datum = unsafe {
            let tuple = *(*self.table).vals.add(row);
            pg_sys::SPI_getbinval(tuple, (*self.table).tupdesc, attribute, &raw mut null)
        };
        (!null).then_some(datum)
    }
}

/// Runs a kept statement. SPI must be connected.
pub fn run(
    statement: &'static LocalKey<Statement>,
    schema: &Schema,
    arguments: &[Option<pg_sys::Datum>],
) -> Rows {
    let plan = statement.with(|statement| {
        assert_eq!(
            statement.types.len(),
            arguments.len(),
            "parameters of a statement"
        );
        statement.plan(schema)
    });
    let mut values: Vec<_> = arguments
        .iter()
        .map(|datum| datum.unwrap_or(pg_sys::Datum::from(0)))
        .collect();
    let nulls: Vec<_> = arguments
        .iter()
        .map(|datum| if datum.is_some() { b' ' } else { b'n' })
        .collect();
    // SAFETY: the plan is kept; values and nulls are as many as it has parameters.
    unsafe {
        let status =
            pg_sys::SPI_execute_plan(plan, values.as_mut_ptr(), nulls.as_ptr().cast(), false, 0);
        assert!(status > 0, "SPI_execute_plan: {status}");
        Rows {
            count: pg_sys::SPI_processed,
            table: pg_sys::SPI_tuptable,
        }
    }
}

/// Runs `body` connected to SPI. The server's errors pass `translate`, which may raise another.
pub fn connected<R>(
    body: impl FnOnce() -> R,
    translate: impl Fn(&ErrorReportWithLevel) + RefUnwindSafe + UnwindSafe,
) -> R {
    PgTryBuilder::new(AssertUnwindSafe(|| Spi::connect_mut(|_| body())))
        .catch_others(|error| match error {
            CaughtError::PostgresError(report) => {
                translate(&report);
                raise_again(&report)
            }
            other => other.rethrow(),
        })
        .execute()
}
