//! A web service for brokers that ask one: it lets everybody in. On the generator's core, so that only
//! what the broker does counts as the broker's.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
};

use anyhow::Result;

use crate::running::free_port;

/// A service that answers until the program ends: its threads wait and do nothing else.
pub(crate) struct Webhook {
    port: u16,
}

const ANSWER: &str =
    r##"{"result":"allow","acl":[{"permission":"allow","action":"all","topic":"#"}]}"##;

impl Webhook {
    /// A new one on a free port of loopback.
    pub(crate) fn start() -> Result<Self> {
        let port = free_port()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever goes away needs no answer.
                thread::spawn(move || drop(serve(&stream)));
            }
        });
        Ok(Self { port })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

fn answer() -> String {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length:";
    format!("{head} {}\r\n\r\n{ANSWER}", ANSWER.len())
}

/// Answers each request of a connection.
fn serve(stream: &TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream);
    let mut to_read = 0;
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        let header = line.trim_end().to_ascii_lowercase();
        if let Some(length) = header.strip_prefix("content-length:") {
            to_read = length.trim().parse()?;
        }
        if header.is_empty() {
            lines.read_exact(&mut vec![0; to_read])?;
            to_read = 0;
            let mut stream = stream;
            stream.write_all(answer().as_bytes())?;
        }
        line.clear();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_of_a_connection_is_answered() {
        let port = Webhook::start().unwrap().port();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        for _ in 0..2 {
            let request = b"POST /login HTTP/1.1\r\nhost: x\r\nContent-Length: 4\r\n\r\nbody";
            stream.write_all(request).unwrap();
            let mut answered = vec![0; answer().len()];
            stream.read_exact(&mut answered).unwrap();
            assert_eq!(String::from_utf8(answered).unwrap(), answer());
        }
    }
}
