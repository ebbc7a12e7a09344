//! A server of HTTP that lies, for what the product fetches. Runs in the host, where this program is started
//! with `--lie PORT HOW`; every connection gets the same treatment. Called by `main` and by `fetch`.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

/// The ways in which it lies.
pub(crate) const LIES: &[&str] =
    &["stall", "stall-in-the-middle", "reset", "garbage", "short", "redirect", "redirect-inside", "endless", "error"];

/// What no honest index is as long as.
static BLOCK: [u8; 65536] = [b'x'; 65536];

/// Serves for as long as the process lives.
pub(crate) fn serve(port: &str, how: &str) -> Result<()> {
    let Some(how) = LIES.iter().find(|lie| **lie == how) else { bail!("there is no lie {how}; there are {}", LIES.join(", ")) };
    let listener = TcpListener::bind(("127.0.0.1", port.parse()?))?;
    println!("lying");
    for stream in listener.incoming() {
        let (stream, port) = (stream?, port.to_owned());
        // A client that has had enough is what this is about.
        thread::spawn(move || drop(lie(&stream, how, &port)));
    }
    Ok(())
}

fn lie(mut stream: &TcpStream, how: &str, port: &str) -> Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let path = first.split(' ').nth(1).unwrap_or("/").to_owned();
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 && !line.trim().is_empty() {
            line.clear();
        }
        match how {
            "stall" => thread::sleep(Duration::from_secs(3600)),
            "stall-in-the-middle" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nOrigin: Debian\n")?;
                thread::sleep(Duration::from_secs(3600));
            }
            // Closed with what was sent unread by the client, if anything.
            "reset" => return Ok(()),
            "garbage" => stream.write_all(&[b"HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n", &BLOCK[..]].concat())?,
            "short" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nOrigin: Debian\n")?;
                return Ok(());
            }
            "redirect" => {
                write!(stream, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{port}{path}x\r\nContent-Length: 0\r\n\r\n")?;
            }
            "redirect-inside" => {
                stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/shadow\r\nContent-Length: 0\r\n\r\n")?;
            }
            "endless" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                loop {
                    stream.write_all(b"10000\r\n")?;
                    stream.write_all(&BLOCK)?;
                    stream.write_all(b"\r\n")?;
                }
            }
            _ => stream.write_all(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")?,
        }
    }
}
