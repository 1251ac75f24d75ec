/// See [`super::Config::example`].
pub(super) const TEXT: &str = r#"# Tidegate. Every key with its default: what is left out means the same.
# `tidegate check -c FILE` reads it as the gateway will. A running gateway takes changes on SIGHUP.

# Folder of everything the gateway writes, starting at this file's folder.
data = "data"

# Let other machines in. Off, only this machine can reach the gateway.
lan = false

# Let devices in without a password. On this machine only.
anonymous = false

# One thread a core, unless you say how many.
# threads = 2

[log]
level = "info"          # error, warn, info, debug, trace
format = "text"         # text, json

[mqtt]
# listen = "127.0.0.1"  # one address to listen on
port = 1883

# Ports set aside: this version listens on neither.
[coap]
port = 5683

[http]
port = 8080

# Where readings go. Each output remembers how far it has got; nothing is deleted before every output has it.
[[output]]
type = "file"           # JSON lines
name = "file"
dir = "out"             # starts at the data folder
rotate_bytes = "64MiB"
keep_files = 16         # closed files that stay
"#;
