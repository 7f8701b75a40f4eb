use std::net::{Ipv4Addr, TcpListener};

/// Below the range from which systems give ports away by themselves, so that nothing else takes one in between; and above what
/// tests take.
const PORTS: std::ops::Range<u16> = 22_000..31_900;

/// The first of so many neighbouring ports that were free a moment ago. The start depends on the process, so that rehearsals
/// beside each other rarely try the same.
pub(crate) fn free_range(count: u16) -> Option<u16> {
    let start = PORTS.start + (std::process::id() % 90) as u16 * 110;
    (start..PORTS.end)
        .chain(PORTS.start..start)
        .step_by(usize::from(count))
        .find(|base| (0..count).map(|offset| bind(base + offset)).collect::<Option<Vec<_>>>().is_some())
}

fn bind(port: u16) -> Option<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_never_part_of_a_range() {
        // Others take ports too, in between.
        let (base, _taken) = std::iter::repeat_with(|| free_range(4).expect("there are free ports"))
            .take(100)
            .find_map(|base| Some((base, bind(base + 2)?)))
            .expect("one is free for long enough");
        let next = free_range(4).expect("there are free ports");
        assert!(!(next..next + 4).contains(&(base + 2)));
    }
}
