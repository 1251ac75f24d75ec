# Rust's own library for targets that rustup has not installed. Sourced by firmware/build and deploy/build, in the root
# of the repository, with CARGO_TARGET_DIR set.

RUST=1.95.0
RUST_SRC_VERSION=1.95.0+dfsg1-2~bpo13+1
LIBRARY=$CARGO_TARGET_DIR/rust-library-$RUST

# Whether the library came with the compiler, or by `rustup target add`.
has_library() { [ -d "$(rustc --print sysroot)/lib/rustlib/$1" ]; }

# library_for TARGET: where the library is not installed, fetches its sources and has cargo build it with the program.
library_for() {
    has_library "$1" && return
    [[ "$(rustc --version)" == "rustc $RUST "* ]] || stop "rustc $RUST is needed, or: rustup target add $1"
    fetch_library || stop "cannot fetch the sources of Rust's library; install it: rustup target add $1"
    # The unstable options of a stable compiler.
    export RUSTC_BOOTSTRAP=1 __CARGO_TESTS_ONLY_SRC_ROOT="$LIBRARY"
}

fetch_library() {
    [ -d "$LIBRARY/core" ] && return
    local folder
    folder=$(mktemp -d)
    rm -rf "$LIBRARY.new"
    if [ -n "${TIDEGATE_RUST_LIBRARY:-}" ]; then
        tar xf "$TIDEGATE_RUST_LIBRARY" -C "$folder" && mv "$folder/library" "$LIBRARY.new"
    else
        from_debian "$folder"
    fi
    rm -rf "$folder"
    mv "$LIBRARY.new" "$LIBRARY"
}

# The library's sources as Debian packages them, without touching what apt knows of this machine.
from_debian() {
    local folder=$1 options
    mkdir -p "$folder"/{lists,cache/archives/partial}
    local mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    # Whichever mirror this machine has.
    mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | head -1)
    printf 'deb [signed-by=%s] %s trixie-backports main\n' "$keyring" "$mirror" >"$folder/sources.list"
    options=(-o "Dir::Etc::SourceList=$folder/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$folder/lists" -o "Dir::Cache=$folder/cache" -o APT::Sandbox::User=root)
    apt-get "${options[@]}" -q update >&2 &&
        (cd "$folder" && apt-get "${options[@]}" -q download "rust-src=$RUST_SRC_VERSION" >&2) &&
        dpkg-deb --fsys-tarfile "$folder"/rust-src_*.deb | tar x -C "$folder" --wildcards './usr/src/rustc-*/library' &&
        mv "$folder"/usr/src/rustc-*/library "$LIBRARY.new"
}
