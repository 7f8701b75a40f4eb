use std::{
    future::poll_fn,
    io::{Read as _, Write as _},
    net::TcpListener,
    pin::pin,
};

use futures::FutureExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    runtime::{Builder, Runtime},
    task::yield_now,
};

use super::*;

/// A runtime whose sockets gather, as every service has one.
fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().build().expect("the system gives one");
    runtime.spawn(gather());
    // The next is behind it.
    runtime.block_on(runtime.spawn(async {})).expect("it ends");
    runtime
}

/// Both ends: ours, and one that is asked without waiting.
fn pair(runtime: &Runtime) -> (Socket, std::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let theirs = std::net::TcpStream::connect(listener.local_addr().expect("it listens")).expect("it listens");
    theirs.set_nonblocking(true).expect("it is a socket");
    let (ours, _) = listener.accept().expect("somebody connects");
    ours.set_nonblocking(true).expect("it is a socket");
    let _entered = runtime.enter();
    let ours = Socket::new(TcpStream::from_std(ours).expect("it is a socket")).expect("it is a socket");
    ours.gathering().begin();
    (ours, theirs)
}

/// What has come by now.
fn come(theirs: &mut std::net::TcpStream) -> Vec<u8> {
    let mut bytes = vec![0; 1 << 20];
    match theirs.read(&mut bytes) {
        Ok(read) => bytes[..read].to_vec(),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            Vec::new()
        }
    }
}

async fn write(ours: &mut Socket, bytes: &[u8]) {
    ours.write_all(bytes).await.expect("the peer is there");
    ours.flush().await.expect("the peer is there");
}

/// As if it had begun long ago.
fn lengthen_the_round() {
    ROUND.with_borrow_mut(|round| {
        let round = round.as_mut().expect("there is one");
        round.since = round.since.checked_sub(2 * ROUND_MAX).expect("the machine runs for longer");
    });
}

/// Bytes of which no two neighbourhoods are alike.
fn pattern(len: u32) -> Vec<u8> {
    (0..len).flat_map(u32::to_be_bytes).collect()
}

#[test]
fn small_writes_leave_together_when_nothing_is_ready_any_more() {
    let runtime = runtime();
    let (mut ours, mut theirs) = pair(&runtime);
    runtime.block_on(async {
        write(&mut ours, b"one").await;
        write(&mut ours, b", two").await;
        assert_eq!(come(&mut theirs), b"", "the round is not over");
        // The first turn ends the round, behind which the second comes.
        yield_now().await;
        yield_now().await;
        assert_eq!(come(&mut theirs), b"one, two");
        assert_eq!(ours.0.lock().gathered.capacity(), 0, "a connection that rests holds no memory");
    });
}

#[test]
fn a_large_write_leaves_at_once_behind_what_was_gathered() {
    let runtime = runtime();
    let (mut ours, mut theirs) = pair(&runtime);
    runtime.block_on(async {
        write(&mut ours, b"small").await;
        let large = vec![b'l'; GATHERED_MAX];
        write(&mut ours, &large).await;
        assert_eq!(come(&mut theirs), [b"small", &large[..]].concat());
    });
}

#[test]
fn without_a_round_every_write_leaves_at_once() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("the system gives one");
    let (mut ours, mut theirs) = pair(&runtime);
    runtime.block_on(async {
        write(&mut ours, b"now").await;
        assert_eq!(come(&mut theirs), b"now");
    });
}

#[test]
fn a_socket_that_was_not_told_to_gather_writes_at_once() {
    let runtime = runtime();
    let (mut ours, mut theirs) = pair(&runtime);
    ours.0.lock().gathers = false;
    runtime.block_on(async {
        write(&mut ours, b"now").await;
        assert_eq!(come(&mut theirs), b"now");
    });
}

#[test]
fn what_is_written_late_in_a_long_round_leaves_at_once_and_what_was_gathered_without_another_turn() {
    let runtime = runtime();
    let ((mut early, mut asked), (mut late, mut answered)) = (pair(&runtime), pair(&runtime));
    runtime.block_on(async {
        // Until the runtime has heard that there is room.
        yield_now().await;
        write(&mut early, b"early").await;
        lengthen_the_round();
        yield_now().await;
        assert_eq!(come(&mut asked), b"early");

        write(&mut early, b"early").await;
        lengthen_the_round();
        write(&mut late, b"late").await;
        assert_eq!(come(&mut answered), b"late");
    });
}

#[test]
fn as_many_as_are_sent_off_in_one_go_and_more_are_all_sent_off() {
    let runtime = runtime();
    let mut pairs: Vec<_> = (0..2 * SENT_OFF_MAX + 1).map(|_| pair(&runtime)).collect();
    runtime.block_on(async {
        for (ours, _) in &mut pairs {
            write(ours, b"all").await;
        }
        for _ in 0..4 {
            yield_now().await;
        }
        for (_, theirs) in &mut pairs {
            assert_eq!(come(theirs), b"all");
        }
    });
}

#[test]
fn a_peer_that_stands_still_is_waited_for_and_misses_nothing() {
    let runtime = runtime();
    let (mut ours, theirs) = pair(&runtime);
    let all = pattern(4 << 20);
    let read = runtime.block_on(async {
        let expected = all.clone();
        let writer = tokio::spawn(async move {
            for piece in all.chunks(1_000) {
                write(&mut ours, piece).await;
            }
            ours.shutdown().await.expect("the peer is there");
        });
        // Until nothing moves: the pipe is full, and 16 KiB wait before it.
        for _ in 0..100 {
            yield_now().await;
        }
        assert!(!writer.is_finished(), "16 MiB are more than a pipe holds");
        let mut read = Vec::new();
        let mut theirs = TcpStream::from_std(theirs).expect("it is a socket");
        theirs.read_to_end(&mut read).await.expect("the peer is there");
        writer.await.expect("it does not panic");
        assert!(read == expected, "every byte, in its order");
        read.len()
    });
    assert_eq!(read, 16 << 20);
}

#[test]
fn who_wrote_what_cannot_leave_is_woken_and_flushes_it() {
    let runtime = runtime();
    let (mut ours, mut theirs) = pair(&runtime);
    runtime.block_on(async {
        let mut sent = 0;
        while ours.0.lock().gathered.is_empty() {
            write(&mut ours, &[b'f'; 1_000]).await;
            sent += 1_000;
            yield_now().await;
            yield_now().await;
        }
        let mut polled = 0;
        let writer = tokio::spawn(poll_fn(move |cx| {
            polled += 1;
            if polled == 2 {
                return Poll::Ready(Socket(Arc::clone(&ours.0)));
            }
            let mut ours = Pin::new(&mut ours);
            assert!(matches!(ours.as_mut().poll_write(cx, b"last"), Poll::Ready(Ok(4))));
            assert!(ours.poll_flush(cx).is_ready(), "it leaves at the end of the round, or the writer is woken");
            Poll::Pending
        }));
        for _ in 0..4 {
            yield_now().await;
        }
        assert!(writer.is_finished(), "it is woken");
        let mut ours = writer.await.expect("it does not panic");
        let mut flushed = pin!(ours.flush());
        assert!(futures::poll!(&mut flushed).is_pending(), "there is no room");
        let mut read = Vec::new();
        while flushed.as_mut().now_or_never().is_none() {
            read.extend(come(&mut theirs));
            yield_now().await;
        }
        while read.len() < sent + 4 {
            read.extend(come(&mut theirs));
            yield_now().await;
        }
        assert_eq!((read.len(), &read[sent..]), (sent + 4, &b"last"[..]));
    });
}

#[test]
fn a_shutdown_and_the_end_of_the_runtime_take_along_what_was_gathered() {
    let runtime = runtime();
    let (mut ours, mut theirs) = pair(&runtime);
    runtime.block_on(async {
        write(&mut ours, b"the end").await;
        ours.shutdown().await.expect("the peer is there");
    });
    assert_eq!(come(&mut theirs), b"the end");

    let (mut ours, mut theirs) = pair(&runtime);
    runtime.block_on(async {
        // Until the runtime has heard that there is room.
        yield_now().await;
        write(&mut ours, b"good-bye").await;
        drop(ours);
    });
    drop(runtime);
    assert_eq!(come(&mut theirs), b"good-bye");
}

#[test]
fn a_broken_connection_is_told_to_its_writer() {
    let runtime = runtime();
    let (mut ours, mut theirs) = pair(&runtime);
    theirs.write_all(b"unread").expect("the peer is there");
    runtime.block_on(async {
        write(&mut ours, b"unread").await;
        yield_now().await;
        yield_now().await;
        // To close before all is read resets the connection.
        drop(theirs);
        let mut broken = None;
        while broken.is_none() {
            broken = ours.write_all(b"more").await.err();
            yield_now().await;
        }
        let kind = broken.expect("it is told").kind();
        assert!(matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{kind:?}");
    });
}
