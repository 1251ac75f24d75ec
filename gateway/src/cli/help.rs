//! What `--help` teaches, command by command: when to use it, and lines to paste.

pub(super) const ABOUT: &str = "An IoT edge gateway whose acknowledgement means: on disk";
pub(super) const LONG: &str = "\
An IoT edge gateway whose acknowledgement means: on disk.

Devices send readings; the gateway checks who they are, writes what they send to its spool, and acknowledges it when \
the disk has confirmed it. From the spool readings go to the outputs, in order, at least once.";
pub(super) const AFTER: &str = "\
Five minutes:
  tidegate demo --duration 30s           see it work, with virtual sensors
  tidegate quickstart try                make a gateway in the folder try, and print lines to paste
  tidegate run -c try/tidegate.toml      run it
  tidegate tail -c try/tidegate.toml     see what comes in

Exit codes: 0 done, 1 failed, 2 wrong arguments, 65 damaged data, 69 gateway not running,
73 cannot make a file, 74 disk error, 78 wrong configuration.";

pub(super) const QUICKSTART: &str = "\
Makes a folder with everything a first try needs: a configuration, data, one device and one application, each with a \
secret of its own. Prints lines to paste into a terminal. The secrets are shown once and are not stored in readable \
form.";
pub(super) const QUICKSTART_AFTER: &str = "\
Examples:
  tidegate quickstart try
  tidegate quickstart try --mqtt-port 2883       when another broker has 1883";

pub(super) const RUN: &str = "\
Runs the gateway until SIGTERM or Ctrl-C, then drains: it stops accepting, settles what it owes, and syncs.

Without -c it takes ./tidegate.toml, else /etc/tidegate/tidegate.toml; when there is neither, it makes ./tidegate.toml \
and says so. Listeners are on loopback unless --lan or `lan = true` lets other machines in. SIGHUP reads the \
configuration again and takes its routes and log level; a wrong one is reported and the old one stays.";
pub(super) const RUN_AFTER: &str = "\
Examples:
  tidegate run -c tidegate.toml
  tidegate run -c tidegate.toml --lan
  tidegate run --log-level debug --log-format json";

pub(super) const CHECK: &str = "\
Reads a configuration as the gateway would, and names every fault with its line and column and what to write instead. \
Exit code 0 when the gateway would start with it, 78 when not. It opens no port and writes nothing.";
pub(super) const CHECK_AFTER: &str = "\
Examples:
  tidegate check -c tidegate.toml
  tidegate check -c tidegate.toml && kill -HUP $(pidof tidegate)";

pub(super) const DEVICE: &str = "\
Says who may come in. Each login has a secret of its own, made by the gateway and shown once, or a person's password. \
A device publishes as itself; an application subscribes to what it was given; a client does what its filters say. \
Changes take effect in a running gateway at once: whoever is removed or disabled is disconnected.";
pub(super) const DEVICE_AFTER: &str = "\
Examples:
  tidegate device add sensor_1
  tidegate device add --count 100 --prefix sensor_ --out creds.csv
  tidegate device list
  tidegate device show sensor_1          its rights, and what was last rejected from it and why
  tidegate device disable sensor_1       keep it out; `enable` lets it in again
  tidegate device rotate sensor_1        a new secret; the old one ends at once
  tidegate device import creds.csv       the logins of another gateway, or a password file of mosquitto";

pub(super) const ADOPT: &str = "\
Lists boards on serial ports that have no name yet, and takes one in: makes a login for it and gives it name and secret \
over the wire, which it keeps. Whoever holds the other end of that wire gets the secret: look which board it is.";
pub(super) const ADOPT_AFTER: &str = "\
Examples:
  tidegate adopt
  tidegate adopt e6614103e7452c2f --as greenhouse-1
  tidegate adopt e6614103e7452c2f --as greenhouse-1 --replace    another board in the place of the first";

pub(super) const BOARD: &str = "\
Asks a board on a serial port how it is: starts, readings that wait, broken frames. With a flag it has the board do \
something, and waits until the board has said that it does.";
pub(super) const BOARD_AFTER: &str = "\
Examples:
  tidegate board greenhouse-1
  tidegate board greenhouse-1 --identify 30
  tidegate board greenhouse-1 --period 5000
  tidegate board greenhouse-1 --reboot";

pub(super) const TAIL: &str = "\
Shows durable records as they come in: offset, device, protocol, values. It asks the running gateway and holds nothing \
back: closing it costs no reading. With --from it begins in the past, as far as the spool reaches.";
pub(super) const TAIL_AFTER: &str = "\
Examples:
  tidegate tail
  tidegate tail --device sensor_1 --json
  tidegate tail --from -10m --lane event
  tidegate tail --from oldest -n 100";

pub(super) const STATUS: &str = "\
Shows how the gateway is. The first line says what matters (`lost 0, oldest unsent 2 s`); below it are the spool by \
lane, outputs, connections, and the devices that have no promise because they send with QoS 0.";
pub(super) const STATUS_AFTER: &str = "\
Examples:
  tidegate status
  tidegate status -c /etc/tidegate/tidegate.toml --json";

pub(super) const LOG: &str = "\
Changes what the running gateway logs, for a while: ten minutes unless --for says otherwise, seven days at most. Then \
it goes back by itself to what --log-level, TIDEGATE_LOG or the configuration says, so that a forgotten `trace` does not \
wear out a card. SIGHUP in between leaves it alone; what was read then is in force afterwards. Where a filter names \
parts only, the rest stays as it is.";
pub(super) const LOG_AFTER: &str = "\
Examples:
  tidegate log                                     what is logged, and until when
  tidegate log debug
  tidegate log tidegate::listener=trace --for 30s
  tidegate log info,tidegate::spool=debug --for 1h
  tidegate log --reset";

pub(super) const REPLAY: &str = "\
Sends readings that are still on disk to an output again, by the time the gateway took them. Each keeps its uid, so \
that who gets them can see which it has. Delivered records stay on disk for `keep` of [spool].";
pub(super) const REPLAY_AFTER: &str = "\
Examples:
  tidegate replay --from -2h --output file
  tidegate replay --from 2026-11-20T08:00:00Z --to 2026-11-20T09:00:00Z --output file";

pub(super) const OUTPUT: &str = "\
Looks at what an output needs at its destination. It changes nothing there, and a running gateway is not disturbed.";
pub(super) const OUTPUT_AFTER: &str = "\
Examples:
  tidegate output check                  what RocketMQ lacks, each with the line that an administrator runs
  tidegate output check --send           sends one message besides

Exit code 0 when readings can get there, 1 when something is missing.";

pub(super) const SERVICE: &str = "\
Watches a bus from anywhere: each service is a member of a consumer group. Start it twice and the two share the \
messages; with --broadcast each gets all of them. Members that come, go or die are noticed, and the others take over. \
A message counts as read when the service is done with it; a message that comes twice is left out by its uid.";
pub(super) const SERVICE_AFTER: &str = "\
Examples:
  tidegate service monitor --bus rocketmq://127.0.0.1:9876
  tidegate service alarm --bus rocketmq://127.0.0.1:9876";

pub(super) const SERVICE_MONITOR: &str = "\
Shows each reading once, as it comes over the bus: device, values, tag, and how long it took since the device had it. \
Every ten seconds it says how far the group is behind. Ctrl-C ends it; what was shown does not come again.

--filter is SQL-92 and is evaluated by the broker, which has to be told to (`enablePropertyFilter=true`). Each \
measurement can be asked for by its name; so can tg_dev, tg_seq, tg_ts_gw, TAGS and the labels of the gateway. Whole \
numbers and zero are rewritten, since the broker would misread them, and what is sent is shown. All members of a group \
have to ask for the same: who asks for something else is refused.";
pub(super) const SERVICE_MONITOR_AFTER: &str = "\
Examples:
  tidegate service monitor --bus rocketmq://127.0.0.1:9876
  tidegate service monitor --bus rocketmq://10.0.0.1:9876,10.0.0.2:9876 --filter 'temperature > 35' --group hot
  tidegate service monitor --bus rocketmq://127.0.0.1:9876 --tag temperature --tag humidity --group two
  tidegate service monitor --bus rocketmq://127.0.0.1:9876 --broadcast --json -n 100
  tidegate service monitor --bus rocketmq://127.0.0.1:9876 --group audit --from-first";

pub(super) const SERVICE_ALARM: &str = "\
Tells of each reading over the limit at once: RAISED for the first of a device, ALARM for those that follow, CLEARED \
when it is back. Raise and clear also go to the topic iot-alarm, with an id made of the reading's, so that one who \
gets them twice can see it. A reading counts as read when its alarm is on the bus. What that topic holds is also its \
memory: one that is started again, or takes over from another, knows what is raised.";
pub(super) const SERVICE_ALARM_AFTER: &str = "\
Examples:
  tidegate service alarm --bus rocketmq://127.0.0.1:9876
  tidegate service alarm --bus rocketmq://127.0.0.1:9876 --above 40 --clear 38
  tidegate service alarm --bus rocketmq://127.0.0.1:9876 --measurement humidity --above 80 --group damp";

pub(super) const SPOOL: &str = "\
Looks at a spool on disk. It writes nothing, and a running gateway is not disturbed.";
pub(super) const SPOOL_AFTER: &str = "\
Examples:
  tidegate spool inspect data
  tidegate spool verify data             exit 0 only when no record is damaged";

pub(super) const SIZE: &str = "\
Reckons from the format on disk what so many devices mean for it: commits, bytes a day written to the card, and how \
large `max_disk` has to be for an outage, with `sd_card` off and on. Each commit is written in whole blocks of 4 KiB: \
many readings in one are much cheaper than one by one. The figures are those of readings that come evenly, one by \
one, which is the dearest way; those that come together share a commit. What a file output writes comes on top.";
pub(super) const SIZE_AFTER: &str = "\
Examples:
  tidegate size --devices 100 --rate 1/s --hours 6
  tidegate size --devices 20 --rate 1/10s --hours 72 --payload 120 --card 16GB";

#[cfg(feature = "demo")]
pub(super) const DEMO: &str = "\
Starts a gateway in a fresh folder and virtual sensors that send to it over MQTT; shows a live table, readings over \
35 °C marked. At the end, or on Ctrl-C, it audits what the output got against what was acknowledged and prints \
`lost 0, duplicated 0, out of order 0`.";
#[cfg(feature = "demo")]
pub(super) const DEMO_AFTER: &str = "\
Examples:
  tidegate demo
  tidegate demo --duration 60s --devices 1000 --interval 1s
  tidegate demo --rocketmq 127.0.0.1:9876";

pub(super) const CONFIG: &str = "\
Prints every key of the configuration with its type, default, range and meaning, and whether a change counts when the \
file is read again or at the next start; or a file to start from. Both are made from what the gateway reads.";
pub(super) const CONFIG_AFTER: &str = "\
Examples:
  tidegate config reference > CONFIGURATION.md
  tidegate config example > tidegate.toml";

pub(super) const COMPLETIONS: &str =
    "Prints a script that teaches a shell to complete the commands of tidegate.";
pub(super) const COMPLETIONS_AFTER: &str = "\
Examples:
  tidegate completions bash > ~/.local/share/bash-completion/completions/tidegate
  tidegate completions zsh > ~/.zfunc/_tidegate
  tidegate completions fish > ~/.config/fish/completions/tidegate.fish";

pub(super) const MAN: &str = "\
Writes a manual page of this program and one of each of its commands, which say what --help says.";
pub(super) const MAN_AFTER: &str = "\
Examples:
  tidegate man /usr/local/share/man/man1
  tidegate man pages && man pages/tidegate-run.1";
