//! Writes the wire vectors as Rust: the board has nothing that reads JSON.

use std::{env, fmt::Write, fs, path::Path};

use serde_json::Value;

const VECTORS: &str = "../vectors/serial/frames.json";

fn bytes(hex: &Value) -> String {
    let hex = hex.as_str().expect("hex digits");
    let bytes: Vec<String> = (0..hex.len()).step_by(2).map(|at| format!("0x{}", &hex[at..at + 2])).collect();
    format!("&[{}]", bytes.join(", "))
}

fn main() {
    println!("cargo::rerun-if-changed={VECTORS}");
    println!("cargo::rerun-if-changed=memory.x");
    let text = fs::read_to_string(VECTORS).expect("the vectors are in the repository");
    let vectors: Value = serde_json::from_str(&text).expect("they are JSON");
    let mut out = String::new();
    for name in ["salt", "nonce_device", "nonce_gateway"] {
        let constant = name.to_uppercase();
        writeln!(out, "pub(crate) const {constant}: &[u8] = {};", bytes(&vectors[name])).expect("a String");
    }
    for name in ["secret", "device"] {
        let constant = name.to_uppercase();
        writeln!(out, "pub(crate) const {constant}: &str = {};", vectors[name]).expect("a String");
    }
    writeln!(out, "pub(crate) const ADDRESS: u16 = {};", vectors["address"]).expect("a String");
    writeln!(out, "pub(crate) const VECTORS: &[Vector] = &[").expect("a String");
    for vector in vectors["frames"].as_array().expect("a list") {
        let is_to_gateway = match vector["direction"].as_str() {
            None => "None",
            Some("to_gateway") => "Some(true)",
            Some(_) => "Some(false)",
        };
        writeln!(
            out,
            "Vector {{ name: {}, kind: {}, sequence: {}, is_to_gateway: {is_to_gateway}, body: {}, wire: {} }},",
            vector["name"],
            vector["kind"],
            vector["sequence"],
            bytes(&vector["body"]),
            bytes(&vector["wire"])
        )
        .expect("a String");
    }
    writeln!(out, "];").expect("a String");
    let folder = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&folder).join("vectors.rs"), out).expect("the build folder can be written");
    fs::copy("memory.x", Path::new(&folder).join("memory.x")).expect("the build folder can be written");
    println!("cargo::rustc-link-search={folder}");
}
