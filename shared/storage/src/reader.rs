//! Reads beside the writer: threads of their own, short transactions. A read whose caller has gone is broken off.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, InterruptHandle, Transaction};
use tokio::sync::oneshot;

use crate::inbox::Inbox;
use crate::{Class, Database, Failure};

/// A read, which says whether its connection can be used again.
type Read = Box<dyn FnOnce(Result<&mut Connection, &Failure>) -> bool + Send>;

/// A read with its number.
type Job = (u64, Read);

/// The read in hand, and how to break it off.
#[derive(Default)]
struct InHand(Mutex<Hand>);

#[derive(Default)]
struct Hand {
    number: Option<u64>,
    /// Its caller has gone.
    abandoned: bool,
    interrupt: Option<InterruptHandle>,
}

impl InHand {
    /// While this is locked no other read begins: what is broken off is the one that it names.
    fn lock(&self) -> MutexGuard<'_, Hand> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, number: u64) {
        let mut hand = self.lock();
        (hand.number, hand.abandoned) = (Some(number), false);
    }

    fn end(&self) {
        self.lock().number = None;
    }

    /// Its caller has gone.
    fn abandon(&self, number: u64) {
        let mut hand = self.lock();
        hand.abandoned |= hand.number == Some(number);
        hand.break_off();
    }

    /// Somebody wants to read: nobody waits behind a read for nobody. It is told again, for between two statements it does
    /// not hear.
    fn hurry(&self) {
        self.lock().break_off();
    }
}

impl Hand {
    fn break_off(&self) {
        if let (Some(_), true, Some(interrupt)) = (self.number, self.abandoned, &self.interrupt) {
            interrupt.interrupt();
        }
    }
}

/// Somebody who waits for a read.
struct Waits<'r> {
    number: u64,
    in_hand: &'r InHand,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.in_hand.abandon(self.number);
    }
}

/// A thread that reads. Dropping it waits for the read in hand.
pub struct Reader {
    inbox: Arc<Inbox<Job>>,
    in_hand: Arc<InHand>,
    next: AtomicU64,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Starts the thread, which opens its connection at the first read.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(name: &'static str, database: Database, waiting_max: usize) -> std::io::Result<Self> {
        let inbox = Arc::new(Inbox::new(waiting_max, usize::MAX));
        let in_hand = Arc::<InHand>::default();
        let (work, hand) = (Arc::clone(&inbox), Arc::clone(&in_hand));
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || serve(&work, &hand, &database))?;
        Ok(Self { inbox, in_hand, next: AtomicU64::new(0), thread: Some(thread) })
    }

    /// Reads within one transaction, so that everything read belongs together.
    ///
    /// # Errors
    /// What SQLite says; [`Class::Overloaded`] when too many reads wait, [`Class::Closed`] when the thread is gone.
    pub async fn read<R: Send + 'static>(
        &self,
        read: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, Failure> {
        let (reply, answer) = oneshot::channel();
        let job: Read = Box::new(move |connection| {
            // Nobody may be waiting any more; then the read is not worth its time.
            if reply.is_closed() {
                return true;
            }
            let answer = within_transaction(connection, read);
            let reusable = !matches!(&answer, Err(failure) if failure.spoils_connection());
            let _ = reply.send(answer);
            reusable
        });
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.inbox.put(vec![(number, job)], 0).map_err(|refused| refused.failure)?;
        self.in_hand.hurry();
        let _waits = Waits { number, in_hand: &self.in_hand };
        answer.await.unwrap_or_else(|_| Err(Failure::new(Class::Closed, "it is closed")))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.inbox.close();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            // Its panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

fn within_transaction<R>(
    connection: Result<&mut Connection, &Failure>,
    read: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<R>,
) -> Result<R, Failure> {
    let tx = connection.map_err(Clone::clone)?.transaction()?;
    let value = read(&tx)?;
    tx.finish()?;
    Ok(value)
}

fn serve(inbox: &Inbox<Job>, in_hand: &InHand, database: &Database) {
    let mut connection: Option<Connection> = None;
    while let Some(reads) = inbox.take() {
        for (number, read) in reads {
            let opened = match &mut connection {
                Some(open) => Ok(open),
                gone => database.reader().map(|opened| {
                    in_hand.lock().interrupt = Some(opened.get_interrupt_handle());
                    gone.insert(opened)
                }),
            };
            in_hand.begin(number);
            let reusable = match opened {
                Ok(open) => read(Ok(open)),
                Err(failure) => read(Err(&failure)),
            };
            in_hand.end();
            if !reusable {
                connection = None;
            }
        }
    }
}
