//! Reads of the store that fill the place: one at a time for each record and process.

use std::collections::HashMap;

use futures::future::{BoxFuture, Shared};

use crate::{domain::Address, failed::Failed};

/// A read that several wait for.
pub type Filling = Shared<BoxFuture<'static, Result<(), Failed>>>;

/// Those of one shard.
#[derive(Debug, Default)]
pub struct Fills(HashMap<Address, Filling>);

impl Fills {
    /// Parts records into those that are being read, by whom, and those that nobody reads yet.
    pub fn part(&self, addresses: &[Address]) -> (Vec<Filling>, Vec<Address>) {
        let (mut under_way, mut unread) = (Vec::new(), Vec::new());
        for address in addresses {
            match self.0.get(address) {
                Some(filling) => under_way.push(filling.clone()),
                None => unread.push(address.clone()),
            }
        }
        (under_way, unread)
    }

    /// A read begins.
    pub fn begin(&mut self, addresses: &[Address], filling: &Filling) {
        for address in addresses {
            self.0.insert(address.clone(), filling.clone());
        }
    }

    /// It has ended.
    pub fn end(&mut self, addresses: &[Address]) {
        for address in addresses {
            self.0.remove(address);
        }
    }
}
