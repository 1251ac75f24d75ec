//! Checks what is given to the build: a board's name and its network are another build.

#[path = "../given.rs"]
mod given;

fn main() -> Result<(), String> {
    println!("cargo:rerun-if-changed=../given.rs");
    given::check()
}
