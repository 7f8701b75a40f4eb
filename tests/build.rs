//! The raw echo that proofs compare with is no contract of the product, so it is compiled here.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=benches/echo.proto");
    // The folder in which this runs is the package's.
    let descriptors = protox::compile(["echo.proto"], ["benches"])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
