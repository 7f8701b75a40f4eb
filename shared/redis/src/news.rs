use std::fmt;

use ::redis::{PushInfo, PushKind, aio::MultiplexedConnection};
use tokio::sync::mpsc;

/// News that may wait; what finds no room is left out.
const NEWS_MAX: usize = 256;

/// What a connection brings without being asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// What somebody said in the channel.
    Said(String),
    /// The connection is gone.
    Gone,
}

/// A connection with what it brings.
pub struct Line {
    /// Where to ask.
    pub link: MultiplexedConnection,
    /// What the channel brings.
    pub news: mpsc::Receiver<News>,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").finish_non_exhaustive()
    }
}

pub(crate) fn channel() -> (mpsc::Sender<News>, mpsc::Receiver<News>) {
    mpsc::channel(NEWS_MAX)
}

/// An error here would end the connection.
pub(crate) fn pass_on(news: &mpsc::Sender<News>, push: PushInfo) -> Result<(), ()> {
    let told = match push.kind {
        PushKind::Message => push.data.get(1).and_then(|text| ::redis::from_redis_value_ref(text).ok()).map(News::Said),
        PushKind::Disconnection => Some(News::Gone),
        _ => None,
    };
    if let Some(told) = told {
        let _ = news.try_send(told);
    }
    Ok(())
}
