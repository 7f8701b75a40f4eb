//! Read, apply, write, and again where somebody else was faster.

use std::time::Duration;

use holdfast_resilience::Backoff;
use serde_json::Value as Json;

use crate::{
    Error,
    state::{Address, Precondition, Record, State, Value, Write, Writer},
};

/// Rounds of one update. At 32 writers on one record an update needs about ten; past this it reports the conflict.
const ROUNDS_MAX: u32 = 300;

/// Between rounds, so that those who collided do not collide again. A round costs one write, about a millisecond.
const BACKOFF: Backoff = Backoff::doubling(Duration::from_millis(2), Duration::from_millis(250));

impl State {
    /// Changes a record: reads it, applies `f` to what it holds (`None` where there is no record), and writes the
    /// outcome on condition that nobody wrote in between. Where somebody did, `f` is applied again to what *they*
    /// wrote. So no change is lost, whoever else writes.
    ///
    /// `f` may run many times, for one effect: it should only compute.
    ///
    /// # Errors
    /// [`Error::Conflict`] after 300 rounds, or at once where the mesh cannot tell whether this change was applied;
    /// else as [`State::write`].
    pub async fn update(&self, address: &Address, mut f: impl FnMut(Option<Json>) -> Json) -> Result<Record, Error> {
        self.try_update(address, |current| Ok::<_, Error>(f(current))).await
    }

    /// [`State::update`] with an `f` that can decide to leave the record as it is, by an error of its own.
    ///
    /// # Errors
    /// `f`'s, and those of [`State::update`].
    pub async fn try_update<E: From<Error>>(
        &self,
        address: &Address,
        f: impl FnMut(Option<Json>) -> Result<Json, E>,
    ) -> Result<Record, E> {
        self.update_as(address, holdfast_rpc::id::new(), f).await
    }

    /// [`State::try_update`] under a write id that another attempt or process can give again: the change is applied
    /// once, although the whole update runs twice (see [`crate::Context::write_id`]).
    ///
    /// # Errors
    /// As [`State::try_update`].
    pub async fn update_as<E: From<Error>>(
        &self,
        address: &Address,
        write_id: String,
        mut f: impl FnMut(Option<Json>) -> Result<Json, E>,
    ) -> Result<Record, E> {
        let mut current = self.get(address).await?;
        let mut round = 0;
        loop {
            round += 1;
            let before = current.as_ref().map(Record::json).transpose()?;
            let value = Value::json(&f(before)?)?;
            let precondition = match &current {
                Some(record) => Precondition::Version(record.version.clone()),
                None => Precondition::Absent,
            };
            // A refused write leaves no trace, so every round may use the id: whichever is taken is the only one.
            let write = Write::new(address.clone(), value.clone(), precondition).with_id(write_id.clone());
            match self.write(write).await {
                Ok(written) => {
                    let writer = Writer { write_id, ..Writer::default() };
                    let (version, revision) = (written.version, written.revision);
                    // What the namespace's settings make of it is known by a read only.
                    let (address, value, expires) = (address.clone(), Some(value), None);
                    return Ok(Record { address, value, version, revision, writer, expires });
                }
                Err(Error::Conflict(conflict)) if !conflict.may_have_happened && round < ROUNDS_MAX => {
                    current = match conflict.value_omitted {
                        true => self.get(address).await?,
                        false => conflict.current.value.is_some().then_some(conflict.current),
                    };
                }
                Err(error) => return Err(error.into()),
            }
            if round > 1 {
                // Among many writers, what the conflict brought is old by the end of a pause, and would collide again.
                let pause = BACKOFF.delay(round, &mut rand::rng());
                tokio::time::sleep(pause).await;
                current = self.get(address).await?;
            }
        }
    }
}
