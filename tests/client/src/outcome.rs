//! How a statement ended.

use postgres::Error;

/// `ok`, or the SQLSTATE with which the server refused, or why there was no answer.
pub fn outcome<T>(result: &Result<T, Error>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => error
            .code()
            .map_or_else(|| error.to_string(), |code| code.code().to_owned()),
    }
}

/// All that a client gets to know of an error, in one text.
#[must_use]
pub fn every_field(error: &Error) -> String {
    format!("{error}\n{error:?}")
}
