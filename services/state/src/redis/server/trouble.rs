//! What Redis' errors mean to who asked.

use ::redis::RedisError;
use holdfast_storage::{Class, Failure};

/// What is to be done about the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing.
    Stay,
    /// They are not to be trusted with another call.
    Reconnect,
    /// What was asked belongs elsewhere, and was not done.
    Refresh,
}

pub(super) fn remedy(error: &RedisError) -> Remedy {
    if !is_answer(error) {
        return Remedy::Reconnect;
    }
    match code(error) {
        "MOVED" | "READONLY" => Remedy::Refresh,
        "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "ASK" | "NOAUTH" | "WRONGPASS" | "NOPERM" => Remedy::Reconnect,
        _ => Remedy::Stay,
    }
}

/// An error as a failure.
pub(super) fn failure(error: &RedisError) -> Failure {
    let class = match code(error) {
        _ if error.is_timeout() => Class::Silent,
        _ if !is_answer(error) || is_refusal(error) => Class::Io,
        "OOM" => Class::Full,
        "TRYAGAIN" | "BUSY" | "NOREPLICAS" => Class::Busy,
        _ => Class::Statement,
    };
    Failure::new(class, error.to_string())
}

/// Whether what was asked may have been done. A script that fails in the middle is a fault of ours, or of who deleted a part
/// of what it works on.
pub(super) fn in_doubt(error: &RedisError) -> bool {
    !is_answer(error) || failure(error).class() == Class::Statement
}

/// Said before a script began: it did nothing.
fn is_refusal(error: &RedisError) -> bool {
    matches!(
        code(error),
        "MOVED"
            | "ASK"
            | "READONLY"
            | "LOADING"
            | "MASTERDOWN"
            | "CLUSTERDOWN"
            | "MISCONF"
            | "NOAUTH"
            | "WRONGPASS"
            | "NOPERM"
            | "NOSCRIPT"
    )
}

/// Whether the server said it, rather than nobody.
fn is_answer(error: &RedisError) -> bool {
    error.code().is_some()
}

/// The code of an error; before Redis 7, one that a command in a script met is in the text behind a general code.
fn code(error: &RedisError) -> &str {
    const INNER: [&str; 4] = ["OOM", "READONLY", "MISCONF", "NOREPLICAS"];
    let code = error.code().unwrap_or_default();
    let detail = error.detail().unwrap_or_default();
    let inner = INNER.into_iter().find(|inner| detail.contains(&format!("-{inner} ")));
    if code == "ERR" { inner.unwrap_or(code) } else { code }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> RedisError {
        let value = ::redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap();
        value.extract_error().unwrap_err()
    }

    #[test]
    fn every_error_says_whether_the_write_may_have_happened() {
        for (text, class, in_doubt, then) in [
            ("MOVED 7 127.0.0.1:7000", Class::Io, false, Remedy::Refresh),
            ("READONLY You can't write against a read only replica.", Class::Io, false, Remedy::Refresh),
            ("LOADING Redis is loading the dataset in memory", Class::Io, false, Remedy::Reconnect),
            ("OOM command not allowed when used memory > 'maxmemory'.", Class::Full, false, Remedy::Stay),
            (
                "ERR Error running script (call to f_1): @user_script:1: -OOM command not allowed",
                Class::Full,
                false,
                Remedy::Stay,
            ),
            ("BUSY Redis is busy running a script.", Class::Busy, false, Remedy::Stay),
            ("WRONGPASS invalid username-password pair", Class::Io, false, Remedy::Reconnect),
            ("WRONGTYPE Operation against a key holding the wrong kind", Class::Statement, true, Remedy::Stay),
            ("ERR user_script:1: attempt to index a nil value", Class::Statement, true, Remedy::Stay),
        ] {
            let error = answer(text);
            let said = (failure(&error).class(), super::in_doubt(&error), remedy(&error));
            assert_eq!(said, (class, in_doubt, then), "{text}");
        }
        let broken = RedisError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert!(in_doubt(&broken) && remedy(&broken) == Remedy::Reconnect);
    }
}
