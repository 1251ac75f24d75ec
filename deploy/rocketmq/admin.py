#!/usr/bin/env python3
"""Administers a RocketMQ cluster, 4.9 or 5.x, over its remoting protocol, with Python's own library alone.

A call takes a quarter of a second; the server's own tool (`admin mqadmin ...`) starts a Java machine for each.
What is asked for is done on every master broker that the name server knows.
"""

import argparse
import base64
import hashlib
import hmac
import json
import re
import socket
import ssl
import struct
import sys
import time

NAME_SERVER_PORT = 9876
ANSWER_SECONDS_MAX = 10
FRAME_BYTES_MAX = 64 * 1024 * 1024
FOUND_MAX = 64

QUERY_MESSAGE, CREATE_TOPIC, UPDATE_CONFIG, MAX_OFFSET, MIN_OFFSET, GROUP_MEMBERS = 12, 17, 25, 30, 31, 38
GROUP_OFFSET, SET_GROUP_OFFSET = 14, 15
ROUTE, CLUSTER, CREATE_GROUP, ALL_GROUPS, ALL_TOPICS = 105, 106, 200, 201, 21
GET_CONFIG, CONSUME_STATS, DELETE_GROUP, DELETE_TOPIC, DELETE_ROUTE = 26, 208, 207, 215, 216
CREATE_USER, UPDATE_USER, DELETE_USER, LIST_USERS = 3001, 3002, 3003, 3005
CREATE_ACL, UPDATE_ACL, LIST_ACLS = 3006, 3007, 3010
NO_TOPIC, NOT_FOUND = 17, 22


class Refused(Exception):
    """The server answered, and not with success."""

    def __init__(self, code, remark):
        first = (remark or "").strip().splitlines()
        super().__init__(f"{first[0] if first else 'no reason given'} (code {code})")
        self.code = code


def parse(text):
    """JSON as the server writes it: whole numbers as keys have no quotes."""
    return json.loads(re.sub(rb"([{,])\s*(-?\d+)\s*:", rb'\1"\2":', text))


class Connection:
    """One TCP connection to a name server or broker, one request at a time."""

    def __init__(self, address, access):
        host, _, port = address.rpartition(":")
        self.address, self.access, self.opaque = address, access, 0
        self.socket = socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS_MAX)
        if access.tls:
            # RocketMQ's clients do not look at the name in the certificate; that our CA signed it is checked.
            self.socket = access.tls.wrap_socket(self.socket)

    def ask(self, code, fields=None, body=b""):
        fields = {name: as_text(value) for name, value in (fields or {}).items()}
        if self.access.user:
            fields["AccessKey"] = self.access.user
            fields["Signature"] = signature(fields, body, self.access.secret)
        self.opaque += 1
        header = {"code": code, "flag": 0, "language": "PYTHON", "opaque": self.opaque, "version": 0,
                  "serializeTypeCurrentRPC": "JSON", "extFields": fields}
        header = json.dumps(header).encode()
        frame = struct.pack(">II", 4 + len(header) + len(body), len(header)) + header + body
        self.socket.sendall(frame)
        while True:
            answer, body = self.read_frame()
            if answer.get("opaque") == self.opaque and answer.get("flag", 0) & 1:
                break
        if answer["code"] != 0:
            raise Refused(answer["code"], answer.get("remark"))
        return answer.get("extFields") or {}, body

    def read_frame(self):
        (length,) = struct.unpack(">I", self.read(4))
        if not 4 <= length <= FRAME_BYTES_MAX:
            raise OSError(f"{self.address} sent a frame of {length} bytes: no RocketMQ server listens there")
        frame = self.read(length)
        header_length = struct.unpack(">I", frame[:4])[0] & 0xFFFFFF
        return parse(frame[4:4 + header_length]), frame[4 + header_length:]

    def read(self, count):
        read = b""
        while len(read) < count:
            part = self.socket.recv(count - len(read))
            if not part:
                raise OSError(f"{self.address} closed the connection")
            read += part
        return read


def as_text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def signature(fields, body, secret):
    """HMAC-SHA-1 over the fields' values in the order of their names, and the body."""
    signed = "".join(fields[name] for name in sorted(fields)).encode() + body
    return base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha1).digest()).decode()


class Access:
    """How a server is reached: TLS, and who we are."""

    def __init__(self, words):
        self.tls = self.user = self.secret = None
        if words.ca:
            self.tls = ssl.create_default_context(cafile=words.ca)
            self.tls.check_hostname = False
            if words.cert:
                self.tls.load_cert_chain(words.cert, words.key)
        if words.user:
            self.user, self.secret = words.user, read_secret(words.secret_file)


def read_secret(path):
    if path is None:
        sys.exit("a user needs --secret-file FILE (or - for standard input)")
    secret = (sys.stdin if path == "-" else open(path, encoding="utf-8")).read().strip()
    if not secret:
        sys.exit(f"{path} is empty")
    return secret


class Cluster:
    def __init__(self, words):
        self.access = Access(words)
        self.name_servers = words.name_server.replace(";", ",").split(",")
        self.open = {}

    def connection(self, address):
        if address not in self.open:
            self.open[address] = Connection(address, self.access)
        return self.open[address]

    def ask_name_server(self, code, fields=None):
        """The first name server that answers."""
        failure = None
        for address in self.name_servers:
            try:
                return self.connection(address).ask(code, fields)
            except OSError as error:
                failure = OSError(f"name server {address}: {error}")
        raise failure

    def brokers(self):
        """Addresses of the master brokers."""
        _, body = self.ask_name_server(CLUSTER)
        table = parse(body)["brokerAddrTable"]
        masters = [broker["brokerAddrs"]["0"] for broker in table.values() if "0" in broker["brokerAddrs"]]
        if not masters:
            raise OSError("the name server knows no broker")
        return sorted(masters)

    def each(self, code, fields=None, body=b""):
        """Asks every master broker; (address, fields, body) of each answer."""
        return [(address, *self.connection(address).ask(code, fields, body)) for address in self.brokers()]

    def route(self, topic):
        """(broker name, address of its master, number of queues to read) of each broker of a topic."""
        _, body = self.ask_name_server(ROUTE, {"topic": topic})
        route = parse(body)
        address = {broker["brokerName"]: broker["brokerAddrs"].get("0") for broker in route["brokerDatas"]}
        return [(queue["brokerName"], address.get(queue["brokerName"]), queue["readQueueNums"])
                for queue in route["queueDatas"]]


def topic(cluster, words):
    for name in words.names:
        if words.if_missing and has_route(cluster, name):
            continue
        fields = {"topic": name, "defaultTopic": "TBW102", "readQueueNums": words.queues,
                  "writeQueueNums": words.queues, "perm": 6, "topicFilterType": "SINGLE_TAG", "topicSysFlag": 0,
                  "order": False}
        if words.type:
            fields["attributes"] = f"+message.type={words.type}"
        cluster.each(CREATE_TOPIC, fields)
    wait_for(cluster, words.names)
    print(f"topics there: {' '.join(words.names)}")


def has_route(cluster, name):
    try:
        return bool(cluster.route(name))
    except Refused as refused:
        if refused.code != NO_TOPIC:
            raise
        return False


def wait_for(cluster, topics, seconds_max=60):
    """A topic lags its creation: the broker tells the name servers. Waits until each has a route."""
    end = time.monotonic() + seconds_max
    for name in topics:
        while not has_route(cluster, name):
            if time.monotonic() > end:
                raise OSError(f"no route to topic {name} within {seconds_max} s")
            time.sleep(0.1)


def delete_topic(cluster, words):
    for name in words.names:
        cluster.each(DELETE_TOPIC, {"topic": name})
        for address in cluster.name_servers:
            cluster.connection(address).ask(DELETE_ROUTE, {"topic": name})
    print(f"topics deleted: {' '.join(words.names)}")


def group(cluster, words):
    there = [set(parse(body)["subscriptionGroupTable"]) for _, _, body in cluster.each(ALL_GROUPS)]
    for name in words.names:
        if words.if_missing and all(name in groups for groups in there):
            continue
        config = {"groupName": name, "consumeEnable": True, "consumeFromMinEnable": True,
                  "consumeBroadcastEnable": True, "consumeMessageOrderly": words.ordered, "retryQueueNums": 1,
                  "retryMaxTimes": words.retries, "brokerId": 0, "whichBrokerWhenConsumeSlowly": 1,
                  "notifyConsumerIdsChangedEnable": True}
        cluster.each(CREATE_GROUP, body=json.dumps(config).encode())
    for name in words.names:
        for topic in words.from_first:
            start_at_first(cluster, name, topic)
    print(f"groups there: {' '.join(words.names)}")


def start_at_first(cluster, group, topic):
    """Sets the offset of each queue that the group has none of. Without one, the client decides where it begins, and one
    that begins at the end passes over what arrives between its two questions: has the group an offset, and where is the end.
    """
    for _, address, queues in cluster.route(topic):
        broker = cluster.connection(address)
        for queue in range(queues):
            place = {"topic": topic, "queueId": queue}
            wanted = dict(place, consumerGroup=group, setZeroIfNotFound=False)
            try:
                # A server of 4.9 says 0 where it has none.
                is_new = int(broker.ask(GROUP_OFFSET, wanted)[0]["offset"]) == 0
            except Refused as refused:
                if refused.code != NOT_FOUND:
                    raise
                is_new = True
            if is_new:
                first = max(0, int(broker.ask(MIN_OFFSET, place)[0]["offset"]))
                broker.ask(SET_GROUP_OFFSET, dict(place, consumerGroup=group, commitOffset=first))


def delete_group(cluster, words):
    for name in words.names:
        cluster.each(DELETE_GROUP, {"groupName": name, "removeOffset": True})
    print(f"groups deleted: {' '.join(words.names)}")


def show(cluster, words):
    for address, _, body in cluster.each(ALL_TOPICS):
        topics = sorted(name for name in parse(body)["topicConfigTable"] if is_own(name))
        _, body = cluster.connection(address).ask(ALL_GROUPS)
        groups = sorted(name for name in parse(body)["subscriptionGroupTable"] if is_own(name))
        print(f"broker {address}")
        print(f"  topics: {' '.join(topics) or 'none'}")
        print(f"  groups: {' '.join(groups) or 'none'}")


def is_own(name):
    """Neither one of the server's own names nor one of its retry topics."""
    known = ("SELF_TEST", "SCHEDULE_TOPIC", "TBW102", "BenchmarkTest", "DefaultCluster", "broker-a", "TOOLS_", "FILTERSRV_",
             "OFFSET_MOVED", "TRANS_CHECK", "RMQ_SYS", "CID_", "DEFAULT_", "SELF_", "rmq_sys", "DefaultHeartBeat", "%")
    return not name.startswith(known)


def lag(cluster, words):
    """Messages that the group has not confirmed yet, a topic and queue."""
    total = 0
    for address, _, body in cluster.each(CONSUME_STATS, {"consumerGroup": words.group}):
        # Queues are written as objects that are keys, which no JSON parser takes.
        for queue, offsets in re.findall(rb"(\{[^{}]*\})\s*:\s*(\{[^{}]*\})", body):
            queue, offsets = json.loads(queue), json.loads(offsets)
            behind = offsets["brokerOffset"] - offsets["consumerOffset"]
            total += behind
            if words.queues:
                print(f"{queue['topic']} {queue['brokerName']} queue {queue['queueId']} behind {behind}")
    print(f"{words.group} behind {total}")


def members(cluster, words):
    for address, _, body in cluster.each(GROUP_MEMBERS, {"consumerGroup": words.group}):
        for member in parse(body)["consumerIdList"]:
            print(member)


def count(cluster, words):
    """How many messages lie in a topic."""
    total = 0
    for _, address, queues in cluster.route(words.topic):
        for queue in range(queues):
            place = {"topic": words.topic, "queueId": queue}
            ends = [cluster.connection(address).ask(code, place)[0]["offset"] for code in (MIN_OFFSET, MAX_OFFSET)]
            total += int(ends[1]) - int(ends[0])
    print(total)


def find(cluster, words):
    """Prints the messages with a key, or with an id that their sender gave them, as JSON lines."""
    fields = {"topic": words.topic, "key": words.key, "maxNum": FOUND_MAX, "beginTimestamp": 0,
              "endTimestamp": (1 << 63) - 1}
    if words.id:
        fields["_UNIQUE_KEY_QUERY"] = True
    for address in sorted({address for _, address, _ in cluster.route(words.topic)}):
        try:
            _, body = cluster.connection(address).ask(QUERY_MESSAGE, fields)
        except Refused as refused:
            if refused.code == NOT_FOUND:
                continue
            raise
        for message in decode_all(body):
            # The index goes by a hash, so that strangers come along.
            keys = message["properties"].get("KEYS", "").split(" ")
            if words.key in ([message["id"]] if words.id else keys):
                print(json.dumps(message, ensure_ascii=False))


def decode_all(body):
    at = 0
    while at < len(body):
        (size,) = struct.unpack_from(">I", body, at)
        yield decode(body[at:at + size])
        at += size


def decode(message):
    """A message as the broker stores it (MessageDecoder of the Java client has the layout)."""
    _, magic, _, queue, _, offset, _, flags, born = struct.unpack_from(">IIIIIQQIQ", message)
    at = 48 + (20 if flags & 0x10 else 8)
    (stored,) = struct.unpack_from(">Q", message, at)
    at += 8 + (20 if flags & 0x20 else 8)
    retries, _, length = struct.unpack_from(">IQI", message, at)
    at += 16
    body, at = message[at:at + length], at + length
    # A magic number of its own says that the topic's length takes two bytes.
    wide = magic == 0xDAA320AB
    (length,) = struct.unpack_from(">H" if wide else ">B", message, at)
    at += 2 if wide else 1
    name, at = message[at:at + length].decode(), at + length
    (length,) = struct.unpack_from(">H", message, at)
    pairs = message[at + 2:at + 2 + length].decode().split("\x02")
    properties = dict(pair.split("\x01", 1) for pair in pairs if "\x01" in pair)
    return {"topic": name, "queue": queue, "offset": offset, "id": properties.get("UNIQ_KEY"), "born_ms": born,
            "stored_ms": stored, "retries": retries, "properties": properties,
            "body": body.decode("utf-8", "backslashreplace")}


def user(cluster, words):
    info = {"username": words.name, "password": read_secret(words.password_file),
            "userType": "Super" if words.super else "Normal", "userStatus": "enable"}
    create_or_update(cluster, (CREATE_USER, UPDATE_USER), {"username": words.name}, info)
    print(f"user there: {words.name}")


def delete_user(cluster, words):
    cluster.each(DELETE_USER, {"username": words.name})
    print(f"user deleted: {words.name}")


def allow(cluster, words):
    subject = f"User:{words.name}"
    entry = {"resource": words.resources, "actions": words.actions.split(","), "sourceIps": [], "decision": "Allow"}
    entries = [dict(entry, resource=resource) for resource in words.resources]
    info = {"subject": subject, "policies": [{"policyType": "Custom", "entries": entries}]}
    create_or_update(cluster, (CREATE_ACL, UPDATE_ACL), {"subject": subject}, info)
    print(f"{words.name} may {words.actions} on {' '.join(words.resources)}")


def create_or_update(cluster, codes, fields, info):
    body = json.dumps(info).encode()
    for address in cluster.brokers():
        connection = cluster.connection(address)
        try:
            connection.ask(codes[0], fields, body)
        except Refused as refused:
            if "existed" not in str(refused):
                raise
            connection.ask(codes[1], fields, body)


def users(cluster, words):
    for address, _, body in cluster.each(LIST_USERS, {"filter": ""}):
        names = [f"{user['username']} ({user['userType']})" for user in parse(body)]
        print(f"broker {address}: {', '.join(sorted(names)) or 'none'}")


def config(cluster, words):
    if words.pairs:
        # Properties of Java: bytes of ISO 8859-1.
        cluster.each(UPDATE_CONFIG, body="\n".join(words.pairs).encode("latin-1"))
    for address, _, body in cluster.each(GET_CONFIG):
        lines = sorted(body.decode().splitlines())
        wanted = [pair.split("=")[0] for pair in words.pairs]
        print(f"broker {address}")
        for line in lines:
            if not wanted or line.split("=")[0] in wanted:
                print(f"  {line}")


def wait_until(cluster, words):
    """Waits until a broker is registered, and the topics named have a route."""
    end = time.monotonic() + words.seconds
    while True:
        try:
            cluster.brokers()
            break
        except (OSError, Refused) as failure:
            cluster.open.clear()
            if time.monotonic() > end:
                raise OSError(f"no broker within {words.seconds} s: {failure}") from failure
            time.sleep(0.1)
    wait_for(cluster, words.topics, words.seconds)


def arguments():
    parser = argparse.ArgumentParser(prog="admin", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--name-server", default=f"127.0.0.1:{NAME_SERVER_PORT}", metavar="HOST:PORT[,...]")
    parser.add_argument("--user", help="access key")
    parser.add_argument("--secret-file", metavar="FILE", help="holds the user's secret key; - is standard input")
    parser.add_argument("--ca", metavar="FILE", help="speak TLS; the server's certificate is signed by this CA")
    parser.add_argument("--cert", metavar="FILE", help="client certificate, with --key")
    parser.add_argument("--key", metavar="FILE")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name, does, act, *words):
        one = commands.add_parser(name, help=does, description=does)
        one.set_defaults(act=act)
        for flags, options in words:
            one.add_argument(*flags.split(), **options)

    names = ("names", {"nargs": "+", "metavar": "NAME"})
    name = ("name", {"metavar": "NAME"})
    if_missing = ("--if-missing", {"action": "store_true", "help": "leave those that are there as they are"})
    command("show", "topics and groups of each broker", show)
    command("topic", "create topics, or change them; waits until they have a route", topic, names, if_missing,
            ("--queues", {"type": int, "default": 8}),
            ("--type", {"choices": ["NORMAL", "FIFO", "DELAY", "TRANSACTION"], "help": "5.x; the gRPC proxy checks it"}))
    command("group", "create consumer groups, or change them", group, names, if_missing,
            ("--ordered", {"action": "store_true", "help": "gRPC consumers get a device's messages in order"}),
            ("--from-first", {"action": "append", "default": [], "metavar": "TOPIC",
                              "help": "begin at the topic's first message where the group has read nothing yet"}),
            ("--retries", {"type": int, "default": 16, "help": "then a message goes to the dead letters"}))
    command("delete-topic", "delete topics with what lies in them", delete_topic, names)
    command("delete-group", "delete consumer groups with their offsets", delete_group, names)
    command("count", "how many messages lie in a topic", count, ("topic", {}))
    command("find", "messages of a topic with a key, as JSON lines", find, ("topic", {}), ("key", {}),
            ("--id", {"action": "store_true", "help": "the key is a message id (UNIQ_KEY)"}))
    command("lag", "messages that a group has not confirmed", lag, ("group", {}),
            ("--queues", {"action": "store_true", "help": "a line a queue"}))
    command("members", "consumers of a group that are connected", members, ("group", {}))
    command("user", "create a user, or change the secret (ACL 2.0)", user, name,
            ("--password-file", {"required": True, "metavar": "FILE", "help": "the user's secret; - is standard input"}),
            ("--super", {"action": "store_true", "help": "may do everything"}))
    command("delete-user", "delete a user", delete_user, name)
    command("allow", "set what a user may do on resources", allow, name,
            ("actions", {"help": "such as Pub,Sub,Get"}),
            ("resources", {"nargs": "+", "help": "such as Topic:iot-topic Group:*"}))
    command("users", "users of each broker", users)
    command("config", "show the brokers' configuration, or change what can be changed while they run", config,
            ("pairs", {"nargs": "*", "metavar": "NAME=VALUE"}))
    command("wait", "wait until a broker is registered and topics have a route", wait_until,
            ("topics", {"nargs": "*", "metavar": "TOPIC"}), ("--seconds", {"type": float, "default": 60}))
    return parser.parse_args()


def main():
    words = arguments()
    try:
        words.act(Cluster(words), words)
    except (OSError, Refused) as failure:
        sys.exit(f"admin: {failure}")


if __name__ == "__main__":
    main()
