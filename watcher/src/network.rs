//! Which schemes and addresses may be reached, and names that become addresses.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::config;
use crate::failure::{Failure, Kind};

/// How something is asked that an operator may leave out.
const SCHEMES: [&str; 5] = ["https", "http", "ssh", "git", "file"];

/// What a daemon keeps away from unless it is told otherwise: this machine, and what is next to it,
/// which is where clouds keep their credentials.
const LOCAL: [&str; 10] = [
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "fe80::/10",
    "ff00::/8",
    "fd00:ec2::254/128",
];

/// Whose default counts where the operator set nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Nobody looks, and who records installs is not who runs it.
    Daemon,
    /// Somebody runs it by hand.
    ByHand,
}

#[must_use]
pub fn daemon_schemes() -> Vec<String> {
    let but_files = SCHEMES.iter().filter(|scheme| **scheme != "file");
    but_files.map(ToString::to_string).collect()
}

/// # Panics
/// Never: they are written above.
#[must_use]
pub fn local_addresses() -> Vec<IpNet> {
    LOCAL.map(|net| net.parse().expect("a network")).to_vec()
}

#[derive(Clone, Debug)]
pub struct Policy {
    schemes: Vec<String>,
    deny: Vec<IpNet>,
    allow: Vec<IpNet>,
}

impl Policy {
    #[must_use]
    pub fn new(network: &config::Network, mode: Mode) -> Self {
        let (schemes, deny) = match mode {
            Mode::Daemon => (daemon_schemes(), local_addresses()),
            Mode::ByHand => (SCHEMES.map(str::to_owned).to_vec(), Vec::new()),
        };
        Self {
            schemes: network.schemes.clone().unwrap_or(schemes),
            deny: network.deny.clone().unwrap_or(deny),
            allow: network.allow.clone(),
        }
    }

    /// # Errors
    /// [`Kind::Denied`]
    pub fn check_scheme(&self, scheme: &str) -> Result<(), Failure> {
        if self.schemes.iter().any(|allowed| allowed == scheme) {
            return Ok(());
        }
        let text = format!("{scheme}:// is denied: it is not in network.schemes");
        Err(Failure::new(Kind::Denied, text))
    }

    #[must_use]
    pub fn denies_any(&self) -> bool {
        !self.deny.is_empty()
    }

    /// # Errors
    /// [`Kind::Denied`]
    pub fn check_address(&self, host: &str, address: IpAddr) -> Result<(), Failure> {
        // ::ffff:127.0.0.1 is 127.0.0.1.
        let address = address.to_canonical();
        let is_in = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&address));
        if !is_in(&self.deny) || is_in(&self.allow) {
            return Ok(());
        }
        let text = format!("{host} is at a denied address, {address}: see network.deny");
        Err(Failure::new(Kind::Denied, text))
    }

    /// The addresses of a host. All of them have to be allowed: else it would depend on chance
    /// which is reached.
    ///
    /// # Errors
    /// [`Kind::Dns`], [`Kind::Denied`]
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        let found = tokio::net::lookup_host((without_brackets(host), port)).await;
        let addresses: Vec<_> = found.map_err(|error| unknown_host(host, &error))?.collect();
        for address in &addresses {
            self.check_address(host, address.ip())?;
        }
        Ok(addresses)
    }
}

/// An IPv6 address as it stands alone, not in a URL; any other host as it is.
#[must_use]
pub fn without_brackets(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn unknown_host(host: &str, error: &std::io::Error) -> Failure {
    let text = error.to_string();
    let text = text.trim_start_matches("failed to lookup address information: ");
    Failure::new(
        Kind::Dns,
        format!("the name {host} could not be looked up: {text}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(policy: &Policy, address: &str) -> bool {
        policy.check_address("x", address.parse().unwrap()).is_err()
    }

    #[test]
    fn a_daemon_keeps_away_from_its_own_machine() {
        let policy = Policy::new(&config::Network::default(), Mode::Daemon);
        for address in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
            "169.254.169.254",
            "fe80::1",
            "0.0.0.0",
            "::",
            "fd00:ec2::254",
        ] {
            assert!(denied(&policy, address), "{address}");
        }
        for address in [
            "10.0.0.1",
            "192.168.1.1",
            "1.1.1.1",
            "2606:4700::1111",
            "fd00::1",
        ] {
            assert!(!denied(&policy, address), "{address}");
        }
        assert!(policy.check_scheme("file").is_err());
        assert!(policy.check_scheme("ssh").is_ok());
    }

    #[test]
    fn what_is_allowed_counts_more_than_what_is_denied() {
        let network = config::Network {
            deny: Some(vec!["10.0.0.0/8".parse().unwrap()]),
            allow: vec!["10.1.0.0/16".parse().unwrap()],
            ..config::Network::default()
        };
        let policy = Policy::new(&network, Mode::Daemon);
        assert!(denied(&policy, "10.2.0.1"));
        assert!(!denied(&policy, "10.1.0.1"));
        assert!(
            !denied(&policy, "127.0.0.1"),
            "the operator's list is the list"
        );
    }

    #[test]
    fn by_hand_everything_is_reached() {
        let policy = Policy::new(&config::Network::default(), Mode::ByHand);
        assert!(!denied(&policy, "127.0.0.1"));
        assert!(policy.check_scheme("file").is_ok());
        assert!(policy.check_scheme("ftp").is_err());
    }
}
