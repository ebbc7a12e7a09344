//! As much HTTP/1.1 as apt speaks to a mirror: GET and HEAD, kept connections, whole files. Depends on
//! `mirror` for the files. Called by the relay's listeners, one thread for each connection.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use super::mirror::{Answer, Mirror};

/// No header of apt's is near this; a longer one ends the connection.
const LONGEST_LINE: u64 = 8192;
const MOST_HEADERS: usize = 64;

/// A stream socket of either kind, which can be read and written at once.
pub(super) trait Stream: Read + Write + Sized {
    /// Another handle of the same connection.
    fn again(&self) -> io::Result<Self>;
}

impl Stream for TcpStream {
    fn again(&self) -> io::Result<Self> {
        self.try_clone()
    }
}

impl Stream for UnixStream {
    fn again(&self) -> io::Result<Self> {
        self.try_clone()
    }
}

/// Answers the requests of one connection until the client is done or breaks the protocol.
pub(super) fn serve<S: Stream>(stream: S, mirror: &Mirror) {
    let Ok(mut writer) = stream.again() else { return };
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader) {
        if answer(&request, mirror, &mut writer).is_err() || request.close {
            return;
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Request {
    path: String,
    head: bool,
    close: bool,
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let first = read_line(reader)?;
    let mut words = first.split(' ');
    let head = match words.next()? {
        "GET" => false,
        "HEAD" => true,
        _ => return None,
    };
    let path = words.next()?.to_owned();
    let mut close = words.next()? == "HTTP/1.0";
    for _ in 0..MOST_HEADERS {
        let line = read_line(reader)?;
        if line.is_empty() {
            return Some(Request { path, head, close });
        }
        let line = line.to_ascii_lowercase();
        close |= line.starts_with("connection:") && line.contains("close");
    }
    None
}

fn read_line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    let read = reader.by_ref().take(LONGEST_LINE).read_line(&mut line).ok()?;
    (read > 0 && line.ends_with('\n')).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
}

fn answer(request: &Request, mirror: &Mirror, writer: &mut impl Write) -> io::Result<()> {
    match mirror.get(&request.path) {
        Answer::File(path) => {
            let mut file = File::open(path)?;
            let size = file.metadata()?.len();
            write!(writer, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n")?;
            if !request.head {
                io::copy(&mut file, writer)?;
            }
        }
        Answer::Missing => write!(writer, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?,
        Answer::Unreachable => write!(writer, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")?,
    }
    writer.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Option<Request> {
        read_request(&mut text.as_bytes())
    }

    #[test]
    fn a_get_is_read_with_its_wish_to_close() {
        let plain = request("GET /debian/x HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(plain, Request { path: "/debian/x".into(), head: false, close: false });
        assert!(request("GET /x HTTP/1.1\r\nConnection: Close\r\n\r\n").unwrap().close);
        assert!(request("HEAD /x HTTP/1.0\r\n\r\n").unwrap().close);
    }

    #[test]
    fn what_is_not_a_whole_request_is_refused() {
        assert_eq!(request("POST /x HTTP/1.1\r\n\r\n"), None);
        assert_eq!(request("GET /x HTTP/1.1\r\nHost: a"), None);
        assert_eq!(request(&format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(9000))), None);
        assert_eq!(request(&format!("GET /x HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(70))), None);
    }
}
