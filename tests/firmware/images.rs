//! What is flashed, and what a build says to a mistake.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest as _, Sha256};

/// Beside the Pico's image.
fn image(name: &str) -> Vec<u8> {
    let elf = std::env::var_os("TIDEGATE_RP2040_ELF").map(PathBuf::from).expect("`tests/run` says where");
    let path = elf.with_file_name(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; `tests/run firmware`", path.display()))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four"))
}

/// Where each loaded part of an ELF goes, and its bytes.
fn loaded(elf: &[u8]) -> Vec<(u32, &[u8])> {
    let (at, count) = (word(elf, 28) as usize, usize::from(elf[44]));
    (0..count)
        .map(|index| elf.get(at + 32 * index..).expect("a head"))
        .filter(|head| word(head, 0) == 1 && word(head, 16) > 0)
        .map(|head| (word(head, 12), &elf[word(head, 4) as usize..][..word(head, 16) as usize]))
        .collect()
}

#[test]
fn a_uf2_is_the_picos_program() {
    for name in ["tidegate-rp2040", "tidegate-rp2040-usb", "tidegate-rp2040-wifi"] {
        let (uf2, elf) = (image(&format!("{name}.uf2")), image(&format!("{name}.elf")));
        let mut flash = std::collections::BTreeMap::new();
        let blocks = u32::try_from(uf2.len() / 512).expect("few");
        for (number, block) in (0..).zip(uf2.chunks(512)) {
            assert_eq!(
                [0, 4, 508].map(|at| word(block, at)),
                [0x0a32_4655, 0x9e5d_5157, 0x0ab1_6f30],
                "{name}"
            );
            // Family present, 256 bytes, which of how many, RP2040.
            assert_eq!(
                [8, 16, 20, 24, 28].map(|at| word(block, at)),
                [0x2000, 256, number, blocks, 0xe48b_ff56]
            );
            assert_eq!(word(block, 12) % 256, 0, "{name}");
            flash.extend((word(block, 12)..).zip(&block[32..288]));
        }
        for (at, bytes) in loaded(&elf) {
            assert!((at..).zip(bytes).all(|(at, byte)| flash.get(&at) == Some(&byte)), "{name} at {at:x}");
        }
    }
}

#[test]
fn an_image_of_the_esp32c3_is_whole_and_maps_what_lies_in_its_flash() {
    for name in ["tidegate-esp32c3", "tidegate-esp32c3-usb", "tidegate-esp32c3-wifi"] {
        let (bin, elf) = (image(&format!("{name}.bin")), image(&format!("{name}.elf")));
        let (body, digest) = bin.split_at(bin.len() - 32);
        assert_eq!(Sha256::digest(body).as_slice(), digest, "{name}");
        // Magic, chip, entry, a digest follows.
        assert_eq!((bin[0], bin[12], word(&bin, 4), bin[23]), (0xe9, 5, word(&elf, 24), 1), "{name}");
        let (mut at, mut check, mut flash) = (24, 0xef, std::collections::BTreeMap::new());
        for part in 0..bin[1] {
            let (to, len) = (word(&bin, at), word(&bin, at + 4) as usize);
            let bytes = &bin[at + 8..at + 8 + len];
            let is_mapped =
                (0x3c00_0000..0x3c80_0000).contains(&to) || (0x4200_0000..0x4280_0000).contains(&to);
            // The boot loader maps by pages of 64 KiB, and looks for the program's description in front.
            assert!(!is_mapped || (at + 8) % 0x1_0000 == to as usize % 0x1_0000, "{name} {part}");
            assert!(part > 0 || word(bytes, 0) == 0xabcd_5432, "{name}");
            check = bytes.iter().fold(check, |check, byte| check ^ byte);
            flash.extend((to..).zip(bytes));
            at += 8 + len;
        }
        assert_eq!((body.len() - 1, body[body.len() - 1]), (at | 15, check), "{name}");
        let description = 0x3c00_0020_u32 + 144..0x3c00_0020 + 176;
        for (to, bytes) in loaded(&elf) {
            let same = |(at, byte)| flash.get(&at) == Some(&byte) || description.contains(&at);
            assert!((to..).zip(bytes).all(same), "{name} at {to:x}");
        }
    }
}

/// Runs `firmware/build rp2040 --features wifi check` with all that it needs, but for what `changed` says.
fn refused(changed: &[(&str, Option<&str>)]) -> String {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware/build");
    let mut command = Command::new(build);
    command.args(["rp2040", "--features", "wifi", "check"]).envs([
        ("TIDEGATE_DEVICE", "board-1"),
        ("TIDEGATE_SECRET", "secret"),
        ("TIDEGATE_WIFI_SSID", "wlan"),
        ("TIDEGATE_WIFI_PASSWORD", "password"),
        ("TIDEGATE_GATEWAY", "192.168.1.10"),
        ("TIDEGATE_CYW43_NVRAM", "/dev/null"),
    ]);
    for (name, value) in changed {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command.output().expect("bash is there");
    assert!(!output.status.success(), "{changed:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_build_says_what_is_wrong_with_what_it_is_given() {
    let long = "x".repeat(65);
    for (name, value, why) in [
        ("TIDEGATE_DEVICE", Some("a/b"), "TIDEGATE_DEVICE is no name"),
        ("TIDEGATE_DEVICE", Some(long.as_str()), "TIDEGATE_DEVICE is no name"),
        ("TIDEGATE_SECRET", None, "belong together"),
        ("TIDEGATE_SECRET", Some(long.as_str()), "TIDEGATE_SECRET has 1 to 64 bytes"),
        ("TIDEGATE_WIFI_SSID", None, "TIDEGATE_WIFI_SSID is the WLAN's name"),
        ("TIDEGATE_WIFI_SSID", Some(&long[..33]), "TIDEGATE_WIFI_SSID is the WLAN's name"),
        ("TIDEGATE_WIFI_PASSWORD", Some("short"), "TIDEGATE_WIFI_PASSWORD has 8 to 63"),
        ("TIDEGATE_GATEWAY", Some("gateway.local"), "TIDEGATE_GATEWAY is the gateway's IPv4 address"),
        ("TIDEGATE_CYW43_NVRAM", Some("/nowhere"), "/nowhere"),
    ] {
        let said = refused(&[(name, value)]);
        assert!(said.contains(why), "{name}={value:?}: {said}");
    }
    let said = refused(&[("TIDEGATE_DEVICE", None), ("TIDEGATE_SECRET", None)]);
    assert!(said.contains("over WLAN a board has its name from the build"), "{said}");
}
