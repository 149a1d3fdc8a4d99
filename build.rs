//! Packs what the program carries with it.

use std::env;
use std::error::Error;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;

fn main() -> Result<(), Box<dyn Error>> {
    const PRICES: &str = "conf/prices.json";
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={PRICES}");
    let out = env::var_os("OUT_DIR").map(PathBuf::from).ok_or("cargo sets OUT_DIR")?;
    let packed = File::create(out.join("prices.json.gz"))?;
    let mut packer = GzEncoder::new(packed, Compression::best());
    packer.write_all(&fs::read(PRICES)?)?;
    packer.finish()?;
    Ok(())
}
