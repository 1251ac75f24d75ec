//! A board's name, given to the build, is another build.

fn main() {
    println!("cargo:rerun-if-env-changed=TIDEGATE_DEVICE");
    println!("cargo:rerun-if-env-changed=TIDEGATE_SECRET");
}
