//! `git://`: a socket.

use std::net::SocketAddr;
use std::rc::Rc;

use gix_protocol::handshake::Ref;
use gix_transport::client::git::ConnectMode;
use tokio::net::TcpStream;
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use super::meter::Meter;
use super::{Ask, wire};
use crate::failure::{Failure, Kind};
use crate::network::Policy;

const PORT: u16 = 9418;

pub async fn list(ask: &Rc<Ask>, policy: &Policy) -> Result<Vec<Ref>, Failure> {
    let no_host = || Failure::new(Kind::Source, "the URL has no host");
    let host = ask.url.host().ok_or_else(no_host)?;
    let port = ask.url.port.unwrap_or(PORT);
    ask.stage(format!("looking up {host}"));
    let addresses = policy.resolve(host, port).await?;
    ask.stage(format!("connecting to {host}"));
    let socket = connect(host, &addresses).await?;
    ask.count_request();
    let (read, write) = socket.into_split();
    wire::converse(
        Meter::new(read.compat(), ask),
        write.compat_write(),
        ConnectMode::Daemon,
        Some((host.to_owned(), ask.url.port)),
        ask,
    )
    .await
}

async fn connect(host: &str, addresses: &[SocketAddr]) -> Result<TcpStream, Failure> {
    TcpStream::connect(addresses)
        .await
        .map_err(|error| Failure::new(Kind::Connect, format!("no connection to {host}: {error}")))
}
