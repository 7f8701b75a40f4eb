//! Ports that no other test has, whichever process it runs in.

use std::{
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    sync::{Mutex, PoisonError},
};

/// Below the range from which the system gives ports away by itself, so that nothing else takes one in between; and below
/// what rehearsals take.
const PORTS: Range<u16> = 12_000..22_000;

/// What one process takes at once. The first port of each is its guard: whoever listens there has the others for himself.
const BLOCK: u16 = 40;

/// A block of this process's own, until the process ends.
struct Block {
    _guard: TcpListener,
    rest: Range<u16>,
}

static BLOCKS: Mutex<Vec<Block>> = Mutex::new(Vec::new());

/// A port that is free, and stays so for this process.
pub(crate) fn free() -> u16 {
    free_range(1)
}

/// The first of `count` neighbouring ports that are free. No test is given one of them again, in this process or in another,
/// as long as this one lives.
///
/// # Panics
/// Where there are none, or more are wanted than a block has.
pub fn free_range(count: u16) -> u16 {
    assert!(count < BLOCK, "{count} neighbouring ports are more than a block has");
    let mut blocks = BLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(base) = blocks.iter_mut().find_map(|block| block.take(count)) {
            return base;
        }
        blocks.push(Block::claim());
    }
}

impl Block {
    /// The first that nobody guards. Where the search begins depends on the process: few meet.
    fn claim() -> Self {
        let start = PORTS.start + (std::process::id() % u32::from(PORTS.len() as u16 / BLOCK)) as u16 * BLOCK;
        (start..PORTS.end)
            .chain(PORTS.start..start)
            .step_by(usize::from(BLOCK))
            .find_map(|port| Some(Self { _guard: bind(port)?, rest: port + 1..port + BLOCK }))
            .expect("the machine has neighbouring free ports")
    }

    /// Neighbours on which nobody listens: what a killed test left behind may still be there.
    fn take(&mut self, count: u16) -> Option<u16> {
        let free = |base: u16| (base..base + count).all(|port| bind(port).is_some());
        let base = self.rest.clone().find(|base| base + count <= self.rest.end && free(*base))?;
        self.rest.start = base + count;
        Some(base)
    }
}

fn bind(port: u16) -> Option<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_on_which_somebody_listens_is_never_part_of_a_range() {
        let mut block = Block::claim();
        let _taken = bind(block.rest.start + 2).expect("it was free");
        let first = block.rest.start;
        assert_eq!(block.take(4), Some(first + 3));
        assert_eq!(block.take(2), Some(first + 7), "nor is one that was given away");
    }

    #[test]
    fn a_block_is_claimed_once() {
        let (one, other) = (Block::claim(), Block::claim());
        assert_ne!(one.rest, other.rest);
    }

    #[test]
    fn ranges_go_on_where_a_block_is_at_its_end() {
        let mut ports: Vec<_> = (0..8).map(|_| free_range(15)).flat_map(|base| base..base + 15).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 8 * 15, "no port twice");
    }
}
