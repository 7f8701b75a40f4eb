//! `calculate`, with results as the recorded tool printed them: rounded to cents, always with a decimal point.

/// Evaluates numbers, + - * /, parentheses and spaces.
///
/// # Errors
/// What is wrong with the expression.
pub fn calculate(expression: &str) -> Result<String, String> {
    if !expression.chars().all(|c| "0123456789+-*/(). ".contains(c)) {
        return Err("invalid characters in expression".into());
    }
    let mut rest = expression.trim_start();
    let value = sum(&mut rest)?;
    if !rest.is_empty() {
        return Err(format!("{rest:?} is left over"));
    }
    Ok(print(to_cents(value)))
}

/// Rounds to two decimals by the number's exact value, halves to even.
pub fn to_cents(value: f64) -> f64 {
    format!("{value:.2}").parse().expect("a printed number can be read")
}

fn print(value: f64) -> String {
    format!("{value:?}")
}

fn sum(rest: &mut &str) -> Result<f64, String> {
    let mut value = product(rest)?;
    loop {
        if take(rest, '+') {
            value += product(rest)?;
        } else if take(rest, '-') {
            value -= product(rest)?;
        } else {
            return Ok(value);
        }
    }
}

fn product(rest: &mut &str) -> Result<f64, String> {
    let mut value = factor(rest)?;
    loop {
        if take(rest, '*') {
            value *= factor(rest)?;
        } else if take(rest, '/') {
            let divisor = factor(rest)?;
            if divisor == 0.0 {
                return Err("division by zero".into());
            }
            value /= divisor;
        } else {
            return Ok(value);
        }
    }
}

fn factor(rest: &mut &str) -> Result<f64, String> {
    if take(rest, '-') {
        return Ok(-factor(rest)?);
    }
    if take(rest, '+') {
        return factor(rest);
    }
    if take(rest, '(') {
        let value = sum(rest)?;
        return if take(rest, ')') { Ok(value) } else { Err("a parenthesis is not closed".into()) };
    }
    number(rest)
}

fn number(rest: &mut &str) -> Result<f64, String> {
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (digits, after) = rest.split_at(end);
    *rest = after.trim_start();
    digits.parse().map_err(|_| format!("a number is missing before {after:?}"))
}

fn take(rest: &mut &str, wanted: char) -> bool {
    let Some(after) = rest.strip_prefix(wanted) else { return false };
    *rest = after.trim_start();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_look_as_recorded() {
        for (expression, result) in [
            ("164.28", "164.28"),
            ("135.24 - 153.23", "-17.99"),
            ("466.75 + 288.82 + 135.24 + 193.38 + 46.66", "1130.85"),
            ("2 * (3 + 4) / 7", "2.0"),
            ("-(1.005)", "-1.0"),
            ("10 / 4 - 2.5", "0.0"),
        ] {
            assert_eq!(calculate(expression).as_deref(), Ok(result), "{expression}");
        }
    }

    #[test]
    fn what_is_not_arithmetic_is_refused() {
        for expression in ["import os", "1 +", "(1", "1 2", "1/0", ""] {
            assert!(calculate(expression).is_err(), "{expression}");
        }
    }
}
