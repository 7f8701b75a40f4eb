//! Reads beside the writer: threads of their own, short transactions.

use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::{Connection, Transaction};
use tokio::sync::oneshot;

use crate::inbox::Inbox;
use crate::{Class, Database, Failure};

/// A read, which says whether its connection can be used again.
type Read = Box<dyn FnOnce(Result<&mut Connection, &Failure>) -> bool + Send>;

/// A thread that reads. Dropping it waits for the read in hand.
pub struct Reader {
    inbox: Arc<Inbox<Read>>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Starts the thread, which opens its connection at the first read.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(name: &'static str, database: Database, waiting_max: usize) -> std::io::Result<Self> {
        let inbox = Arc::new(Inbox::new(waiting_max, usize::MAX));
        let work = Arc::clone(&inbox);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || serve(&work, &database))?;
        Ok(Self { inbox, thread: Some(thread) })
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
        self.inbox.put(vec![job], 0).map_err(|refused| refused.failure)?;
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

fn serve(inbox: &Inbox<Read>, database: &Database) {
    let mut connection: Option<Connection> = None;
    while let Some(reads) = inbox.take() {
        for read in reads {
            let opened = match &mut connection {
                Some(open) => Ok(open),
                gone => database.reader().map(|opened| gone.insert(opened)),
            };
            let reusable = match opened {
                Ok(open) => read(Ok(open)),
                Err(failure) => read(Err(&failure)),
            };
            if !reusable {
                connection = None;
            }
        }
    }
}
