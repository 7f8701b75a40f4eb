use std::net::{Ipv4Addr, TcpListener};

/// A port that was free a moment ago.
pub(crate) fn free() -> u16 {
    bind(0).expect("the machine has free ports").local_addr().expect("a bound socket has an address").port()
}

/// The first of `count` neighbouring ports that were free a moment ago. They stand below the range from which the system
/// gives ports away by itself, so that nothing else takes one in between; the start depends on the process, so that
/// parallel tests rarely try the same.
///
/// # Panics
/// Where there are none.
pub fn free_range(count: u16) -> u16 {
    const FIRST: u16 = 12_000;
    const LAST: u16 = 32_000;
    let start = FIRST + (std::process::id() % 1_000) as u16 * 20;
    (start..LAST)
        .chain(FIRST..start)
        .step_by(usize::from(count))
        .find(|base| (0..count).map(|offset| bind(base + offset)).collect::<Option<Vec<_>>>().is_some())
        .expect("the machine has neighbouring free ports")
}

fn bind(port: u16) -> Option<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_never_part_of_a_range() {
        let base = free_range(4);
        let _taken = bind(base + 2).expect("it was free");
        let next = free_range(4);
        assert!(!(next..next + 4).contains(&(base + 2)));
    }
}
