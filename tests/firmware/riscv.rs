//! What the boards share, on a 32-bit RISC-V in an emulator: `tests/riscv32` prints what it has checked.

use std::process::Command;

use tidegate_tests::riscv32_image;

#[test]
fn protocol_and_core_do_the_same_on_a_riscv32() {
    let output = tidegate_tests::run(
        Command::new("timeout")
            .args(["120", "qemu-system-riscv32", "-M", "virt", "-display", "none", "-bios", "none"])
            .args(["-semihosting-config", "enable=on,target=native", "-kernel"])
            .arg(riscv32_image()),
    );
    let printed = String::from_utf8_lossy(&output.stdout);
    println!("{printed}");
    assert!(output.status.success(), "{output:?}");
    assert!(printed.ends_with("all is well\n"), "{printed}");
}
