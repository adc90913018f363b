//! Servers that do not do what they should.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

/// Longer than any deadline of a test.
const FOR_EVER: Duration = Duration::from_mins(10);

/// A server on the loopback interface; its threads end with the test's process.
pub struct Faulty {
    pub port: u16,
    connections: Arc<AtomicUsize>,
}

/// What a server does once it has sent as much as it should.
#[derive(Clone, Copy, Debug)]
pub enum Then {
    Stall,
    Drop,
    /// The first connection is dropped, the others are not.
    DropOnce,
}

impl Faulty {
    fn serve(on_connection: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let on_connection = Arc::new(on_connection);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let count = counter.fetch_add(1, Ordering::SeqCst);
                let on_connection = Arc::clone(&on_connection);
                thread::spawn(move || on_connection(stream.unwrap(), count));
            }
        });
        Self { port, connections }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Passes on what a real server says, up to so many bytes.
    pub fn cut(real: u16, after: usize, then: Then) -> Self {
        Self::serve(move |client, count| {
            let server = TcpStream::connect(("127.0.0.1", real)).unwrap();
            let limit = match then {
                Then::DropOnce if count > 0 => usize::MAX,
                _ => after,
            };
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || {
                // Either side may go.
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
            pass_on(server, &client, limit);
            if matches!(then, Then::Stall) {
                sleep(FOR_EVER);
            }
            let _ = client.shutdown(Shutdown::Both);
        })
    }

    /// Answers every request of HTTP with this.
    pub fn answering(answer: impl Into<String>) -> Self {
        let answer = answer.into();
        Self::serve(move |mut client, _| {
            while read_request(&mut client) {
                if client.write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
        })
    }

    /// A status of HTTP, with headers that end in a line break.
    pub fn status(status: &str, headers: &str) -> Self {
        Self::answering(format!(
            "HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\n\r\n"
        ))
    }

    /// Redirects to what its port makes.
    pub fn redirecting(to: impl Fn(u16) -> String + Send + Sync + 'static) -> Self {
        Self::serve(move |mut client, _| {
            let own = client.local_addr().unwrap().port();
            let location = to(own);
            while read_request(&mut client) {
                let answer = format!(
                    "HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
                );
                if client.write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
        })
    }

    /// Answers with refs that do not end.
    pub fn endless() -> Self {
        Self::serve(move |mut client, _| {
            read_request(&mut client);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n\r\n";
            let sha = "1".repeat(40);
            let first = format!("{sha} refs/heads/main\0agent=git/x\n");
            let mut line = format!("{head}{:04x}{first}", first.len() + 4);
            for n in 0_u64.. {
                if client.write_all(line.as_bytes()).is_err() {
                    break;
                }
                let next = format!("{sha} refs/tags/v{n:012}\n");
                line = format!("{:04x}{next}", next.len() + 4);
            }
        })
    }

    /// Says something as soon as somebody is there.
    pub fn saying(text: &'static [u8]) -> Self {
        Self::serve(move |mut client, _| {
            let _ = client.write_all(text);
            let _ = client.flush();
            let mut rest = Vec::new();
            let _ = client.shutdown(Shutdown::Write);
            let _ = client.read_to_end(&mut rest);
        })
    }
}

fn pass_on(mut from: TcpStream, mut to: &TcpStream, limit: usize) {
    let mut left = limit;
    let mut buffer = [0; 4096];
    while left > 0 {
        let wanted = left.min(buffer.len());
        match from.read(&mut buffer[..wanted]) {
            Ok(0) | Err(_) => return,
            Ok(read) if to.write_all(&buffer[..read]).is_err() => return,
            Ok(read) => left -= read,
        }
    }
}

/// Whether a request came.
fn read_request(client: &mut TcpStream) -> bool {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        match client.read(&mut byte) {
            Ok(1) => request.push(byte[0]),
            _ => return false,
        }
    }
    true
}
