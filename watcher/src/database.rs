//! The database: what is due, and what came of it.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, FromRow, PgPool};
use uuid::Uuid;

use crate::git::Refs;

/// Connections: what they do is short, and there is no more to do than git answers.
const CONNECTIONS: u32 = 4;
/// For a free connection, or a new one.
const PATIENCE: Duration = Duration::from_secs(10);

/// A repository that was handed out.
#[derive(Clone, Debug, FromRow)]
pub struct Claim {
    pub upstream: String,
    pub fetch_url: String,
    pub claim_token: Uuid,
    /// Full refs that installs follow besides branches and tags.
    pub others: Vec<String>,
}

/// What an answer led to.
#[derive(Clone, Debug, FromRow)]
pub struct Observation {
    pub outcome: String,
    pub detail: Option<String>,
    pub refs_added: i64,
    pub refs_gone: i64,
    pub queued: i64,
    pub superseded: i64,
    pub cancelled: i64,
}

/// The statements, with the schema that the extension is in.
struct Statements {
    claim: String,
    observe: String,
    report: String,
    release: String,
    due: String,
    next: String,
}

pub struct Database {
    pool: PgPool,
    statements: Statements,
    /// Quoted.
    schema: String,
}

/// How to connect: `url`, else the environment, as libpq reads it.
///
/// # Errors
/// The URL cannot be read; the error does not repeat it.
pub fn options(url: Option<&str>) -> Result<PgConnectOptions, String> {
    let options = match url {
        Some(url) => url
            .parse::<PgConnectOptions>()
            .map_err(|_| "DATABASE_URL is not a URL of PostgreSQL".to_owned())?,
        None => PgConnectOptions::new(),
    };
    Ok(options.application_name("workspace-plugins-watch"))
}

impl Database {
    /// # Errors
    /// There is no connection, or no extension.
    pub async fn connect(options: PgConnectOptions) -> Result<Self, sqlx::Error> {
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .connect_with(options)
            .await?;
        let schema: Option<String> = sqlx::query_scalar(
            "SELECT quote_ident(n.nspname) FROM pg_catalog.pg_extension AS e
             JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
             WHERE e.extname = 'pg_workspace_plugins'",
        )
        .fetch_optional(&pool)
        .await?;
        let no_extension = "the database has no extension pg_workspace_plugins";
        let schema = schema.ok_or_else(|| sqlx::Error::Configuration(no_extension.into()))?;
        Ok(Self {
            pool,
            statements: Statements::of(&schema),
            schema,
        })
    }

    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema
    }

    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Up to `most` repositories that are due, but none of the groups in `skip`.
    ///
    /// # Errors
    /// The database's.
    pub async fn claim(
        &self,
        worker: &str,
        most: usize,
        lease: Duration,
        skip: &[String],
    ) -> Result<Vec<Claim>, sqlx::Error> {
        sqlx::query_as(AssertSqlSafe(self.statements.claim.as_str()))
            .bind(worker)
            .bind(i32::try_from(most).unwrap_or(i32::MAX))
            .bind(lease.as_secs_f64())
            .bind(skip)
            .fetch_all(&self.pool)
            .await
    }

    /// Hands an answer in. `age`: how long ago git was asked, so that no two clocks are compared.
    ///
    /// # Errors
    /// The database's.
    pub async fn observe(
        &self,
        upstream: &str,
        refs: &Refs,
        age: impl Fn() -> Duration,
    ) -> Result<Observation, sqlx::Error> {
        let refs = sqlx::types::Json(refs);
        let mut connection = self.pool.acquire().await?;
        sqlx::query_as(AssertSqlSafe(self.statements.observe.as_str()))
            .bind(upstream)
            .bind(refs)
            .bind(age().as_secs_f64())
            .fetch_one(&mut *connection)
            .await
    }

    /// # Errors
    /// The database's.
    pub async fn report(
        &self,
        claim: &Claim,
        error: &str,
        retry_after: Option<Duration>,
    ) -> Result<String, sqlx::Error> {
        sqlx::query_scalar(AssertSqlSafe(self.statements.report.as_str()))
            .bind(&claim.upstream)
            .bind(claim.claim_token)
            .bind(error)
            .bind(retry_after.map(|wait| wait.as_secs_f64()))
            .fetch_one(&self.pool)
            .await
    }

    /// Gives a lease back.
    ///
    /// # Errors
    /// The database's.
    pub async fn release(&self, claim: &Claim) -> Result<String, sqlx::Error> {
        sqlx::query_scalar(AssertSqlSafe(self.statements.release.as_str()))
            .bind(&claim.upstream)
            .bind(claim.claim_token)
            .fetch_one(&self.pool)
            .await
    }

    /// How many repositories are due now.
    ///
    /// # Errors
    /// The database's.
    pub async fn due(&self) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar(AssertSqlSafe(self.statements.due.as_str()))
            .fetch_one(&self.pool)
            .await
    }

    /// In how long the next one is due; nothing where there is none.
    ///
    /// # Errors
    /// The database's.
    pub async fn next_due(&self) -> Result<Option<Duration>, sqlx::Error> {
        let seconds: Option<f64> = sqlx::query_scalar(AssertSqlSafe(self.statements.next.as_str()))
            .fetch_one(&self.pool)
            .await?;
        Ok(seconds.map(|seconds| Duration::from_secs_f64(seconds.max(0.0))))
    }
}

impl Statements {
    fn of(schema: &str) -> Self {
        Self {
            claim: format!(
                "SELECT c.upstream, c.fetch_url, c.claim_token, ARRAY(
                     SELECT substr(t.tracked_ref::text, 5) FROM {schema}.plugin_targets AS t
                     WHERE t.upstream = c.upstream AND t.tracked_ref LIKE 'ref:refs/%') AS others
                 FROM {schema}.claim_plugin_upstreams($1, $2, make_interval(secs => $3), $4) AS c"
            ),
            observe: format!(
                "SELECT outcome, detail, refs_added, refs_gone, queued, superseded, cancelled
                 FROM {schema}.observe_plugin_upstream(
                     $1, $2, clock_timestamp() - make_interval(secs => $3))"
            ),
            report: format!(
                "SELECT {schema}.report_plugin_upstream_error($1, $2, $3, make_interval(secs => $4))"
            ),
            release: format!("SELECT {schema}.release_plugin_upstream($1, $2)"),
            due: format!(
                "SELECT count(*) FROM {schema}.plugin_upstreams AS u
                 WHERE u.next_check_at <= clock_timestamp()
                   AND (u.leased_until IS NULL OR u.leased_until <= clock_timestamp())"
            ),
            next: format!(
                "SELECT extract(epoch FROM min(greatest(u.next_check_at, u.leased_until)) - clock_timestamp())::float8
                 FROM (SELECT u.next_check_at, u.leased_until FROM {schema}.plugin_upstreams AS u
                       WHERE u.next_check_at < 'infinity' ORDER BY u.next_check_at LIMIT 100) AS u"
            ),
        }
    }
}

/// What the database said, in a line.
#[must_use]
pub fn said(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) => format!("{} ({})", error.message(), code(&**error)),
        sqlx::Error::Configuration(error) => error.to_string(),
        other => crate::failure::shown(&other.to_string()),
    }
}

fn code(error: &dyn sqlx::error::DatabaseError) -> String {
    error.code().unwrap_or_default().into_owned()
}

/// Whether the same may succeed later: the connection is gone, or somebody else was in the way.
#[must_use]
pub fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            let code = code(&**error);
            // Serialization and deadlock; no resources; the operator intervenes; the connection.
            ["40", "53", "57", "08"]
                .iter()
                .any(|class| code.starts_with(class))
        }
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}
