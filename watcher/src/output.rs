//! What the watcher tells: a line of JSON for each event, or a progress bar on a terminal.

use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, SystemTime};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::database::Observation;
use crate::failure::Failure;

const BAR: &str = "{spinner} {pos} of {len} repositories {wide_bar} {msg}";
const SPINNER: &str = "{spinner} {pos} looked at; {msg}";
const TICK: Duration = Duration::from_millis(200);

/// What happened.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event<'a> {
    Started {
        version: &'static str,
        worker: &'a str,
    },
    Observed {
        upstream: &'a str,
        outcome: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<&'a str>,
        refs: usize,
        added: i64,
        gone: i64,
        queued: i64,
        superseded: i64,
        cancelled: i64,
        /// Names that are not UTF-8, which nothing can track.
        #[serde(skip_serializing_if = "is_zero")]
        skipped: usize,
        bytes: u64,
        seconds: f64,
    },
    Failed {
        upstream: &'a str,
        kind: &'static str,
        error: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
        seconds: f64,
    },
    /// A lease was given back, because the watcher stops.
    Released {
        upstream: &'a str,
    },
    /// The lease ended before the answer could be handed in.
    Lost {
        upstream: &'a str,
    },
    Database {
        error: &'a str,
        retry_in: f64,
    },
    Stopping,
    Stopped(Totals),
}

/// How much of what happened.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Totals {
    pub observed: u64,
    pub changed: u64,
    pub failed: u64,
    pub released: u64,
    pub lost: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    at: String,
    #[serde(flatten)]
    event: &'a Event<'a>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl<'a> Event<'a> {
    #[must_use]
    pub fn observed(
        upstream: &'a str,
        (refs, skipped): (usize, usize),
        observation: &'a Observation,
        bytes: u64,
        took: Duration,
    ) -> Self {
        Self::Observed {
            upstream,
            outcome: &observation.outcome,
            detail: observation.detail.as_deref(),
            refs,
            added: observation.refs_added,
            gone: observation.refs_gone,
            queued: observation.queued,
            superseded: observation.superseded,
            cancelled: observation.cancelled,
            skipped,
            bytes,
            seconds: rounded(took),
        }
    }

    #[must_use]
    pub fn failed(upstream: &'a str, failure: &'a Failure, took: Duration) -> Self {
        Self::Failed {
            upstream,
            kind: failure.kind.name(),
            error: &failure.text,
            retry_after: failure.retry_after.map(|wait| wait.as_secs()),
            seconds: rounded(took),
        }
    }

    /// What a person at a terminal wants to keep of it.
    fn words(&self) -> Option<String> {
        match self {
            Self::Observed {
                upstream,
                outcome,
                detail,
                added,
                gone,
                queued,
                ..
            } => match *outcome {
                "changed" => Some(format!(
                    "{upstream}: {added} refs new, {gone} gone, {queued} updates queued"
                )),
                "refused" => Some(format!(
                    "{upstream}: refused: {}",
                    detail.unwrap_or_default()
                )),
                _ => None,
            },
            Self::Failed {
                upstream, error, ..
            } => Some(format!("{upstream}: {error}")),
            Self::Lost { upstream } => Some(format!("{upstream}: came too late")),
            Self::Database { error, retry_in } => {
                Some(format!("database: {error}; again in {retry_in} s"))
            }
            Self::Stopping => Some("stopping: leases are given back".to_owned()),
            Self::Started { .. } | Self::Released { .. } | Self::Stopped(_) => None,
        }
    }
}

/// Milliseconds are enough.
fn rounded(took: Duration) -> f64 {
    (took.as_secs_f64() * 1000.0).round() / 1000.0
}

pub enum Output {
    Json,
    Terminal(ProgressBar),
}

impl Output {
    /// By what standard output is. `all`: how many repositories there are to look at, where that is
    /// known.
    #[must_use]
    pub fn new(json: bool, all: Option<u64>) -> Self {
        if json || !stdout().is_terminal() {
            return Self::Json;
        }
        let (bar, style) = match all {
            Some(all) => (ProgressBar::new(all), BAR),
            None => (ProgressBar::new_spinner(), SPINNER),
        };
        bar.set_draw_target(ProgressDrawTarget::stdout());
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        Self::Terminal(bar)
    }

    pub fn tell(&self, event: &Event<'_>) {
        match self {
            Self::Json => write_line(event),
            Self::Terminal(bar) => show(bar, event),
        }
    }

    pub fn totals(&self, totals: &Totals) {
        if let Self::Terminal(bar) = self {
            bar.set_position(totals.observed + totals.failed);
            bar.set_message(format!(
                "{} changed, {} failed",
                totals.changed, totals.failed
            ));
        }
    }
}

fn write_line(event: &Event<'_>) {
    let at = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    if let Ok(line) = serde_json::to_string(&Line { at, event }) {
        // Whoever has closed the output does not want to know.
        let _ = writeln!(stdout(), "{line}");
    }
}

fn show(bar: &ProgressBar, event: &Event<'_>) {
    if let Some(words) = event.words() {
        bar.println(words);
    }
    if let Event::Stopped(totals) = event {
        bar.finish_and_clear();
        let Totals {
            observed,
            changed,
            failed,
            ..
        } = totals;
        println!("{observed} looked at, {changed} changed, {failed} failed");
    }
}
