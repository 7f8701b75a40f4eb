//! What must hold before anything is started: the data directory is ours, and the ports are free.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::plan::Plan;
use crate::exit::Failure;

/// The file in the data directory that one `up` holds.
const LOCK_FILE: &str = "up.lock";

/// The services of an `up` that was killed drain for a moment: their ports are waited for as long as this.
const PORTS_WITHIN: Duration = Duration::from_secs(3);
const PORTS_EVERY: Duration = Duration::from_millis(100);

/// The data directory's lock; the system takes it back when this process ends, however it does.
#[derive(Debug)]
pub(crate) struct Claim {
    _file: File,
}

/// Makes the data directory ours, as one `up` may.
pub(crate) fn claim(data: &Path) -> Result<Claim, Failure> {
    let unusable = |error: io::Error| {
        let path = data.display();
        Failure::Machine(format!("the data directory {path} cannot be used: {error}; choose another with --data DIR"))
    };
    fs::create_dir_all(data).map_err(unusable)?;
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(data.join(LOCK_FILE))
        .map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use(data, &mut file)),
        Err(TryLockError::Error(error)) => return Err(unusable(error)),
    }
    file.set_len(0).and_then(|()| file.rewind()).map_err(unusable)?;
    write!(file, "{}", std::process::id()).map_err(unusable)?;
    Ok(Claim { _file: file })
}

fn in_use(data: &Path, file: &mut File) -> Failure {
    let mut process = String::new();
    // The number only helps to find the other one.
    let _ = file.read_to_string(&mut process);
    let process = if process.is_empty() { "unknown".to_owned() } else { process };
    Failure::Machine(format!(
        "the data directory {} is in use by another `holdfast up` (process {process}): \
         stop that one, or choose another directory with --data DIR",
        data.display()
    ))
}

/// Waits a little for ports that are still taken, then says which one is.
pub(crate) async fn ports_are_free(plan: &Plan) -> Result<(), Failure> {
    let until = Instant::now() + PORTS_WITHIN;
    for (peer, address) in &plan.services {
        while let Err(error) = TcpListener::bind(address) {
            if error.kind() != io::ErrorKind::AddrInUse || Instant::now() >= until {
                let name = peer.name();
                return Err(Failure::Machine(format!(
                    "the {name} cannot listen on {address}: {error}; \
                     stop what uses it, or take other ports with --port-base N"
                )));
            }
            sleep(PORTS_EVERY).await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_one_ups_at_a_time() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let data = dir.path().join("new");
        let first = claim(&data).expect("nobody has it");
        let refusal = claim(&data).expect_err("it is taken").to_string();
        assert!(
            refusal.contains(&format!("process {}", std::process::id())) && refusal.contains("--data"),
            "{refusal}"
        );
        drop(first);
        claim(&data).expect("it is free again");
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_refused_with_the_way_out() {
        let refusal = claim(Path::new("/dev/null/data")).expect_err("it is no directory").to_string();
        assert!(refusal.contains("/dev/null/data") && refusal.contains("--data"), "{refusal}");
    }
}
