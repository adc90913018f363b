//! `https://` and `http://`: git's smart protocol, one request for the greeting and one for the refs.

use std::cell::RefCell;
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use futures_util::io::{AsyncRead, AsyncReadExt, AsyncWrite, Cursor};
use futures_util::{TryStreamExt, stream};
use gix_protocol::handshake::Ref;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{self, HeaderMap};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url, redirect};

use super::credentials::{self, Login};
use super::meter::Meter;
use super::{Ask, wire};
use crate::failure::{DROPPED, Failure, Kind, causes, shown};
use crate::network::{Policy, without_brackets};

const REDIRECTS: usize = 5;
const GREETING: &str = "/info/refs?service=git-upload-pack";
const GREETING_TYPE: &str = "application/x-git-upload-pack-advertisement";
const REQUEST_TYPE: &str = "application/x-git-upload-pack-request";
const RESULT_TYPE: &str = "application/x-git-upload-pack-result";
/// Nobody is left alone for longer, as in the database.
const LONGEST_PAUSE: Duration = Duration::from_hours(24);
/// Idle connections are kept for the next repository of the same host.
const IDLE: Duration = Duration::from_mins(1);

pub struct Http {
    client: Client,
    policy: Policy,
}

impl Http {
    pub fn new(policy: Policy, per_host: usize) -> Result<Self, String> {
        let client = Client::builder()
            .user_agent(wire::agent())
            .redirect(redirect::Policy::none())
            .referer(false)
            .pool_max_idle_per_host(per_host)
            .pool_idle_timeout(IDLE)
            .dns_resolver(Arc::new(Resolver(policy.clone())))
            .build()
            .map_err(|error| format!("the HTTP client cannot be set up: {error}"))?;
        Ok(Self { client, policy })
    }

    pub async fn list(&self, ask: &Rc<Ask>) -> Result<Vec<Ref>, Failure> {
        let url = ask.url.to_bstring().to_string();
        let base = Url::parse(url.trim_end_matches('/'))
            .map_err(|error| Failure::new(Kind::Source, format!("not a URL of HTTP: {error}")))?;
        let mut place = Place {
            http: self,
            base,
            login: None,
        };
        let greeting = place.greeting(ask).await?;
        expect_type(&greeting, GREETING_TYPE)?;
        let body = without_announcement(body(greeting, ask)).await?;
        let mut connection = wire::half(body, futures_util::io::sink());
        let mut greeting = wire::greeting(&mut connection).await?;
        read_up(connection.into_inner().0).await?;
        if let Some(refs) = greeting.refs.take() {
            return Ok(refs);
        }
        let request = Request::default();
        let answer = stream::once(place.refs(request.clone(), ask)).try_flatten();
        let answer = Meter::new(Box::pin(answer).into_async_read(), ask);
        let mut connection = wire::half(answer, request);
        let refs = wire::ls_refs(&mut connection, &greeting, ask).await?;
        read_up(connection.into_inner().0).await?;
        Ok(refs)
    }
}

/// Where a repository is, after redirects, and who asks.
struct Place<'a> {
    http: &'a Http,
    base: Url,
    login: Option<Login>,
}

impl Place<'_> {
    /// The answer to the first request: there redirects are followed, and passwords asked for.
    async fn greeting(&mut self, ask: &Ask) -> Result<Response, Failure> {
        for _ in 0..=REDIRECTS {
            let url = self.url(GREETING);
            let response = self.send(self.http.client.get(url), ask).await?;
            let status = response.status();
            if status.is_redirection() {
                self.follow(&response)?;
            } else if status == StatusCode::UNAUTHORIZED && self.login.is_none() {
                self.login = Some(self.log_in(&response, ask).await?);
            } else {
                return self.successful(response);
            }
        }
        Err(Failure::new(
            Kind::Redirect,
            format!("more than {REDIRECTS} redirects"),
        ))
    }

    /// The answer to what was written into `request`, once somebody reads it.
    async fn refs(
        &self,
        request: Request,
        ask: &Rc<Ask>,
    ) -> io::Result<impl futures_util::Stream<Item = io::Result<bytes::Bytes>> + use<>> {
        let post = self
            .http
            .client
            .post(self.url("/git-upload-pack"))
            .header(header::CONTENT_TYPE, REQUEST_TYPE)
            .header(header::ACCEPT, RESULT_TYPE)
            .body(request.take());
        let response = self.successful(self.send(post, ask).await?)?;
        expect_type(&response, RESULT_TYPE)?;
        Ok(chunks(response))
    }

    fn url(&self, rest: &str) -> String {
        format!("{}{rest}", self.base)
    }

    async fn send(&self, request: RequestBuilder, ask: &Ask) -> Result<Response, Failure> {
        // A name is checked where it is looked up, an address has no name.
        let host = self.base.host_str().unwrap_or_default();
        if let Ok(address) = without_brackets(host).parse() {
            self.http.policy.check_address(host, address)?;
        }
        ask.stage(format!("waiting for {host}"));
        let request = request.header("Git-Protocol", "version=2");
        let request = match &self.login {
            Some(login) => request.basic_auth(&login.user, Some(&login.password)),
            None => request,
        };
        ask.count_request();
        request.send().await.map_err(|error| not_sent(host, &error))
    }

    fn follow(&mut self, response: &Response) -> Result<(), Failure> {
        let refused = |text: String| Failure::new(Kind::Redirect, text);
        let location = response.headers().get(header::LOCATION);
        let location = location
            .and_then(|location| location.to_str().ok())
            .and_then(|location| response.url().join(location).ok())
            .ok_or_else(|| refused("a redirect to nowhere".to_owned()))?;
        if !is_same_place(response.url(), &location) {
            let host = shown(location.host_str().unwrap_or_default());
            let scheme = location.scheme();
            return Err(refused(format!(
                "a redirect to {scheme}://{host} is not followed"
            )));
        }
        let base = location.as_str().strip_suffix(GREETING);
        let base = base.and_then(|base| Url::parse(base).ok());
        self.base =
            base.ok_or_else(|| refused("a redirect to what is no repository".to_owned()))?;
        Ok(())
    }

    async fn log_in(&self, response: &Response, ask: &Ask) -> Result<Login, Failure> {
        ask.stage("waiting for git's credential helpers");
        let challenges = response.headers().get_all(header::WWW_AUTHENTICATE).iter();
        let challenges = challenges.filter_map(|challenge| challenge.to_str().ok());
        let challenges = challenges.map(str::to_owned).collect();
        let login = credentials::fill(&self.base, challenges).await?;
        login.ok_or_else(|| {
            let host = self.base.host_str().unwrap_or_default();
            let text =
                format!("{host} asks who is there (401), and git knows no credentials for it");
            Failure::new(Kind::Unauthorized, text)
        })
    }

    fn successful(&self, response: Response) -> Result<Response, Failure> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let (kind, text) = match status {
            StatusCode::UNAUTHORIZED => (Kind::Unauthorized, "it refuses git's credentials"),
            StatusCode::FORBIDDEN => (Kind::Unauthorized, "it forbids this"),
            StatusCode::NOT_FOUND => (
                Kind::Server,
                "there is no such repository, or it may not be seen",
            ),
            StatusCode::TOO_MANY_REQUESTS => (Kind::Server, "it was asked too often"),
            _ => (
                Kind::Server,
                status.canonical_reason().unwrap_or("an error"),
            ),
        };
        let host = self.base.host_str().unwrap_or_default();
        Err(Failure {
            kind,
            text: format!("{host} answered {}: {text}", status.as_u16()),
            retry_after: retry_after(response.headers()),
        })
    }
}

/// The same host, by the same scheme, or by https where it was http.
fn is_same_place(from: &Url, to: &Url) -> bool {
    let is_upgrade = (from.scheme(), to.scheme()) == ("http", "https") && to.port().is_none();
    let is_like =
        from.scheme() == to.scheme() && from.port_or_known_default() == to.port_or_known_default();
    from.host_str() == to.host_str() && (is_upgrade || is_like) && to.username().is_empty()
}

/// `Retry-After`: seconds, or a date; no more than a day, whatever it says.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    let seconds = value.parse().ok().map(Duration::from_secs);
    let wait = seconds.or_else(|| {
        let date = httpdate::parse_http_date(value).ok()?;
        date.duration_since(SystemTime::now()).ok()
    })?;
    Some(wait.min(LONGEST_PAUSE))
}

fn expect_type(response: &Response, expected: &str) -> Result<(), Failure> {
    let found = response.headers().get(header::CONTENT_TYPE);
    let found = found
        .and_then(|found| found.to_str().ok())
        .unwrap_or_default();
    if found
        .split(';')
        .next()
        .is_some_and(|found| found.trim() == expected)
    {
        return Ok(());
    }
    let found = if found.is_empty() { "nothing" } else { found };
    let text = format!("no smart server of git: it answers with {}", shown(found));
    Err(Failure::new(Kind::NotGit, text))
}

fn body(response: Response, ask: &Rc<Ask>) -> Meter<impl AsyncRead + Unpin + use<>> {
    Meter::new(Box::pin(chunks(response)).into_async_read(), ask)
}

fn chunks(response: Response) -> impl futures_util::Stream<Item = io::Result<bytes::Bytes>> {
    let host = response.url().host_str().unwrap_or_default().to_owned();
    response
        .bytes_stream()
        .map_err(move |error| not_sent(&host, &error).into())
}

/// Some servers announce the service first, in a line and a flush of their own; version 2 of the
/// protocol does not ask for it.
async fn without_announcement<R: AsyncRead + Unpin>(
    mut body: R,
) -> Result<impl AsyncRead + Unpin, Failure> {
    let mut start = [0; 4];
    read(&mut body, &mut start).await?;
    let length = std::str::from_utf8(&start).ok();
    let length = length.and_then(|digits| usize::from_str_radix(digits, 16).ok());
    let length = length.filter(|length| (4..=MAX_LINE).contains(length));
    let length = length.ok_or_else(|| {
        Failure::new(
            Kind::NotGit,
            "no answer of git: it does not start with a line of its protocol",
        )
    })?;
    let mut line = start.to_vec();
    line.resize(length, 0);
    read(&mut body, &mut line[4..]).await?;
    if line[4..].starts_with(b"# service=") {
        read(&mut body, &mut start).await?;
        line.clear();
    }
    Ok(Cursor::new(line).chain(body))
}

/// The longest line of git's protocol.
const MAX_LINE: usize = 65520;

/// Reads what is left, so that the connection can be used again.
async fn read_up<R: AsyncRead + Unpin>(body: R) -> Result<(), Failure> {
    let read = futures_util::io::copy(body, &mut futures_util::io::sink()).await;
    read.map(drop).map_err(|error| Failure::of(&error))
}

async fn read<R: AsyncRead + Unpin>(body: &mut R, into: &mut [u8]) -> Result<(), Failure> {
    let read = body.read_exact(into).await;
    read.map_err(|error| Failure::of(&error))
}

/// What is asked, gathered until the answer is read.
#[derive(Clone, Default)]
struct Request(Rc<RefCell<Vec<u8>>>);

impl Request {
    fn take(&self) -> Vec<u8> {
        self.0.take()
    }
}

impl AsyncWrite for Request {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Why a request, or its answer, did not arrive. The URL stays out of it.
fn not_sent(host: &str, error: &reqwest::Error) -> Failure {
    let error: &(dyn Error + 'static) = error;
    if let Some(failure) = causes(error).find_map(|cause| cause.downcast_ref::<Failure>()) {
        return failure.clone();
    }
    let last = causes(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default();
    let last = shown(&last);
    if causes(error).any(<dyn Error>::is::<rustls::Error>) {
        return Failure::new(Kind::Tls, format!("{host}: {last}"));
    }
    if causes(error).any(is_connect) {
        return Failure::new(Kind::Connect, format!("no connection to {host}: {last}"));
    }
    let among = Failure::of(error);
    if among.kind == Kind::Dropped || causes(error).any(is_incomplete) {
        return Failure::new(Kind::Dropped, DROPPED);
    }
    Failure::new(Kind::NotGit, format!("{host} does not answer in HTTP"))
}

fn is_connect(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<reqwest::Error>()
        .is_some_and(reqwest::Error::is_connect)
}

fn is_incomplete(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<hyper::Error>()
        .is_some_and(|error| error.is_incomplete_message() || error.is_canceled())
}

/// Looks names up, and refuses what the operator has denied.
struct Resolver(Policy);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0.clone();
        Box::pin(async move {
            // The port is the connection's own.
            let found = policy.resolve(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(from: &str, to: &str) -> bool {
        is_same_place(&Url::parse(from).unwrap(), &Url::parse(to).unwrap())
    }

    #[test]
    fn redirects_stay_where_they_are() {
        assert!(same("https://a/x", "https://a/y"));
        assert!(same("https://a/x", "https://a:443/y"));
        assert!(same("http://a/x", "https://a/x"));
        assert!(!same("https://a/x", "http://a/x"));
        assert!(!same("https://a/x", "https://b/x"));
        assert!(!same("https://a/x", "https://a:8443/x"));
        assert!(!same("http://a/x", "https://a:8443/x"));
        assert!(!same("https://a/x", "https://token@a/x"));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers)
        };
        assert_eq!(with("120"), Some(Duration::from_mins(2)));
        assert_eq!(with("soon"), None);
        assert_eq!(with(&u64::MAX.to_string()), Some(LONGEST_PAUSE));
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_hours(1));
        assert!((3590..=3600).contains(&with(&date).unwrap().as_secs()));
    }
}
