//! Small pages of memory for services.
//!
//! The allocator asks for huge pages (2 MiB) where the kernel offers them. While the kernel clears one, a service of one thread
//! stands still: for a tenth of a millisecond where the memory is at hand, for seven and more on a virtual machine whose host
//! must find it first. Callers pile up meanwhile, and take the next one: under ten times its work a gateway's refusals waited
//! for a third of a second. Small pages cost more in all (512 times two microseconds), and never much at once.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether small pages are this service's own wish: what it starts inherits it.
static OWN_WISH: AtomicBool = AtomicBool::new(false);

/// Takes no huge pages from now on, whatever the allocator asks for.
pub(super) fn keep_to_small() {
    let wish = !is_kept() && allow_huge(false);
    OWN_WISH.store(wish, Ordering::Relaxed);
}

/// Starts a program that is not one of ours, whose memory is its own affair: it gets huge pages if this process was started
/// with them. `start` must not block: until it returns, this process gets them too.
pub fn start_program<T>(start: impl FnOnce() -> T) -> T {
    let lift = OWN_WISH.load(Ordering::Relaxed) && allow_huge(true);
    let started = start();
    if lift {
        allow_huge(false);
    }
    started
}

#[cfg(target_os = "linux")]
fn is_kept() -> bool {
    rustix::thread::transparent_huge_pages_are_disabled().unwrap_or(false)
}

/// Says whether it is so now. A kernel without huge pages, or a sandbox that lets nobody ask, leaves all as it was.
#[cfg(target_os = "linux")]
fn allow_huge(allowed: bool) -> bool {
    rustix::thread::disable_transparent_huge_pages(!allowed).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn is_kept() -> bool {
    true
}

#[cfg(not(target_os = "linux"))]
fn allow_huge(_: bool) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// What a program that is started here finds.
    fn of_a_child() -> bool {
        let child = std::process::Command::new("grep").args(["THP_enabled", "/proc/self/status"]).output();
        String::from_utf8_lossy(&child.expect("grep starts").stdout).trim().ends_with('1')
    }

    #[test]
    fn small_pages_are_for_the_service_and_not_for_what_it_starts() {
        if is_kept() || !of_a_child() {
            return; // A machine without huge pages has nothing to show.
        }
        keep_to_small();
        assert!(is_kept() && !of_a_child(), "a child inherits it");
        assert!(start_program(of_a_child), "a program of others does not");
        assert!(is_kept(), "it is back");

        // Who was started so leaves it so.
        keep_to_small();
        assert!(!start_program(of_a_child));
    }
}
