//! Which errors of PostgreSQL may go away by themselves.

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

use crate::failure::{Failure, causes};
use crate::sink::SinkError;

/// Classes of SQLSTATE that may go away: connection, rollback, resources, locks, an operator or a shutdown, the system.
const TRANSIENT: [&str; 6] = ["08", "40", "53", "55", "57", "58"];
/// Classes that the command line or the database's administrator must set right: user, database, rights.
const USAGE: [&str; 3] = ["28", "3D", "42"];

/// For `map_err`.
pub(super) fn failed(error: Error) -> SinkError {
    let Some(db) = error.as_db_error() else {
        return SinkError::Transient(format!("PostgreSQL can't be reached: {}", causes(&error)));
    };
    let (code, text) = (db.code(), described(db));
    let class = code.code().get(..2).unwrap_or_default();
    // A primary that became a standby; its successor is found with the next connection.
    if TRANSIENT.contains(&class) || *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        SinkError::Transient(text)
    } else if *code == SqlState::DUPLICATE_TABLE || *code == SqlState::INVALID_SCHEMA_NAME {
        fatal(Failure::Usage(format!(
            "{text}: give the copy a schema of its own: CREATE SCHEMA launchgate, and \
             `options=-csearch_path%3Dlaunchgate` in --postgres"
        )))
    } else if USAGE.contains(&class) {
        fatal(Failure::Usage(text))
    } else {
        fatal(Failure::Outside(text))
    }
}

pub(super) fn fatal(failure: Failure) -> SinkError {
    SinkError::Fatal(failure)
}

fn described(error: &DbError) -> String {
    let mut text = format!("PostgreSQL reports {} {}", error.code().code(), error.message());
    for more in [error.detail(), error.hint(), error.where_()].into_iter().flatten() {
        text = format!("{text}; {more}");
    }
    text
}
