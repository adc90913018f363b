//! How a worker is written: it claims updates, applies each, and reports what became of it.
//!
//! Four things are all that it has to know.
//!
//! * What it claims is its own until the lease ends. Then others get it, so that applying an update
//!   twice, or by two at once for a moment, must do no harm. Who takes long extends the lease.
//! * The token proves that a report is of who has the update. `stale` says that somebody else has it
//!   by now, or that it is not wanted any more: there is nothing left to do but to forget it.
//! * A report that was not answered, because the connection broke, may have arrived or not. Either is
//!   fine: what did not arrive is handed out again when the lease ends.
//! * A call that was refused with 40001 or 40P01 has changed nothing, and can be repeated.

use std::time::{Duration, Instant};

use postgres::error::SqlState;
use postgres::{Client, Error, GenericClient, Row};
use uuid::Uuid;

/// What a worker was handed.
#[derive(Clone, Debug)]
pub struct Update {
    pub id: Uuid,
    pub workspace: Uuid,
    pub plugin: String,
    pub upstream: String,
    /// Where to fetch from.
    pub fetch_url: String,
    /// The commit that is installed.
    pub current: String,
    /// The commit that is to be installed.
    pub target: String,
    /// What proves that it was handed to this worker.
    pub token: Uuid,
    /// 1 the first time.
    pub attempt: i32,
}

/// What became of an update.
#[derive(Clone, Debug)]
pub enum Outcome {
    Applied,
    /// Delivered, but not in use before something else happens, such as a restart.
    Delivered,
    Failed {
        error: String,
        is_retryable: bool,
    },
}

pub struct Worker {
    pub name: String,
    /// How many to claim at once.
    pub updates: i32,
    pub lease: Duration,
    /// Whether all that was claimed at once is reported at once. That saves calls, but more is done
    /// in vain where the worker dies.
    pub reports_together: bool,
}

type Reports = Vec<(Update, Outcome)>;

impl Worker {
    /// Claims, applies and reports. Gives how many updates were claimed: where there was none, it is
    /// for the caller to wait a while.
    ///
    /// # Errors
    /// The server's, or that the connection broke: then the caller connects again, and goes on.
    pub fn turn(
        &self,
        client: &mut Client,
        mut apply: impl FnMut(&mut Client, &Update) -> Result<Outcome, Error>,
    ) -> Result<usize, Error> {
        // Counted from before the call: rather too early than too late.
        let mut since = Instant::now();
        let claimed = self.claim(client)?;
        let count = claimed.len();
        let mut reports = Reports::new();
        for update in claimed {
            if since.elapsed() > self.lease / 2 {
                since = Instant::now();
                if !self.keeps(client, &update, &reports)? {
                    continue;
                }
            }
            let outcome = apply(client, &update)?;
            if self.reports_together {
                reports.push((update, outcome));
            } else {
                again(|| report(client, &update, &outcome))?;
            }
        }
        again(|| report_all(client, &reports))?;
        Ok(count)
    }

    /// # Errors
    /// The server's.
    pub fn claim(&self, client: &mut impl GenericClient) -> Result<Vec<Update>, Error> {
        let call =
            "SELECT id, workspace_id, plugin_name, upstream, fetch_url, current_sha, target_sha,
                 claim_token, attempt
             FROM claim_plugin_updates($1, $2, make_interval(secs => $3))";
        let lease = self.lease.as_secs_f64();
        let rows = again(|| client.query(call, &[&self.name, &self.updates, &lease]))?;
        Ok(rows.iter().map(Update::read).collect())
    }

    /// Extends the leases of an update that is about to be applied and of those not yet reported.
    /// False where the update is not the worker's any more.
    fn keeps(&self, client: &mut Client, next: &Update, done: &Reports) -> Result<bool, Error> {
        for (update, _) in done {
            extend(client, update, self.lease)?;
        }
        Ok(extend(client, next, self.lease)? == "claimed")
    }
}

impl Update {
    fn read(row: &Row) -> Self {
        Self {
            id: row.get(0),
            workspace: row.get(1),
            plugin: row.get(2),
            upstream: row.get(3),
            fetch_url: row.get(4),
            current: row.get(5),
            target: row.get(6),
            token: row.get(7),
            attempt: row.get(8),
        }
    }
}

/// # Errors
/// The server's.
pub fn extend(
    client: &mut impl GenericClient,
    update: &Update,
    lease: Duration,
) -> Result<String, Error> {
    let call = "SELECT extend_plugin_update($1, $2, make_interval(secs => $3))";
    let row = client.query_one(call, &[&update.id, &update.token, &lease.as_secs_f64()])?;
    Ok(row.get(0))
}

/// Reports one update, and gives how it stands now.
///
/// # Errors
/// The server's.
pub fn report(
    client: &mut impl GenericClient,
    update: &Update,
    outcome: &Outcome,
) -> Result<String, Error> {
    let Update {
        id, token, target, ..
    } = update;
    let complete = "SELECT complete_plugin_update($1, $2, $3, $4)";
    let row = match outcome {
        Outcome::Applied => client.query_one(complete, &[id, token, target, &true]),
        Outcome::Delivered => client.query_one(complete, &[id, token, target, &false]),
        Outcome::Failed {
            error,
            is_retryable,
        } => {
            let fail = "SELECT fail_plugin_update($1, $2, $3, $4)";
            client.query_one(fail, &[id, token, error, is_retryable])
        }
    };
    Ok(row?.get(0))
}

/// Reports many updates in two calls, and gives how each stands now.
///
/// # Errors
/// The server's.
pub fn report_all(
    client: &mut impl GenericClient,
    reports: &[(Update, Outcome)],
) -> Result<Vec<(Uuid, String)>, Error> {
    let (mut ids, mut tokens, mut targets, mut in_use) = (vec![], vec![], vec![], vec![]);
    let (mut failed, mut failed_tokens, mut errors, mut retryable) =
        (vec![], vec![], vec![], vec![]);
    for (update, outcome) in reports {
        if let Outcome::Failed {
            error,
            is_retryable,
        } = outcome
        {
            failed.push(update.id);
            failed_tokens.push(update.token);
            errors.push(&**error);
            retryable.push(*is_retryable);
        } else {
            ids.push(update.id);
            tokens.push(update.token);
            targets.push(&*update.target);
            in_use.push(matches!(outcome, Outcome::Applied));
        }
    }
    let mut answers = Vec::new();
    if !ids.is_empty() {
        let complete = "SELECT id, outcome FROM complete_plugin_updates($1, $2, $3, $4)";
        answers.extend(client.query(complete, &[&ids, &tokens, &targets, &in_use])?);
    }
    if !failed.is_empty() {
        let fail = "SELECT id, outcome FROM fail_plugin_updates($1, $2, $3, $4)";
        answers.extend(client.query(fail, &[&failed, &failed_tokens, &errors, &retryable])?);
    }
    Ok(answers.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Repeats what the server refused for the sake of others that were at work at the same time.
fn again<T>(mut call: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    let for_others = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ];
    loop {
        match call() {
            Err(error) if error.code().is_some_and(|code| for_others.contains(code)) => {}
            result => return result,
        }
    }
}
