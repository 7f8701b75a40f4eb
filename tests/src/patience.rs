use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tonic::{Code, Request, Response, Status};

const ONE_CALL: Duration = Duration::from_secs(5);
const ALTOGETHER: Duration = Duration::from_secs(60);

/// Repeats a call while the other side is away or asks to come back. Only for calls that may be repeated.
///
/// # Errors
/// The first refusal that does not pass, or the last one after a minute.
pub async fn patiently<Q: Clone, A, F>(message: Q, call: impl Fn(Request<Q>) -> F) -> Result<A, Status>
where
    F: Future<Output = Result<Response<A>, Status>>,
{
    let until = Instant::now() + ALTOGETHER;
    loop {
        let mut request = Request::new(message.clone());
        request.set_timeout(ONE_CALL);
        match call(request).await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) if passes(&status) && Instant::now() < until => {
                sleep(Duration::from_millis(50)).await;
            }
            Err(status) => return Err(status),
        }
    }
}

fn passes(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown
    )
}
