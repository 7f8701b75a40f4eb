use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// As much is read at once.
const PIECE_BYTES: usize = 16 * 1024;
/// As many pieces are on the way at most, in each direction; what comes behind them waits at its sender.
const PIECES_MAX: usize = 16;

/// What a [`FaultProxy`] does to bytes and connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: bytes pass.
    None,
    /// Nothing passes, and nobody is told: a cable is out.
    Stall,
    /// Bytes pass this much later, as on a long line: what comes behind them is not held up for longer.
    Delay(Duration),
    /// New connections are closed at once; present ones are cut.
    Refuse,
    /// What is asked passes, and the connection is cut when the answer comes: the work is done, the reply is lost.
    LoseReply,
}

/// The fault, and how often connections have been cut: one that began before the last cut ends.
#[derive(Debug, Clone, Copy)]
struct State {
    fault: Fault,
    cuts: u64,
}

/// A TCP proxy between two ends, whose faults the test switches on and off.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    connections: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl FaultProxy {
    /// Listens on a free port and passes everything on to the target.
    ///
    /// # Panics
    /// Where no port is free.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (state, seen) = watch::channel(State { fault: Fault::None, cuts: 0 });
        let connections = Arc::new(AtomicU64::new(0));
        let accepting = tokio::spawn(accept(listener, target, seen, Arc::clone(&connections)));
        Self { address, state, connections, accepting }
    }

    /// Where to connect instead of the target.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Switches, for present and new connections.
    pub fn set(&self, fault: Fault) {
        self.state.send_modify(|state| state.fault = fault);
        if fault == Fault::Refuse {
            self.cut();
        }
    }

    /// Connections that were tried so far, refused ones included.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    /// Cuts the present connections.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, state: watch::Receiver<State>, connections: Arc<AtomicU64>) {
    while let Ok((caller, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::SeqCst);
        if state.borrow().fault == Fault::Refuse {
            continue;
        }
        let state = state.clone();
        tokio::spawn(async move {
            // However a connection ends, both of its ends learn it by their sockets being closed.
            let _ = connection(caller, target, state).await;
        });
    }
}

async fn connection(caller: TcpStream, target: SocketAddr, mut state: watch::Receiver<State>) -> io::Result<()> {
    let began = state.borrow().cuts;
    let target = TcpStream::connect(target).await?;
    let (from_caller, to_caller) = caller.into_split();
    let (from_target, to_target) = target.into_split();
    let asking = pump(from_caller, to_target, state.clone(), Way::Asking);
    let answering = pump(from_target, to_caller, state.clone(), Way::Answering);
    tokio::select! {
        both = async { tokio::try_join!(asking, answering) } => both.map(drop),
        _ = state.wait_for(|now| now.cuts != began) => Ok(()),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Asking,
    Answering,
}

/// Bytes that were read, and when they may go on.
struct Piece {
    due: Instant,
    bytes: Vec<u8>,
}

/// Takes bytes in at one end and lets them out at the other: two halves, so that what is delayed delays nothing behind it.
async fn pump(
    from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin,
    state: watch::Receiver<State>,
    way: Way,
) -> io::Result<()> {
    let (pieces, coming) = mpsc::channel(PIECES_MAX);
    tokio::try_join!(take(from, pieces, state.clone()), give(coming, to, state, way)).map(drop)
}

async fn take(
    mut from: impl AsyncRead + Unpin,
    pieces: mpsc::Sender<Piece>,
    state: watch::Receiver<State>,
) -> io::Result<()> {
    loop {
        let mut bytes = vec![0; PIECE_BYTES];
        let read = from.read(&mut bytes).await?;
        if read == 0 {
            return Ok(());
        }
        bytes.truncate(read);
        let delay = match state.borrow().fault {
            Fault::Delay(delay) => delay,
            _ => Duration::ZERO,
        };
        let piece = Piece { due: Instant::now() + delay, bytes };
        pieces.send(piece).await.map_err(io::Error::other)?;
    }
}

async fn give(
    mut coming: mpsc::Receiver<Piece>,
    mut to: impl AsyncWrite + Unpin,
    mut state: watch::Receiver<State>,
    way: Way,
) -> io::Result<()> {
    while let Some(Piece { due, bytes }) = coming.recv().await {
        tokio::time::sleep_until(due).await;
        let now = state.wait_for(|now| now.fault != Fault::Stall).await.map_err(io::Error::other)?.fault;
        if now == Fault::LoseReply && way == Way::Answering {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        to.write_all(&bytes).await?;
    }
    to.shutdown().await
}
