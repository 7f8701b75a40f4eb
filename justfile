# Shorthands; each is a script that also runs without just.

# Start the whole mesh on this machine.
up *ARGS:
    cargo run --release -- up {{ARGS}}

# Run every test.
test *ARGS:
    tests/run {{ARGS}}

# Formatting, clippy, buf, licences.
lint:
    tests/lint

# Measure speed against a raw echo; all benchmarks, or one by name.
bench *NAME:
    tests/bench {{NAME}}

# Run a proof by name; without one, list them.
prove *NAME:
    tests/prove {{NAME}}
