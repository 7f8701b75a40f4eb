//! Bytes over TCP: the sockets, and what the peer says first.

mod socket;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes};
pub(crate) use socket::{Gathering, Socket, gather};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// How every connection over HTTP/2 begins.
const HTTP_2: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection whose peer has said which HTTP it speaks. The bytes that said so are read again by whoever serves it.
#[derive(Debug)]
pub(crate) struct Opened<IO> {
    said: Bytes,
    io: IO,
}

impl<IO: AsyncRead + Unpin> Opened<IO> {
    /// Waits for these bytes, for as long as its owner likes.
    pub(crate) async fn hear(mut io: IO) -> io::Result<Self> {
        let mut said = [0; HTTP_2.len()];
        let mut heard = 0;
        while said[..heard] == HTTP_2[..heard] && heard < said.len() {
            match io.read(&mut said[heard..]).await? {
                0 => break,
                more => heard += more,
            }
        }
        Ok(Self { said: Bytes::copy_from_slice(&said[..heard]), io })
    }

    pub(crate) fn is_http_2(&self) -> bool {
        *self.said == *HTTP_2
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Opened<IO> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.said.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let now = self.said.len().min(buf.remaining());
        buf.put_slice(&self.said[..now]);
        self.said.advance(now);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Opened<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    /// Neither is the socket, nor TLS over it.
    fn is_write_vectored(&self) -> bool {
        false
    }
}
