//! What the boards share, on a 32-bit RISC-V without atomics as the ESP32-C3 has it: the wire vectors, a board that
//! talks to a gateway, readings through losses of power. Prints what it has checked; exit code 0 when all is well.
#![no_std]
#![no_main]

mod board;
mod flash;
mod gateway;
mod vectors;

use semihosting::{println, process};

#[riscv_rt::entry]
fn main() -> ! {
    println!("vectors: {}", vectors::read_and_write_as_they_stand());
    println!("readings acknowledged: {}", board::sends_until_it_is_acknowledged());
    println!("readings through power cycles: {}", board::keeps_its_readings_without_power());
    println!("letters: {}", board::writes_what_the_gateway_reads());
    println!("all is well");
    process::exit(0)
}
