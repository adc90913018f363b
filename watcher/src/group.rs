//! Repositories of one host, of which only some are asked at a time.

use std::collections::{HashMap, VecDeque};

use tokio::time::Instant;

use crate::database::Claim;

/// A claimed repository, and when its lease ends.
pub struct Held {
    pub claim: Claim,
    pub until: Instant,
}

#[derive(Default)]
struct Group {
    running: usize,
    waiting: VecDeque<Held>,
    /// Its host asked to be left alone.
    paused_until: Option<Instant>,
}

/// All hosts.
pub struct Groups {
    by_host: HashMap<String, Group>,
    per_host: usize,
    running: usize,
    waiting: usize,
}

/// The start of an identity that says whose server it is: `host/`, `gitea:` or `file:`.
#[must_use]
pub fn group_of(upstream: &str) -> &str {
    for local in ["gitea:", "file:"] {
        if upstream.starts_with(local) {
            return local;
        }
    }
    upstream.split_inclusive('/').next().unwrap_or(upstream)
}

impl Groups {
    #[must_use]
    pub fn new(per_host: usize) -> Self {
        Self {
            by_host: HashMap::new(),
            per_host,
            running: 0,
            waiting: 0,
        }
    }

    #[must_use]
    pub fn running(&self) -> usize {
        self.running
    }

    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    pub fn add(&mut self, held: Held) {
        let group = group_of(&held.claim.upstream).to_owned();
        self.by_host
            .entry(group)
            .or_default()
            .waiting
            .push_back(held);
        self.waiting += 1;
    }

    /// Takes what may be asked now, up to `most`.
    pub fn take(&mut self, most: usize, now: Instant) -> Vec<Held> {
        let mut taken = Vec::new();
        // In turns, so that no host waits for another.
        let mut found = true;
        while found && taken.len() < most {
            found = false;
            for group in self.by_host.values_mut() {
                if taken.len() == most || group.running >= self.per_host || group.is_paused(now) {
                    continue;
                }
                if let Some(held) = group.waiting.pop_front() {
                    group.running += 1;
                    self.running += 1;
                    self.waiting -= 1;
                    taken.push(held);
                    found = true;
                }
            }
        }
        taken
    }

    /// One of a host has ended, which may have asked to be left alone.
    pub fn ended(&mut self, upstream: &str, paused_until: Option<Instant>) {
        self.running -= 1;
        let name = group_of(upstream);
        if let Some(group) = self.by_host.get_mut(name) {
            group.running -= 1;
            group.paused_until = group.paused_until.max(paused_until);
            if group.running == 0 && group.waiting.is_empty() && group.paused_until.is_none() {
                self.by_host.remove(name);
            }
        }
    }

    /// How many of those that wait have a place of their host.
    #[must_use]
    pub fn ready(&self, now: Instant) -> usize {
        let groups = self.by_host.values().filter(|group| !group.is_paused(now));
        let ready = groups.map(|group| {
            let places = self.per_host.saturating_sub(group.running);
            group.waiting.len().min(places)
        });
        ready.sum()
    }

    /// Whether no more of a host are to be claimed.
    #[must_use]
    pub fn is_full(&self, upstream: &str, now: Instant) -> bool {
        let group = self.by_host.get(group_of(upstream));
        group.is_some_and(|group| self.has_enough(group, now))
    }

    fn has_enough(&self, group: &Group, now: Instant) -> bool {
        !group.waiting.is_empty() || group.running >= self.per_host || group.is_paused(now)
    }

    /// Those of which no more are to be claimed.
    #[must_use]
    pub fn full(&self, now: Instant) -> Vec<String> {
        let full = self
            .by_host
            .iter()
            .filter(|(_, group)| self.has_enough(group, now));
        full.map(|(name, _)| name.clone()).collect()
    }

    /// Gives up what waits and may not be asked in time.
    pub fn give_up(&mut self, now: Instant, is_late: impl Fn(&Held) -> bool) -> Vec<Held> {
        let mut late = Vec::new();
        for group in self.by_host.values_mut() {
            let is_paused = group.is_paused(now);
            if !is_paused {
                group.paused_until = None;
            }
            let (given_up, kept) = group
                .waiting
                .drain(..)
                .partition(|held| is_paused || is_late(held));
            group.waiting = kept;
            let given_up: VecDeque<Held> = given_up;
            late.extend(given_up);
        }
        self.waiting -= late.len();
        self.by_host.retain(|_, group| !group.is_idle());
        late
    }
}

impl Group {
    fn is_paused(&self, now: Instant) -> bool {
        self.paused_until.is_some_and(|until| now < until)
    }

    fn is_idle(&self) -> bool {
        self.running == 0 && self.waiting.is_empty() && self.paused_until.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;

    fn held(upstream: &str) -> Held {
        Held {
            claim: Claim {
                upstream: upstream.to_owned(),
                fetch_url: String::new(),
                claim_token: Uuid::nil(),
                others: Vec::new(),
            },
            until: Instant::now(),
        }
    }

    fn names(held: &[Held]) -> Vec<&str> {
        let mut names: Vec<_> = held
            .iter()
            .map(|held| held.claim.upstream.as_str())
            .collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn the_host_makes_the_group() {
        assert_eq!(group_of("github.com/o/r"), "github.com/");
        assert_eq!(group_of("host:8080/o/r"), "host:8080/");
        assert_eq!(group_of("gitea:o/r"), "gitea:");
        assert_eq!(group_of("file:/srv/r"), "file:");
    }

    #[test]
    fn one_host_does_not_take_the_place_of_others() {
        let now = Instant::now();
        let mut groups = Groups::new(2);
        for upstream in ["a/1", "a/2", "a/3", "b/1"] {
            groups.add(held(upstream));
        }
        assert_eq!(names(&groups.take(2, now)), ["a/1", "b/1"]);
        assert_eq!(names(&groups.take(9, now)), ["a/2"]);
        assert_eq!(groups.full(now), ["a/"]);
        assert!(groups.is_full("a/9", now) && !groups.is_full("b/9", now));
        assert_eq!(groups.ready(now), 0);
        groups.ended("a/1", None);
        assert_eq!(groups.ready(now), 1);
        assert_eq!(names(&groups.take(9, now)), ["a/3"]);
        assert_eq!((groups.running(), groups.waiting()), (3, 0));
    }

    #[test]
    fn a_host_that_asked_for_it_is_left_alone() {
        let now = Instant::now();
        let later = now + Duration::from_mins(1);
        let mut groups = Groups::new(1);
        groups.add(held("a/1"));
        groups.add(held("a/2"));
        groups.add(held("b/1"));
        assert_eq!(groups.take(9, now).len(), 2);
        groups.ended("a/1", Some(later));
        assert!(groups.take(9, now).is_empty());
        assert_eq!(names(&groups.give_up(now, |_| false)), ["a/2"]);
        let mut full = groups.full(now);
        full.sort_unstable();
        assert_eq!(full, ["a/", "b/"]);
        assert!(groups.give_up(later, |_| false).is_empty());
        assert_eq!(groups.full(later), ["b/"]);
    }
}
