//! Takes what is due, asks, and hands in: many repositories at the same time, none twice.

use std::rc::Rc;
use std::time::Duration;

use rand::RngExt;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::database::{Claim, Database, is_passing, said};
use crate::failure::{Failure, Kind};
use crate::git::{Answer, Ask, Git};
use crate::group::{Groups, Held};
use crate::location::locate;
use crate::metrics;
use crate::output::{Event, Output, Totals};

const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(30);
const SHORTEST_REST: Duration = Duration::from_millis(50);

/// When to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Until {
    /// Nothing is due any more.
    Seen,
    Stopped,
}

/// What all that run share.
struct Shared {
    config: Config,
    database: Database,
    git: Git,
    output: Output,
    stop: CancellationToken,
}

/// How one repository ended.
struct Ended {
    upstream: String,
    result: Result<Success, Failure>,
}

enum Success {
    Changed,
    Unchanged,
    /// The database did not believe the answer.
    Refused,
    Released,
    Lost,
}

pub struct Watcher {
    shared: Rc<Shared>,
    name: String,
    until: Until,
    groups: Groups,
    running: JoinSet<Ended>,
    totals: Totals,
    /// When the database is asked again what is due.
    next_claim: Instant,
    /// Nothing was left when it was last asked, but for hosts that had no place.
    is_exhausted: bool,
    failed_claims: u32,
}

impl Watcher {
    #[must_use]
    pub fn new(
        config: Config,
        database: Database,
        git: Git,
        output: Output,
        stop: CancellationToken,
        name: String,
        until: Until,
    ) -> Self {
        Self {
            groups: Groups::new(config.per_host),
            shared: Rc::new(Shared {
                config,
                database,
                git,
                output,
                stop,
            }),
            name,
            until,
            running: JoinSet::new(),
            totals: Totals::default(),
            next_claim: Instant::now(),
            is_exhausted: false,
            failed_claims: 0,
        }
    }

    /// Runs to its end. Has to be in a [`tokio::task::LocalSet`].
    ///
    /// # Errors
    /// The database cannot be asked, and nobody would wait for it.
    pub async fn run(mut self) -> Result<Totals, sqlx::Error> {
        self.tell(&Event::Started {
            version: env!("CARGO_PKG_VERSION"),
            worker: &self.name,
        });
        let ended = self.work().await;
        self.shut_down().await;
        self.tell(&Event::Stopped(self.totals));
        ended.map(|()| self.totals)
    }

    async fn work(&mut self) -> Result<(), sqlx::Error> {
        let stop = self.shared.stop.clone();
        while !stop.is_cancelled() {
            self.release_late().await;
            self.start();
            if self.wants_more() && Instant::now() >= self.next_claim {
                self.claim().await?;
                continue;
            }
            let is_idle = self.running.is_empty() && self.groups.waiting() == 0;
            if is_idle && self.is_exhausted && self.until == Until::Seen {
                return Ok(());
            }
            tokio::select! {
                () = stop.cancelled() => {}
                Some(ended) = self.running.join_next() => self.ended(ended),
                () = sleep_until(self.next_claim), if self.wants_more() => {}
            }
        }
        self.tell(&Event::Stopping);
        Ok(())
    }

    /// Twice as many as are asked at a time are held, so that none has to wait for the database; and
    /// it is not asked for every single one. Those that wait for a place of their host do not count:
    /// else a slow host would take the place of others.
    fn missing(&self) -> usize {
        let held = self.groups.running() + self.groups.ready(Instant::now());
        (2 * self.shared.config.concurrency).saturating_sub(held)
    }

    fn wants_more(&self) -> bool {
        2 * self.missing() >= self.shared.config.concurrency
    }

    async fn claim(&mut self) -> Result<(), sqlx::Error> {
        let now = Instant::now();
        let Shared {
            config, database, ..
        } = &*self.shared;
        let missing = self.missing();
        let skip = self.groups.full(now);
        let claims = database
            .claim(&self.name, missing, config.lease, &skip)
            .await;
        match claims {
            Ok(claims) => {
                self.failed_claims = 0;
                self.is_exhausted = claims.len() < missing;
                for claim in claims {
                    let until = now + config.lease;
                    self.groups.add(Held { claim, until });
                }
                if self.is_exhausted {
                    self.next_claim = Instant::now() + self.rest(skip.is_empty()).await;
                }
                Ok(())
            }
            Err(error) if self.until == Until::Seen => Err(error),
            Err(error) => {
                let delay = delay(self.failed_claims);
                self.failed_claims += 1;
                self.next_claim = Instant::now() + delay;
                self.shared.database_error(&error, delay);
                Ok(())
            }
        }
    }

    /// Until something is due, but no longer than until somebody may have made it so. What is due
    /// already, but has no place, is not waited for: its host tells when there is one.
    async fn rest(&self, has_all_hosts: bool) -> Duration {
        let Shared {
            config, database, ..
        } = &*self.shared;
        let poll = config.poll.mul_f64(rand::rng().random_range(0.8..1.0));
        if self.until == Until::Seen || !has_all_hosts {
            return poll;
        }
        // Where it cannot be asked, the next claim tells.
        let next = database.next_due().await.ok().flatten();
        next.map_or(poll, |next| next.min(poll)).max(SHORTEST_REST)
    }

    fn start(&mut self) {
        let free = self.shared.config.concurrency - self.groups.running();
        for held in self.groups.take(free, Instant::now()) {
            let shared = Rc::clone(&self.shared);
            self.running.spawn_local(async move {
                let upstream = held.claim.upstream.clone();
                let result = shared.look(&held).await;
                Ended { upstream, result }
            });
        }
        metrics::running(self.groups.running());
    }

    fn ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        // Nothing is aborted, and a panic is to be seen.
        let Ended { upstream, result } = ended.expect("a task that ends");
        let now = Instant::now();
        let pause = match &result {
            Err(failure) => failure.retry_after.map(|wait| now + wait),
            Ok(_) => None,
        };
        self.groups.ended(&upstream, pause);
        if self.is_exhausted && !self.groups.is_full(&upstream, now) {
            // What was left out for its sake may have a place now.
            self.next_claim = self.next_claim.min(now);
        }
        self.count(&result);
    }

    fn count(&mut self, result: &Result<Success, Failure>) {
        let totals = &mut self.totals;
        match result {
            Ok(Success::Changed) => {
                totals.observed += 1;
                totals.changed += 1;
            }
            Ok(Success::Unchanged) => totals.observed += 1,
            Ok(Success::Released) => totals.released += 1,
            Ok(Success::Lost) => totals.lost += 1,
            Ok(Success::Refused) | Err(_) => totals.failed += 1,
        }
        self.shared.output.totals(totals);
    }

    /// What cannot be asked within its lease is left to others.
    async fn release_late(&mut self) {
        let now = Instant::now();
        let needed = self.shared.config.needed_lease();
        for held in self.groups.give_up(now, |held| held.until < now + needed) {
            self.totals.released += u64::from(self.shared.release(&held.claim).await);
        }
    }

    async fn shut_down(&mut self) {
        self.shared.stop.cancel();
        for held in self.groups.give_up(Instant::now(), |_| true) {
            let is_released = self.shared.release(&held.claim).await;
            self.totals.released += u64::from(is_released);
            // Without a database there is no use in trying the others: their leases end by themselves.
            if !is_released {
                break;
            }
        }
        while let Some(ended) = self.running.join_next().await {
            self.ended(ended);
        }
    }

    fn tell(&self, event: &Event<'_>) {
        self.shared.output.tell(event);
    }
}

impl Shared {
    async fn look(&self, held: &Held) -> Result<Success, Failure> {
        let began = Instant::now();
        let answer = tokio::select! {
            answer = self.ask(&held.claim) => answer,
            () = self.stop.cancelled() => {
                let is_released = self.release(&held.claim).await;
                return Ok(if is_released { Success::Released } else { Success::Lost });
            }
        };
        match answer {
            Ok((answer, ask)) => self.hand_in(held, &answer, &ask, began).await,
            Err(failure) => self.report(held, failure, began).await,
        }
    }

    async fn ask(&self, claim: &Claim) -> Result<(Answer, Rc<Ask>), Failure> {
        let began = Instant::now();
        let url = locate(&claim.fetch_url, &self.config.sources)?;
        let ask = self.git.ask(url, claim.others.clone());
        let answer = self.git.list(&ask).await;
        metrics::asked(ask.requests.get(), ask.received.get(), began.elapsed());
        Ok((answer?, ask))
    }

    async fn hand_in(
        &self,
        held: &Held,
        answer: &Answer,
        ask: &Ask,
        began: Instant,
    ) -> Result<Success, Failure> {
        let upstream = held.claim.upstream.as_str();
        let handed_in = self
            .insist(held, async || {
                let age = || began.elapsed();
                self.database.observe(upstream, &answer.refs, age).await
            })
            .await;
        let observation = match handed_in {
            Ok(Some(observation)) => observation,
            Ok(None) => return Ok(self.lost(upstream)),
            Err(error) => {
                let text = format!("the database does not take the answer: {}", said(&error));
                return self
                    .report(held, Failure::new(Kind::Refused, text), began)
                    .await;
            }
        };
        metrics::observed(&observation.outcome);
        let refs = (answer.refs.len(), answer.skipped);
        self.output.tell(&Event::observed(
            upstream,
            refs,
            &observation,
            ask.received.get(),
            began.elapsed(),
        ));
        Ok(match observation.outcome.as_str() {
            "changed" => Success::Changed,
            "refused" => Success::Refused,
            _ => Success::Unchanged,
        })
    }

    async fn report(
        &self,
        held: &Held,
        failure: Failure,
        began: Instant,
    ) -> Result<Success, Failure> {
        let claim = &held.claim;
        let reported = self
            .insist(held, || {
                self.database
                    .report(claim, &failure.text, failure.retry_after)
            })
            .await;
        match reported {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(self.lost(&claim.upstream)),
            Err(error) => self.database_error(&error, Duration::ZERO),
        }
        metrics::failed(failure.kind);
        let took = began.elapsed();
        self.output
            .tell(&Event::failed(&claim.upstream, &failure, took));
        Err(failure)
    }

    /// Runs a statement until it succeeds, fails for good, or its lease has ended: then nothing.
    async fn insist<T>(
        &self,
        held: &Held,
        run: impl AsyncFn() -> Result<T, sqlx::Error>,
    ) -> Result<Option<T>, sqlx::Error> {
        for failures in 0.. {
            match run().await {
                Ok(done) => return Ok(Some(done)),
                Err(error) if is_passing(&error) => {
                    let delay = delay(failures);
                    self.database_error(&error, delay);
                    if self.stop.is_cancelled() || Instant::now() + delay >= held.until {
                        break;
                    }
                    sleep(delay).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Gives a lease back; whether the database could be told.
    async fn release(&self, claim: &Claim) -> bool {
        let upstream = claim.upstream.as_str();
        let released = self.database.release(claim).await;
        match &released {
            Ok(_) => self.output.tell(&Event::Released { upstream }),
            Err(error) => self.database_error(error, Duration::ZERO),
        }
        released.is_ok()
    }

    fn lost(&self, upstream: &str) -> Success {
        self.output.tell(&Event::Lost { upstream });
        Success::Lost
    }

    fn database_error(&self, error: &sqlx::Error, delay: Duration) {
        metrics::database_error();
        self.output.tell(&Event::Database {
            error: &said(error),
            retry_in: delay.as_secs_f64(),
        });
    }
}

/// Longer with each failure, and with some chance, so that not all come back at the same time.
#[must_use]
pub fn delay(failures: u32) -> Duration {
    let delay = FIRST_DELAY
        .saturating_mul(1 << failures.min(10))
        .min(LONGEST_DELAY);
    delay.mul_f64(rand::rng().random_range(0.5..1.0))
}
