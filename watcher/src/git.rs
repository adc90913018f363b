//! Asking a repository for its refs, by whatever way its URL says.
//!
//! | file | what is in it |
//! |---|---|
//! | `wire` | the protocol, version 2 and before, on gitoxide |
//! | `meter` | the limit on bytes, and their count |
//! | `daemon` | `git://` |
//! | `http` | `https://` and `http://`, with redirects and passwords |
//! | `credentials` | git's credential helpers |
//! | `program` | `ssh://` and `file://`, by the programs of this machine |

mod credentials;
mod daemon;
mod http;
mod meter;
mod program;
mod wire;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use gix_url::{Scheme, Url};
use tokio::time::{Instant, timeout_at};

use crate::config::Config;
use crate::failure::{Failure, Kind};
use crate::network::Policy;

/// What is asked for, besides what an install names in full.
const PREFIXES: [&str; 2] = ["refs/heads/", "refs/tags/"];

/// Full refs, and the commit of each: of an annotated tag the one behind it.
pub type Refs = BTreeMap<String, String>;

/// What a repository answered, and what it took.
pub struct Answer {
    pub refs: Refs,
    /// Refs whose names are not UTF-8, which nothing can track.
    pub skipped: usize,
}

/// One repository that is being asked.
pub struct Ask {
    pub url: Url,
    prefixes: Vec<String>,
    limit: u64,
    /// Bytes that came, and what was sent for them, of all attempts.
    pub received: Cell<u64>,
    pub requests: Cell<u64>,
    /// What is being waited for, in words.
    stage: RefCell<String>,
}

impl Ask {
    fn stage(&self, stage: impl Into<String>) {
        *self.stage.borrow_mut() = stage.into();
    }

    fn count_request(&self) {
        self.requests.set(self.requests.get() + 1);
    }
}

/// Asks repositories.
pub struct Git {
    policy: Policy,
    deadline: Duration,
    max_bytes: u64,
    http: http::Http,
}

impl Git {
    /// # Errors
    /// The machine's certificates cannot be read.
    pub fn new(config: &Config, policy: Policy) -> Result<Self, String> {
        Ok(Self {
            http: http::Http::new(policy.clone(), config.per_host)?,
            policy,
            deadline: config.deadline,
            max_bytes: config.max_bytes,
        })
    }

    /// `others`: full refs that are wanted besides branches and tags.
    #[must_use]
    pub fn ask(&self, url: Url, others: Vec<String>) -> Rc<Ask> {
        let mut prefixes = PREFIXES.map(str::to_owned).to_vec();
        prefixes.extend(others);
        Rc::new(Ask {
            url,
            prefixes,
            limit: self.max_bytes,
            received: Cell::default(),
            requests: Cell::default(),
            stage: RefCell::default(),
        })
    }

    /// The branches and tags of a repository. A dropped connection is tried once more.
    ///
    /// # Errors
    /// [`Failure`], at the latest when the deadline is over.
    pub async fn list(&self, ask: &Rc<Ask>) -> Result<Answer, Failure> {
        let until = Instant::now() + self.deadline;
        let first = self.list_until(ask, until).await;
        match first {
            Err(failure) if failure.is_passing() => self.list_until(ask, until).await,
            first => first,
        }
    }

    async fn list_until(&self, ask: &Rc<Ask>, until: Instant) -> Result<Answer, Failure> {
        let Ok(listed) = timeout_at(until, self.list_by_scheme(ask)).await else {
            let seconds = self.deadline.as_secs_f64();
            let stage = ask.stage.borrow();
            let text = format!("no answer within {seconds} s, while {stage}");
            return Err(Failure::new(Kind::Deadline, text));
        };
        Ok(wire::answer(listed?, &ask.prefixes))
    }

    async fn list_by_scheme(
        &self,
        ask: &Rc<Ask>,
    ) -> Result<Vec<gix_protocol::handshake::Ref>, Failure> {
        let scheme = ask.url.scheme.as_str();
        self.policy.check_scheme(scheme)?;
        match ask.url.scheme {
            Scheme::Https | Scheme::Http => self.http.list(ask).await,
            Scheme::Git => daemon::list(ask, &self.policy).await,
            Scheme::Ssh => program::list_by_ssh(ask, &self.policy).await,
            Scheme::File => program::list_folder(ask).await,
            _ => Err(Failure::new(
                Kind::Source,
                format!("{scheme}:// is not known"),
            )),
        }
    }
}
