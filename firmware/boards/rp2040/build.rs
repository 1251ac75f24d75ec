//! Checks what is given to the build, and puts memory.x and what the radio is told about its board where the compiler
//! looks for them.

#[path = "../given.rs"]
mod given;

use std::{env, fs, path::PathBuf};

/// The board's settings for its radio, in whose maker's words and under whose licence: not ours to give away.
const NVRAM: &str = "TIDEGATE_CYW43_NVRAM";

fn main() -> Result<(), String> {
    given::check()?;
    let out = env::var_os("OUT_DIR").map(PathBuf::from).ok_or("cargo says where")?;
    fs::copy("memory.x", out.join("memory.x")).map_err(|error| format!("memory.x: {error}"))?;
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rerun-if-changed=memory.x");
    println!("cargo:rerun-if-changed=../given.rs");
    println!("cargo:rerun-if-env-changed={NVRAM}");
    if env::var_os("CARGO_FEATURE_WIFI").is_some() {
        let nvram = env::var_os(NVRAM).ok_or(format!(
            "{NVRAM} is the path of nvram_rp2040.bin (github.com/embassy-rs/embassy, folder cyw43-firmware); \
             firmware/build fetches it"
        ))?;
        let copied = fs::copy(&nvram, out.join("nvram.bin"));
        copied.map_err(|error| format!("{}: {error}", PathBuf::from(nvram).display()))?;
    }
    Ok(())
}
