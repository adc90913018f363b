//! What an operator may set, in a small TOML file.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

/// How much longer than a deadline a lease has to be, for what the database does meanwhile.
const LEASE_MARGIN: Duration = Duration::from_secs(10);
/// Of that, what has to be left when a repository is asked.
const HAND_IN: Duration = Duration::from_secs(2);

/// More at the same time than any machine has connections for.
const MOST: usize = 10_000;
const LONGEST: Duration = Duration::from_hours(24);

/// The example file, in which every default is written: a test holds it equal.
pub const EXAMPLE: &str = include_str!("../workspace-plugins-watch.toml");

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Repositories that are asked at the same time.
    pub concurrency: usize,
    /// Of them, those of one host.
    pub per_host: usize,
    /// For one repository, all in all.
    #[serde(with = "humantime_serde")]
    pub deadline: Duration,
    /// For which the database leaves a repository to this watcher.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    /// How often the database is asked what is due, at least.
    #[serde(with = "humantime_serde")]
    pub poll: Duration,
    /// Bytes that one repository may answer.
    pub max_bytes: u64,
    pub sources: Sources,
    pub network: Network,
}

/// Where sources are that do not say it themselves.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sources {
    pub github: String,
    pub gitea: Option<String>,
    /// The start of a URL, and what stands in its place; the longest that fits counts.
    pub rewrite: BTreeMap<String, String>,
}

/// What may be reached. Where something is not set, the command decides.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    pub schemes: Option<Vec<String>>,
    pub deny: Option<Vec<IpNet>>,
    pub allow: Vec<IpNet>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            concurrency: 32,
            per_host: 8,
            deadline: Duration::from_mins(1),
            lease: Duration::from_mins(5),
            poll: Duration::from_secs(5),
            max_bytes: 64 << 20,
            sources: Sources::default(),
            network: Network::default(),
        }
    }
}

impl Default for Sources {
    fn default() -> Self {
        Self {
            github: "https://github.com/{owner}/{name}.git".to_owned(),
            gitea: None,
            rewrite: BTreeMap::new(),
        }
    }
}

impl Config {
    /// The defaults, with what a file sets.
    ///
    /// # Errors
    /// The file cannot be read, or something in it is not right.
    pub fn load(path: Option<&Path>) -> Result<Self, String> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        if self.concurrency == 0 || self.per_host == 0 || self.max_bytes == 0 {
            return Err("concurrency, per_host and max_bytes have to be positive".to_owned());
        }
        if self.concurrency.max(self.per_host) > MOST {
            return Err(format!("concurrency and per_host may be at most {MOST}"));
        }
        if self.deadline.is_zero() || self.poll.is_zero() {
            return Err("deadline and poll have to be positive".to_owned());
        }
        if self.lease.max(self.poll) > LONGEST {
            return Err("lease and poll may be at most a day".to_owned());
        }
        if self.lease < self.deadline + LEASE_MARGIN {
            let margin = LEASE_MARGIN.as_secs();
            return Err(format!(
                "lease has to be at least {margin} s longer than deadline"
            ));
        }
        Ok(())
    }

    /// What has to be left of a lease for a repository to be asked.
    #[must_use]
    pub fn needed_lease(&self) -> Duration {
        self.deadline + HAND_IN
    }
}

impl Sources {
    #[must_use]
    pub fn template(&self, scheme: &str) -> Option<&str> {
        match scheme {
            "github" => Some(&self.github),
            _ => self.gitea.as_deref(),
        }
    }

    #[must_use]
    pub fn rewritten(&self, url: &str) -> String {
        let fits = self
            .rewrite
            .iter()
            .filter(|(start, _)| url.starts_with(*start));
        match fits.max_by_key(|(start, _)| start.len()) {
            Some((start, place)) => format!("{place}{}", &url[start.len()..]),
            None => url.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_holds_the_defaults() {
        let mut config = Config::parse(EXAMPLE).unwrap();
        // There they are of the daemon.
        assert_eq!(
            config.network.schemes,
            Some(crate::network::daemon_schemes())
        );
        assert_eq!(config.network.deny, Some(crate::network::local_addresses()));
        config.network = Network::default();
        assert_eq!(config, Config::default());
    }

    #[test]
    fn what_is_not_right_is_refused() {
        for (text, error) in [
            (
                "concurrency = 0",
                "concurrency, per_host and max_bytes have to be positive",
            ),
            (
                "deadline = '5m'",
                "lease has to be at least 10 s longer than deadline",
            ),
            ("poll = '0s'", "deadline and poll have to be positive"),
            ("lease = '2 days'", "lease and poll may be at most a day"),
            (
                "per_host = 10001",
                "concurrency and per_host may be at most 10000",
            ),
        ] {
            assert_eq!(Config::parse(text).unwrap_err(), error);
        }
        let unknown = Config::parse("speed = 1").unwrap_err();
        assert!(unknown.contains("unknown field `speed`"), "{unknown}");
    }
}
