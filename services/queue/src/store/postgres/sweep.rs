//! What has had its time is removed by the server itself.

use sqlx::PgPool;

use super::super::{Sweep, Swept};

pub(super) async fn sweep(pool: &PgPool, _sweep: Sweep) -> sqlx::Result<Swept> {
    let _ = pool;
    Ok(Swept::default())
}
